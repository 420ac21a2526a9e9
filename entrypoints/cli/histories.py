"""history and diff: what a project was on a host, and in what two revisions differ."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from domain.errors import NotFound
from entrypoints.cli.command import command
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.hosts import HostArgument
from entrypoints.cli.printing import BAD, GOOD
from entrypoints.cli.program import Invocation
from entrypoints.cli.projects import ProjectArgument
from entrypoints.cli.questions import WithinOption, answered, patience_with
from entrypoints.cli.texts import age, known, pairs

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient
    from adapters.api_client.documents import DeployedContent
    from application.operator.comparing import Comparison, Difference

SIGNS: Final = {"added": ("+", GOOD), "removed": ("-", BAD), "changed": ("~", "yellow")}
MOST_JOBS: Final = 100


def add_histories(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "history")(history)
    command(app, "diff")(diff)


async def history(
    it: Invocation,
    api: ApiClient,
    host: HostArgument,
    project: ProjectArgument,
    limit: Annotated[int, typer.Option("--limit", min=1, help="So many jobs")] = 20,
    within: WithinOption = None,
) -> None:
    """Show the revisions that the host keeps, and the jobs that made them."""
    jobs = await api.projects.history(host, project, limit=limit)
    data = await _revisions(it, api, host, project, within)
    if it.printer.is_json:
        it.printer.document({"revisions": data, "jobs": jobs})
        return
    revisions = data.get("revisions") or []
    if it.printer.is_quiet:
        it.printer.names(str(one["revision"]) for one in revisions)
        return
    rows = [
        (
            "*" if one["revision"] == data.get("current") else "",
            str(one["revision"]),
            known(one.get("state")),
            age(one.get("created_at"), it.now),
            known(one.get("requested_by")),
            known(one.get("job_id")),
            pairs(one.get("labels")),
            known(one.get("error")),
        )
        for one in reversed(revisions)
    ]
    headings = ("", "REVISION", "STATE", "MADE", "BY", "JOB", "NOTES", "ERROR")
    it.printer.table(headings, rows, "No revisions.", is_last_cut=True)
    it.printer.line()
    made = {one.get("job_id"): str(one["revision"]) for one in revisions}
    it.printer.table(
        ("JOB", "KIND", "STATE", "WHEN", "BY", "REVISION", "ERROR"),
        [
            (
                job["id"], job["kind"], job["state"], age(job["created_at"], it.now),
                job["requested_by"], made.get(job["id"], "-"), known(job["error"]),
            )
            for job in jobs
        ],
        "No jobs.",
        is_last_cut=True,
    )  # fmt: skip


async def diff(
    it: Invocation,
    api: ApiClient,
    host: HostArgument,
    project: ProjectArgument,
    old: Annotated[int, typer.Argument(metavar="REVISION", min=1)],
    new: Annotated[int, typer.Argument(metavar="REVISION", min=1)],
    within: WithinOption = None,
) -> ExitCode:
    """Show in what two revisions differ: compose file, and by fingerprint variables and files."""
    from application.operator.comparing import compared  # noqa: PLC0415 - not for every command

    data = await _revisions(it, api, host, project, within)
    jobs = {one["revision"]: one.get("job_id") for one in data.get("revisions") or ()}
    contents = [await _content(api, jobs, number) for number in (old, new)]
    found = compared(
        contents[0], contents[1], old_name=f"revision {old}", new_name=f"revision {new}"
    )
    if it.printer.is_json:
        it.printer.document({"from": old, "to": new, "is_same": found.is_same, **asdict(found)})
    elif not it.printer.is_quiet:
        _show(it, found)
    return ExitCode.OK


async def _revisions(
    it: Invocation, api: ApiClient, host: str, project: str, within: str | None
) -> dict[str, Any]:
    patience = await patience_with(it, api, host, within)
    job = await api.projects.ask_project(host, project, "revisions", wait_s=patience.first_s)
    return await answered(it, api, job, patience)


async def _content(api: ApiClient, jobs: dict[int, Any], number: int) -> DeployedContent:
    """What a revision brought: its job is of a deployment, and that has the content."""
    if number not in jobs:
        kept = ", ".join(str(one) for one in sorted(jobs)) or "none"
        raise NotFound(f"revision {number} is not kept on this host; there is: {kept}")
    if jobs[number] == "adopted":
        raise NotFound(
            f"revision {number} was found on the host, and not deployed: the control plane does not have it"
        )
    job = await api.jobs.show(str(jobs[number]))
    if job["deployment_id"] is None:
        raise NotFound(f"revision {number} was made by job {job['id']}, which is of no deployment")
    return await api.deployments.content(job["deployment_id"])


def _show(it: Invocation, found: Comparison) -> None:
    if found.is_same:
        it.printer.line("No difference.")
    for line in found.compose:
        style = GOOD if line.startswith("+") else BAD if line.startswith("-") else ""
        it.printer.line(line, "bold" if line.startswith(("+++", "---")) else style)
    kinds: list[tuple[str, list[Difference]]] = [
        ("variable", list(found.variables)),
        ("file", list(found.files)),
        ("option", list(found.options)),
    ]
    for kind, differences in kinds:
        for one in differences:
            sign, style = SIGNS[one.what]
            it.printer.line(f"{sign} {kind} {one.name}  {one.what}", style)
