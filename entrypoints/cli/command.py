"""How commands are made of functions: with the options of every command, and errors that end it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import typing
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from adapters.api_client.errors import Refused, Unreachable
from domain.errors import InstaDeployError, InvalidInput
from entrypoints.cli.exits import ExitCode, NotLoggedIn, code_of, exit_code_of, hint_of
from entrypoints.cli.printing import Output, Printer
from entrypoints.cli.program import PROGRAM, TOKEN, Invocation, Program, Wishes

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient

_NOT_ACCEPTED: Final = (
    "the token is not accepted any more: it has expired, or was revoked or replaced; log in again: "
    "instadeploy login {url}"
)
_NOT_ACCEPTED_FROM_ENVIRONMENT: Final = (
    "the token in {variable} is not accepted: it is not right, has expired, or was revoked or replaced; "
    "set another one, or unset the variable, which outranks the token of a login"
)
_PANEL: Final = "Of every command"

OutputOption = Annotated[
    Output | None,
    typer.Option("--output", "-o", help="table or json", rich_help_panel=_PANEL),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Only names and ids", rich_help_panel=_PANEL)
]
NoColorOption = Annotated[
    bool, typer.Option("--no-color", help="As NO_COLOR=1", rich_help_panel=_PANEL)
]
ContextOption = Annotated[
    str | None,
    typer.Option("--context", help="Which control plane", rich_help_panel=_PANEL),
]
CaFileOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-file", help="PEM certificates to trust beside the system's", rich_help_panel=_PANEL
    ),
]
COMMON: Final[dict[str, tuple[Any, Any]]] = {
    "output": (OutputOption, None),
    "quiet": (QuietOption, False),
    "no_color": (NoColorOption, False),
    "context": (ContextOption, None),
    "ca_file": (CaFileOption, None),
}


class State:
    """What a run has found so far, on its way from the program to the command."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.wishes = Wishes()


def group(name: str, summary: str) -> typer.Typer:
    """A set of commands."""
    return typer.Typer(name=name, help=summary, no_args_is_help=True, rich_markup_mode=None)


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a function to a set of commands.

    It takes the `Invocation`, and a coroutine function also an `ApiClient`, then its own arguments and
    options. What it returns, if anything, is the exit code.
    """

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        is_asking = inspect.iscoroutinefunction(function)
        # The client's module takes long to import, and no option is of its type.
        hints = typing.get_type_hints(function, localns={"ApiClient": object}, include_extras=True)
        own = list(inspect.signature(function).parameters.values())[2 if is_asking else 1 :]

        @functools.wraps(function)
        def run(ctx: typer.Context, **given: Any) -> None:
            state = ctx.find_object(State)
            assert state is not None
            wishes = wishes_of({key: given.pop(key) for key in COMMON}).over(state.wishes)
            it = Invocation.of(state.program, wishes)
            code = _ended(it, lambda: _run(it, function, given, is_asking=is_asking))
            raise typer.Exit(int(code))

        parameters = [
            inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
            *(one.replace(annotation=hints[one.name], kind=one.KEYWORD_ONLY) for one in own),
            *(
                inspect.Parameter(
                    key, inspect.Parameter.KEYWORD_ONLY, default=usual, annotation=kind
                )
                for key, (kind, usual) in COMMON.items()
            ),
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        app.command(name)(run)
        return function

    return add


def wishes_of(given: dict[str, Any]) -> Wishes:
    """The options of every command, as they were given."""
    return Wishes(
        output=given["output"],
        is_quiet=given["quiet"],
        no_color=given["no_color"],
        context=given["context"],
        ca_file=given["ca_file"],
    )


def _run(
    it: Invocation, function: Callable[..., Any], given: dict[str, Any], *, is_asking: bool
) -> int:
    if not is_asking:
        return int(function(it, **given) or 0)

    async def ask(client: ApiClient) -> int:
        return int(await function(it, client, **given) or 0)

    return asking(it, ask)


def asking(it: Invocation, ask: Callable[[ApiClient], Coroutine[Any, Any, int]]) -> int:
    """Run what asks the control plane that is meant; the exit code."""

    async def run() -> int:
        async with it.api() as client:
            try:
                return await ask(client)
            except Refused as exc:
                if exc.problem == "unauthenticated":
                    # The API's words are for whoever makes requests by hand.
                    raise NotLoggedIn(_not_accepted(it)) from None
                raise

    return asyncio.run(run())


def _not_accepted(it: Invocation) -> str:
    # To log in does not help while the variable is set.
    text = _NOT_ACCEPTED_FROM_ENVIRONMENT if it.variable(TOKEN) else _NOT_ACCEPTED
    return text.format(url=it.url, variable=TOKEN)


def _ended(it: Invocation, run: Callable[[], int]) -> int:
    """The exit code; what went wrong is said."""
    try:
        return run()
    except InstaDeployError as exc:
        complain(it.printer, exc, it.url, _what_goes_on(it, exc))
        return exit_code_of(exc)
    except (KeyboardInterrupt, EOFError, typer.Abort):
        interrupted(it)
        return ExitCode.INTERRUPTED


def complain(printer: Printer, error: InstaDeployError, url: str = "", goes_on: str = "") -> None:
    """Say what went wrong, and what to do next."""
    hint = hint_of(error, url)
    fields = fields_of(error)
    if printer.is_json:
        document: dict[str, Any] = {
            "code": code_of(error),
            "detail": str(error),
            "errors": fields,
            "hint": hint,
            "exit_code": int(exit_code_of(error)),
        }
        printer.err.write(json.dumps({"error": document}) + "\n")
        printer.err.flush()
        return
    printer.complain(f"{PROGRAM}: {error}")
    for one in fields if len(fields) > 1 else []:
        printer.complain(f"  {one['field']}: {one['rule']}")
    for text in (hint, goes_on):
        if text:
            printer.complain(f"  {text}")


def fields_of(error: InstaDeployError) -> list[dict[str, str]]:
    """The values that break rules, of an error that names some."""
    if isinstance(error, InvalidInput):
        return [{"field": error.field, "rule": error.rule}]
    return [{"field": one.field, "rule": one.rule} for one in getattr(error, "errors", ())]


def interrupted(it: Invocation) -> None:
    """Say what goes on."""
    text = _what_goes_on(it)
    if it.printer.is_json:
        error = {"code": "interrupted", "detail": text, "errors": [], "hint": "", "exit_code": 130}
        it.printer.err.write(json.dumps({"error": error | {"id": it.goes_on or None}}) + "\n")
        it.printer.err.flush()
        return
    it.printer.complain(f"\n{PROGRAM}: interrupted. {text}".rstrip())


def _what_goes_on(it: Invocation, error: InstaDeployError | None = None) -> str:
    if it.goes_on:
        return how_to_go_on(it.goes_on)
    if it.is_sending and (error is None or _is_open(error)):
        return "It may have been accepted: `instadeploy jobs list` shows whether."
    return ""


def _is_open(error: InstaDeployError) -> bool:
    """Whether what was sent may have been accepted all the same; a refusal is an answer."""
    if isinstance(error, Unreachable):
        return not error.is_certain
    return exit_code_of(error) is ExitCode.UNREACHABLE


def how_to_go_on(what: str) -> str:
    """How something that was accepted is followed, and ended; `what` is the id of a job or deployment."""
    kind = "deployment" if what.startswith("dep_") else "job"
    return (
        f"The {kind} {what} goes on without this program: `instadeploy jobs follow {what}` follows it, "
        f"`instadeploy jobs cancel {what}` cancels it."
    )
