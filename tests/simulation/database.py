"""What a control plane has on its disk. Pure; a `PeerLink` writes it, `copy` is a backup.

Whatever an agent must not do raises `AgentBroke`.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy as shallow

from domain.commands import project_of
from domain.job import JobState
from domain.link_messages import (
    Accept,
    CancelMessage,
    CommandMessage,
    Hello,
    OutputChunk,
    OutputPosition,
    Reject,
    Result,
    SequencedHeard,
    SequencedSaid,
)
from tests.fakes.identity import FakeKeys
from tests.simulation.orders import REFUSED, AgentBroke, Order, Submission, lasting


class Database:
    """Numbers count within a sequence; a new one begins where either side's epoch is another one."""

    def __init__(self, epoch: str, keys: FakeKeys | None = None) -> None:
        self.epoch = epoch
        self.keys = keys
        """With them, the agent has to prove who it is by its key."""
        self.hosts: dict[str, str] = {}
        """The id of each public key that was enrolled; no restoring takes one away."""
        self.agent_epoch = ""
        self.seen = 0
        """The agent's messages up to this number are here."""
        self.taken = 0
        """Ours up to this number are on the agent's disk."""
        self.outgoing: list[SequencedHeard] = []
        self.incoming: list[SequencedSaid] = []
        self.orders: dict[str, Order] = {}
        self.generations: dict[str, int] = {}
        self.outputs: dict[tuple[str, str, int], bytearray] = {}
        self.positions: dict[str, OutputPosition] = {}
        self.prune_below = 0

    def copy(self) -> Database:
        """A backup, for `restored`."""
        other = shallow(self)
        other.outgoing, other.incoming = self.outgoing[:], self.incoming[:]
        other.orders = {job_id: order.copy() for job_id, order in self.orders.items()}
        other.generations = dict(self.generations)
        other.outputs = {key: bytearray(printed) for key, printed in self.outputs.items()}
        other.positions = dict(self.positions)
        return other

    def restored(self, epoch: str) -> Database:
        """This backup, put in the place of what was there."""
        other = self.copy()
        other.epoch = epoch
        return other

    def submit(self, submission: Submission) -> None:
        """Write a wish down, to be sent."""
        order = self.orders.setdefault(submission.job_id, Order(submission.job_id))
        order.submissions.append(submission)
        project = project_of(submission.command)
        if submission.generation is not None and project is not None:
            name = project.compose_name
            highest = max(self.generations.get(name, 0), submission.generation)
            self.generations[name] = highest
        self._send(submission)

    def cancel(self, job_id: str) -> None:
        """Write down that a job is to end."""
        order = self.orders.get(job_id)
        if order is not None:
            order.is_cancelled = True
        self.outgoing.append(CancelMessage(len(self.outgoing) + 1, job_id))

    def meet(self, hello: Hello) -> None:
        """Go on with the sequence where both remember it, or begin another."""
        for project, generation in hello.generations.items():
            self.generations[project] = max(self.generations.get(project, 0), generation)
        if (hello.epoch, hello.peer_epoch) != (self.agent_epoch, self.epoch):
            self._begin_sequence(hello.epoch)
        elif hello.last_seq_seen < self.taken:
            raise AgentBroke(f"it forgot messages up to {self.taken}: {hello}")
        else:
            self.take_ack(hello.last_seq_seen)

    def take_ack(self, ack: int) -> None:
        """The agent has ours up to this number."""
        if ack > len(self.outgoing):
            raise AgentBroke(f"it acknowledges {ack} of {len(self.outgoing)} messages")
        self.taken = max(self.taken, ack)

    def take(self, message: SequencedSaid | OutputChunk) -> None:
        """Write down the agent's next durable message, or a piece of output."""
        order = self.orders.setdefault(message.job_id, Order(message.job_id))
        if isinstance(message, OutputChunk):
            self._take_output(message)
            return
        assert message.seq == self.seen + 1
        self.seen = message.seq
        self.incoming.append(message)
        match message:
            case Accept():
                order.take_accept(message)
            case Reject():
                order.take_reject(message)
            case Result():
                order.take_result(message)

    def check_repeated(self, message: SequencedSaid) -> None:
        """A message whose number is here already must be the one that it was."""
        first = self.incoming[message.seq - 1]
        if lasting(first) != lasting(message):
            raise AgentBroke(f"one number, two messages: {first} and {message}")

    def settle_plainly(self, job_id: str, state: JobState) -> bool:
        """Take a result that came over v1; returns whether it is news."""
        order = self.orders.setdefault(job_id, Order(job_id))
        order.unanswered = []
        if order.submissions and order.accepted is None:
            order.accepted = order.submissions[0]
        if order.end is not None:
            if order.changes and order.end is not state:
                raise AgentBroke(f"{job_id} has ended twice: as {order.end}, and as {state}")
            return False
        order.reported = state
        return True

    def refuse_plainly(self, order: Order) -> None:
        """Take a refusal that came over v1: what was asked is not done, unless it is told later."""
        if order.accepted is None and order.end is None:
            order.rejections[order.submissions[0].number] = REFUSED
            order.unanswered = [
                each for each in order.unanswered if each.number not in order.rejections
            ]

    def unsettled(self) -> Iterator[Submission]:
        """What an agent has to be asked for, again or still, in the order of the wishes."""
        wanted = []
        for order in self.orders.values():
            if order.accepted is not None:
                wanted += [order.accepted] if order.end is None else []
                firm = order.accepted.number
            else:
                firm = 0
            wanted += [
                each
                for each in order.submissions
                if each.number != firm
                and each.number not in order.rejections
                and each in order.unanswered
            ]
        return iter(sorted(wanted, key=lambda each: each.number))

    def _send(self, wish: Submission) -> None:
        self.orders[wish.job_id].unanswered.append(wish)
        self.outgoing.append(
            CommandMessage(
                len(self.outgoing) + 1,
                wish.job_id,
                wish.command,
                wish.generation,
                wish.deadline_s,
            )
        )

    def _begin_sequence(self, agent_epoch: str) -> None:
        wishes = list(self.unsettled())
        self.agent_epoch = agent_epoch
        self.seen = self.taken = self.prune_below = 0
        self.outgoing, self.incoming = [], []
        for order in self.orders.values():
            order.unanswered = []
        for wish in wishes:
            self._send(wish)
        for order in list(self.orders.values()):
            if order.is_cancelled and not order.is_settled:
                self.cancel(order.job_id)

    def _take_output(self, message: OutputChunk) -> None:
        where = message.position
        printed = self.outputs.setdefault((message.job_id, where.step, where.attempt), bytearray())
        end = where.offset + len(message.chunk)
        if where.offset > len(printed):
            raise AgentBroke(f"{message.job_id}: output is missing before {where}")
        again = printed[where.offset : end]
        if again != message.chunk[: len(again)]:
            raise AgentBroke(f"{message.job_id}: the output at {where} is another one than before")
        printed[where.offset : end] = message.chunk if end > len(printed) else again
        offset = len(printed)
        self.positions[message.job_id] = OutputPosition(where.step, where.attempt, offset)
