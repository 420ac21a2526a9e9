"""server: what is done on the control plane's own machine, by the control plane's own program."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from entrypoints.cli.exits import ExitCode

PROGRAM: Final = "instadeploy-control-plane"
_AS_THEY_ARE: Final = {"allow_extra_args": True, "ignore_unknown_options": True}

Arguments = Annotated[list[str] | None, typer.Argument(metavar="ARGUMENTS...")]

server = typer.Typer(
    name="server",
    help=f"On the control plane's machine: runs {PROGRAM}",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@server.command("backup", context_settings=_AS_THEY_ARE, add_help_option=False)
def backup(arguments: Arguments = None) -> None:
    """Make a copy of everything that a control plane keeps."""
    run_server("backup", arguments or [])


@server.command("restore", context_settings=_AS_THEY_ARE, add_help_option=False)
def restore(arguments: Arguments = None) -> None:
    """Bring a copy back."""
    run_server("restore", arguments or [])


@server.command("migrate", context_settings=_AS_THEY_ARE, add_help_option=False)
def migrate(arguments: Arguments = None) -> None:
    """Bring the database up to date, or with --to move it to another one."""
    run_server("migrate", arguments or [])


def add_server(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(server)


def run_server(what: str, arguments: list[str]) -> NoReturn:
    """Become the server's program, with these arguments; its exit code is ours."""
    beside = [Path(one).absolute().parent / PROGRAM for one in (sys.argv[0], sys.executable)]
    ours = next((str(path) for path in beside if os.access(path, os.X_OK)), None)
    found = ours or shutil.which(PROGRAM)
    if found is None:
        sys.stderr.write(
            f"instadeploy: {PROGRAM} is not installed here; run this on the control plane's machine, in "
            "the environment that it is installed in\n"
        )
        raise typer.Exit(ExitCode.NOT_FOUND)
    sys.stdout.flush()
    os.execv(found, [PROGRAM, what, *arguments])  # noqa: S606 - a list, and no shell
