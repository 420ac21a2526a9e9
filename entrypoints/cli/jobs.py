"""jobs: what was asked of hosts, one by one, and deployments by their ids too."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.command import command, group
from entrypoints.cli.deploying import TimeoutOption
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.following import (
    Followed,
    concluded,
    deployment_jobs,
    is_deployment,
    job_pair,
    say_results,
)
from entrypoints.cli.parsing import seconds_in
from entrypoints.cli.program import Invocation
from entrypoints.cli.texts import age, known

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient
    from adapters.api_client.documents import Job

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Of a job (job_...) or deployment (dep_...)")
]


def add_jobs(app: typer.Typer) -> None:
    """Add the commands."""
    jobs = group("jobs", "What was asked of hosts")
    command(jobs, "list")(list_jobs)
    command(jobs, "show")(show)
    command(jobs, "follow")(follow)
    command(jobs, "cancel")(cancel)
    app.add_typer(jobs)


async def list_jobs(
    it: Invocation,
    api: ApiClient,
    host: Annotated[str | None, typer.Option("--host")] = None,
    project: Annotated[str | None, typer.Option("--project")] = None,
    deployment: Annotated[str | None, typer.Option("--deployment")] = None,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Give it again for several")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Such as DEPLOY_COMPOSE")] = None,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1)] = 20,
) -> None:
    """List jobs, the newest first."""
    given = [("host", host), ("project", project), ("deployment", deployment)]
    query = [(name, value) for name, value in given if value]
    query += [("state", one) for one in state or ()] + [("kind", one) for one in kind or ()]
    jobs = await api.jobs.listed(query, limit=limit)
    if it.printer.is_json:
        it.printer.document({"items": jobs})
    elif it.printer.is_quiet:
        it.printer.names(job["id"] for job in jobs)
    else:
        rows = [
            (
                job["id"], job_pair(job)[1], known(job["project"]), job["kind"], job["state"],
                age(job["created_at"], it.now), job["requested_by"],
            )
            for job in jobs
        ]  # fmt: skip
        it.printer.table(
            ("JOB", "HOST", "PROJECT", "KIND", "STATE", "ASKED", "BY"), rows, "No jobs."
        )


async def show(it: Invocation, api: ApiClient, what: IdArgument) -> ExitCode:
    """Show a job with its result, or a deployment with its jobs."""
    if is_deployment(what):
        deployment = await api.deployments.show(what)
        if it.printer.is_json:
            it.printer.document(deployment)
        elif it.printer.is_quiet:
            it.printer.names(job["id"] for job in deployment["jobs"])
        else:
            it.printer.fields(
                [
                    ("deployment", deployment["id"]),
                    ("project", deployment["project"]),
                    ("state", deployment["state"]),
                    (
                        "asked",
                        f"{age(deployment['created_at'], it.now)} by {deployment['requested_by']}",
                    ),
                ]
            )
            it.printer.line()
            say_results(it, deployment["jobs"])
            if deployment["jobs_next"]:
                it.printer.note(f"and more: instadeploy jobs list --deployment {what}")
        return ExitCode.OK
    job = await api.jobs.show(what)
    if it.printer.is_json:
        it.printer.document(job)
    elif it.printer.is_quiet:
        it.printer.names([job["state"]])
    else:
        _show_job(it, job)
    return ExitCode.OK


def _show_job(it: Invocation, job: Job) -> None:
    fields = [
        ("job", job["id"]),
        ("kind", job["kind"]),
        ("host", job_pair(job)[1]),
        ("project", known(job["project"])),
        ("deployment", known(job["deployment_id"])),
        ("state", job["state"]),
        ("delivery", job["delivery"]),
        ("asked", f"{age(job['created_at'], it.now)} by {job['requested_by']}"),
        ("accepted", age(job["accepted_at"], it.now)),
        ("finished", age(job["finished_at"], it.now)),
    ]
    if job["superseded_by"]:
        fields.append(("superseded by", job["superseded_by"]))
    if job["reason"]:
        fields.append(("reason", job["reason"]))
    if job["error"]:
        fields.append(("error", job["error"]))
    it.printer.fields(fields)
    result = job.get("result")
    if result is None:
        return
    steps = result["data"].get("steps") or ()
    if steps:
        it.printer.line()
        rows = [
            (str(one.get("step")), str(one.get("state")), f"{float(one.get('seconds') or 0):.1f} s")
            for one in steps
        ]
        it.printer.table(("STEP", "STATE", "TIME"), rows)
    if result["logs"]:
        it.printer.line()
        it.printer.line(result["logs"].rstrip("\n"))


async def follow(
    it: Invocation, api: ApiClient, what: IdArgument, *, within: TimeoutOption = None
) -> ExitCode:
    """Follow a job or deployment to its end; with `-o json`, one event a line."""
    timeout_s = seconds_in(within, "--timeout")
    document: dict[str, Any]
    if is_deployment(what):
        document = dict(await api.deployments.show(what))
        followed = await deployment_jobs(api, what)
    else:
        job = await api.jobs.show(what)
        document, followed = dict(job), Followed(what, [job_pair(job)])
    it.goes_on = what
    if it.printer.is_json:
        return await _events(it, api, followed, timeout_s)
    return await concluded(it, api, followed, document, timeout_s=timeout_s)


async def _events(
    it: Invocation, api: ApiClient, what: Followed, timeout_s: float | None
) -> ExitCode:
    """Each event as it is, with its name: JSON lines."""
    hosts = dict(what.jobs)
    feed = (api.deployments if what.is_deployment else api.jobs).follow(what.id)
    state = ""
    try:
        async with asyncio.timeout(timeout_s), aclosing(feed):
            async for event in feed:
                more = {"host": hosts[event.job_id]} if event.job_id in hosts else {}
                line = json.dumps(
                    {"event": event.name, "id": event.number or None, **more, **event.data}
                )
                it.program.out.write(line + "\n")
                it.program.out.flush()
                state = str(event.data.get("state")) if event.name == "end" else state
    except TimeoutError:
        return ExitCode.GOES_ON
    return ExitCode.OK if state == "succeeded" else ExitCode.FAILED


async def cancel(it: Invocation, api: ApiClient, what: IdArgument) -> None:
    """Cancel a job, or a deployment wherever it is not over."""
    if is_deployment(what):
        deployment = await api.deployments.cancel(what)
        document, state = dict(deployment), deployment["state"]
    else:
        job = await api.jobs.cancel(what)
        document, state = dict(job), job["state"]
    if it.printer.is_json:
        it.printer.document(document)
    elif it.printer.is_quiet:
        it.printer.names([what])
    else:
        it.printer.line(f"{what} is {state}.")
        if state in ("running", "canceling"):
            it.printer.note(f"`instadeploy jobs follow {what}` follows it to its end.")
