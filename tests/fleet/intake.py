"""What a simulated agent does with the durable messages that it hears on one link of v2."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.fleet.plane_frames import COMMANDS, Message, excerpt
from tests.fleet.scripts import Moment
from tests.fleet.served import Served
from tests.fleet.window import ReceiveWindow
from tests.fleet.wire import Link


class Intake:
    """In order, each once; `pump` sends what follows from one."""

    __slots__ = (
        "_agent",
        "_counted",
        "_gap_told",
        "_is_missing",
        "_link",
        "_pump",
        "_window",
        "is_ack_due",
    )

    def __init__(self, agent: Served, link: Link, pump: Callable[[], None]) -> None:
        self._agent = agent
        self._link = link
        self._pump = pump
        self._window = ReceiveWindow()
        self._counted = 0
        self._is_missing = False
        self._gap_told = 0
        self.is_ack_due = False
        """Whether something came again, and is to be acknowledged again."""

    def acknowledged(self, ack: int) -> None:
        """It was said that everything up to this number is here."""
        self.is_ack_due = False
        self._window.acknowledge(ack)

    def take(self, kind: str, message: Message, size: int) -> None:
        """A command or a cancel, whose frame had so many characters."""
        agent, memory, seq = self._agent, self._agent.memory, message["seq"]
        expected = memory.heard + 1
        if seq < expected:
            agent.count("duplicates")
            agent.blame(f"sends {seq} again, though {memory.heard} were acknowledged")
            self.is_ack_due = True
            return
        if seq > expected:
            if not self._is_missing and self._gap_told != expected:
                agent.count("gaps")
                agent.blame(f"leaves a gap: {seq} where {expected} is next")
                self._miss(expected)
            return
        if self._is_to_be_missed():
            self._is_missing = True
            self._miss(expected)
            return
        self._is_missing = False
        if not self._window.add(seq, size):
            agent.blame(f"sends more than its window: {excerpt(message)}")
        if kind == "CANCEL":
            self._take_cancel(message)
        else:
            assert kind in COMMANDS
            self._take_command(message)

    def _is_to_be_missed(self) -> bool:
        each = self._agent.manners.misses_each
        if each == 0 or self._is_missing:
            return False
        self._counted += 1
        return self._counted % each == 0

    def _miss(self, expected: int) -> None:
        self._gap_told = expected
        self._agent.count("nacks sent")
        heard = self._agent.memory.heard
        self._link.send(json.dumps({"type": "NACK", "expected": expected, "ack": heard}))

    def _take_cancel(self, message: Message) -> None:
        agent = self._agent
        agent.count("cancels")
        agent.memory.heard += 1
        agent.host.cancel(message["job_id"])
        agent.keep()
        agent.host.advance()

    def _take_command(self, command: Message) -> None:
        agent, memory, job_id = self._agent, self._agent.memory, command["id"]
        plan = agent.host.script(job_id, command["type"])
        if agent.leaves(job_id, plan, Moment.BEFORE_ACCEPT):
            return
        agent.count("commands")
        verdict = agent.host.take(command)
        memory.heard += 1
        if verdict.job is None:
            agent.count("rejects")
            error = f"it is refused: {verdict.reason}"
            reject = {"job_id": job_id, "reason": verdict.reason, "error": error}
            memory.tell({"type": "REJECT", **reject})
            agent.keep()
            return
        accept: Message = {"type": "ACCEPT", "job_id": job_id, "state": verdict.job.state}
        if verdict.is_repeat:
            agent.count("repeats")
            accept["repeat"] = True
        memory.tell(accept)
        if verdict.is_repeat and verdict.job.is_delivered and verdict.job.result is not None:
            memory.tell_result(verdict.job)
        agent.keep()
        self._pump()
        agent.leaves(job_id, plan, Moment.AFTER_ACCEPT)
        agent.host.advance()
