"""hosts: the machines, and how one becomes a host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.asking import confirm
from entrypoints.cli.command import command, group
from entrypoints.cli.enrolling import cloud_init, enroll
from entrypoints.cli.parsing import LabelsOption, label_changes, labels_in
from entrypoints.cli.program import Invocation
from entrypoints.cli.questions import WithinOption, answered, patience_with
from entrypoints.cli.texts import age, known, pairs, yes

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient
    from adapters.api_client.documents import Host

HostArgument = Annotated[str, typer.Argument(metavar="HOST", help="Its name or id")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")]


def add_hosts(app: typer.Typer) -> None:
    """Add the commands."""
    hosts = group("hosts", "The machines on which agents run")
    command(hosts, "list")(list_hosts)
    command(hosts, "show")(show)
    command(hosts, "enroll")(enroll)
    command(hosts, "cloud-init")(cloud_init)
    command(hosts, "revoke")(revoke)
    command(hosts, "label")(label)
    command(hosts, "rename")(rename)
    command(hosts, "health")(health)
    app.add_typer(hosts)


async def list_hosts(
    it: Invocation,
    api: ApiClient,
    labels: LabelsOption = None,
    *,
    all_hosts: Annotated[bool, typer.Option("--all", help="Also those that are revoked")] = False,
) -> None:
    """List hosts, by name."""
    found = await api.hosts.listed(labels_in(labels or ()), with_revoked=all_hosts)
    if it.printer.is_json:
        it.printer.document({"items": found})
    elif it.printer.is_quiet:
        it.printer.names(host["name"] for host in found)
    else:
        rows = [
            (host["name"], state_of(host), age(host["last_seen_at"], it.now),
             known(host["version"]), pairs(host["labels"]))
            for host in found
        ]  # fmt: skip
        it.printer.table(
            ("HOST", "STATE", "LAST SEEN", "AGENT", "LABELS"),
            rows,
            "No hosts. `instadeploy hosts enroll NAME` lets a machine become one.",
        )


async def show(it: Invocation, api: ApiClient, host: HostArgument) -> None:
    """Show a host, and what its agent last said of itself."""
    _show(it, await api.hosts.show(host))


async def revoke(
    it: Invocation, api: ApiClient, host: HostArgument, *, yes: YesOption = False
) -> None:
    """Let nobody connect as this host any more, for good."""
    found = await api.hosts.show(host)
    confirm(
        it,
        f"Revoke {found['name']} ({found['id']})? Its agent is put out and its open jobs fail, for good; "
        "what runs there goes on running.",
        yes=yes,
    )
    found = await api.hosts.revoke(found["id"])
    _told(it, found, f"{found['name']} is revoked.")


async def label(
    it: Invocation,
    api: ApiClient,
    host: HostArgument,
    changes: Annotated[list[str], typer.Argument(metavar="K=V|K-...", help="Set, or take away")],
) -> None:
    """Set labels with k=v, take them away with k-."""
    put, taken = label_changes(changes)
    found = await api.hosts.show(host)
    labels = {key: value for key, value in found["labels"].items() if key not in taken} | put
    found = await api.hosts.change(found["id"], labels=labels)
    _told(it, found, f"{found['name']}  {pairs(found['labels'])}")


async def rename(
    it: Invocation, api: ApiClient, host: HostArgument, name: Annotated[str, typer.Argument()]
) -> None:
    """Give a host another name."""
    found = await api.hosts.change(host, name=name)
    _told(it, found, f"{host} is called {found['name']} from now on.")


async def health(
    it: Invocation,
    api: ApiClient,
    host: HostArgument,
    within: WithinOption = None,
) -> None:
    """Ask how the agent, its engine and Compose are."""
    patience = await patience_with(it, api, host, within)
    job = await api.projects.ask(host, "health", wait_s=patience.first_s)
    data = await answered(it, api, job, patience)
    if it.printer.is_json:
        it.printer.document(data)
    elif not it.printer.is_quiet:
        it.printer.fields(list(_health(data, it.now)))


def _health(data: dict[str, Any], now: float) -> list[tuple[str, str]]:
    engine, compose = data.get("engine") or {}, data.get("compose") or {}
    journal, policy = data.get("journal") or {}, data.get("policy") or {}
    agent = f"{known(data.get('version'))} on {known(data.get('hostname'))}"
    is_reachable = bool(engine.get("reachable"))
    lines = [
        ("agent", f"{agent}, {known(data.get('architecture'))}"),
        ("up since", age(now - float(data.get("uptime_s") or 0), now)),
        (
            "engine",
            known(engine.get("version"))
            if is_reachable
            else f"unreachable: {known(engine.get('detail'))}",
        ),
    ]
    if compose:
        text = known(compose.get("version") if compose.get("available") else compose.get("detail"))
        lines.append(("compose", text))
    if policy:
        lines.append(
            ("policy", "\n".join([known(policy.get("name")), *policy.get("warnings", ())]))
        )
    if journal:
        intact = "intact" if journal.get("intact") else f"damaged: {known(journal.get('detail'))}"
        lines.append(("journal", f"{intact}; {known(journal.get('open_jobs'))} open jobs"))
    return lines


def state_of(host: Host) -> str:
    """In a word."""
    if host["revoked_at"] is not None:
        return "revoked"
    return "online" if host["online"] else "offline"


def _told(it: Invocation, host: Host, text: str) -> None:
    if it.printer.is_json:
        it.printer.document(host)
    elif it.printer.is_quiet:
        it.printer.names([host["name"]])
    else:
        it.printer.line(text)


def _show(it: Invocation, host: Host) -> None:
    if it.printer.is_json:
        it.printer.document(host)
        return
    if it.printer.is_quiet:
        it.printer.names([host["name"]])
        return
    lines = [
        ("name", host["name"]),
        ("id", host["id"]),
        ("state", state_of(host)),
        ("labels", pairs(host["labels"])),
        ("last seen", age(host["last_seen_at"], it.now)),
        ("agent", f"{known(host['version'])}, protocol {known(host['protocol'])}"),
        ("machine", f"{known(host['hostname'])}, {known(host['architecture'])}"),
        ("address", known(host["address"])),
        ("proves itself by", host["credential"]),
        ("key", known(host["public_key"])),
        ("can be canceled", yes(host["cancel"])),
        ("live output", yes(host["live_output"])),
        ("since", age(host["created_at"], it.now)),
    ]
    if host["clone_suspected_at"] is not None:
        lines.append(
            (
                "warning",
                f"two machines use its identity, seen {age(host['clone_suspected_at'], it.now)}",
            )
        )
    it.printer.fields(lines)
