"""What simulated jobs print: bytes that follow from the job's id, so that nobody has to keep them. Pure."""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import Final

from tests.fleet.plane_frames import Message

LINE_BYTES: Final = 64
STEP: Final = "apply"


def printed(job_id: str, offset: int, length: int, *, is_text: bool = True) -> bytes:
    """So many bytes of a job's output, from the given one on."""
    first, last = offset // LINE_BYTES, (offset + length) // LINE_BYTES + 1
    tag = hashlib.blake2b(job_id.encode(), digest_size=8).hexdigest()
    # A byte that begins no character makes it no UTF-8.
    filler = b"." if is_text else b"\xff"
    lines = (
        f"{tag} line {number} ".encode().ljust(LINE_BYTES - 1, filler) + b"\n"
        for number in range(first, last)
    )
    start = offset - first * LINE_BYTES
    return b"".join(lines)[start : start + length]


@functools.lru_cache(maxsize=4096)
def sha256_of(job_id: str, length: int, *, is_text: bool = True) -> str:
    """Of the first so many bytes of a job's output."""
    return hashlib.sha256(printed(job_id, 0, length, is_text=is_text)).hexdigest()


def chunk_message(job_id: str, offset: int, content: bytes) -> Message:
    """A piece of output, as it is sent."""
    message: Message = {
        "type": "RESPONSE",
        "job_id": job_id,
        "status": "IN_PROGRESS",
        "step": STEP,
        "attempt": 1,
        "offset": offset,
        "length": len(content),
    }
    try:
        return message | {"logs": content.decode()}
    except UnicodeDecodeError:
        encoded = base64.b64encode(content).decode()
        return message | {"logs": "", "output_base64": encoded}
