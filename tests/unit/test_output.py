"""Output in bounded memory, against a model that keeps everything."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.output import HEAD_BYTES, TAIL_BYTES, BoundedOutput, cause_of_failure

CHUNKS = st.lists(st.binary(max_size=40), max_size=30)
SIZES = st.integers(min_value=1, max_value=24)


def model(written: bytes, head: int, tail: int) -> str:
    """What the text must be, computed from everything that was written."""
    if len(written) <= head + tail:
        return written.decode("utf-8", "replace")
    dropped = len(written) - head - tail
    return (
        written[:head].decode("utf-8", "replace")
        + f"\n[... {dropped} bytes of output were dropped here ...]\n"
        + written[-tail:].decode("utf-8", "replace")
    )


@given(CHUNKS, SIZES, SIZES)
@example([b"x" * 10], 5, 5)
@example([b"x" * 11], 5, 5)
@example([b"x" * 5, b"y" * 5, b"z" * 11], 5, 5)
def test_head_and_tail_are_kept_and_the_rest_is_counted_however_it_is_cut(
    chunks: list[bytes], head: int, tail: int
) -> None:
    output = BoundedOutput(head, tail)
    for count, chunk in enumerate(chunks, start=1):
        output.write(chunk)
        written = b"".join(chunks[:count])
        assert output.total_bytes == len(written)
        assert output.dropped_bytes == max(0, len(written) - head - tail)
        assert output.text() == model(written, head, tail)


@given(CHUNKS, SIZES, SIZES)
def test_asking_for_the_text_changes_nothing(chunks: list[bytes], head: int, tail: int) -> None:
    asked, unasked = BoundedOutput(head, tail), BoundedOutput(head, tail)
    for chunk in chunks:
        asked.write(chunk)
        asked.text()
        unasked.write(chunk)
    assert asked.text() == unasked.text()


@given(st.lists(st.binary(max_size=300), max_size=40))
def test_it_never_holds_more_than_its_bound(chunks: list[bytes]) -> None:
    output = BoundedOutput(head_bytes=16, tail_bytes=32)
    for chunk in chunks:
        output.write(chunk)
        assert len(output._head) <= 16
        assert len(output._tail) <= 64


def test_a_character_that_is_cut_between_two_chunks_is_whole() -> None:
    output = BoundedOutput()
    for byte in "né→🚀".encode():
        output.write(bytes([byte]))
    assert output.text() == "né→🚀"


def test_bytes_that_are_no_utf_8_do_not_stop_it() -> None:
    output = BoundedOutput()
    output.write(b"a\xff\xfeb")
    assert output.text() == "a\ufffd\ufffdb"


@pytest.mark.parametrize("byte", [b"\x00", b"\xff", b"\x1b", b'"', b"\\", b"a"])
def test_the_worst_output_stays_under_a_mebibyte_as_json(byte: bytes) -> None:
    output = BoundedOutput()
    for _ in range(20):
        output.write(byte * 50_000)
    assert len(json.dumps(output.text())) < 2**20
    assert output.dropped_bytes == 1_000_000 - HEAD_BYTES - TAIL_BYTES


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("", "it printed nothing"),
        (" \n\n", "it printed nothing"),
        ("one\ntwo\n", "two"),
        ("Pulling\nError: pull access denied for nginx\n", "Error: pull access denied for nginx"),
        ("error: first\nerror: second\nStopping\n", "error: second"),
        ("web Error: no such image\nend", "web Error: no such image"),
        ('service "web" refers to undefined network x', 'service "web" refers to undefined network x'),
        ("no space left on device\r\n", "no space left on device"),
        ("mirrored\nterrorist\nfine", "fine"),
    ],
)  # fmt: skip
def test_the_cause_is_the_last_line_that_sounds_like_one(output: str, cause: str) -> None:
    assert cause_of_failure(output) == cause


def test_a_cause_has_at_most_500_characters() -> None:
    assert cause_of_failure("error " + "x" * 1000) == "error " + "x" * 494
