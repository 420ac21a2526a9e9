"""`instadeploy`: runs one command, and ends with what came of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

from entrypoints.extras import missing_extra

try:
    import typer
except ModuleNotFoundError as exc:
    sys.exit(missing_extra("instadeploy", "cli", exc))

from entrypoints.cli.app import create_app
from entrypoints.cli.command import State, complain
from entrypoints.cli.exits import ExitCode, WrongUsage
from entrypoints.cli.printing import Output, Printer
from entrypoints.cli.program import PROGRAM, Program

_WANTS_JSON: Final = ("-ojson", "-o=json", "--output=json")


def main(arguments: Sequence[str] | None = None, program: Program | None = None) -> int:
    """The program; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    program = program or _of_system()
    try:
        code = create_app()(
            args=given, prog_name=PROGRAM, standalone_mode=False, obj=State(program)
        )
    except typer.TyperException as exc:
        return _wrong_usage(exc, given, program)
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except ModuleNotFoundError as exc:
        # Some are imported by the commands alone that need them.
        program.err.write(missing_extra(PROGRAM, "cli", exc) + "\n")
        return ExitCode.FAILED
    except BrokenPipeError:
        # Whoever was reading has gone; nor can the interpreter's last flush be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    return int(code or 0)


def _of_system() -> Program:
    for stream in (sys.stdout, sys.stderr):
        # A name that this terminal's encoding does not have must not end the program.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    return Program()


def _wrong_usage(error: typer.TyperException, given: Sequence[str], program: Program) -> int:
    """The command line is not understood; without any word at all, the help was printed."""
    text = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        program.err.write(text + "\n")
        return ExitCode.USAGE
    words = list(zip(given, [*given[1:], ""], strict=True))
    is_json = ("-o", "json") in words or ("--output", "json") in words
    is_json = is_json or any(one in _WANTS_JSON for one in given)
    output = Output.JSON if is_json else Output.TABLE
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    complain(Printer(program.out, program.err, output), WrongUsage(text.replace("\n", " ")))
    if not is_json:
        program.err.write(f"  {path} --help\n")
    return ExitCode.USAGE


if __name__ == "__main__":
    sys.exit(main())
