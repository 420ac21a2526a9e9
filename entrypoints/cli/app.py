"""All commands, put together."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Annotated, Final

import typer

from entrypoints.cli.command import (
    COMMON,
    CaFileOption,
    ContextOption,
    NoColorOption,
    OutputOption,
    QuietOption,
    State,
    wishes_of,
)
from entrypoints.cli.program import PROGRAM
from entrypoints.version import VERSION

PARTS: Final = (
    (("setup",), "setting_up", "add_setup"),
    (("login", "logout", "whoami", "context"), "sessions", "add_sessions"),
    (("deploy",), "deploying", "add_deploy"),
    (("plan",), "planning", "add_plan"),
    (("status", "stop", "restart", "rollback", "remove"), "projects", "add_projects"),
    (("history", "diff"), "histories", "add_histories"),
    (("hosts",), "hosts", "add_hosts"),
    (("enrolments",), "enrolments", "add_enrolments"),
    (("jobs",), "jobs", "add_jobs"),
    (("users", "tokens"), "people", "add_people"),
    (("audit",), "audits", "add_audit"),
    (("server",), "server", "add_server"),
)
"""The first words of commands, the module that has them, and what adds them."""


def _version(wanted: bool) -> None:  # noqa: FBT001 - as typer calls it
    if wanted:
        typer.echo(f"{PROGRAM} {VERSION}")
        raise typer.Exit


def begin(
    ctx: typer.Context,
    *,
    output: OutputOption = None,
    quiet: QuietOption = False,
    no_color: NoColorOption = False,
    context: ContextOption = None,
    ca_file: CaFileOption = None,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which this is")
    ] = False,
) -> None:
    """Run Docker Compose projects on machines that nobody can reach from outside."""
    state = ctx.find_object(State)
    assert state is not None
    given = (output, quiet, no_color, context, ca_file)
    state.wishes = wishes_of(dict(zip(COMMON, given, strict=True)))


def create_app(words: Collection[str] = ()) -> typer.Typer:
    """The command line; only with the commands that `words` may mean, where they mean any.

    To make all commands takes several times as long as most of them take.
    """
    app = typer.Typer(
        name=PROGRAM, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    app.callback()(begin)
    meant = [part for part in PARTS if set(part[0]) & set(words)]
    for _, module, adder in meant or PARTS:
        getattr(import_module(f"{__package__}.{module}"), adder)(app)
    return app
