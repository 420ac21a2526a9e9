"""How the control plane that tests use hears: in order, writing down before it acknowledges."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.agent_frames import DURABLE, Message, ViolationFound, excerpt, kind_of
from tests.support.peer_database import PeerDatabase
from tests.support.peer_sending import OutputWindow, Sender
from tests.support.peer_terms import Crashed, Faults


class Hearer:
    """All that comes from an agent on one link: before WELCOME to `hear_early`, and then to `hear`.

    Both raise `ViolationFound` where a message changes nothing because it breaks a rule.
    """

    def __init__(self, database: PeerDatabase, faults: Faults, sender: Sender) -> None:
        self.facts: Message = {}
        self.heartbeats = 0
        self.bye: str | None = None
        self._database = database
        self._faults = faults
        self._sender = sender
        self._held: list[Message] = []
        self._nacked = self._gap_top = 0
        self._output_ends: dict[tuple[str, str, int], int] = {}
        """By job, step and attempt: the output up to there came on this link, or needs not come."""

    def welcome(self, positions: Mapping[str, Message]) -> None:
        """The agent is told that this much of the jobs' output is here: `output_seen` of WELCOME."""
        for job_id, where in positions.items():
            self._output_ends[job_id, where["step"], where["attempt"]] = where["offset"]

    def hear_early(self, message: Message) -> None:
        """What may come before WELCOME, HELLO aside."""
        if message["type"] == "ERROR":
            self._database.errors.append(message)
        elif message["type"] == "BYE":
            self.bye = message["reason"]
        else:
            raise ViolationFound(f"{message['type']} before WELCOME")

    def catch_up(self) -> None:
        """Write down and acknowledge what was held back."""
        held, self._held = self._held, []
        for message in held:
            self._commit(message)
        self._sender.acknowledge_soon()

    def hear(self, message: Message, size: int) -> None:
        """Take a message whose frame had so many bytes; raises `Crashed` where it is told to."""
        kind = kind_of(message)
        if "ack" in message:
            self._hear_ack(message["ack"])
        if self._faults.crash_when is not None and not self._faults.crash_after_commit:
            self._crash_at(message)
        if kind in DURABLE:
            self._hear_durable(message, size)
        elif kind == "OUTPUT":
            self._hear_output(message)
        elif kind == "NACK":
            self._database.seen["nack"] += 1
            if not self._database.ledger.agent_ack < message["expected"] <= self._sender.last_sent:
                raise ViolationFound(f"was not to be asked for: {excerpt(message)}")
            self._sender.send_from(message["expected"])
        elif kind == "HEARTBEAT":
            self.facts = message["facts"]
            self.heartbeats += 1
        elif kind == "ERROR":
            self._database.errors.append(message)
        elif kind == "BYE":
            self.bye = message["reason"]
        elif kind in ("HELLO", "ENROLL"):
            raise ViolationFound(f"{kind} comes again")
        self._database.wake()

    def _hear_ack(self, ack: int) -> None:
        if ack > self._sender.last_sent:
            raise ViolationFound(f"acknowledges {ack}, where {self._sender.last_sent} were sent")
        self._database.acknowledge(ack)
        self._sender.acknowledged(ack)

    def _hear_durable(self, message: Message, size: int) -> None:
        ledger, seq = self._database.ledger, message["seq"]
        held = sum("seq" in one for one in self._held)
        expected = ledger.last_seq_seen + held + 1
        if seq < expected:
            if seq <= ledger.last_seq_seen:
                self._database.repeated(message)
            self._sender.acknowledge_soon()
        elif seq > expected:
            self._hear_gap(seq, expected)
        else:
            if self._sender.received.is_full:
                self._database.violation(f"more than the window: {excerpt(message)}")
            self._sender.received.add(seq, size)
            self._take(message)

    def _hear_gap(self, seq: int, expected: int) -> None:
        self._database.seen["gap"] += 1
        # What follows was sent before the agent heard of it; what begins anew was sent after.
        if expected != self._nacked or seq <= self._gap_top:
            self._sender.later({"type": "NACK", "expected": expected})
        self._nacked, self._gap_top = expected, seq

    def _hear_output(self, message: Message) -> None:
        job_id = message["job_id"]
        self._note_repeated_output(message)
        window = self._sender.outputs.setdefault(job_id, OutputWindow())
        self._database.note_output_ahead(job_id, window.add(message))
        self._take(message)

    def _note_repeated_output(self, message: Message) -> None:
        """Output is sent once on a link, and from where WELCOME says.

        What comes again of a step that WELCOME did not name is none of this: it names one of a job.
        """
        place = (message["job_id"], message["step"], message["attempt"])
        begin, end = message["offset"], message["offset"] + message["length"]
        known = self._output_ends.get(place, 0)
        if begin < min(end, known):
            again = f"bytes {begin} to {min(end, known)}"
            self._database.violation(f"sends again what it knows is here, {again}: {place}")
        self._output_ends[place] = max(end, known)

    def _take(self, message: Message) -> None:
        if self._faults.hold_commits:
            self._held.append(message)
        else:
            self._commit(message)

    def _commit(self, message: Message) -> None:
        self._database.commit(message)
        if self._faults.crash_when is not None and self._faults.crash_after_commit:
            self._crash_at(message)
        self._sender.acknowledge_soon(None if "seq" in message else message["job_id"])

    def _crash_at(self, message: Message) -> None:
        crash_when = self._faults.crash_when
        if crash_when is not None and crash_when(message):
            self._faults.crash_when = None
            raise Crashed
