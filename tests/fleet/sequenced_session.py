"""One link of protocol v2 of a simulated agent, from CHALLENGE to its end (docs/protocol-v2.md).

What the control plane must not do is noted, and gone on with as the protocol says.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from enum import Enum, auto
from typing import Final

from tests.fleet.memory import KeptJob, new_epoch
from tests.fleet.opening import enroll_message, fault_in_enrolled, fault_in_welcome, hello_message
from tests.fleet.plane_frames import COMMANDS, Message, PlaneFault, excerpt, read_frame
from tests.fleet.printing import STEP, chunk_message, printed
from tests.fleet.scripts import Moment
from tests.fleet.served import Served
from tests.fleet.window import OutputMark, ReceiveWindow, SendWindow
from tests.fleet.wire import CLOSE_S, Link

OPENING_S: Final = 10.0
SILENCE_S: Final = 40.0
UNACKNOWLEDGED_S: Final = 120.0
SHORTEST_TICK_S: Final = 0.05
MAX_CHUNK_BYTES: Final = 64 << 10
POURED_AT_ONCE: Final = 100


class Phase(Enum):
    CHALLENGE_DUE = auto()
    ENROLLED_DUE = auto()
    WELCOME_DUE = auto()
    OPEN = auto()


class SequencedSession:
    """Hears, decides, and sends what is due; it never waits."""

    __slots__ = (
        "_acked", "_agent", "_challenge", "_deadline", "_duplicates_due", "_flood", "_gap_told",
        "_heartbeat_s", "_is_missing", "_link", "_marks", "_missed", "_nonce", "_phase",
        "_received", "_spoke_at", "_timer", "_window",
    )  # fmt: skip

    def __init__(self, agent: Served, link: Link) -> None:
        loop = asyncio.get_running_loop()
        self._agent = agent
        self._link = link
        self._phase = Phase.CHALLENGE_DUE
        self._challenge: Message = {}
        self._nonce = secrets.token_hex(16)
        self._heartbeat_s = 15.0
        self._window = SendWindow()
        self._received = ReceiveWindow()
        self._marks: dict[str, OutputMark] = {}
        self._acked = 0
        self._missed = 0
        self._is_missing = False
        self._gap_told = 0
        self._flood = 0
        self._spoke_at = loop.time()
        self._deadline = self._spoke_at + OPENING_S
        self._timer = loop.call_later(OPENING_S, self._tick)

    @property
    def is_welcome(self) -> bool:
        return self._phase is Phase.OPEN

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
        elif self._phase is not Phase.OPEN:
            self._hear_opening(kind, message)
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

    def _hear_opening(self, kind: str, message: Message) -> None:
        agent, memory = self._agent, self._agent.memory
        self._deadline = asyncio.get_running_loop().time() + OPENING_S
        if kind == "CHALLENGE" and self._phase is Phase.CHALLENGE_DUE:
            self._challenge = message
            if agent.manners.is_mute:
                return
            if memory.has_key and not memory.host_id:
                self._phase = Phase.ENROLLED_DUE
                self._say(enroll_message(agent, message, self._nonce))
            else:
                self._greet()
        elif kind == "ENROLLED" and self._phase is Phase.ENROLLED_DUE:
            if fault := fault_in_enrolled(memory, self._challenge, self._nonce, message):
                self._violation(fault)
                return
            memory.host_id, memory.pinned_key = message["host_id"], self._challenge["public_key"]
            agent.keep()
            agent.count("enrolled")
            self._greet()
        elif kind == "WELCOME" and self._phase is Phase.WELCOME_DUE:
            self._hear_welcome(message)
        else:
            self._violation(f"{kind} before WELCOME: {excerpt(message)}")

    def _greet(self) -> None:
        self._phase = Phase.WELCOME_DUE
        positions = {job.job_id: job.printed for job in self._agent.memory.open_jobs()}
        self._say(hello_message(self._agent, self._challenge, self._nonce, positions))

    def _hear_welcome(self, welcome: Message) -> None:
        agent, memory = self._agent, self._agent.memory
        if fault := fault_in_welcome(memory, self._challenge, self._nonce, welcome):
            self._violation(fault)
            return
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
        self._phase = Phase.OPEN
        self._window.resume(memory.confirmed)
        self._note_seen(welcome.get("output_seen", {}))
        self._challenge = {}
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
            self._note_seen(message.get("output_seen", {}))
        elif kind == "NACK":
            self._hear_nack(message["expected"])
        elif kind == "HEARTBEAT":
            self._agent.count("heartbeats heard")
        else:
            self._hear_durable(kind, message, size)

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

    def _hear_durable(self, kind: str, message: Message, size: int) -> None:
        agent, memory, seq = self._agent, self._agent.memory, message["seq"]
        expected = memory.heard + 1
        if seq < expected:
            agent.count("duplicates")
            agent.blame(f"sends {seq} again, though {memory.heard} were acknowledged")
            self._acked = -1
            return
        if seq > expected:
            if not self._is_missing and self._gap_told != expected:
                agent.count("gaps")
                agent.blame(f"leaves a gap: {seq} where {expected} is next")
                self._miss(expected)
            return
        if self._misses():
            self._is_missing = True
            self._miss(expected)
            return
        self._is_missing = False
        if not self._received.add(seq, size):
            agent.blame(f"sends more than its window: {excerpt(message)}")
        if kind == "CANCEL":
            self._take_cancel(message)
        else:
            assert kind in COMMANDS
            self._take_command(message)

    def _misses(self) -> bool:
        each = self._agent.manners.misses_each
        if each == 0 or self._is_missing:
            return False
        self._missed += 1
        return self._missed % each == 0

    def _miss(self, expected: int) -> None:
        self._gap_told = expected
        self._agent.count("nacks sent")
        self._say({"type": "NACK", "expected": expected, "ack": self._ack()})

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
        self.pump()
        agent.leaves(job_id, plan, Moment.AFTER_ACCEPT)
        agent.host.advance()

    def _note_seen(self, positions: Message) -> None:
        for job_id, position in positions.items():
            job = self._agent.memory.jobs.get(job_id)
            if job is None or position["step"] != STEP:
                continue
            if position["offset"] > job.printed:
                self._agent.blame(f"has {position} of {job_id}, which printed {job.printed} bytes")
                continue
            self._mark(job_id).note_seen(position["offset"])

    # What goes.

    def pump(self) -> None:
        """Send all that may be sent now."""
        agent, memory = self._agent, self._agent.memory
        if self._phase is not Phase.OPEN or agent.manners.is_silent:
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
                self._send_output(job)
        if memory.heard != self._acked and self._link.is_open:
            self._say({"type": "ACK", "ack": self._ack()})

    def _send_notice(self, notice: Message) -> bool:
        agent, seq = self._agent, notice["seq"]
        job = agent.memory.jobs.get(notice["job_id"])
        if "final" in notice and job is not None and not self._send_output(job):
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
            self._marks.pop(notice["job_id"], None)
            agent.count("results")
            plan = agent.host.script(notice["job_id"], job.kind if job is not None else "")
            agent.leaves(notice["job_id"], plan, Moment.AFTER_RESULT)
        return True

    def _send_output(self, job: KeptJob) -> bool:
        """Send what may be sent of what a job has printed; whether that is all."""
        if not job.was_begun or not job.changes or not job.printed:
            return True
        plan, mark = self._agent.host.plan(job), self._mark(job.job_id)
        while mark.sent < job.printed:
            size = min(job.printed - mark.sent, mark.room(is_over=job.is_over), MAX_CHUNK_BYTES)
            if size <= 0 or self._link.is_full or not self._link.is_open:
                return False
            content = printed(job.job_id, mark.sent, size, is_text=plan.is_text)
            self._say(chunk_message(job.job_id, mark.sent, content))
            self._agent.count("output bytes", size)
            mark.sent += size
        return True

    def _mark(self, job_id: str) -> OutputMark:
        return self._marks.setdefault(job_id, OutputMark())

    def _ack(self) -> int:
        self._acked = self._agent.memory.heard
        self._received.acknowledge(self._acked)
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
        if self._phase is not Phase.OPEN:
            due = min(due, self._deadline)
        elif not self._agent.manners.is_silent:
            due = min(due, self._spoke_at + self._heartbeat_s)
        self._timer.cancel()
        self._timer = loop.call_at(max(due, now + SHORTEST_TICK_S), self._tick)

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._phase is not Phase.OPEN:
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
