"""A stream under a passphrase comes out as it went in, or not at all."""

from __future__ import annotations

import io

import pytest

from adapters.secrets.backup_cipher import (
    CHUNK_BYTES,
    COST,
    HEAD_BYTES,
    HIGHEST_COST,
    MAC_BYTES,
    MAGIC,
    TAG_BYTES,
    OpeningStream,
    SealingStream,
)
from domain.errors import InstaDeployError, InvalidInput, StorageUnavailable

PASSPHRASE = b"correct horse battery staple"
CHEAP = 1
SEALED_BYTES = CHUNK_BYTES + TAG_BYTES
SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7]


def content_of(size: int) -> bytes:
    return bytes(range(251)) * (size // 251) + bytes(range(size % 251))


def sealed(content: bytes, *, piece: int = 1 << 20, passphrase: bytes = PASSPHRASE) -> bytes:
    out = io.BytesIO()
    stream = SealingStream(out, passphrase, cost=CHEAP)
    for place in range(0, len(content), piece):
        stream.write(content[place : place + piece])
    stream.seal_end()
    return out.getvalue()


def opened(stream: bytes, passphrase: bytes = PASSPHRASE) -> bytes:
    return OpeningStream(io.BytesIO(stream), passphrase).readall() or b""


class _Trickling(io.BytesIO):
    """Gives a few bytes at a time, as a pipe may."""

    def read(self, count: int | None = -1, /) -> bytes:
        return super().read(min(1000, count or 0))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [997, CHUNK_BYTES, 1 << 20])
def test_what_was_sealed_is_opened(size: int, piece: int) -> None:
    content = content_of(size)
    stream = sealed(content, piece=piece)
    chunks = max(1, -(-size // CHUNK_BYTES))
    assert len(stream) == HEAD_BYTES + size + chunks * TAG_BYTES
    assert opened(stream) == content


def test_a_pipe_that_gives_little_at_a_time_will_do() -> None:
    content = content_of(2 * CHUNK_BYTES + 5)
    source = _Trickling(sealed(content))
    assert OpeningStream(source, PASSPHRASE).readall() == content


def test_nothing_of_it_can_be_read_and_no_two_are_alike() -> None:
    content = b"the secret of the state directory" * 10
    one, other = sealed(content), sealed(content)
    assert b"secret" not in one
    assert one[HEAD_BYTES:] != other[HEAD_BYTES:]
    assert one[: len(MAGIC)] == other[: len(MAGIC)] == MAGIC


@pytest.mark.parametrize("passphrase", [b"", b"correct horse battery stapl", PASSPHRASE + b"\n"])
def test_another_passphrase_is_said_and_opens_nothing(passphrase: bytes) -> None:
    with pytest.raises(InvalidInput, match="passphrase"):
        opened(sealed(b"content"), passphrase)


@pytest.mark.parametrize("size", [0, 100, CHUNK_BYTES + 100])
def test_each_bit_that_is_flipped_is_noticed(size: int) -> None:
    whole = sealed(content_of(size))
    # Of the head and the ends of chunks each byte, of the rest some.
    near = {*range(HEAD_BYTES + 40), *range(len(whole) - 40, len(whole))}
    near |= {HEAD_BYTES + SEALED_BYTES + n for n in range(-40, 40)} & set(range(len(whole)))
    cost = len(MAGIC)
    for place in sorted((near | set(range(0, len(whole), 1013))) & set(range(len(whole)))):
        for bit in (0, 7) if place != cost else (7,):  # Another cost may be one that takes long.
            spoilt = bytearray(whole)
            spoilt[place] ^= 1 << bit
            with pytest.raises(InstaDeployError):
                opened(bytes(spoilt))


def test_a_cost_that_is_absurd_or_none_is_refused_before_anything_is_computed() -> None:
    whole = bytearray(sealed(b"content"))
    for cost in (0, HIGHEST_COST + 1, 255):
        whole[len(MAGIC)] = cost
        with pytest.raises(StorageUnavailable):
            opened(bytes(whole))


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 1])
def test_a_stream_that_is_cut_is_refused_wherever_that_is(size: int) -> None:
    whole = sealed(content_of(size))
    ends = {
        0,
        1,
        len(MAGIC),
        HEAD_BYTES - 1,
        HEAD_BYTES,
        HEAD_BYTES + 1,
        HEAD_BYTES + TAG_BYTES - 1,
    }
    ends |= {HEAD_BYTES + SEALED_BYTES * n + m for n in range(4) for m in (-1, 0, 1)}
    for end in sorted(e for e in ends | {len(whole) - 1} if 0 <= e < len(whole)):
        with pytest.raises(StorageUnavailable):
            opened(whole[:end])


def test_chunks_that_are_moved_doubled_left_out_or_added_are_noticed() -> None:
    whole = sealed(content_of(3 * CHUNK_BYTES))
    head, body = whole[:HEAD_BYTES], whole[HEAD_BYTES:]
    a, b, c = (body[n * SEALED_BYTES : (n + 1) * SEALED_BYTES] for n in range(3))
    for chunks in (b + a + c, a + c, a + a + b + c, a + b, a + b + c + c, c, a + b + c + b"x"):
        with pytest.raises(StorageUnavailable):
            opened(head + chunks)


def test_a_chunk_of_another_stream_is_noticed() -> None:
    one, other = sealed(content_of(100)), sealed(content_of(100))
    with pytest.raises(StorageUnavailable):
        opened(one[:HEAD_BYTES] + other[HEAD_BYTES:])


def test_what_comes_before_the_damage_may_be_read_and_the_end_is_not_reached() -> None:
    content = content_of(2 * CHUNK_BYTES)
    stream = OpeningStream(io.BytesIO(sealed(content)[: HEAD_BYTES + SEALED_BYTES + 9]), PASSPHRASE)
    assert stream.read(CHUNK_BYTES) == content[:CHUNK_BYTES]
    with pytest.raises(StorageUnavailable):
        stream.read(1)


def test_a_file_of_another_kind_is_refused() -> None:
    for content in (b"", b"SQLite format 3\0" * 100, MAGIC.replace(b"1", b"2") + bytes(200)):
        with pytest.raises(StorageUnavailable, match="no backup"):
            opened(content)


def test_the_passphrase_costs_what_it_is_to_cost() -> None:
    out = io.BytesIO()
    SealingStream(out, PASSPHRASE).seal_end()
    assert out.getvalue()[len(MAGIC)] == COST >= 17
    assert len(out.getvalue()) == HEAD_BYTES + TAG_BYTES
    assert MAC_BYTES == 32
    assert opened(out.getvalue()) == b""
