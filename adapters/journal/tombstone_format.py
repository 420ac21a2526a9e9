r"""The bytes of the tombstones' file: sorted slots of one size, each with its checksum. No I/O.

    file   = header, slots in ascending order         all integers little-endian
    header = "idtombs\n", version u32, CRC-32 of both u32;
             number of slots u64, CRC-32 of all slots u32, CRC-32 of these two u32
    slot   = first 16 bytes of the job id's SHA-256, digest (32 bytes), state u8, 3 zeros,
             CRC-32 of all that u32

The job ids themselves are not kept. A state that is added needs a new version.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Mapping
from typing import Final

from adapters.journal.versions import MARK_BYTES, has_mark, mark
from domain.job import JobState
from domain.records import Tombstone

VERSION: Final = 1

_MAGIC: Final = b"idtombs\n"
_CONTENT: Final = struct.Struct("<QI")
_SLOT: Final = struct.Struct("<16s32sB3x")
_CRC: Final = struct.Struct("<I")

HEADER_BYTES: Final = MARK_BYTES + _CONTENT.size + _CRC.size
SLOT_BYTES: Final = _SLOT.size + _CRC.size
KEY_BYTES: Final = 16

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_STATES: Final[Mapping[JobState, int]] = {
    JobState.SUCCEEDED: 1,
    JobState.FAILED: 2,
    JobState.CANCELED: 3,
    JobState.EXPIRED: 4,
    JobState.SUPERSEDED: 5,
}
_STATE_OF: Final = {number: state for state, number in _STATES.items()}


def header(count: int, crc: int) -> bytes:
    """The first bytes of a file with so many slots, of which that is the checksum."""
    return mark(_MAGIC, VERSION) + _checked(_CONTENT.pack(count, crc))


def count_and_crc(data: bytes) -> tuple[int, int] | None:
    """What a header says of its file, or None where it is spoilt; raises `NewerVersion`."""
    if not has_mark(data, _MAGIC, VERSION) or not is_intact(data[MARK_BYTES:HEADER_BYTES]):
        return None
    count, crc = _CONTENT.unpack_from(data, MARK_BYTES)
    return count, crc


def key_of(job_id: str) -> bytes:
    """What a slot begins with, and slots are sorted by."""
    return hashlib.sha256(job_id.encode("utf-8", "surrogatepass")).digest()[:KEY_BYTES]


def slot_of(tombstone: Tombstone) -> bytes:
    """The slot for a job that is over, whose digest is a SHA-256 in hexadecimal."""
    if not _DIGEST.fullmatch(tombstone.digest) or tombstone.state not in _STATES:
        raise ValueError(f"no job has a tombstone with {tombstone.digest!r}, {tombstone.state}")
    digest = bytes.fromhex(tombstone.digest)
    return _checked(_SLOT.pack(key_of(tombstone.job_id), digest, _STATES[tombstone.state]))


def tombstone_in(slot: bytes, job_id: str) -> Tombstone:
    """What an intact slot says of the job whose key it has."""
    _, digest, state = _SLOT.unpack_from(slot)
    return Tombstone(job_id, digest.hex(), _STATE_OF[state])


def is_intact(data: bytes) -> bool:
    """Whether bytes that end with their checksum are what was written."""
    content, crc = data[: -_CRC.size], data[-_CRC.size :]
    return len(crc) == _CRC.size and _CRC.pack(zlib.crc32(content)) == crc


def _checked(data: bytes) -> bytes:
    return data + _CRC.pack(zlib.crc32(data))
