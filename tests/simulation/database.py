"""What a control plane has on its disk. Pure; a `PeerLink` writes it, `copy` is a backup.

Whatever an agent must not do raises `AgentBroke`.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy as shallow
from dataclasses import dataclass, field, replace

from domain.commands import CHANGING_COMMANDS, Command, project_of
from domain.job import JobState, is_terminal
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


class AgentBroke(AssertionError):
    """The agent did what protocol v2, or a promise, forbids."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One wish of an operator's. Two may have one id, and ask for different things."""

    number: int
    job_id: str
    command: Command
    generation: int | None = None
    deadline_s: float | None = None


@dataclass(slots=True)
class Order:
    """All that is known of one job id."""

    job_id: str
    submissions: list[Submission] = field(default_factory=list)
    unanswered: list[Submission] = field(default_factory=list)
    """Those of the present sequence that neither ACCEPT nor REJECT has answered."""
    accepted: Submission | None = None
    reported: JobState | None = None
    """The state that the last ACCEPT of a repeat told; another one's may be newer than the next one's."""
    rejections: dict[int, str] = field(default_factory=dict)
    """The reason, by the number of the submission."""
    results: list[Result] = field(default_factory=list)
    is_cancelled: bool = False

    @property
    def changes(self) -> bool:
        """Whether the id is taken for ever."""
        command = self.submissions[0].command if self.submissions else None
        return command is None or isinstance(command, CHANGING_COMMANDS)

    @property
    def end(self) -> JobState | None:
        """The state that it ended in, as far as is known."""
        if self.results:
            return self.results[-1].state
        return self.reported if self.reported and is_terminal(self.reported) else None

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is wanted of the agent."""
        if self.accepted is not None and self.end is None:
            return False
        return all(
            each.number in self.rejections or self.accepted is not None for each in self.submissions
        )


class Database:
    """Numbers count within a sequence; a new one begins where either side's epoch is another one."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
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
        other.orders = {job_id: _copied(order) for job_id, order in self.orders.items()}
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
                _take_accept(order, message)
            case Reject():
                _take_reject(order, message)
            case Result():
                _take_result(order, message)

    def check_repeated(self, message: SequencedSaid) -> None:
        """A message whose number is here already must be the one that it was."""
        first = self.incoming[message.seq - 1]
        if _lasting(first) != _lasting(message):
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
            order.rejections[order.submissions[0].number] = "refused"
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


def _copied(order: Order) -> Order:
    other = shallow(order)
    other.submissions, other.unanswered = order.submissions[:], order.unanswered[:]
    other.rejections, other.results = dict(order.rejections), order.results[:]
    return other


def _take_accept(order: Order, message: Accept) -> None:
    if not order.unanswered:
        raise AgentBroke(f"it answers what was not asked: {message}")
    answered = order.unanswered.pop(0)
    if order.accepted is None:
        order.accepted = answered
    elif not message.is_repeat and order.changes:
        raise AgentBroke(f"{order.job_id} is accepted as new twice")
    if not message.is_repeat:
        return
    if order.end is not None and order.changes and message.state is not order.end:
        raise AgentBroke(f"{order.job_id} has ended as {order.end}, and is {message.state} now")
    order.reported = message.state


def _take_reject(order: Order, message: Reject) -> None:
    if not order.unanswered:
        raise AgentBroke(f"it answers what was not asked: {message}")
    order.rejections[order.unanswered.pop(0).number] = message.reason


def _take_result(order: Order, message: Result) -> None:
    if order.accepted is None:
        # Its ACCEPT was of a sequence that is over.
        order.accepted = next(
            (each for each in order.submissions if each.number not in order.rejections), None
        )
    if order.changes and order.end not in (None, message.state):
        raise AgentBroke(f"{order.job_id} has ended as {order.end}, and as {message.state}")
    if (
        order.changes
        and order.results
        and _lasting(order.results[-1]) != replace(_lasting(message), seq=order.results[-1].seq)
    ):
        raise AgentBroke(f"two results: {order.results[-1]} and {message}")
    order.results.append(message)


def _lasting(message: SequencedSaid) -> SequencedSaid:
    """What may not change when it is sent again: where a job is may have, in an ACCEPT."""
    if isinstance(message, Accept) and not message.is_repeat:
        return replace(message, ack=None, state=JobState.ACCEPTED)
    return replace(message, ack=None)
