"""Following what was asked for until it is over, and saying what came of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapters.api_client.errors import ApiFailure
from entrypoints.cli.command import how_to_go_on
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.program import Invocation
from entrypoints.cli.texts import age, duration, known, seconds_of

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient
    from adapters.api_client.documents import Host, Job
    from adapters.api_client.feed import FeedEvent
    from application.operator.progress import JobProgress, Progress, Said
    from entrypoints.cli.views import View

AT_ONCE: Final = 8
"""So many finished jobs are asked for at the same time."""
MOST_LOOKED_AT: Final = 20
"""Of the hosts that have not taken their jobs, so many are looked at."""
QUEUED: Final = "queued"

_EXITS: Final = {"succeeded": ExitCode.OK, "failed": ExitCode.FAILED, "open": ExitCode.GOES_ON}
"""By the value of a `Verdict`."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A job or deployment, by its id, and its jobs, each with its host's name."""

    id: str
    jobs: Sequence[tuple[str, str]]

    @property
    def is_deployment(self) -> bool:
        """Whether it has jobs on many hosts."""
        return is_deployment(self.id)


def is_deployment(what: str) -> bool:
    """Whether an id is of a deployment, and not of a job."""
    return what.startswith("dep_")


def job_pair(job: Job) -> tuple[str, str]:
    """A job's id, and what its host is called."""
    return job["id"], job["host"] or job["host_id"]


async def follow_to_end(
    it: Invocation, api: ApiClient, what: Followed, *, timeout_s: float | None
) -> Progress:
    """Show what happens until it is over, or `timeout_s` is. Raises `ApiFailure`."""
    from application.operator.progress import Progress  # noqa: PLC0415 - not for every command
    from entrypoints.cli.views import view_for  # noqa: PLC0415

    it.goes_on = what.id
    progress = Progress(what.jobs)
    with view_for(it.printer, progress) as view:
        part = api.deployments if what.is_deployment else api.jobs
        feed = part.follow(what.id, troubled=view.troubled)
        try:
            async with asyncio.timeout(timeout_s), aclosing(feed):
                await _watch(feed, progress, view)
        except TimeoutError:
            return progress
    it.goes_on = ""
    return progress


async def _watch(feed: AsyncGenerator[FeedEvent, None], progress: Progress, view: View) -> None:
    async for event in feed:
        if event.job_id:
            job = progress.job(event.job_id)
            for said in told_by(job, event):
                view.said(job, said)


def told_by(job: JobProgress, event: FeedEvent) -> Sequence[Said]:
    """What an event of a job's amounts to."""
    data = event.data
    step = str(data.get("step", ""))
    match event.name:
        case "state":
            return job.changed(str(data.get("state")), seconds_of(data.get("at")) or 0.0)
        case "output":
            attempt, offset = int(data.get("attempt", 1)), int(data.get("offset", 0))
            return job.printed(step, attempt, offset, event.content)
        case "cut":
            return job.cut(step)
        case _:
            return ()


