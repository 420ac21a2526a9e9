"""One link of protocol v2 of a simulated agent, from CHALLENGE to its end (docs/protocol-v2.md).

What the control plane must not do is noted, and gone on with as the protocol says.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

from tests.fleet.intake import Intake
from tests.fleet.memory import KeptJob, new_epoch
from tests.fleet.opening import Opening, Violation
from tests.fleet.output_sending import OutputSending
from tests.fleet.plane_frames import Message, PlaneFault, excerpt, read_frame
from tests.fleet.scripts import Moment
from tests.fleet.served import Served
from tests.fleet.window import SendWindow
from tests.fleet.wire import CLOSE_S, Link

OPENING_S: Final = 10.0
SILENCE_S: Final = 40.0
UNACKNOWLEDGED_S: Final = 120.0
SHORTEST_TICK_S: Final = 0.05
POURED_AT_ONCE: Final = 100


class SequencedSession:
    """Hears, decides, and sends what is due; it never waits."""

    __slots__ = (
        "_acked", "_agent", "_deadline", "_flood", "_heartbeat_s", "_intake", "_link", "_opening",
        "_output", "_spoke_at", "_timer", "_window",
    )  # fmt: skip

    def __init__(self, agent: Served, link: Link) -> None:
        loop = asyncio.get_running_loop()
        self._agent = agent
        self._link = link
        self._opening: Opening | None = Opening(agent)
        self._heartbeat_s = 15.0
        self._window = SendWindow()
        self._intake = Intake(agent, link, self.pump)
        self._output = OutputSending(agent, link, self._say)
        self._acked = 0
        self._flood = 0
        self._spoke_at = loop.time()
        self._deadline = self._spoke_at + OPENING_S
        self._timer = loop.call_later(OPENING_S, self._tick)

    @property
    def is_welcome(self) -> bool:
        return self._opening is None

    # What comes.

    def begin(self) -> None:
        """The control plane speaks first."""

    def ponged(self, payload: bytes) -> None:
        """An agent of v2 sends no pings."""
        self._agent.blame(f"a pong that answers no ping: {payload!r}")

    def hear(self, text: str) -> None:
        try:
            message = read_frame(text)
        except PlaneFault as wrong:
            self._agent.blame(str(wrong))
            self._say({"type": "ERROR", "code": "protocol", "error": str(wrong)[:500]})
            return
        kind = message["type"]
        if kind == "ERROR":
            self._agent.count("errors")
            self._agent.complained(excerpt(message))
        elif kind == "BYE":
            self._agent.count("byes")
            self._timer.cancel()
            loop = asyncio.get_running_loop()
            # Its code is on the way, and says more than ours.
            self._timer = loop.call_later(CLOSE_S, self._link.close, 1001, "after BYE")
        elif kind == "GOAWAY":
            self._agent.count("goaways")
            self._agent.go_elsewhere(message["window_s"])
        elif self._opening is not None:
            self._hear_opening(self._opening, kind, message)
        elif kind in ("CHALLENGE", "ENROLLED", "WELCOME"):
            self._violation(f"{kind} does not belong here")
        else:
            self._hear_open(kind, message, len(text))

    def heard_all(self) -> None:
        self.pump()

    def has_room(self) -> None:
        self._pour()
        self.pump()

    def tell(self, job: KeptJob) -> None:
        plan = self._agent.host.plan(job)
        if job.is_over and self._agent.leaves(job.job_id, plan, Moment.BEFORE_RESULT):
            return
        self.pump()

    def say_bye(self) -> None:
        self._say({"type": "BYE", "reason": "the agent stops"})

    def over(self) -> None:
        self._timer.cancel()

    # The opening.

    def _hear_opening(self, opening: Opening, kind: str, message: Message) -> None:
        self._deadline = asyncio.get_running_loop().time() + OPENING_S
        try:
            answer = opening.hear(kind, message)
        except Violation as wrong:
            self._violation(str(wrong))
            return
        if answer is not None:
            self._say(answer)
        elif kind == "WELCOME":
            self._hear_welcome(message)

    def _hear_welcome(self, welcome: Message) -> None:
        agent, memory = self._agent, self._agent.memory
        seen = welcome["last_seq_seen"]
        if welcome["epoch"] != memory.peer_epoch:
            if seen:
                agent.blame(f"has seen {seen} messages within an epoch that it does not know")
            memory.meet(welcome["epoch"])
            agent.keep()
        elif not memory.confirmed <= seen < memory.next_seq:
            agent.blame(
                f"has seen {seen} messages of {memory.next_seq - 1}, {memory.confirmed} of which "
                "it had acknowledged"
            )
            memory.begin_epoch(new_epoch())
            agent.keep()
            self._link.close(1001, "a new epoch begins")
            return
        else:
            self._confirm(seen, welcome.get("prune_below", 0))
        self._heartbeat_s = float(welcome.get("heartbeat_s", 15.0))
        self._opening = None
        self._window.resume(memory.confirmed)
        self._output.note_seen(welcome.get("output_seen", {}))
        self._acked = -1
        agent.count("welcomed")
        agent.welcomed()
        self._flood = agent.manners.floods_with
        if agent.manners.reads_nothing:
            self._link.stop_reading()
        self._pour()
        agent.changed()
        self._set_timer()

    # An open link.

    def _hear_open(self, kind: str, message: Message, size: int) -> None:
        if "ack" in message:
            ack = message["ack"]
            if ack > self._window.reached:
                self._violation(f"acknowledges {ack} of {self._window.reached} messages")
                return
            self._window.confirm(ack)
            self._confirm(ack, message.get("prune_below", 0))
        if kind == "ACK":
            self._agent.count("acks")
            self._output.note_seen(message.get("output_seen", {}))
        elif kind == "NACK":
            self._hear_nack(message["expected"])
        elif kind == "HEARTBEAT":
            self._agent.count("heartbeats heard")
        else:
            self._intake.take(kind, message, size)

    def _confirm(self, ack: int, prune_below: int) -> None:
        """What the control plane has is kept here no longer."""
        agent, memory = self._agent, self._agent.memory
        waiting = len(memory.notices)
        memory.confirm(ack, prune_below)
        if len(memory.notices) < waiting:
            agent.count("acknowledged", waiting - len(memory.notices))
            agent.changed()

    def _hear_nack(self, expected: int) -> None:
        self._agent.count("nacks")
        if not self._agent.memory.confirmed < expected <= self._window.reached + 1:
            self._violation(f"NACK expects {expected}, which is not under way")
            return
        self._window.send_again_from(expected)

    # What goes.

    def pump(self) -> None:
        """Send all that may be sent now."""
        agent, memory = self._agent, self._agent.memory
        if self._opening is not None or agent.manners.is_silent:
            return
        while self._link.is_open and not self._link.is_full:
            notice = memory.notices.get(self._window.sent + 1)
            if notice is None or not self._send_notice(notice):
                break
        if not self._link.is_open:
            return
        for job_id in agent.host.printing:
            job = memory.jobs.get(job_id)
            if job is not None and not job.is_over:
                self._output.send(job)
        if (memory.heard != self._acked or self._intake.is_ack_due) and self._link.is_open:
            self._say({"type": "ACK", "ack": self._ack()})

    def _send_notice(self, notice: Message) -> bool:
        agent, seq = self._agent, notice["seq"]
        job = agent.memory.jobs.get(notice["job_id"])
        if "final" in notice and job is not None and not self._output.send(job):
            return False
        text = json.dumps(notice | {"ack": agent.memory.heard})
        if not self._window.has_room(len(text)):
            return False
        self._window.add(seq, len(text), asyncio.get_running_loop().time())
        self._ack()
        self._send(text)
        if agent.manners.repeats:
            agent.count("repeated")
            self._send(text)
        if notice["type"] == "ACCEPT":
            agent.accepted(notice["job_id"])
        elif "final" in notice:
            self._output.forget(notice["job_id"])
            agent.count("results")
            plan = agent.host.script(notice["job_id"], job.kind if job is not None else "")
            agent.leaves(notice["job_id"], plan, Moment.AFTER_RESULT)
        return True

    def _ack(self) -> int:
        self._acked = self._agent.memory.heard
        self._intake.acknowledged(self._acked)
        return self._acked

    def _pour(self) -> None:
        """Flood, as far as the socket takes it; what comes is read in between."""
        for _ in range(min(self._flood, POURED_AT_ONCE)):
            if not self._link.is_open or self._link.is_full:
                return
            self._flood -= 1
            self._say({"type": "HEARTBEAT", "facts": {}})
        if self._flood:
            asyncio.get_running_loop().call_soon(self._pour)

    def _say(self, message: Message) -> None:
        self._send(json.dumps(message))

    def _send(self, text: str) -> None:
        self._spoke_at = asyncio.get_running_loop().time()
        self._link.send(text)

    def _violation(self, fault: str) -> None:
        self._agent.blame(fault)
        self._link.close(4400, fault[:100])

    # Time.

    def _set_timer(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = self._link.heard_at + SILENCE_S
        if self._opening is not None:
            due = min(due, self._deadline)
        elif not self._agent.manners.is_silent:
            due = min(due, self._spoke_at + self._heartbeat_s)
        self._timer.cancel()
        self._timer = loop.call_at(max(due, now + SHORTEST_TICK_S), self._tick)

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._opening is not None:
            if now >= self._deadline:
                self._agent.count("openings too slow")
                self._link.close(4400, "the opening took too long")
                return
        elif self._is_deaf(now):
            return
        elif now >= self._spoke_at + self._heartbeat_s and not self._agent.manners.is_silent:
            self._agent.count("heartbeats")
            facts = {"load": 0.1, "disk_free_bytes": 1 << 34, "engine_reachable": True}
            facts["open_jobs"] = sum(job.changes for job in self._agent.memory.open_jobs())
            self._say({"type": "HEARTBEAT", "facts": facts, "ack": self._ack()})
        self._set_timer()

    def _is_deaf(self, now: float) -> bool:
        """Give the link up where nothing comes, or nothing is acknowledged."""
        waiting_since = self._window.waiting_since
        if now >= self._link.heard_at + SILENCE_S and not self._agent.manners.reads_nothing:
            self._agent.count("silences")
            self._agent.blame("said nothing for 40 s")
        elif waiting_since is None or now < waiting_since + UNACKNOWLEDGED_S:
            return False
        else:
            self._agent.count("unacknowledged")
            self._agent.blame("acknowledged nothing for 120 s")
        self._link.cut()
        return True
