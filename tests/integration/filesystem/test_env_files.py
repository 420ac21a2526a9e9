"""Compose finds in a `.env` exactly the values that `env_file_of` was given; no engine is asked."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from domain.content import env_file_of

VALUES = [
    *("", " ", "  both  ", "\t", "plain", "with space", "ends with space ", " begins"),
    *("'", '"', "''", '""', "'single'", '"double"', "it's", 'say "x"', "'\"'\"'", "`backtick`"),
    *(
        "$",
        "$$",
        "$$$",
        "$HOME",
        "${HOME}",
        "${HOME:-x}",
        "${HOME",
        "$1",
        "a$b",
        "$(id)",
        "\\$HOME",
    ),
    *(
        "\\",
        "\\\\",
        "\\\\\\",
        "C:\\new\\temp",
        "\\n",
        "\\t",
        "\\r",
        '\\"',
        "ends\\",
        "\\u0041",
        "\\x41",
    ),
    *("\n", "two\nlines", "ends\n", "\nbegins", "a\r\nb", "\r", "a\n\nb\n\n", "A=1\nB=2", "\\\n"),
    *("#", "# comment", "a #b", "a#b", "#a\nb", "a\n#b"),
    *("=", "a=b", "==", ";", "a;b", "!", "%s", "{{x}}", "[1]", "*", "&a", "|", ">", "- a", ": b"),
    *(
        "ä",
        "größe",
        "日本語",
        "🙂",
        "\u00a0",
        "\u2028",
        "\ufeff",
        "\x01",
        "\x1b[31m",
        "\x7f",
        "e\u0301",
    ),
    *("true", "null", "~", "0x1F", "1e3", "export A=1", "x" * 60_000, "\"$\\\n#' " * 50),
]
NAMES = ["A", "_", "a1", "A.B", "A-B", "lower_case", "export", "EXPORT_A", "true"]


def found_by_compose(
    directory: Path, variables: dict[str, str], compose_file: str
) -> dict[str, str]:
    (directory / ".env").write_bytes(env_file_of(variables))
    (directory / "docker-compose.yml").write_text(compose_file)
    project = ["--project-directory", str(directory), "-f", str(directory / "docker-compose.yml")]
    ended = subprocess.run(
        ["docker", "compose", "-p", "env", *project, "config", "--format", "json"],
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/wrong"},
    )
    assert ended.returncode == 0, ended.stderr.decode()
    environment = json.loads(ended.stdout)["services"]["web"]["environment"]
    # Compose doubles dollar signs, so that what it printed can be read by it again.
    return {name: value.replace("$$", "$") for name, value in environment.items()}


def test_every_value_is_interpolated_as_it_was_given(tmp_path: Path) -> None:
    variables = {f"V{number}": value for number, value in enumerate(VALUES)}
    lines = "".join(f"      {name}: ${{{name}}}\n" for name in variables)
    compose_file = f"services:\n  web:\n    image: x\n    environment:\n{lines}"
    assert found_by_compose(tmp_path, variables, compose_file) == variables


def test_every_value_reaches_a_container_through_env_file_too(tmp_path: Path) -> None:
    variables = {f"V{number}": value for number, value in enumerate(VALUES)}
    compose_file = "services: {web: {image: x, env_file: .env}}\n"
    assert found_by_compose(tmp_path, variables, compose_file) == variables


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_found(tmp_path: Path, name: str) -> None:
    variables = {name: "a $b", "LAST": "z"}
    compose_file = "services: {web: {image: x, env_file: .env}}\n"
    assert found_by_compose(tmp_path, variables, compose_file) == variables
