"""One link of protocol v1 of a simulated agent (docs/protocol.md)."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from tests.fleet.memory import KeptJob
from tests.fleet.plane_frames import Message, PlaneFault, read_plain_command
from tests.fleet.results import plain
from tests.fleet.scripts import Moment
from tests.fleet.served import Served
from tests.fleet.wire import Link

PING_S: Final = 30.0
PONG_S: Final = 60.0
RECEIVED: Final = "Command received, processing..."


class PlainSession:
    """Answers commands, and keeps results until a pong has confirmed them."""

    __slots__ = ("_agent", "_link", "_pinged_at", "_pings", "_sent", "_timer")

    def __init__(self, agent: Served, link: Link) -> None:
        self._agent = agent
        self._link = link
        self._pings = 0
        self._pinged_at = 0.0
        self._sent: dict[int, list[str]] = {}
        """What each ping that is under way confirms."""
        self._timer = asyncio.get_running_loop().call_later(PING_S, self._tick)
        if agent.memory.peer_epoch:
            # It remembers nothing of what a peer with numbers was told.
            agent.memory.begin_epoch()

    @property
    def is_welcome(self) -> bool:
        return True

    def begin(self) -> None:
        """Send what is owed from earlier links."""
        for job in self._agent.memory.undelivered():
            if self._agent.manners.is_naive:
                self._agent.count("v1 results forgotten")
                self._agent.memory.forget(job.job_id)
            else:
                self.tell(job)
        if self._agent.manners.reads_nothing:
            self._link.stop_reading()

    def hear(self, text: str) -> None:
        agent = self._agent
        if agent.manners.is_silent or agent.manners.is_mute:
            return
        try:
            command = read_plain_command(text)
        except PlaneFault as wrong:
            agent.blame(str(wrong))
            return
        plan = agent.host.script(command["id"], command["type"])
        if agent.leaves(command["id"], plan, Moment.BEFORE_ACCEPT):
            return
        agent.count("commands")
        verdict = agent.host.take(command, is_plain=True)
        self._say({"job_id": command["id"], "status": "IN_PROGRESS", "logs": RECEIVED})
        agent.accepted(command["id"])
        if verdict.job is None:
            data = {"reason": verdict.reason}
            logs, error = "", f"it is refused: {verdict.reason}"
            response = {"job_id": command["id"], "status": "FAILED", "logs": logs, "error": error}
            self._say(response | {"data": data})
        elif verdict.is_repeat and verdict.job.is_over:
            self.tell(verdict.job)
        agent.leaves(command["id"], plan, Moment.AFTER_ACCEPT)
        agent.keep()
        agent.host.advance()

    def heard_all(self) -> None:
        """All that came at once was heard."""

    def has_room(self) -> None:
        """The socket takes more."""

    def tell(self, job: KeptJob) -> None:
        """A job has ended; what it prints is not told over v1."""
        if job.result is None:
            return
        plan = self._agent.host.plan(job)
        if self._agent.leaves(job.job_id, plan, Moment.BEFORE_RESULT):
            return
        self._say(plain(job.result))
        self._agent.count("results")
        if self._agent.leaves(job.job_id, plan, Moment.AFTER_RESULT):
            return
        self._pings += 1
        self._sent[self._pings] = [job.job_id]
        self._link.ping(str(self._pings).encode())

    def ponged(self, payload: bytes) -> None:
        """All up to that ping was read."""
        number = int(payload) if payload.isdigit() else 0
        if not 0 < number <= self._pings:
            self._agent.blame(f"v1: a pong that answers no ping: {payload!r}")
            return
        self._pinged_at = 0.0
        for ping in [one for one in self._sent if one <= number]:
            for job_id in self._sent.pop(ping):
                self._agent.memory.delivered(job_id)
                if self._agent.manners.is_naive:
                    self._agent.memory.forget(job_id)
        self._agent.changed()

    def over(self) -> None:
        """The link is gone."""
        self._timer.cancel()

    def say_bye(self) -> None:
        """There is no word for it."""

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._pinged_at and max(self._link.heard_at, self._pinged_at) + PONG_S <= now:
            self._agent.count("silences")
            self._link.cut()
            return
        if not self._pinged_at:
            self._pings += 1
            self._pinged_at = now
            self._link.ping(str(self._pings).encode())
        self._timer = loop.call_later(PING_S, self._tick)

    def _say(self, message: Message) -> None:
        self._link.send(json.dumps(message))
