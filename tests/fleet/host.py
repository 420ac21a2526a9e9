"""A simulated host: it takes commands in, and carries them out as its script says.

It knows no protocol: whoever owns it tells the control plane what `take` answers, and what is noted in
the memory. Everything that it does happens at once, or by a timer; what was begun goes on while its
agent is away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.fleet.ledger import Deed, Ledger
from tests.fleet.memory import KeptJob, Memory, digest_of
from tests.fleet.plane_frames import CHANGING, OF_A_PROJECT, Message
from tests.fleet.printing import sha256_of
from tests.fleet.results import failure, success
from tests.fleet.scripts import JobPlan, Outcome, Script

STALE: Final = "stale_generation"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a command is answered: refused with a reason, or accepted, perhaps as a repeat."""

    job: KeptJob | None
    is_repeat: bool = False
    reason: str = ""


class SimulatedHost:
    """`told` is called where a job has ended or printed, with the job."""

    __slots__ = ("_timers", "is_running", "ledger", "memory", "printing", "script", "told")

    def __init__(self, memory: Memory, ledger: Ledger, script: Script) -> None:
        self.memory = memory
        self.ledger = ledger
        self.script = script
        self.told: Callable[[KeptJob], None] = lambda _job: None
        self.is_running = True
        """While its agent is not, nothing is begun, and what has ended is noticed later."""
        self.printing: dict[str, None] = {}
        """The ids of jobs that have printed and are not over."""
        self._timers: dict[str, list[asyncio.TimerHandle]] = {}

    def now(self) -> float:
        """The clock that stamps deeds: one for all processes of a machine."""
        return time.monotonic()

    def plan(self, job: KeptJob) -> JobPlan:
        """What is to become of a job."""
        return self.script(job.job_id, job.kind)

    def take(self, command: Message, *, is_plain: bool = False) -> Verdict:
        """Decide about a command, and write that down; `advance` is what begins it."""
        job_id, kind, payload = command["id"], command["type"], command["payload"]
        project = payload["project_name"].lower() if kind in OF_A_PROJECT else ""
        digest = digest_of(kind, payload)
        deed = self.ledger.deed(job_id)
        deed.commands += 1
        deed.kind, deed.project = deed.kind or kind, deed.project or project
        known = self.memory.jobs.get(job_id)
        if known is not None:
            if known.digest == digest:
                return Verdict(known, is_repeat=True)
            return self._refuse(deed, "conflict")
        plan = self.script(job_id, kind)
        if plan.outcome is Outcome.REJECT:
            return self._refuse(deed, plan.reason)
        generation = command.get("generation")
        if kind in CHANGING and generation is not None:
            if generation <= self.memory.generations.get(project, 0):
                return self._refuse(deed, STALE)
            self.memory.reach(project, generation)
        job = KeptJob(job_id, kind, project, digest, is_plain=is_plain)
        self.memory.jobs[job_id] = job
        deed.state = job.state
        self._limit(job, command)
        return Verdict(job)

    def cancel(self, job_id: str) -> None:
        """End a job that is not over."""
        job = self.memory.jobs.get(job_id)
        if job is None or job.is_over:
            return
        job.is_cancel_requested = True
        self._end(job, "canceled", "canceled")

    def advance(self) -> None:
        """Begin what nothing stands before: in each project the oldest, and what is about none."""
        if not self.is_running:
            return
        taken: dict[str, KeptJob] = {}
        for job in list(self.memory.open_jobs()):
            before = taken.setdefault(job.project, job) if job.project and job.changes else job
            if before is job:
                if not job.was_begun:
                    self._begin(job)
                if job.is_over and job.project and job.changes:
                    del taken[job.project]
            elif job.kind == "DEPLOY_COMPOSE":
                self._supersede(before, job)

    def release(self) -> None:
        """Let all end that wait to be let."""
        for job in list(self.memory.open_jobs()):
            if job.was_begun and self.plan(job).outcome is Outcome.WAIT:
                self._finish(job)
        self.advance()

    def pause(self) -> None:
        """The agent is gone; nobody notices what happens."""
        self.is_running = False
        for timers in self._timers.values():
            for timer in timers:
                timer.cancel()
        self._timers.clear()

    def resume(self) -> None:
        """The agent is back, and finds what it had begun."""
        self.is_running = True
        for job in list(self.memory.open_jobs()):
            if job.was_begun:
                if job.printed:
                    self.printing[job.job_id] = None
                self._carry_on(job)
        self.advance()

    def _refuse(self, deed: Deed, reason: str) -> Verdict:
        deed.refused = reason
        return Verdict(None, reason=reason)

    def _limit(self, job: KeptJob, command: Message) -> None:
        deadline_s = command.get("deadline_s", command["payload"].get("deadline_s"))
        if job.changes and deadline_s is not None:
            self._later(job, deadline_s, lambda: self._expire(job))

    def _expire(self, job: KeptJob) -> None:
        if job.was_begun:
            self._end(job, "failed", "deadline")
        else:
            self._end(job, "expired", "expired")

    def _supersede(self, running: KeptJob, newer: KeptJob) -> None:
        """A deployment that came over v2 and waits for its turn gives way to a newer one."""
        for job in list(self.memory.open_jobs()):
            if job is newer:
                return
            is_older = job.project == newer.project and job.kind == "DEPLOY_COMPOSE"
            if is_older and not (job.is_plain or job.was_begun or job is running):
                self._end(job, "superseded", "superseded", superseded_by=newer.job_id)

    def _begin(self, job: KeptJob) -> None:
        job.was_begun, job.state = True, "running"
        deed = self.ledger.deed(job.job_id)
        deed.begun += 1
        deed.state = job.state
        self._carry_on(job)

    def _carry_on(self, job: KeptJob) -> None:
        plan = self.plan(job)
        to_print = plan.output_bytes if job.changes else 0
        left = to_print - job.printed
        if plan.after_s == 0 or (left <= 0 and to_print):
            self._print(job, left)
            if plan.outcome not in (Outcome.HANG, Outcome.WAIT):
                self._finish(job)
            return
        pieces = -(-to_print // plan.chunk_bytes)
        if pieces == 0:
            self._later(job, plan.after_s, lambda: self._finish(job))
        else:
            self._print_later(job, plan.after_s / pieces)

    def _print_later(self, job: KeptJob, each_s: float) -> None:
        def go_on() -> None:
            plan = self.plan(job)
            self._print(job, min(plan.chunk_bytes, plan.output_bytes - job.printed))
            if job.printed < plan.output_bytes:
                self._print_later(job, each_s)
            elif plan.outcome not in (Outcome.HANG, Outcome.WAIT):
                self._finish(job)

        self._later(job, each_s, go_on)

    def _print(self, job: KeptJob, count: int) -> None:
        if count > 0:
            job.printed += count
            self.printing[job.job_id] = None
            self.told(job)

    def _finish(self, job: KeptJob) -> None:
        plan = self.plan(job)
        if plan.outcome is Outcome.FAIL:
            self._end(job, "failed", plan.reason)
        else:
            self._end(job, "succeeded", "")

    def _end(self, job: KeptJob, state: str, reason: str, **data: str) -> None:
        for timer in self._timers.pop(job.job_id, ()):
            timer.cancel()
        self.printing.pop(job.job_id, None)
        is_text = self.plan(job).is_text
        if state == "succeeded":
            result = success(job, is_text=is_text)
        else:
            result = failure(job, state, reason, is_text=is_text, **data)
        self.memory.end(job, result)
        deed = self.ledger.deed(job.job_id)
        deed.state, deed.reason = state, reason
        deed.ended_at = self.now()
        if job.was_begun and job.changes:
            deed.output_bytes = job.printed
            deed.sha256 = sha256_of(job.job_id, job.printed, is_text=is_text)
        self.told(job)

    def _later(self, job: KeptJob, delay_s: float, what: Callable[[], None]) -> None:
        def run() -> None:
            if not job.is_over:
                what()
                self.advance()

        timer = asyncio.get_running_loop().call_later(delay_s, run)
        self._timers.setdefault(job.job_id, []).append(timer)