async def results_of(api: ApiClient, progress: Progress) -> list[Job]:
    """The jobs as they are shown now, each with its result where there is one."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(job_id: str) -> Job:
        async with gate:
            return await api.jobs.show(job_id)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(job_id), name=f"show {job_id}") for job_id in progress.jobs]
    return [task.result() for task in tasks]


async def concluded(
    it: Invocation,
    api: ApiClient,
    what: Followed,
    document: dict[str, Any],
    *,
    timeout_s: float | None,
) -> ExitCode:
    """Follow it to its end, say what came of it, and work out the exit code.

    `document` is what was answered when it was asked for; as JSON, it is written with the jobs as they
    have ended.
    """
    from application.operator.outcomes import Verdict, verdict_of  # noqa: PLC0415 - see above

    await _say_who_is_away(it, api, document.get("jobs") or [document])
    progress = await follow_to_end(it, api, what, timeout_s=timeout_s)
    it.goes_on = what.id
    jobs = await _all_results(api, progress)
    verdict = verdict_of(job["state"] for job in jobs)
    if it.printer.is_json:
        it.printer.document(_final(what, document, jobs, verdict.value))
    elif not it.printer.is_quiet:
        say_results(it, jobs)
    if verdict is Verdict.OPEN:
        it.printer.note(f"Not over after {duration(timeout_s)}. {how_to_go_on(what.id)}")
    it.goes_on = ""
    return _EXITS[verdict.value]


async def _say_who_is_away(it: Invocation, api: ApiClient, jobs: Sequence[dict[str, Any]]) -> None:
    """Why nothing happens, and for how long that may be so: once, for each host that is offline."""
    waiting = [job for job in jobs if job["state"] == QUEUED]
    if not waiting or not it.printer.is_chatty:
        return
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(job: dict[str, Any]) -> None:
        # It is a courtesy: what fails here is said by what comes next.
        with contextlib.suppress(ApiFailure):
            async with gate:
                host = await api.hosts.show(job["host_id"])
            if not host["online"]:
                until = f", {age(job['expires_at'], it.now)} at the latest"
                it.printer.note(
                    f"{away_since(it, host)}; the job waits until it comes back, or expires"
                    + (until if job["expires_at"] else "")
                )

    async with asyncio.TaskGroup() as group:
        for job in waiting[:MOST_LOOKED_AT]:
            group.create_task(one(job), name=f"look after {job['host_id']}")


def away_since(it: Invocation, host: Host) -> str:
    """That a host is offline, and since when."""
    if host["last_seen_at"] is None:
        return f"{host['name']} is offline, and has never been online"
    return f"{host['name']} is offline, and was last seen {age(host['last_seen_at'], it.now)}"


async def _all_results(api: ApiClient, progress: Progress) -> list[Job]:
    try:
        return await results_of(api, progress)
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


def _final(
    what: Followed, document: dict[str, Any], jobs: Sequence[Job], verdict: str
) -> dict[str, Any]:
    if not what.is_deployment:
        return dict(jobs[0])
    tally: dict[str, int] = {}
    for job in jobs:
        tally[job["state"]] = tally.get(job["state"], 0) + 1
    state = "running" if verdict == "open" else verdict
    if state == "failed" and "succeeded" in tally:
        state = "partial"
    return document | {
        "state": state,
        "jobs_by_state": tally,
        "jobs": list(jobs),
        "jobs_next": None,
    }


def say_results(it: Invocation, jobs: Sequence[Job]) -> None:
    """A row for each host, and below them what went wrong."""
    headings = ("HOST", "RESULT", "TIME", "REVISION", "BACK TO")
    it.printer.table(headings, [_row(job) for job in jobs])
    for job in jobs:
        if job["state"] != "succeeded" and job["over"]:
            result = job.get("result")
            why = job["error"] or (result["error"] if result else "") or job["reason"]
            it.printer.line()
            it.printer.prose(f"{job_pair(job)[1]}: {why or job['state']}", "red")
            it.printer.line(f"  instadeploy jobs show {job['id']}")


def _row(job: Job) -> tuple[str, ...]:
    result = job.get("result")
    data = result["data"] if result else {}
    back = data.get("rolled_back_to")
    if "rollback_failed" in data:
        back = "FAILED"
    begun = seconds_of(job["accepted_at"] or job["started_at"] or job["created_at"])
    ended = seconds_of(job["finished_at"])
    took = None if begun is None or ended is None else max(0.0, ended - begun)
    return (
        job_pair(job)[1],
        job["state"],
        duration(took),
        known(data.get("revision")),
        known(back) if "rolled_back_to" in data or back else "-",
    )


async def deployment_jobs(api: ApiClient, deployment_id: str) -> Followed:
    """A deployment that was made before, with all of its jobs."""
    jobs = await api.jobs.listed([("deployment", deployment_id)])
    return Followed(deployment_id, [job_pair(job) for job in reversed(jobs)])
