"""Asking whoever types: passwords, which nobody sees, and leave to do what cannot be undone."""

from __future__ import annotations

import getpass
from typing import Final, TextIO, cast

from domain.errors import InvalidInput
from entrypoints.cli.exits import WrongUsage
from entrypoints.cli.program import Invocation

LONGEST_SECRET: Final = 8192


def confirm(it: Invocation, question: str, *, yes: bool) -> None:
    """Go on only where `yes` was said already, or is now. Raises `WrongUsage` otherwise."""
    if yes:
        return
    if not it.program.stdin.isatty():
        raise WrongUsage(f"{question} Nobody can be asked here: say --yes")
    it.program.err.write(it.printer.sentence(f"{question} [y/N]") + " ")
    it.program.err.flush()
    said = it.program.stdin.readline()
    if not said.endswith("\n"):
        it.program.err.write("\n")
    if said.strip().lower() not in ("y", "yes"):
        raise WrongUsage("nothing was done")


def line_for(it: Invocation, what: str) -> str:
    """A line that is typed, and may be seen; the first one of what is piped in."""
    if it.program.stdin.isatty():
        it.program.err.write(f"{what}: ")
        it.program.err.flush()
    return secret_line(it, what)


def secret_line(it: Invocation, what: str) -> str:
    """The next line of standard input, without what ends it. Raises `InvalidInput` for an empty one."""
    line = it.program.stdin.readline(LONGEST_SECRET + 2).rstrip("\r\n")
    if not line:
        raise InvalidInput(what, "must not be empty")
    if len(line) > LONGEST_SECRET:
        raise InvalidInput(what, f"must have at most {LONGEST_SECRET} characters")
    return line


def password_for(it: Invocation, what: str = "password", *, twice: bool = False) -> str:
    """A password, typed and not shown, or the next line of what is piped in. Raises `InvalidInput`."""
    if not it.program.stdin.isatty():
        return secret_line(it, what)
    first = getpass.getpass(f"{what}: ", stream=_stream(it))
    if not first:
        raise InvalidInput(what, "must not be empty")
    if twice and getpass.getpass(f"{what} again: ", stream=_stream(it)) != first:
        raise InvalidInput(what, "was not the same both times")
    return first


def _stream(it: Invocation) -> TextIO:
    return cast(TextIO, it.program.err)
