"""Bytes that tell whether they are still what was written, and by whom. No I/O.

    {"version": 1, "sha256": "<of the version and of all that follows>"}
    ...

A file that is damaged is told from one that a newer agent wrote: that one's seal is intact.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

_HEADER_BYTES: Final = 256


class Spoilt(Exception):
    """These are not the bytes that were written."""


class NewerVersion(Exception):
    """They are, and nothing that this code knows."""


def seal(version: int, body: bytes) -> bytes:
    """What to write for `body`."""
    header = {"version": version, "sha256": _digest(version, body)}
    return json.dumps(header).encode() + b"\n" + body


def unseal(data: bytes, known: int) -> bytes:
    """The body that was sealed; raises `Spoilt`, or `NewerVersion` for one above `known`."""
    line, _, body = data.partition(b"\n")
    try:
        header = json.loads(line[:_HEADER_BYTES])
        version, digest = header["version"], header["sha256"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Spoilt from None
    if type(version) is not int or digest != _digest(version, body):
        raise Spoilt
    if version > known:
        raise NewerVersion(f"version {version}, where this agent knows up to {known}")
    return body


def _digest(version: int, body: bytes) -> str:
    return hashlib.sha256(f"{version}\n".encode() + body).hexdigest()
