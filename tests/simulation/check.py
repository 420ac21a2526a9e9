"""The promises of docs/reliability.md, checked on what is left when a simulation is over.

Three ledgers have to agree: what the control plane knows, what was ever durable in the journal, and
what was really done on the host.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from adapters.journal import framing
from adapters.journal.records import DamageNoted, decode
from application.agent.step_plan import ATTEMPTS
from domain.commands import DeployCompose
from domain.job import JobState
from domain.records import JobFinished, JobRejected, Record
from tests.simulation.findings import Findings, FoundJob, count, jobs_of
from tests.simulation.host import Run
from tests.simulation.orders import REFUSED
from tests.simulation.plain_peer import REFUSALS
from tests.simulation.revisions import UNRECORDED, Ended, RunningAsWanted


def check(found: Findings) -> list[str]:
    """What does not hold, each in a sentence that begins with the promise's number."""
    jobs = jobs_of(found.history)
    count(found, jobs)
    return [
        *found.history.lost,
        *_journal_is_what_was_known(found),
        *_r1_r3_r6_one_end(found, jobs),
        *_r4_r5_starts(found, jobs),
        *_r7_order(found, jobs),
        *_r8_generations(jobs),
        *_r9_output(found, jobs),
        *_r13_exits(found, jobs),
        *_ends_have_reasons(found, jobs),
        *_r10_r11_what_runs(found, jobs),
        *_secrets_are_gone(found),
        *_refused_is_not_done(found, jobs),
        *_has_seen_enough(found, jobs),
    ]


def _journal_is_what_was_known(found: Findings) -> Iterator[str]:
    payloads = framing.scan(found.host.disk.content("journal")).payloads
    facts: list[Record] = []
    for payload in payloads:
        fact = decode(payload)
        if not isinstance(fact, DamageNoted):
            facts.append(fact)
    # The agent may have stopped in the middle of a compaction.
    if facts not in (found.history.known, found.history.compacting):
        yield "R14: the journal's file does not hold what was durable"


def _r1_r3_r6_one_end(found: Findings, jobs: dict[str, FoundJob]) -> Iterator[str]:
    accepted = Counter(fact.job_id for fact in found.history.accepted if fact.job_id in jobs)
    for job_id, job in jobs.items():
        if accepted[job_id] > 1:
            yield f"R4: {job_id} was accepted {accepted[job_id]} times"
        if len(job.ends) != 1:
            yield f"R1: {job_id} has {len(job.ends)} ends: {job.ends}"
            continue
        order = found.database.orders.get(job_id)
        if order is None:
            if not found.is_restored:
                yield f"R1: nobody has heard of {job_id}"
        elif found.is_restored and order.accepted is None and order.end is None:
            pass  # It was refused as another one under the same id, of which nothing is left.
        elif (
            order.end is None
            and _reads_as_refused(job.ends[0])
            and REFUSED in order.rejections.values()
        ):
            pass  # Over v1, what ended for that reason and what was refused for it read the same.
        elif order.end is not job.ends[0].state:
            yield f"R1: {job_id} has ended as {job.ends[0].state}, and {order.end} is known"
        elif found.mode == "v2" and not found.is_restored and not order.results:
            yield f"R2: the result of {job_id} was not delivered"


def _reads_as_refused(end: JobFinished) -> bool:
    return end.state is JobState.FAILED and end.data.get("reason") in REFUSALS


def _r4_r5_starts(found: Findings, jobs: dict[str, FoundJob]) -> Iterator[str]:
    tokens = Counter(run.token for run in found.host.history)
    runs = {run.token: run for run in found.host.history}
    if again := [token for token, count in tokens.items() if count > 1]:
        yield f"R4: started twice: {again}"
    if unknown := runs.keys() - found.history.tokens.keys():
        yield f"R4: started, and not written down: {sorted(unknown)}"
    for job_id, job in jobs.items():
        attempts = Counter((start.step, start.attempt) for _, start in job.starts)
        if any(count > 1 for count in attempts.values()):
            yield f"R4: {job_id} has the same attempt twice: {job.starts}"
        killed: Counter[str] = Counter()
        for at, start in job.starts:
            before = job.exits.get((start.step, start.attempt - 1))
            run = runs.get(start.token)
            if start.attempt > 1 and (before is None or before[0] > at):
                yield f"R4: {job_id} tries {start} before the attempt before it is over"
            if run is None:
                continue
            killed[start.step] += run.was_killed
            if before is not None and before[1] is not None and before[1].exit_code == 0:
                yield f"R4: {job_id} tries {start} again, which had succeeded"
        if max(killed.values(), default=0) > ATTEMPTS:
            yield f"R5: {job_id} was killed {killed} times, and tried again"


def _r7_order(found: Findings, jobs: dict[str, FoundJob]) -> Iterator[str]:
    if found.host.overlaps:
        yield f"R7: two at once in one project: {found.host.overlaps}"
    begun: dict[str, int] = {}
    for run in found.host.history:
        start = found.history.tokens.get(run.token)
        job = None if start is None else jobs.get(start.job_id)
        if job is None:
            continue
        if job.place < begun.get(job.project, -1):
            yield f"R7: {job.accepted.job_id} was begun after one that was accepted later"
        begun[job.project] = job.place


def _r8_generations(jobs: dict[str, FoundJob]) -> Iterator[str]:
    highest: dict[str, int] = defaultdict(int)
    for job in jobs.values():
        generation = job.accepted.generation
        if generation is None:
            continue
        if generation <= highest[job.project]:
            yield f"R8: {job.accepted.job_id}: generation {generation} after {highest[job.project]}"
        highest[job.project] = max(highest[job.project], generation)


