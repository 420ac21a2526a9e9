"""What an operator's program works out: lines, progress, verdicts, differences."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.operator.comparing import Difference, compared
from application.operator.lines import LONGEST_LINE, Lines
from application.operator.outcomes import Verdict, verdict_of
from application.operator.progress import CUT, Progress, Said


def pieces_of(content: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    places = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    return [(one, content[one:other]) for one, other in pairwise(places)]


@given(
    text=st.text(alphabet="aé€😀 \n", max_size=60), cuts=st.lists(st.integers(0, 200), max_size=8)
)
def test_lines_are_the_same_in_whatever_pieces_they_come(text: str, cuts: list[int]) -> None:
    lines = Lines()
    found: list[str] = []
    for offset, piece in pieces_of(text.encode(), cuts):
        found += lines.feed(piece, offset)
    found += lines.end()
    expected = text.split("\n")
    assert found == (expected if expected[-1] else expected[:-1])


class TestLines:
    def test_what_was_there_already_is_skipped(self) -> None:
        lines = Lines()
        assert lines.feed(b"one\ntw", 0) == ["one"]
        assert lines.feed(b"twice\n", 4) == ["twice"]
        assert lines.feed(b"one\n", 0) == []
        assert lines.feed(b"on\n", 10) == ["on"]

    def test_a_progress_bar_overwrites_itself(self) -> None:
        assert Lines().feed(b"10%\r50%\r100%\r\n", 0) == ["100%"]

    def test_bytes_that_are_no_text_and_places_that_are_missed(self) -> None:
        lines = Lines()
        assert lines.feed(b"a\xff\n", 0) == ["a\ufffd"]
        assert lines.feed(b"\xe2\x82", 3) == []
        assert lines.feed(b"b\n", 100) == ["b"]

    def test_a_line_without_end_is_told_in_parts(self) -> None:
        lines = Lines()
        assert lines.feed(b"x" * (2 * LONGEST_LINE + 5), 0) == ["x" * LONGEST_LINE] * 2
        assert lines.end() == ["x" * 5]


class TestProgress:
    def test_a_job_from_its_beginning_to_its_end(self) -> None:
        job = Progress([("job_1", "web-1")]).job("job_1")
        assert job.changed("queued", 90) == []
        assert job.seconds(100) is None
        assert job.changed("accepted", 100) == [Said("job_1", "", "accepted")]
        assert job.printed("pull", 1, 0, b"Pulling\nha") == [Said("job_1", "pull", "Pulling")]
        assert (job.step, job.last_line) == ("pull", "Pulling")
        assert job.seconds(130) == 30
        assert job.cut("pull") == [Said("job_1", "pull", CUT)]
        assert job.changed("failed", 140) == [
            Said("job_1", "pull", "ha"),
            Said("job_1", "", "failed"),
        ]
        assert job.is_over
        assert job.seconds(999) == 40

    def test_attempts_do_not_mix(self) -> None:
        job = Progress([]).job("job_1")
        assert job.printed("apply", 1, 0, b"fir") == []
        assert job.printed("apply", 2, 0, b"second\n") == [Said("job_1", "apply", "second")]

    def test_how_many_are_where(self) -> None:
        progress = Progress([("a", "web-1"), ("b", "web-2")])
        progress.job("a").changed("running", 1)
        assert progress.tally == {"running": 1, "queued": 1}

    def test_a_state_of_a_later_version_is_no_end(self) -> None:
        job = Progress([]).job("a")
        job.changed("resting", 1)
        assert not job.is_over


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ([], Verdict.SUCCEEDED),
        (["succeeded", "succeeded"], Verdict.SUCCEEDED),
        (["succeeded", "failed"], Verdict.FAILED),
        (["superseded"], Verdict.FAILED),
        (["expired", "canceled"], Verdict.FAILED),
        (["failed", "running"], Verdict.OPEN),
        (["queued"], Verdict.OPEN),
        (["resting"], Verdict.OPEN),
    ],
)
def test_what_states_amount_to(states: list[str], verdict: Verdict) -> None:
    assert verdict_of(states) is verdict


def test_in_what_two_contents_differ() -> None:
    old = {
        "compose": "a\nb\n",
        "variables": [{"name": "A", "fingerprint": "1"}, {"name": "B", "fingerprint": "1"}],
        "files": [{"path": "f", "fingerprint": "1", "mode": "0644"}],
        "options": {"pull": "always"},
    }
    new = {
        "compose": "a\nc\n",
        "variables": [{"name": "A", "fingerprint": "2"}, {"name": "C", "fingerprint": "1"}],
        "files": [{"path": "f", "fingerprint": "1", "mode": "0755"}],
        "options": {},
    }
    found = compared(old, new, old_name="revision 1", new_name="revision 2")
    assert list(found.compose)[:2] == [
        "--- revision 1/docker-compose.yml",
        "+++ revision 2/docker-compose.yml",
    ]
    assert list(found.compose)[-2:] == ["-b", "+c"]
    assert found.variables == [
        Difference("A", "changed"),
        Difference("B", "removed"),
        Difference("C", "added"),
    ]
    assert found.files == [Difference("f", "changed")]
    assert found.options == [Difference("pull", "removed")]
    assert not found.is_same
    assert compared(old, old, old_name="a", new_name="b").is_same
