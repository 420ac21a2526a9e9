"""What a control plane may say in protocol v2, read from docs/protocol-v2.md and from nothing else.

The counterpart of `tests.support.agent_frames`. What one message may say is judged here; what it may
say after all that was said before is judged by the link that hears it.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Message = dict[str, Any]
Check = Callable[[Any], bool]

MAX_FRAME_BYTES: Final = 8 << 20
MAX_DEPTH: Final = 32
MAX_NUMBER: Final = (1 << 63) - 1
MAX_ENTRIES: Final = 10_000

CHANGING: Final = frozenset(
    {"DEPLOY_COMPOSE", "ROLLBACK_COMPOSE", "RESTART_COMPOSE", "STOP_COMPOSE", "REMOVE_COMPOSE"}
)
READING: Final = frozenset(
    {"PLAN_COMPOSE", "STATUS", "LIST_PROJECTS", "LIST_REVISIONS", "HEALTH_CHECK"}
)
COMMANDS: Final = CHANGING | READING
OF_A_PROJECT: Final = COMMANDS - {"LIST_PROJECTS", "HEALTH_CHECK"}


class PlaneFault(Exception):
    """The control plane said what it must not."""


def _whole(least: int) -> Check:
    return lambda value: type(value) is int and least <= value <= MAX_NUMBER


def _number(above: float, most: float) -> Check:
    return lambda value: (
        type(value) in (int, float) and math.isfinite(value) and above < value <= most
    )


def _text(least: int = 0, most: int | None = None) -> Check:
    """A text; with a bound also one without control characters."""

    def fits(value: Any) -> bool:
        if not isinstance(value, str) or len(value) < least or not _is_utf8(value):
            return False
        return most is None or (len(value) <= most and not _CONTROL.search(value))

    return fits


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _base64(length: int) -> Check:
    def fits(value: Any) -> bool:
        try:
            decoded = base64.b64decode(value, validate=True)
        except (TypeError, ValueError):
            return False
        return len(decoded) == length and base64.b64encode(decoded).decode() == value

    return fits


def _output_seen(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= MAX_ENTRIES
        and all(_is_job_id(job_id) and _is_position(one) for job_id, one in value.items())
    )


def _is_position(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"step", "attempt", "offset"}
        and _SHORT(value["step"])
        and _SEQ(value["attempt"])
        and _COUNT(value["offset"])
    )


_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ANY: Final = _text()
_SHORT: Final = _text(1, 256)
_SEQ: Final = _whole(1)
_COUNT: Final = _whole(0)
_is_job_id: Final = _text(1, 256)
_ACK: Final[Mapping[str, Check]] = {"ack": _COUNT}

_REQUIRED: Final[Mapping[str, Mapping[str, Check]]] = {
    "CHALLENGE": {"nonce": _text(16, 256)},
    "ENROLLED": {"host_id": _SHORT, "signature": _base64(64)},
    "WELCOME": {"session": _SHORT, "epoch": _SHORT, "last_seq_seen": _COUNT},
    "CANCEL": {"seq": _SEQ, "job_id": _is_job_id},
    "ACK": {"ack": _COUNT},
    "NACK": {"expected": _SEQ},
    "HEARTBEAT": {},
    "GOAWAY": {"window_s": _number(-1e-9, 3600), "reason": _ANY},
    "ERROR": {"code": _text(1), "error": _ANY},
    "BYE": {"reason": _ANY},
}
_OPTIONAL: Final[Mapping[str, Mapping[str, Check]]] = {
    "CHALLENGE": {"server_time": _ANY, "public_key": _base64(32)},
    "WELCOME": {
        "prune_below": _COUNT,
        "heartbeat_s": _number(0.999, 60),
        "output_seen": _output_seen,
        "signature": _base64(64),
    },
    "CANCEL": _ACK,
    "ACK": {"output_seen": _output_seen, "prune_below": _COUNT},
    "NACK": _ACK,
    "HEARTBEAT": _ACK,
}
_COMMAND: Final[Mapping[str, Check]] = {
    "id": _is_job_id,
    "payload": lambda value: isinstance(value, dict),
    "seq": _SEQ,
}
_COMMAND_OPTIONAL: Final[Mapping[str, Check]] = {
    "generation": _SEQ,
    "deadline_s": _number(0, math.inf),
    **_ACK,
}
_PROJECT_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}")


def read_frame(text: str) -> Message:
    """The message in a frame, or `PlaneFault`."""
    message = read_object(text)
    kind = message.get("type")
    if isinstance(kind, str) and kind in COMMANDS:
        check_fields(message, _COMMAND, _COMMAND_OPTIONAL)
        check_payload(message)
    elif isinstance(kind, str) and kind in _REQUIRED:
        check_fields(message, _REQUIRED[kind], _OPTIONAL.get(kind, {}))
    else:
        raise PlaneFault(f"there is no message of type {kind!r}")
    return message


def read_plain_command(text: str) -> Message:
    """A command of protocol v1, or `PlaneFault`."""
    message = read_object(text)
    if message.get("type") not in COMMANDS:
        raise PlaneFault(f"v1: there is no command of type {message.get('type')!r}")
    check_fields(message, {name: _COMMAND[name] for name in ("id", "payload")}, {})
    check_payload(message)
    return message


def read_object(text: str) -> Message:
    """The JSON object in a frame, strictly read."""
    if len(text) > MAX_FRAME_BYTES:
        raise PlaneFault(f"a frame of {len(text)} characters")
    try:
        message = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as wrong:
        raise PlaneFault(f"not strict JSON: {wrong}: {text[:200]!r}") from wrong
    if not isinstance(message, dict):
        raise PlaneFault(f"not a JSON object: {text[:200]!r}")
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(message) > MAX_DEPTH:
        raise PlaneFault(f"nested deeper than {MAX_DEPTH} levels")
    return message


def check_fields(
    message: Message, required: Mapping[str, Check], optional: Mapping[str, Check]
) -> None:
    """Raise `PlaneFault` where a field is missing, unknown, or not what it has to be."""
    known = 1
    for name, fits in required.items():
        if name not in message:
            raise PlaneFault(f"{name} is missing: {excerpt(message)}")
        if not fits(message[name]):
            raise PlaneFault(f"{name} is not as documented: {excerpt(message)}")
        known += 1
    for name, fits in optional.items():
        if name in message:
            if not fits(message[name]):
                raise PlaneFault(f"{name} is not as documented: {excerpt(message)}")
            known += 1
    if len(message) > known:
        unknown = message.keys() - required.keys() - optional.keys() - {"type"}
        raise PlaneFault(f"{sorted(unknown)} not documented: {excerpt(message)}")


def check_payload(message: Message) -> None:
    """Raise `PlaneFault` where a command names no project that needs one."""
    if message["type"] not in OF_A_PROJECT:
        return
    name = message["payload"].get("project_name")
    if not isinstance(name, str) or not _PROJECT_NAME.fullmatch(name):
        raise PlaneFault(f"project_name is {name!r}: {excerpt(message)}")
    if message["type"] in ("DEPLOY_COMPOSE", "PLAN_COMPOSE"):
        content = message["payload"].get("compose_file_base64")
        try:
            is_some = bool(base64.b64decode(content, validate=True))
        except (TypeError, ValueError):
            is_some = False
        if not is_some:
            raise PlaneFault(f"compose_file_base64 is no base64: {excerpt(message)}")


def excerpt(message: Message) -> str:
    """A message as a failure shows it."""
    text = json.dumps(message)
    return text if len(text) <= 300 else f"{text[:300]}..."


def _object(pairs: list[tuple[str, Any]]) -> Message:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return value


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _depth(value: object) -> int:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max((_depth(one) for one in inner), default=0)
    return 0