def _r9_output(found: Findings, jobs: dict[str, FoundJob]) -> Iterator[str]:
    runs = {run.token: run for run in found.host.history}
    for job_id, job in jobs.items():
        told = {}
        order = found.database.orders.get(job_id)
        if order is not None and order.results:
            told = {(one.step, one.attempt): one for one in order.results[-1].output}
        for _, start in job.starts:
            run = runs.get(start.token)
            came = bytes(found.database.outputs.get((job_id, start.step, start.attempt), b""))
            printed = b"" if run is None else bytes(run.printed)
            if not printed.startswith(came):
                yield f"R9: {job_id} printed {printed[:99]!r}, and {came[:99]!r} came"
            one = told.get((start.step, start.attempt))
            if one is None or one.exit_code is None:
                continue
            if (one.length, one.sha256) != _told_of(run):
                yield f"R9: {job_id} is told to have printed {one}"
            if found.mode == "v2" and not found.is_restored and came != printed:
                yield f"R9: of what {job_id} printed at {start}, {len(came)} of {len(printed)} bytes came"


def _told_of(run: Run | None) -> tuple[int, str]:
    exit_ = None if run is None else run.exit
    return (0, "") if exit_ is None else (exit_.output_bytes, exit_.output_sha256)


def _r13_exits(found: Findings, jobs: dict[str, FoundJob]) -> Iterator[str]:
    runs = {run.token: run for run in found.host.history}
    for job_id, job in jobs.items():
        for _, start in job.starts:
            run = runs.get(start.token)
            noted = job.exits.get((start.step, start.attempt))
            if run is None or noted is None:
                continue
            if noted[1] != run.exit and not (run.exit is None and noted[1] and noted[1].ended_by):
                yield f"R13: {job_id}: {start} ended with {run.exit}, and {noted[1]} is written"
        if job.ends and job.ends[0].state is JobState.SUCCEEDED:
            last = runs.get(job.starts[-1][1].token) if job.starts else None
            if last is None or last.exit is None or last.exit.exit_code != 0:
                yield f"R13: {job_id} has succeeded, and its last step has not"


def _ends_have_reasons(found: Findings, jobs: dict[str, FoundJob]) -> Iterator[str]:
    for job_id, job in jobs.items():
        for end in job.ends:
            reason = end.data.get("reason")
            match end.state:
                case JobState.CANCELED if not job.is_cancel_requested:
                    yield f"R12: {job_id} is canceled, and nobody wanted that"
                case JobState.EXPIRED if job.accepted.deadline_s is None or job.starts:
                    yield f"{job_id} has expired: {job}"
                case JobState.SUPERSEDED:
                    newer = jobs.get(str(end.data.get("superseded_by")))
                    is_newer = (
                        newer is not None
                        and newer.place > job.place
                        and newer.project == job.project
                        and isinstance(newer.accepted.command, DeployCompose)
                    )
                    if job.starts or not is_newer:
                        yield f"R7: {job_id} is superseded: {job}"
                case _:
                    pass
            exit_code = end.data.get("exit_code")
            if isinstance(exit_code, int) and exit_code < 0:
                yield f"R5: a kill is taken for what Compose has ended with: {end}"
            if UNRECORDED in end.error:
                yield f"R16: {job_id} has ended well, and there was no room to write that down: {end}"
            if reason == "internal":
                yield f"{job_id} broke the agent: {end}"
            if reason == "journal_damaged" and not found.counts["damaged journals"]:
                yield f"R15: {job_id} ends because of a damage that was none: {end}"
            if (
                reason == "deadline"
                and job.accepted.deadline_s is None
                and not _was_late(found, job)
            ):
                yield f"{job_id} was ended by a deadline that had not passed: {end}"


def _was_late(found: Findings, job: FoundJob) -> bool:
    runs = {run.token: run for run in found.host.history}
    return any(
        (run := runs.get(start.token)) is not None and run.why == "deadline"
        for _, start in job.starts
    )


def _r10_r11_what_runs(found: Findings, jobs: dict[str, FoundJob]) -> Iterator[str]:
    running = RunningAsWanted()
    for _, fact in found.history.facts:
        job = jobs.get(fact.job_id) if isinstance(fact, JobFinished) else None
        if job is None or not isinstance(fact, JobFinished):
            continue
        steps = frozenset(start.step for _, start in job.starts)
        seen = found.history.seen[fact.job_id]
        yield from running.wrong(job.project, Ended(job.accepted, fact, steps, seen))
    names = {job.project for job in jobs.values()}
    yield from running.left({name: found.host.engine.contents(name) for name in sorted(names)})


def _secrets_are_gone(found: Findings) -> Iterator[str]:
    if left := found.host.kept.secrets:
        yield f"secrets of jobs that are over are left: {left}"


def _refused_is_not_done(found: Findings, jobs: dict[str, FoundJob]) -> Iterator[str]:
    started = {start.job_id for start in found.history.tokens.values()}
    for _, fact in found.history.facts:
        if isinstance(fact, JobRejected) and fact.job_id not in jobs and fact.job_id in started:
            yield f"R16: {fact.job_id} was refused, {fact.reason}, and begun"
    if found.counts["rejected: internal"]:
        yield "a command broke the agent"


def _has_seen_enough(found: Findings, jobs: dict[str, FoundJob]) -> Iterator[str]:
    """A simulation that shows nothing is a failure too."""
    counts = found.counts
    projects = {job.project for job in jobs.values()}
    if len(jobs) < 2 or len(projects) < 2:
        yield f"too little: {len(jobs)} jobs of {len(projects)} projects"
    if not counts["disconnects"]:
        yield "too little: no disconnect"
    if not counts["duplicates"]:
        yield "too little: no duplicate"
    if not (counts["agents killed"] or counts["power lost"] or counts["control planes crashed"]):
        yield "too little: no crash"
