"""Frames, and what is left of them after every kind of damage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.journal import framing
from adapters.journal.framing import HEADER_BYTES, frame, header, scan
from adapters.journal.versions import NewerVersion

SPACE = bytes(64)
PAYLOADS = [b'{"a":1}', b"", "ü€𝄞".encode(), b"x" * 300]


def file_of(*payloads: bytes) -> bytes:
    frames = [frame(number, payload) for number, payload in enumerate(payloads, 1)]
    return header() + b"".join(frames) + SPACE


def test_what_was_written_is_read() -> None:
    data = file_of(*PAYLOADS)
    found = scan(data)
    assert found.payloads == PAYLOADS
    assert found.is_whole
    assert found.end == len(data) - len(SPACE)


def test_a_file_without_records_is_whole() -> None:
    found = scan(file_of())
    assert (found.payloads, found.is_whole, found.end) == ([], True, HEADER_BYTES)


@given(st.lists(st.text().map(str.encode), max_size=5))
def test_any_text_comes_back(payloads: list[bytes]) -> None:
    found = scan(file_of(*payloads))
    assert found.payloads == payloads
    assert found.is_whole


def borders() -> list[int]:
    """The offset behind each frame."""
    ends, end = [], HEADER_BYTES
    for number, payload in enumerate(PAYLOADS, 1):
        end += len(frame(number, payload))
        ends.append(end)
    return ends


@pytest.mark.parametrize("length", range(len(file_of(*PAYLOADS)) - len(SPACE) + 1))
def test_a_file_cut_at_any_byte_of_its_records_keeps_what_is_intact_and_is_known_to_be_cut(
    length: int,
) -> None:
    data = file_of(*PAYLOADS)[:length]
    found = scan(data)
    assert found.payloads == [
        payload for payload, end in zip(PAYLOADS, borders(), strict=True) if end <= length
    ]
    assert not found.is_whole
    assert not any(data[found.end :])


@pytest.mark.parametrize("bit", [0, 7])
@pytest.mark.parametrize("place", range(len(file_of(*PAYLOADS)) - len(SPACE)))
def test_a_flipped_bit_costs_its_own_record_and_is_known(place: int, bit: int) -> None:
    data = bytearray(file_of(*PAYLOADS))
    data[place] ^= 1 << bit
    found = scan(bytes(data))
    hit = [end for end in [HEADER_BYTES, *borders()] if end <= place]
    expected = list(PAYLOADS)
    if hit:
        del expected[len(hit) - 1]
    assert found.payloads == expected
    assert not found.is_whole
    assert not any(data[found.end :])


def test_a_bit_in_the_unused_space_loses_nothing_and_is_not_written_over() -> None:
    data = bytearray(file_of(*PAYLOADS))
    data[-10] = 1
    found = scan(bytes(data))
    assert found.payloads == PAYLOADS
    assert found.damaged_bytes
    assert found.end == len(data) - 9


@pytest.mark.parametrize("hole", [0, 1, 2])
def test_a_frame_that_is_gone_is_missed(hole: int) -> None:
    frames = [frame(number, payload) for number, payload in enumerate(PAYLOADS, 1)]
    del frames[hole]
    found = scan(header() + b"".join(frames) + SPACE)
    assert (found.missing, found.damaged_bytes) == (1, 0)
    assert not found.is_whole


def test_a_frame_that_came_before_is_no_record() -> None:
    found = scan(header() + frame(2, b"two") + frame(1, b"one") + frame(2, b"again") + SPACE)
    assert found.payloads == [b"two"]
    assert found.damaged_bytes == len(frame(1, b"one") + frame(2, b"again"))


def test_nothing_at_all_is_a_cut_file() -> None:
    assert scan(b"").is_cut
    assert scan(bytes(4096)).is_cut
    assert scan(b"").end == HEADER_BYTES


def test_a_frame_may_not_promise_more_than_there_is() -> None:
    huge = frame(1, b"x" * 100)[:-50]
    assert scan(header() + huge + SPACE).payloads == []


def test_a_newer_version_is_refused_and_a_spoilt_one_is_damage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(framing, "VERSION", 7)
        newer = file_of(b"x")
    with pytest.raises(NewerVersion, match="version 7, where this agent knows up to 1"):
        scan(newer)
    spoilt = bytearray(newer)
    spoilt[-len(SPACE) - 1 - len(frame(1, b"x"))] ^= 1
    assert scan(bytes(spoilt)).payloads == [b"x"]
