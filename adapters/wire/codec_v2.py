"""Protocol v2's frames: bytes of JSON to messages, messages to text, for either end of a link.

Decoding never raises: whatever arrives is a message of the domain, if only an unusable one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from adapters.wire.codec import MAX_DEPTH, MAX_RESPONSE_BYTES
from adapters.wire.fields import Fields
from adapters.wire.heard import heard_document, heard_from
from adapters.wire.said import said_document, said_from
from adapters.wire.strict_json import object_in, text_within
from domain.errors import InvalidInput, RemoteProtocolViolation
from domain.link_messages import Bye, Heard, Heartbeat, PeerError, Reject, Result, Said, Unusable

T = TypeVar("T")

_DROPPABLE: Final[Mapping[type[object], tuple[str, ...]]] = {
    Result: ("logs", "data", "error", "output"),
    Reject: ("data", "error"),
    Heartbeat: ("facts",),
    PeerError: ("error", "code"),
    Bye: ("reason",),
}
"""What a message can do without where it would pass 1 MiB; the others cannot grow that long."""


def decode_v2(frame: bytes | str) -> Heard:
    """What the control plane says in one frame."""
    return _decoded(frame, heard_from)


def encode_v2(message: Said) -> str:
    """What the agent says as JSON text, in ASCII, under 1 MiB whatever the message holds.

    Raises `LocalProtocolViolation` for a chunk of more than 64 KiB.
    """
    return text_within(
        MAX_RESPONSE_BYTES, said_document(message), _DROPPABLE.get(type(message), ())
    )


def decode_said(frame: bytes | str) -> Said | Unusable:
    """What an agent says in one frame."""
    return _decoded(frame, said_from)


def encode_heard(message: Heard) -> str:
    """What the control plane says as JSON text, in ASCII.

    Raises `LocalProtocolViolation` for what is only ever heard: an unusable message, and a command
    that is refused.
    """
    return json.dumps(heard_document(message))


def _decoded(frame: bytes | str, read: Callable[[Fields], T]) -> T | Unusable:
    try:
        return read(Fields(object_in(frame, max_depth=MAX_DEPTH)))
    except (RemoteProtocolViolation, InvalidInput) as exc:
        return Unusable(exc)
