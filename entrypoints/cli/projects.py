"""status, stop, restart, rollback, remove: one project on one host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.asking import confirm
from entrypoints.cli.command import command, how_to_go_on
from entrypoints.cli.deploying import DeadlineOption, TimeoutOption, TtlOption, WaitOption, terms
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.following import Followed, concluded, job_pair
from entrypoints.cli.hosts import HostArgument, YesOption
from entrypoints.cli.parsing import seconds_in
from entrypoints.cli.printing import BAD, GOOD
from entrypoints.cli.program import Invocation
from entrypoints.cli.questions import WithinOption, answered, patience_with
from entrypoints.cli.texts import age, known, one_line, pairs

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient
    from adapters.api_client.documents import Job

ProjectArgument = Annotated[str, typer.Argument(metavar="PROJECT", help="Its name")]


def add_projects(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "status")(status)
    command(app, "stop")(stop)
    command(app, "restart")(restart)
    command(app, "rollback")(rollback)
    command(app, "remove")(remove)


async def status(
    it: Invocation,
    api: ApiClient,
    host: HostArgument,
    project: Annotated[str | None, typer.Argument(metavar="PROJECT", help="Or all")] = None,
    within: WithinOption = None,
) -> ExitCode:
    """Show what a project should run, what was done last, and what runs; or the host's projects."""
    patience = await patience_with(it, api, host, within)
    if project is None:
        job = await api.projects.ask(host, "projects", wait_s=patience.first_s)
    else:
        job = await api.projects.ask_project(host, project, "status", wait_s=patience.first_s)
    data = await answered(it, api, job, patience)
    if it.printer.is_json:
        it.printer.document(data)
    elif it.printer.is_quiet:
        found = data.get("projects") or () if project is None else data.get("drift") or ()
        it.printer.names(str(one.get("project_name") or one.get("message")) for one in found)
    elif project is None:
        _show_projects(it, data)
    else:
        _show_status(it, host, data)
    return ExitCode.OK if data.get("exists", True) else ExitCode.NOT_FOUND


async def stop(
    it: Invocation,
    api: ApiClient,
    host: HostArgument,
    project: ProjectArgument,
    *,
    wait: WaitOption = True,
    within: TimeoutOption = None,
    ttl: TtlOption = None,
    deadline: DeadlineOption = None,
) -> ExitCode:
    """Stop a project: its containers and networks go, its volumes and files stay."""
    it.is_sending = True
    job = await api.projects.stop(host, project, terms(ttl, deadline))
    return await _followed(it, api, job, within, wait=wait)


async def restart(  # noqa: PLR0913 - an option each
    it: Invocation,
    api: ApiClient,
    host: HostArgument,
    project: ProjectArgument,
    services: Annotated[
        list[str] | None,
        typer.Option("--service", "-s", help="Only this one; give it again for several"),
    ] = None,
    *,
    wait: WaitOption = True,
    within: TimeoutOption = None,
    ttl: TtlOption = None,
    deadline: DeadlineOption = None,
) -> ExitCode:
    """Stop and start a project's containers as they are."""
    it.is_sending = True
    job = await api.projects.restart(host, project, services or (), terms(ttl, deadline))
    return await _followed(it, api, job, within, wait=wait)


async def rollback(  # noqa: PLR0913 - an option each
    it: Invocation,
    api: ApiClient,
    host: HostArgument,
    project: ProjectArgument,
    revision: Annotated[
        int | None, typer.Argument(metavar="REVISION", help="Or the last good one before", min=1)
    ] = None,
    *,
    wait: WaitOption = True,
    within: TimeoutOption = None,
    ttl: TtlOption = None,
    deadline: DeadlineOption = None,
) -> ExitCode:
    """Go back to an earlier revision."""
    it.is_sending = True
    job = await api.projects.roll_back(host, project, revision, terms(ttl, deadline))
    return await _followed(it, api, job, within, wait=wait)


async def remove(  # noqa: PLR0913 - an option each
    it: Invocation,
    api: ApiClient,
    host: HostArgument,
    project: ProjectArgument,
    *,
    volumes: Annotated[bool, typer.Option("--volumes", help="With all data in them")] = False,
    yes: YesOption = False,
    wait: WaitOption = True,
    within: TimeoutOption = None,
    ttl: TtlOption = None,
    deadline: DeadlineOption = None,
) -> ExitCode:
    """Take a project off a host: containers, networks, files and history."""
    lost = "its volumes, with ALL DATA in them, too" if volumes else "its volumes stay"
    given = terms(ttl, deadline)
    confirm(it, f"Remove {project} from {host}? Its files and history are lost, {lost}.", yes=yes)
    it.is_sending = True
    job = await api.projects.remove(host, project, given, volumes=volumes)
    return await _followed(it, api, job, within, wait=wait)


