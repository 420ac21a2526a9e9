"""setup: the first administrator of a new control plane."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import typer

from entrypoints.cli.asking import line_for, password_for
from entrypoints.cli.command import command
from entrypoints.cli.program import Invocation
from entrypoints.cli.sessions import NameOption, PlainOption, check_secrecy, chosen, keep

if TYPE_CHECKING:
    from adapters.api_client.documents import Login

NOBODY: Final = "nobody"
NO_PASSWORD: Final = "-"  # noqa: S105 - too short to be one


def add_setup(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "setup")(setup)


def setup(
    it: Invocation,
    url: Annotated[str, typer.Argument(help="Of a new control plane")],
    name: NameOption = None,
    user: Annotated[
        str | None, typer.Option("--user", help="The first administrator's name")
    ] = None,
    *,
    plain_http: PlainOption = False,
) -> None:
    """Make the first administrator, with the code that the control plane printed when it started."""
    url, name = chosen(it, url, name)
    check_secrecy(url, allowed=plain_http)
    code = password_for(it, "code")
    asyncio.run(_check_code(it, url, code))
    user = user or line_for(it, "user")
    password = password_for(it, twice=True)
    made = asyncio.run(_set_up(it, url, code, user, password))
    keep(it, name, url, made["user"]["name"], made["token"])


async def _set_up(it: Invocation, url: str, code: str, user: str, password: str) -> Login:
    from adapters.api_client.errors import Refused  # noqa: PLC0415 - see program.py

    async with it.program.connect(url, None, ca_file=it.ca_file()) as api:
        try:
            return await api.session.set_up(code, user, password)
        except Refused as exc:
            if exc.problem == "conflict":
                exc.add_note(f"it has users already: instadeploy login {url}")
            raise


async def _check_code(it: Invocation, url: str, code: str) -> None:
    """Raise before more is asked for where the code is of no use: wrong, or for what is set up already.

    The API judges these two before the password, and no control plane accepts the one that is sent here.
    """
    from adapters.api_client.errors import Refused  # noqa: PLC0415 - see program.py

    try:
        await _set_up(it, url, code, NOBODY, NO_PASSWORD)
    except Refused as exc:
        if exc.problem != "invalid_input":
            raise
