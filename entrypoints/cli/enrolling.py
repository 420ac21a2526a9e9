"""hosts enroll, hosts cloud-init: how a machine becomes a host."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated, Final

import typer

from adapters.api_client.errors import Refused
from domain.errors import InstaDeployError
from entrypoints.cli.enrolments import enrolled
from entrypoints.cli.exits import ExitCode, Failed, NotOver
from entrypoints.cli.first_lines import FirstLine
from entrypoints.cli.parsing import LabelsOption, labels_in, seconds_in
from entrypoints.cli.program import Invocation, would_show
from entrypoints.cli.texts import age

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient
    from adapters.api_client.documents import Host, NewEnrolment

LOOK_EVERY_S: Final = 1.0
NOT_FOUND: Final = 404
NO_AGENT: Final = (
    "this control plane has no agent to give: put the single file that `make build-linux` builds into "
    "its state directory, as `agent`, or set CONTROL_PLANE_AGENT_FILE there"
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What the host is to be called")]
TtlOption = Annotated[
    str | None,
    typer.Option("--ttl", help="How long its token is good, such as 10m; 1m to 24h"),
]


async def enroll(
    it: Invocation,
    api: ApiClient,
    name: NameArgument,
    labels: LabelsOption = None,
    *,
    ttl: TtlOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until the host is online")] = False,
    within: Annotated[str | None, typer.Option("--timeout", help="For --wait, such as 10m")] = None,
) -> ExitCode:
    """Print the one line that makes a machine a host; its token is good once."""
    timeout_s = seconds_in(within, "--timeout")
    ttl_s = seconds_in(ttl, "--ttl")
    made = await enrolled(api, name, labels_in(labels or ()), ttl_s)
    enrolment = made["enrolment"]
    first = await _first_line(it, api, made)
    line = made["command"] if first is None else first.for_shell()
    document = {**made, "line": line}
    if it.printer.is_json and not wait:
        it.printer.document(document)
    elif not it.printer.is_json:
        _say_what_to_do(it, first, age(enrolment["expires_at"], it.now))
        it.printer.line(line)
    else:
        # Whoever waits for a document has to have the line before.
        it.printer.command(line)
    if not wait:
        return ExitCode.OK
    it.printer.note(f"Waiting for {name} ...")
    try:
        async with asyncio.timeout(timeout_s):
            host = await _online(api, name)
    except TimeoutError:
        raise NotOver(
            f"{name} has not come within {within}; the line is good until {enrolment['expires_at']}"
        ) from None
    if it.printer.is_json:
        it.printer.document({**document, "host": host})
    else:
        it.printer.note(f"{name} is online.")
    return ExitCode.OK


async def cloud_init(
    it: Invocation,
    api: ApiClient,
    name: NameArgument,
    labels: LabelsOption = None,
    *,
    ttl: TtlOption = "1h",
) -> None:
    """Print user-data with which a new machine becomes a host when it first boots, by cloud-init."""
    ttl_s = seconds_in(ttl, "--ttl")
    made = await enrolled(api, name, labels_in(labels or ()), ttl_s)
    first = await _first_line(it, api, made)
    if first is None:
        await _withdraw(api, made)
        raise Failed(f"{NO_AGENT}; nothing is left of the enrolment", "no_agent")
    until = made["enrolment"]["expires_at"]
    user_data = first.for_cloud_init(name, until)
    if it.printer.is_json:
        it.printer.document({**made, "user_data": user_data})
        return
    it.printer.note(
        f"Give this to one machine as its user-data; it is good once, and expires {age(until, it.now)}."
    )
    _warn_of_http(it, first)
    it.printer.text(user_data)


async def _first_line(it: Invocation, api: ApiClient, made: NewEnrolment) -> FirstLine | None:
    """What is to be run; None where the control plane gives no agent.

    Where it cannot be known who serves the script, nothing is left of the enrolment.
    """
    url = made.get("install_url")
    if url is None:
        return None
    ca_file = it.target().ca_file
    try:
        pin = await it.program.pin(url, ca_file=ca_file)
        return FirstLine(url, made["token"], pin, is_private=ca_file is not None)
    except InstaDeployError:
        await _withdraw(api, made)
        raise


async def _withdraw(api: ApiClient, made: NewEnrolment) -> None:
    # Where that fails too, it expires by itself: nobody has its token.
    with contextlib.suppress(InstaDeployError):
        await api.hosts.withdraw(made["enrolment"]["id"])


def _say_what_to_do(it: Invocation, first: FirstLine | None, expires: str) -> None:
    if first is None:
        it.printer.note(f"{NO_AGENT}: then this is one line that installs it.")
        where = "on the machine, where the agent is installed, as root"
    else:
        _warn_of_http(it, first)
        where = "on the machine, as root (sudo -i before it)"
    it.printer.note(f"Run this {where}; it is good once, and expires {expires}:")


def _warn_of_http(it: Invocation, first: FirstLine) -> None:
    if would_show(first.url):
        it.printer.complain(
            f"{first.url} is not over TLS: nobody proves what comes from there, and root runs it."
        )


async def _online(api: ApiClient, name: str) -> Host:
    while True:
        try:
            host = await api.hosts.show(name)
        except Refused as exc:
            if exc.status != NOT_FOUND:
                raise
        else:
            if host["online"]:
                return host
        await asyncio.sleep(LOOK_EVERY_S)