async def _followed(
    it: Invocation, api: ApiClient, job: Job, within: str | None, *, wait: bool
) -> ExitCode:
    it.goes_on = job["id"]
    timeout_s = seconds_in(within, "--timeout")
    if wait:
        what = Followed(job["id"], [job_pair(job)])
        return await concluded(it, api, what, dict(job), timeout_s=timeout_s)
    if it.printer.is_json:
        it.printer.document(job)
    else:
        it.printer.names([job["id"]])
        it.printer.note(how_to_go_on(job["id"]))
    return ExitCode.OK


def _show_projects(it: Invocation, data: dict[str, Any]) -> None:
    rows = [
        (
            str(one.get("project_name")),
            _revision(one.get("wanted")),
            known((one.get("journal") or {}).get("state")),
            _count(one.get("containers")),
        )
        for one in data.get("projects") or ()
    ]
    it.printer.table(("PROJECT", "WANTED", "LAST JOB", "CONTAINERS"), rows, "No projects.")
    for other in data.get("others") or ():
        it.printer.prose(f"not deployed with this: {one_line(other.get('project_name'))}")
    engine = data.get("engine") or {}
    if engine and not engine.get("reachable"):
        it.printer.prose(f"The engine does not answer: {one_line(engine.get('detail'))}", BAD)


def _count(containers: Any) -> str:
    if not isinstance(containers, dict):
        return "?"
    by_state = [
        f"{count} {state}" for state, count in containers.items() if state != "total" and count
    ]
    return ", ".join(by_state) or "0"


def _revision(wanted: Any) -> str:
    if not isinstance(wanted, dict):
        return "nothing"
    return f"revision {wanted.get('revision')} ({wanted.get('state')})"


def _show_status(it: Invocation, host: str, data: dict[str, Any]) -> None:
    if not data.get("exists", True):
        it.printer.prose("This host does not have the project.")
        it.printer.note(f"`instadeploy status {host}` shows those that it has.")
        return
    wanted, journal = data.get("wanted") or {}, data.get("journal") or {}
    fields = [("wanted", _revision(data.get("wanted")))]
    if wanted:
        by = f" by {wanted['requested_by']}" if wanted.get("requested_by") else ""
        fields.append(
            ("made", f"{age(wanted.get('created_at'), it.now)}{by}, job {wanted.get('job_id')}")
        )
        if wanted.get("labels"):
            fields.append(("notes", pairs(wanted["labels"])))
        if wanted.get("error"):
            fields.append(("failed", str(wanted["error"])))
    if journal:
        ended = age(journal.get("finished_at"), it.now)
        fields.append(("last job", f"{journal.get('state')}, {ended}, job {journal.get('job_id')}"))
        if journal.get("error"):
            fields.append(("error", str(journal["error"])))
    it.printer.fields(fields)
    it.printer.line()
    _show_containers(it, data)
    it.printer.line()
    drift = data.get("drift") or ()
    for one in drift:
        it.printer.prose(f"! {one.get('kind')}: {one_line(one.get('message'))}", BAD)
    if not drift:
        it.printer.line("No drift.", GOOD)


def _show_containers(it: Invocation, data: dict[str, Any]) -> None:
    drifting = {(one.get("service"), one.get("container")) for one in data.get("drift") or ()}
    drifting |= {(service, "") for service, container in drifting if not container}
    images = {
        one.get("service"): one.get("image_id")
        for one in (data.get("wanted") or {}).get("images") or ()
    }
    rows = []
    for one in data.get("engine") or ():
        service = one.get("service")
        is_drifting = bool({(service, one.get("container")), (service, "")} & drifting)
        same = images.get(service) in (None, one.get("image_id"))
        state = known(one.get("state"))
        if one.get("exit_code") is not None and state != "running":
            state += f" ({one['exit_code']})"
        rows.append(
            (
                "!" if is_drifting else "",
                known(service),
                known(one.get("container")),
                state,
                known(one.get("health")),
                known(one.get("image")) + ("" if same else " (another one is wanted)"),
                age(one.get("started_at"), it.now),
            )
        )
    headings = ("", "SERVICE", "CONTAINER", "STATE", "HEALTH", "IMAGE", "STARTED")
    it.printer.table(headings, rows, "No containers.")
