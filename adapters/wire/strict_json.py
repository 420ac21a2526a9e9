"""Reading JSON as strictly as both versions of the protocol do, and writing it within a size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from adapters.wire.fields import json_type
from domain.errors import RemoteProtocolViolation

_TOO_LARGE: Final = "[the response passed 1 MiB; its {what} was dropped]"


def object_in(frame: bytes | str, *, max_depth: int) -> Mapping[str, object]:
    """The JSON object that a frame is; raises `RemoteProtocolViolation` where it is none."""
    text = _text_of(frame)
    try:
        document = _parse(text)
    except RecursionError:
        raise _too_deep(max_depth) from None
    # Nothing is nested deeper than it has brackets, and most messages have few.
    if text.count("{") + text.count("[") > max_depth and _is_deeper_than(document, max_depth):
        raise _too_deep(max_depth)
    if not isinstance(document, dict):
        raise RemoteProtocolViolation(f"message: must be a JSON object, not {json_type(document)}")
    return document


def text_within(limit: int, document: dict[str, object], droppable: Sequence[str]) -> str:
    """JSON text, in ASCII, of a document that is no longer needed.

    Where it is longer than `limit`, what is droppable gives way, in this order, to a sentence that
    says so, until the rest fits.
    """
    text = json.dumps(document)
    for what in droppable:
        if len(text) <= limit:
            break
        if what in document:
            document[what] = _instead_of(document[what], _TOO_LARGE.format(what=what))
            text = json.dumps(document)
    return text


def _instead_of(value: object, note: str) -> object:
    match value:
        case Mapping():
            return {"dropped": note}
        case list():
            return []
        case _:
            return note


def _text_of(frame: bytes | str) -> str:
    try:
        # Given bytes, json would guess at UTF-16 and UTF-32, and let half characters pass.
        return frame.decode("utf-8") if isinstance(frame, bytes) else frame
    except UnicodeDecodeError:
        raise RemoteProtocolViolation("message: is not valid UTF-8") from None


def _parse(text: str) -> object:
    try:
        return _DECODER.decode(text)
    except RemoteProtocolViolation:
        raise
    except json.JSONDecodeError as exc:
        raise RemoteProtocolViolation(
            f"message: is not valid JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}"
        ) from None
    except ValueError:  # An integer of thousands of digits.
        raise RemoteProtocolViolation("message: holds a number that is too long") from None


def _too_deep(levels: int) -> RemoteProtocolViolation:
    return RemoteProtocolViolation(f"message: is nested deeper than {levels} levels")


def _object_without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise RemoteProtocolViolation("message: an object names the same key twice")
    return document


def _no_constant(name: str) -> object:
    raise RemoteProtocolViolation(f"message: is not valid JSON: {name} is no JSON number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object_without_duplicates, parse_constant=_no_constant
)


def _is_deeper_than(document: object, levels: int) -> bool:
    level = [document]
    for _ in range(levels):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(v for v in value.values() if isinstance(v, dict | list))
            elif isinstance(value, list):
                below.extend(v for v in value if isinstance(v, dict | list))
        if not below:
            return False
        level = below
    return True
