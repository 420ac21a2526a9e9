"""One record is one line, whatever is in it, and says no secret of a library's."""

from __future__ import annotations

import json
import logging
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.logging_setup import JsonFormatter, TextFormatter, configure_logging


def record(message: str, *values: object, broken: bool = False) -> logging.LogRecord:
    """A record; with `broken`, of an exception whose text has two lines."""
    exc_info = None
    if broken:
        try:
            raise ValueError("first line\nsecond line")
        except ValueError:
            exc_info = sys.exc_info()
    made = logging.LogRecord(
        "application.agent", logging.INFO, __file__, 1, message, values, exc_info
    )
    made.created = 1769860800.25
    return made


def test_a_line_says_when_how_grave_who_and_what() -> None:
    assert TextFormatter().format(record("job %s: %s", "j1", "succeeded")) == (
        "2026-01-31T12:00:00.250Z INFO application.agent: job j1: succeeded"
    )


def test_a_json_line_says_the_same() -> None:
    assert json.loads(JsonFormatter().format(record("job %s", "j1"))) == {
        "time": "2026-01-31T12:00:00.250Z",
        "level": "info",
        "logger": "application.agent",
        "message": "job j1",
    }


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\t", "\\t"),
        ("\x00", "\\x00"),
        ("\x1b", "\\x1b"),
        ("\x7f", "\\x7f"),
        ("\x85", "\\x85"),
        ("\x9b", "\\x9b"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ],
)
def test_a_control_character_is_shown_and_never_acted_on(character: str, shown: str) -> None:
    line = TextFormatter().format(record("job %s: ends", f"a{character}b"))
    assert line.endswith(f"job a{shown}b: ends")


def test_text_in_any_language_stays_readable() -> None:
    assert TextFormatter().format(record("déploiement 🚀")).endswith("déploiement 🚀")


def test_a_traceback_is_folded_into_its_line() -> None:
    line = TextFormatter().format(record("it broke", broken=True))
    assert "it broke\\nTraceback (most recent call last):\\n" in line
    assert line.endswith("ValueError: first line\\nsecond line")
    assert "\n" not in line


def test_a_traceback_has_a_field_of_its_own_in_json() -> None:
    line = JsonFormatter().format(record("it broke", broken=True))
    assert "\n" not in line
    entry = json.loads(line)
    assert entry["message"] == "it broke"
    assert entry["exception"].endswith("ValueError: first line\nsecond line")


@given(st.text(st.characters(exclude_categories=[]), max_size=40))
def test_whatever_a_record_holds_it_is_one_line(text: str) -> None:
    line = TextFormatter().format(record("job %s", text))
    assert len(line.splitlines()) == 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)
    json_line = JsonFormatter().format(record("job %s", text))
    assert json_line.isascii()
    assert len(json_line.splitlines()) == 1
    assert json.loads(json_line)["message"] == f"job {text}"


@pytest.mark.usefixtures("logging_left_alone")
def test_our_layers_say_what_was_asked_for_and_libraries_only_warnings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("test", "debug", "text")
    logging.getLogger("application.agent").debug("ours")
    logging.getLogger("sh.command").info("docker compose -p secret")
    logging.getLogger("websockets.client").debug("Authorization: Bearer secret")
    logging.getLogger("asyncio").warning("theirs")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line.split(" ", 1)[1] for line in printed.err.splitlines()] == [
        "DEBUG application.agent: ours",
        "WARNING asyncio: theirs",
    ]


@pytest.mark.usefixtures("logging_left_alone")
@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_each_level_hides_what_is_below_it(capsys: pytest.CaptureFixture[str], level: str) -> None:
    configure_logging("test", level, "json")
    levels = ["debug", "info", "warning", "error"]
    for name in levels:
        logging.getLogger("adapters.x").log(logging.getLevelNamesMapping()[name.upper()], name)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == levels[levels.index(level) :]
