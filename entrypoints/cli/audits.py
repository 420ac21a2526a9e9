"""audit: who did what, and whether the trail of it is whole."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.command import command, group
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.printing import BAD, GOOD
from entrypoints.cli.program import Invocation
from entrypoints.cli.texts import age, known, one_line

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient


def add_audit(app: typer.Typer) -> None:
    """Add the commands."""
    audit = group("audit", "Who did what")
    command(audit, "list")(list_entries)
    command(audit, "export")(export)
    command(audit, "verify")(verify)
    app.add_typer(audit)


async def list_entries(
    it: Invocation,
    api: ApiClient,
    user: Annotated[str | None, typer.Option("--user")] = None,
    host: Annotated[str | None, typer.Option("--host")] = None,
    project: Annotated[str | None, typer.Option("--project")] = None,
    action: Annotated[str | None, typer.Option("--action")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1)] = 50,
) -> None:
    """List what was done, the newest first."""
    given = [("user", user), ("host", host), ("project", project), ("action", action)]
    entries = await api.audit.listed([(name, value) for name, value in given if value], limit=limit)
    if it.printer.is_json:
        it.printer.document({"items": entries})
    elif it.printer.is_quiet:
        it.printer.names(str(one["number"]) for one in entries)
    else:
        rows = [
            (
                str(one["number"]), age(one["at"], it.now), one["user"], one["address"], one["action"],
                known(one["host"]), known(one["project"] or one["target"]), one["outcome"],
            )
            for one in entries
        ]  # fmt: skip
        headings = ("NUMBER", "WHEN", "USER", "FROM", "ACTION", "HOST", "WHAT", "OUTCOME")
        it.printer.table(headings, rows, "Nothing.")


async def export(
    it: Invocation,
    api: ApiClient,
    after: Annotated[int, typer.Option("--after", min=0, help="Begin behind this number")] = 0,
) -> None:
    """Write all entries, the oldest first, as JSON lines."""
    stream = it.program.out
    async with aclosing(api.audit.export(after)) as pieces:
        rest = b""
        async for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            stream.writelines(line.decode("utf-8", "replace") + "\n" for line in lines)
    if rest:
        stream.write(rest.decode("utf-8", "replace") + "\n")
    stream.flush()


async def verify(it: Invocation, api: ApiClient) -> ExitCode:
    """See whether anything was changed or taken out; 1 where it was."""
    found = await api.audit.verify()
    if it.printer.is_json:
        it.printer.document(found)
    elif not it.printer.is_quiet:
        head: dict[str, Any] = found["head"] or {}
        what = "whole" if found["is_intact"] else "NOT whole"
        it.printer.line(
            f"The audit trail is {what}: {found['entries']} entries.",
            GOOD if found["is_intact"] else BAD,
        )
        if head:
            it.printer.line(f"The last is {head.get('number')}, {head.get('hash')}")
        for one in found["findings"]:
            it.printer.line(
                f"! {one.get('number')}: {one_line(one.get('problem'))}: {one_line(one.get('detail'))}",
                BAD,
            )
    return ExitCode.OK if found["is_intact"] else ExitCode.FAILED
