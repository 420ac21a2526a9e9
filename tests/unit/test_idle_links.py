"""Links that end after regular times, told from those that end as it comes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from domain.idle_links import (
    LogLine,
    RegularEnds,
    lives_of_links,
    regular_ends,
    tells_of_links,
)
from entrypoints.logging_setup import JsonFormatter, TextFormatter


def log(*lives: float, priority: int = 4) -> list[LogLine]:
    """What an agent logs whose links last so long, a second apart."""
    lines, at = [], 1000.0
    for life in lives:
        lines.append(LogLine(at, "connected, over protocol v2"))
        at += life
        text = "wss://cp.example/ws cut the connection; connecting again in 1.0 s"
        lines.append(LogLine(at, text, priority))
        at += 1.0
    return lines


def test_a_link_lasts_from_connected_to_lost() -> None:
    assert lives_of_links(log(60.0, 61.5)) == [60.0, 61.5]


@pytest.mark.parametrize("formatter", [TextFormatter, JsonFormatter])
@pytest.mark.parametrize(("priority", "lives"), [(4, [60.0, 61.5]), (6, [])])
def test_the_agents_other_formats_tell_the_same(
    formatter: Callable[[], logging.Formatter], priority: int, lives: list[float]
) -> None:
    levels = {4: logging.WARNING, 6: logging.INFO}
    lines = []
    for line in log(60.0, 61.5, priority=priority):
        level = levels[line.priority]
        record = logging.LogRecord("adapters.websocket", level, "", 0, line.text, None, None)
        lines.append(replace(line, text=formatter().format(record), priority=6))
    assert tells_of_links(lines)
    assert lives_of_links(lines) == lives


@pytest.mark.parametrize("text", ["{", "{}", "[]", json.dumps({"message": 1}), "x", ""])
def test_what_is_no_line_of_the_agents_tells_nothing(text: str) -> None:
    assert not tells_of_links([LogLine(1.0, text)])
    assert lives_of_links([LogLine(1.0, text)]) == []


def test_an_attempt_that_fails_is_no_link() -> None:
    failed = LogLine(2000.0, "cp cannot be reached; connecting again in 2.0 s", 4)
    assert lives_of_links([failed, *log(60.0), failed]) == [60.0]


def test_a_link_that_the_agent_was_asked_to_leave_does_not_count() -> None:
    assert lives_of_links(log(60.0, priority=6)) == []


@pytest.mark.parametrize(
    ("lives", "found"),
    [
        ([60.0, 60.4, 61.0], RegularEnds(60.4, 3)),
        ([100.0, 3.0, 101.0, 99.5, 2.0], RegularEnds(100.0, 3)),
        ([60.0, 61.0], None),
        ([10.0, 300.0, 4000.0], None),
        ([1.0, 1.0, 1.0, 1.0], None),
        ([60.0, 60.0, 60.0, 200.0, 500.0, 900.0, 1500.0], None),
        ([], None),
    ],
)
def test_three_that_are_nearly_alike_and_half_of_all_are_regular(
    lives: list[float], found: RegularEnds | None
) -> None:
    assert regular_ends(lives) == found


def test_what_was_wrong_long_ago_does_not_count() -> None:
    assert regular_ends([60.0] * 5 + [float(100 + 50 * one) for one in range(20)]) is None
