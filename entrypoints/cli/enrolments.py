"""enrolments: leave to become a host, which was given out and may be taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final

import typer

from adapters.api_client.errors import ApiFailure, Refused
from domain.errors import NotFound
from entrypoints.cli.command import command, group
from entrypoints.cli.program import Invocation
from entrypoints.cli.texts import age, pairs

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient
    from adapters.api_client.documents import Enrolment, NewEnrolment

OPEN: Final = "open"
IDS_BEGIN: Final = "enr_"


def add_enrolments(app: typer.Typer) -> None:
    """Add the commands."""
    enrolments = group("enrolments", "Leave to become a host, as `hosts enroll` gives it")
    command(enrolments, "list")(list_enrolments)
    command(enrolments, "withdraw")(withdraw)
    app.add_typer(enrolments)


async def list_enrolments(
    it: Invocation,
    api: ApiClient,
    *,
    all_of_them: Annotated[
        bool, typer.Option("--all", help="Also those that were used, withdrawn, or have expired")
    ] = False,
) -> None:
    """List enrolments that can still be used, the newest first."""
    found = [one for one in await api.hosts.enrolments() if all_of_them or one["state"] == OPEN]
    if it.printer.is_json:
        it.printer.document({"items": found})
    elif it.printer.is_quiet:
        it.printer.names(one["id"] for one in found)
    else:
        rows = [
            (one["id"], one["name"], one["state"], pairs(one["labels"]), one["created_by"],
             age(one["created_at"], it.now), age(one["expires_at"], it.now))
            for one in found
        ]  # fmt: skip
        it.printer.table(
            ("ENROLMENT", "HOST", "STATE", "LABELS", "BY", "MADE", "EXPIRES"),
            rows,
            "No enrolments. `instadeploy hosts enroll NAME` makes one.",
        )


async def withdraw(
    it: Invocation,
    api: ApiClient,
    what: Annotated[
        str, typer.Argument(metavar="ID|NAME", help="Its id, or the name of the host to be")
    ],
) -> None:
    """Make an enrolment that was not used worth nothing, such as one whose token was lost."""
    enrolment_id = what
    if not what.startswith(IDS_BEGIN):
        found = await _open_for(api, what)
        if found is None:
            raise NotFound(f"there is no open enrolment for {what!r}: instadeploy enrolments list")
        enrolment_id = found["id"]
    await api.hosts.withdraw(enrolment_id)
    if it.printer.is_json:
        it.printer.document({"withdrawn": enrolment_id})
    elif it.printer.is_quiet:
        it.printer.names([enrolment_id])
    else:
        it.printer.line(f"{enrolment_id} is withdrawn.")


async def enrolled(
    api: ApiClient, name: str, labels: Mapping[str, str], ttl_s: float | None
) -> NewEnrolment:
    """A new enrolment. Where an older one is in its way, the error says how to be rid of that."""
    try:
        return await api.hosts.enrol(name, labels, ttl_s=ttl_s)
    except Refused as exc:
        # Whoever may enrol and not look is left with what was refused.
        with contextlib.suppress(ApiFailure):
            if exc.problem == "conflict" and await _open_for(api, name) is not None:
                exc.add_note(
                    "where its line is lost, withdraw it, then enroll again: "
                    f"instadeploy enrolments withdraw {name}"
                )
        raise


async def _open_for(api: ApiClient, name: str) -> Enrolment | None:
    """The one that can still be used; there is one at most for a name, in whatever case."""
    for one in await api.hosts.enrolments():
        if one["state"] == OPEN and one["name"].lower() == name.lower():
            return one
    return None
