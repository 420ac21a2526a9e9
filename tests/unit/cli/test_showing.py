"""Values as people read them, the shapes of tables, and what others may write to a terminal: nothing."""

from __future__ import annotations

import io
import os
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.operator.progress import Progress
from domain.errors import InvalidInput
from entrypoints.cli.parsing import grants_in, label_changes, seconds_in
from entrypoints.cli.printing import Look, Printer
from entrypoints.cli.texts import age, duration, fitted, folded, one_line, shown, size, width_of
from entrypoints.cli.views import HIDE_CURSOR, SHOW_CURSOR, Redrawn


@given(st.text(max_size=80))
def test_nothing_that_is_shown_does_anything_to_a_terminal(text: str) -> None:
    assert all(
        unicodedata.category(one) not in ("Cc", "Cs") or one in "\t\n" for one in shown(text)
    )
    assert all(unicodedata.bidirectional(one) not in ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI",
                                                      "FSI", "PDI") for one in shown(text))  # fmt: skip
    assert "\n" not in one_line(text)
    shown(text).encode()


def test_what_is_shown_of_it() -> None:
    assert shown("a\x1b[31mb\x07\x9b\u202e") == r"a\x1b[31mb\x07\x9b\u202e"
    assert shown("café 日本\tx\n") == "café 日本\tx\n"


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (None, "-"), ("no moment", "-"), (1000.0, "now"), (995.0, "5 s ago"), (880.0, "2 min ago"),
        (1000.0 - 7200, "2 h ago"), (1000.0 - 3 * 86400, "3 d ago"), (1060.0, "in 60 s"),
        ("1970-01-01T00:10:00Z", "7 min ago"), (1000.0 - 100 * 86400, "1969-09-23"),
    ],
)  # fmt: skip
def test_ages(at: object, text: str) -> None:
    assert age(at, 1000.0) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (65, "1:05 min"),
        (3700, "1:01 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_sizes() -> None:
    assert [size(one) for one in (0, 1023, 1536, 4 << 20)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "4.0 MiB",
    ]


@given(st.text(max_size=40), st.integers(0, 30))
def test_what_is_cut_has_room(text: str, width: int) -> None:
    cut = fitted(text, width)
    assert width_of(cut) <= max(width, 0)
    assert cut == text or width_of(text) > width


def test_where_it_is_cut() -> None:
    assert [fitted("abcdefgh", width) for width in (8, 7, 3, 1, 0)] == [
        "abcdefgh", "abcd...", "...", ".", "",
    ]  # fmt: skip


@given(st.lists(st.text("abc`", min_size=1, max_size=12), max_size=12), st.integers(1, 30))
def test_nothing_is_lost_where_text_is_folded(words: list[str], width: int) -> None:
    lines = folded(" ".join(words), width)
    assert " ".join(lines).split() == words
    for line in lines:
        assert width_of(line) <= width or " " not in line.strip() or "`" in line


def test_commands_are_not_broken_and_indents_stay() -> None:
    text = "  It goes on: `instadeploy jobs follow dep_1` follows it.\n\nEnd"
    assert folded(text, 24) == [
        "  It goes on:",
        "  `instadeploy jobs follow dep_1`",
        "  follows it.",
        "",
        "End",
    ]


class TestRedrawn:
    async def drawn(self, *sizes: int) -> str:
        """With two jobs, on a terminal of these widths, one after another."""
        progress = Progress([("1", "a-host-with-a-long-name"), ("2", "b")])
        progress.job("1").changed("running", 1.0)
        progress.job("1").printed("apply", 1, 0, b"a line that is rather long, and has no end\n")
        out = io.StringIO()
        columns = iter(sizes)
        view = Redrawn(
            Printer(out, io.StringIO()),
            progress,
            lambda: 2.0,
            lambda: os.terminal_size((next(columns), 24)),
        )
        with view:
            pass
        return out.getvalue()

    @pytest.mark.parametrize("columns", [8, 20, 40, 60, 120])
    async def test_no_line_is_wider_than_the_terminal(self, columns: int) -> None:
        text = await self.drawn(columns, columns)
        assert text.startswith(HIDE_CURSOR)
        assert text.endswith(SHOW_CURSOR)
        for line in re.sub(r"\x1b\[\??\d*[A-Za-z]", "", text).split("\n"):
            assert width_of(line.strip("\r")) < columns

    @pytest.mark.parametrize(
        ("columns", "cells"),
        [
            (60, ["a-host-with-a-long-name", "running", "apply", "1.0 s", "a line t..."]),
            (45, ["a-host-with-a...", "running", "apply", "1.0 s"]),
            (36, ["a-host-wi...", "running", "apply", "1.0 s"]),
        ],
    )
    async def test_what_is_printed_gives_way_before_a_host_s_name(
        self, columns: int, cells: list[str]
    ) -> None:
        text = re.sub(r"\x1b\[\??\d*[A-Za-z]", "", await self.drawn(columns, columns))
        row = next(line for line in text.replace("\r", "").split("\n") if line)
        assert re.split(r" {2,}", row.rstrip()) == cells

    async def test_it_goes_up_by_what_the_terminal_has_folded(self) -> None:
        assert "\x1b[2A" in await self.drawn(100, 100)
        assert "\x1b[4A" in await self.drawn(100, 40)


class TestPrinting:
    def printed(self, columns: int, rows: list[tuple[str, str]]) -> str:
        out = io.StringIO()
        Printer(out, io.StringIO(), look=Look(columns)).table(("NAME", "LABELS"), rows)
        return out.getvalue()

    def test_columns_are_aligned_and_lines_have_no_spaces_at_their_end(self) -> None:
        text = self.printed(0, [("日本", "x" * 200), ("b", "")])
        assert text.splitlines() == ["NAME  LABELS", "日本  " + "x" * 200, "b"]

    @given(
        st.integers(20, 120),
        st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=4),
    )
    def test_where_they_do_not_fit_each_row_is_a_block(
        self, columns: int, rows: list[tuple[str, str]]
    ) -> None:
        for line in self.printed(columns, rows).splitlines():
            assert width_of(line) <= max(columns, 80)

    def test_a_narrow_terminal(self) -> None:
        text = self.printed(40, [("a-host-with-a-long-name", "env=prod zone=a tier=1"), ("b", "-")])
        assert text.splitlines() == [
            "NAME    a-host-with-a-long-name",
            "LABELS  env=prod zone=a tier=1",
            "",
            "NAME    b",
            "LABELS  -",
        ]

    @pytest.mark.parametrize(("columns", "width"), [(0, 106), (80, 80), (300, 206), (20, 0)])
    def test_a_last_column_that_is_cut(self, columns: int, width: int) -> None:
        out = io.StringIO()
        printer = Printer(out, io.StringIO(), look=Look(columns))
        printer.table(("JOB", "ERROR"), [("job1", "why " * 50)], is_last_cut=True)
        lines = out.getvalue().splitlines()
        if width:
            assert len(lines) == 2
            assert width - 4 <= len(lines[1]) <= width
        else:
            assert len(lines) > 4
        assert columns == 300 or lines[-1].endswith("...")


class TestParsing:
    @pytest.mark.parametrize(
        ("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("5m", 300), ("2h", 7200), ("7d", 604800)]
    )
    def test_times(self, text: str, seconds: float) -> None:
        assert seconds_in(text, "--x") == seconds

    @pytest.mark.parametrize("text", ["", "0", "-5", "5x", "1e3", "inf", "nan", "5 5"])
    def test_what_is_no_time(self, text: str) -> None:
        with pytest.raises(InvalidInput, match="--x"):
            seconds_in(text, "--x")

    def test_changes_of_labels(self) -> None:
        assert label_changes(["a=1", "b-", "c=x-"]) == ({"a": "1", "c": "x-"}, {"b"})

    @pytest.mark.parametrize("text", ["king", "viewer:env", ":a=b", ""])
    def test_grants_that_are_none(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            grants_in([text])
