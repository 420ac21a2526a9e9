"""plan: what a deployment would do to a host."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from entrypoints.cli.bringing import (
    DirectoryOption,
    EnvFilesOption,
    ExtraOption,
    FilesOption,
    Manner,
    ProfilesOption,
    PullOption,
    Wanted,
    collected,
    content_of,
    say_what_is_sent,
)
from entrypoints.cli.command import command
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.hosts import HostArgument
from entrypoints.cli.printing import BAD, BUSY, GOOD
from entrypoints.cli.program import Invocation
from entrypoints.cli.questions import WithinOption, answered, patience_with
from entrypoints.cli.texts import one_line

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient

_SIGNS: Final = {
    "create": ("+", GOOD),
    "remove": ("-", BAD),
    "keep": ("=", "dim"),
}
_CHANGES: Final = ("~", BUSY)


def add_plan(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "plan")(plan)


async def plan(  # noqa: PLR0913 - an option each
    it: Invocation,
    api: ApiClient,
    host: HostArgument,
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="Its name or directory")],
    files: FilesOption = None,
    env_files: EnvFilesOption = None,
    extra: ExtraOption = None,
    directory: DirectoryOption = None,
    *,
    pull: PullOption = None,
    profiles: ProfilesOption = None,
    remove_orphans: Annotated[bool, typer.Option("--remove-orphans")] = False,
    within: WithinOption = None,
) -> ExitCode:
    """Say what a deployment would do to a host, and do nothing of it; 1 where it would be refused."""
    wanted = Wanted(project, directory, files or (), env_files or (), extra or ())
    manner = Manner(pull=pull, profiles=profiles or (), remove_orphans=remove_orphans)
    name, found = await asyncio.to_thread(collected, it, wanted)
    say_what_is_sent(it, name, found)
    body = content_of(found) | {"options": manner.options()}
    patience = await patience_with(it, api, host, within)
    job = await api.projects.plan(host, name, body, wait_s=patience.first_s)
    data = await answered(it, api, job, patience)
    if it.printer.is_json:
        it.printer.document(data)
    elif not it.printer.is_quiet:
        show_plan(it, data)
    is_allowed = bool((data.get("policy") or {}).get("allowed", True))
    return ExitCode.OK if is_allowed else ExitCode.FAILED


def show_plan(it: Invocation, data: dict[str, Any]) -> None:
    """A line for each change, like a diff."""
    services = data.get("services") or ()
    width = max((len(str(one.get("service"))) for one in services), default=0)
    for one in services:
        action = str(one.get("action"))
        sign, style = _SIGNS.get(action, _CHANGES)
        text = f"{sign} {one_line(one.get('service')):<{width}}  {action}"
        why = one_line(one.get("why") or "")
        it.printer.line(f"{text:<{width + 12}}  {why}".rstrip(), style)
    for word, key in (("network", "networks"), ("volume", "volumes")):
        for name in data.get(key) or ():
            it.printer.line(f"+ {word} {one_line(name)}", GOOD)
    for image in data.get("pull") or ():
        it.printer.line(f"  pull {one_line(image)}")
    for service in data.get("build") or ():
        it.printer.line(f"  build {one_line(service)}")
    for warning in data.get("warnings") or ():
        it.printer.line(f"  warning: {one_line(warning)}", BUSY)
    if not services:
        it.printer.line("Nothing would change.")
    _show_policy(it, data.get("policy") or {"allowed": True})


def _show_policy(it: Invocation, policy: dict[str, Any]) -> None:
    if policy.get("allowed"):
        it.printer.line("The host's policy allows it.")
        return
    it.printer.line("The host's policy does not allow it:", BAD)
    for one in policy.get("violations") or ():
        what = one_line(one.get("message") or one.get("rule") or "")
        it.printer.line(
            f"  ! {one_line(one.get('service') or one.get('where') or '')}: {what}", BAD
        )
        if one.get("allowed_by"):
            it.printer.line(f"    the host's owner allows it by: {one_line(one['allowed_by'])}")
