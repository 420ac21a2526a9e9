"""What a simulated agent sends, on one link, of what its jobs print."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.fleet.memory import KeptJob
from tests.fleet.plane_frames import Message
from tests.fleet.printing import STEP, chunk_message, printed
from tests.fleet.served import Served
from tests.fleet.window import OutputMark
from tests.fleet.wire import Link

MAX_CHUNK_BYTES: Final = 64 << 10


class OutputSending:
    """From where the control plane has it, within its window."""

    __slots__ = ("_agent", "_link", "_marks", "_say")

    def __init__(self, agent: Served, link: Link, say: Callable[[Message], None]) -> None:
        self._agent = agent
        self._link = link
        self._say = say
        self._marks: dict[str, OutputMark] = {}

    def note_seen(self, positions: Message) -> None:
        """The control plane has the jobs' output up to there."""
        for job_id, position in positions.items():
            job = self._agent.memory.jobs.get(job_id)
            if job is None or position["step"] != STEP:
                continue
            if position["offset"] > job.printed:
                self._agent.blame(f"has {position} of {job_id}, which printed {job.printed} bytes")
                continue
            self._mark(job_id).note_seen(position["offset"])

    def send(self, job: KeptJob) -> bool:
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

    def forget(self, job_id: str) -> None:
        """All of it was sent, and the result behind it."""
        self._marks.pop(job_id, None)

    def _mark(self, job_id: str) -> OutputMark:
        return self._marks.setdefault(job_id, OutputMark())
