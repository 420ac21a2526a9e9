"""docs/cli.md is true of the program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from entrypoints.cli import program
from entrypoints.cli.app import PARTS, create_app
from entrypoints.cli.command import COMMON
from entrypoints.cli.exits import ExitCode

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")


def commands_below(
    group: Any, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_below(command, (*words, name))
        else:
            yield (*words, name), command


COMMANDS = dict(commands_below(typer.main.get_command(create_app())))


def rows(heading: str) -> dict[str, str]:
    _, _, rest = TEXT.partition(f"| {heading} |")
    table = rest.partition("\n\n")[0].splitlines()[2:]
    return {row.split("|")[1].strip().strip("`"): row.split("|")[2].strip() for row in table}


def test_the_exit_codes_are_those_of_the_program() -> None:
    assert [int(code) for code in rows("exit code")] == [int(code) for code in ExitCode]


def test_the_variables_are_those_of_the_program() -> None:
    ours = {value for value in vars(program).values() if str(value).startswith("INSTADEPLOY_")}
    assert set(rows("variable")) == ours | {"NO_COLOR"}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_is_documented_and_takes_the_options_of_all(words: tuple[str, ...]) -> None:
    documented = re.findall(r"`([a-z]+(?: [a-z-]+)?)[^`]*`", TEXT.partition("\n\n`--help`")[0])
    assert any(" ".join(words) == one or words[0] == one for one in documented)
    if words[0] == "server":
        return
    taken = {name for parameter in COMMANDS[words].params for name in [parameter.name]}
    assert set(COMMON) <= taken
    assert COMMANDS[words].help


def test_the_commands_that_are_made_are_those_that_the_words_may_mean() -> None:
    every = {words[0] for words in COMMANDS}
    assert {word for part in PARTS for word in part[0]} == every
    for word in every:
        made = typer.main.get_command(create_app(["--quiet", word]))
        assert word in {words[0] for words, _ in commands_below(made)}
