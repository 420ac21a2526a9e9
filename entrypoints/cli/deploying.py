"""deploy: have hosts run a project, and see whether they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.bringing import (
    DirectoryOption,
    EnvFilesOption,
    ExtraOption,
    FilesOption,
    Manner,
    NotesOption,
    ProfilesOption,
    PullOption,
    Wanted,
    collected,
    content_of,
    registry_auth_in,
    say_what_is_sent,
    sent_document,
)
from entrypoints.cli.command import asking, command, how_to_go_on
from entrypoints.cli.exits import ExitCode, WrongUsage
from entrypoints.cli.following import Followed, concluded, job_pair
from entrypoints.cli.hosts import state_of
from entrypoints.cli.parsing import labels_in, seconds_in
from entrypoints.cli.program import Invocation

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient

WaitOption = Annotated[bool, typer.Option("--wait/--detach", help="Follow it to its end, or not")]
TimeoutOption = Annotated[
    str | None,
    typer.Option("--timeout", help="Follow it so long, such as 10m; it goes on after that"),
]
TtlOption = Annotated[
    str | None, typer.Option("--ttl", help="So long it waits for a host that is offline")
]
DeadlineOption = Annotated[
    str | None, typer.Option("--deadline", help="So long it may take on a host, such as 10m")
]


def add_deploy(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "deploy")(deploy)


def deploy(  # noqa: PLR0913 - an option each
    it: Invocation,
    what: Annotated[
        list[str],
        typer.Argument(metavar="HOST... PROJECT", help="The hosts, and last the project"),
    ],
    selector: Annotated[
        list[str] | None,
        typer.Option(
            "-l",
            "--to",
            metavar="K=V",
            help="To all hosts with this label; given again, with all of them",
        ),
    ] = None,
    files: FilesOption = None,
    env_files: EnvFilesOption = None,
    extra: ExtraOption = None,
    directory: DirectoryOption = None,
    *,
    wait: WaitOption = True,
    pull: PullOption = None,
    profiles: ProfilesOption = None,
    within: TimeoutOption = None,
    no_rollback: Annotated[
        bool, typer.Option("--no-rollback", help="Leave a failure as it is")
    ] = False,
    notes: NotesOption = None,
    wait_timeout: Annotated[
        str | None, typer.Option("--wait-timeout", help="So long containers may take to be well")
    ] = None,
    no_health_wait: Annotated[
        bool, typer.Option("--no-health-wait", help="That containers were started is enough")
    ] = False,
    remove_orphans: Annotated[
        bool, typer.Option("--remove-orphans", help="Of services that are not in the file any more")
    ] = False,
    ttl: TtlOption = None,
    deadline: DeadlineOption = None,
    registry_auth_stdin: Annotated[
        bool, typer.Option("--registry-auth-stdin", help="Read logins as JSON; they are not kept")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent where")
    ] = False,
) -> int:
    """Deploy a project: `deploy web-1 web-2 blog`, or `deploy -l env=prod blog`.

    PROJECT is its name, or with a slash (or as `.`) the directory that it is in.
    """
    hosts, project = hosts_and_project(what, selector or ())
    labels = labels_in(selector or (), "-l")
    timeout_s = seconds_in(within, "--timeout")
    wanted = Wanted(project, directory, files or (), env_files or (), extra or ())
    manner = Manner(
        pull=pull,
        profiles=profiles or (),
        notes=notes or (),
        wait_timeout=wait_timeout,
        remove_orphans=remove_orphans,
        auto_rollback=not no_rollback,
        health_wait=not no_health_wait,
    )
    target = {"host_labels": labels} if labels else {"hosts": list(hosts)}
    body = {"options": manner.options(), **target, **terms(ttl, deadline)}
    if registry_auth_stdin:
        body["registry_auth"] = registry_auth_in(it)
    name, found = collected(it, wanted)
    body |= {"project": name, **content_of(found)}
    if dry_run:
        document = sent_document(name, found)
        return asking(it, lambda api: _say_where(it, api, document, hosts, labels))
    say_what_is_sent(it, name, found)
    return asking(it, lambda api: _sent(it, api, body, timeout_s, wait=wait))


def hosts_and_project(what: Sequence[str], selector: Sequence[str]) -> tuple[list[str], str]:
    """Who is meant, and what. Raises `WrongUsage`."""
    *hosts, project = what
    if selector and hosts:
        raise WrongUsage(
            f"with -l, only the project is named: {project!r} would be it, and {hosts[0]!r} is too much"
        )
    if not selector and not hosts:
        raise WrongUsage(
            f"which hosts? `instadeploy deploy HOST... {project}`, or `instadeploy deploy -l k=v {project}`"
        )
    return hosts, project


def terms(ttl: str | None, deadline: str | None) -> dict[str, float]:
    """How long a command may wait, and take, as the API takes it. Raises `InvalidInput`."""
    given = {"ttl_s": seconds_in(ttl, "--ttl"), "deadline_s": seconds_in(deadline, "--deadline")}
    return {name: value for name, value in given.items() if value is not None}


async def _sent(
    it: Invocation, api: ApiClient, body: dict[str, Any], timeout_s: float | None, *, wait: bool
) -> ExitCode:
    it.is_sending = True
    made = await api.deployments.create(body)
    it.goes_on = made["id"]
    what = Followed(made["id"], [job_pair(job) for job in made["jobs"]])
    hosts = len(what.jobs)
    if not wait:
        if it.printer.is_json:
            it.printer.document(made)
        elif it.printer.is_quiet:
            it.printer.names([made["id"]])
        else:
            it.printer.line(made["id"])
            it.printer.note(
                f"To {hosts} {'host' if hosts == 1 else 'hosts'}. {how_to_go_on(made['id'])}"
            )
        return ExitCode.OK
    it.printer.note(f"{made['id']}, to {hosts} {'host' if hosts == 1 else 'hosts'}")
    return await concluded(it, api, what, dict(made), timeout_s=timeout_s)


async def _say_where(
    it: Invocation,
    api: ApiClient,
    document: dict[str, Any],
    hosts: Sequence[str],
    labels: dict[str, str],
) -> ExitCode:
    found = (
        await api.hosts.listed(labels)
        if labels
        else [await api.hosts.show(host) for host in dict.fromkeys(hosts)]
    )
    where = [{"name": host["name"], "state": state_of(host)} for host in found]
    if it.printer.is_json:
        it.printer.document(document | {"hosts": where})
        return ExitCode.OK
    it.printer.line(f"{document['project']}: {document['total_bytes']} bytes would be sent")
    it.printer.line(f"  docker-compose.yml  {document['compose_bytes']} bytes")
    if document["env_bytes"] is not None:
        it.printer.line(f"  .env  {document['env_bytes']} bytes")
    for file in document["files"]:
        it.printer.line(f"  {file['path']}  {file['bytes']} bytes  {file['mode']}")
    for note in document["notes"]:
        it.printer.line(f"  note: {note}")
    it.printer.table(
        ("TO HOST", "STATE"), [(one["name"], one["state"]) for one in where], "To no host."
    )
    return ExitCode.OK
