"""What an agent may say in protocol v2, read from docs/protocol-v2.md and from nothing else.

An independent reading: it shares no code with the agent, knows every message's fields, and takes
nothing that the document does not name. What one message may say is judged here; what it may say
after all that was said before is judged by `peer_database`.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final

Message = dict[str, Any]

MAX_FRAME_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 32
MAX_CHUNK_BYTES: Final = 64 << 10
MAX_ATTEMPTS: Final = 3

OVER: Final = frozenset({"succeeded", "failed", "canceled", "expired", "superseded"})
STATES: Final = OVER | {"accepted", "running", "canceling"}


class ViolationFound(Exception):
    """The agent said what it must not; `message` is what could be read of it all the same."""

    def __init__(self, text: str, message: Message | None = None) -> None:
        super().__init__(text)
        self.message = message


@dataclass(frozen=True, slots=True)
class Field:
    """What a field has to be, in words, and how to tell."""

    what: str
    fits: Callable[[Any], bool]


def _one_of(what: str, words: Set[str]) -> Field:
    return Field(what, lambda value: isinstance(value, str) and value in words)


def _whole(least: int) -> Field:
    return Field(
        f"a whole number from {least}", lambda value: type(value) is int and value >= least
    )


def _is_text(value: object) -> bool:
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:  # A lone surrogate.
        return False


def _is_base64(value: object, length: int) -> bool:
    try:
        raw = base64.b64decode(str(value), validate=True)
    except ValueError:
        return False
    return len(raw) == length and base64.b64encode(raw).decode() == value


def _list_of(entry: Field) -> Field:
    return Field(
        f"a list, each of it {entry.what}",
        lambda value: isinstance(value, list) and all(entry.fits(one) for one in value),
    )


def _shape(required: Mapping[str, Field], optional: Mapping[str, Field] | None = None) -> Field:
    return Field(
        f"an object with {', '.join(required)}",
        lambda value: isinstance(value, dict) and fault_in(value, required, optional or {}) is None,
    )


_ANY_TEXT: Final = Field("a string", _is_text)
_TEXT: Final = Field("a string that is not empty", lambda value: _is_text(value) and value != "")
_JOB_ID: Final = Field("a job id", lambda value: _is_text(value) and 1 <= len(value) <= 1024)
_NONCE: Final = Field("a nonce", lambda value: _is_text(value) and 16 <= len(value) <= 256)
_LABEL: Final = Field(
    "a string of 1 to 256 characters", lambda value: _is_text(value) and 1 <= len(value) <= 256
)
_OBJECT: Final = Field("an object", lambda value: isinstance(value, dict))
_TRUE: Final = Field("true", lambda value: value is True)
_FLAG: Final = Field("true or false", lambda value: isinstance(value, bool))
_SEQ: Final = _whole(1)
_COUNT: Final = _whole(0)
_STATE: Final = _one_of("a state", STATES)
_ATTEMPT: Final = Field(
    "an attempt", lambda value: type(value) is int and 1 <= value <= MAX_ATTEMPTS
)
_POSITION: Final = _shape({"step": _TEXT, "attempt": _SEQ, "offset": _COUNT})
"""What the agent says itself it says anew when it starts again, under a number that may be any."""
_RUNNING: Final = _shape(
    {
        "job_id": _JOB_ID,
        "state": _one_of("a state that is not over", STATES - OVER),
    },
    {"output": _POSITION},
)
_STEP_OUTPUT: Final = _shape(
    {
        "step": _TEXT,
        "attempt": _ATTEMPT,
        "exit_code": Field(
            "a whole number or null", lambda value: type(value) in (int, type(None))
        ),
        "length": _COUNT,
        "sha256": Field(
            "a SHA-256, or empty",
            lambda value: _is_text(value) and bool(re.fullmatch("(?:[0-9a-f]{64})?", value)),
        ),
        "truncated": _FLAG,
    }
)
_KEY: Final = Field("32 bytes in base64", lambda value: _is_base64(value, 32))
_SIGNATURE: Final = Field("64 bytes in base64", lambda value: _is_base64(value, 64))
_GENERATIONS: Final = Field(
    "an object of whole numbers from 1",
    lambda value: isinstance(value, dict) and all(_SEQ.fits(one) for one in value.values()),
)

_REQUIRED: Final[dict[str, dict[str, Field]]] = {
    "ENROLL": {
        "nonce": _NONCE,
        "token": _LABEL,
        "public_key": _KEY,
        "signature": _SIGNATURE,
        "version": _TEXT,
        "architecture": _TEXT,
        "hostname": _ANY_TEXT,
    },
    "HELLO": {
        "nonce": _NONCE,
        "epoch": _TEXT,
        "peer_epoch": _ANY_TEXT,
        "last_seq_seen": _COUNT,
        "version": _TEXT,
        "architecture": _TEXT,
        "hostname": _ANY_TEXT,
        "capabilities": _list_of(_TEXT),
        "running": _list_of(_RUNNING),
        "generations": _GENERATIONS,
    },
    "ACCEPT": {"seq": _SEQ, "job_id": _JOB_ID, "state": _STATE},
    "REJECT": {"seq": _SEQ, "job_id": _JOB_ID, "reason": _TEXT, "error": _TEXT},
    "OUTPUT": {
        "job_id": _JOB_ID,
        "status": Field("IN_PROGRESS", lambda value: value == "IN_PROGRESS"),
        "logs": _ANY_TEXT,
        "step": _TEXT,
        "attempt": _SEQ,
        "offset": _COUNT,
        "length": Field(
            f"a whole number from 1 to {MAX_CHUNK_BYTES}",
            lambda value: type(value) is int and 1 <= value <= MAX_CHUNK_BYTES,
        ),
    },
    "FINAL": {
        "seq": _SEQ,
        "job_id": _JOB_ID,
        "status": Field("COMPLETED or FAILED", lambda value: value in ("COMPLETED", "FAILED")),
        "state": _one_of("a state that is over", OVER),
        "logs": _ANY_TEXT,
        "final": _TRUE,
        "output": _list_of(_STEP_OUTPUT),
    },
    "ACK": {"ack": _COUNT},
    "NACK": {"expected": _SEQ},
    "ERROR": {"code": _TEXT, "error": _TEXT},
    "BYE": {"reason": _ANY_TEXT},
    "HEARTBEAT": {"facts": _OBJECT},
}
_OPTIONAL: Final[dict[str, dict[str, Field]]] = {
    "HELLO": {"host_id": _LABEL, "signature": _SIGNATURE},
    "ACCEPT": {"repeat": _TRUE},
    "REJECT": {"data": _OBJECT},
    "OUTPUT": {"output_base64": _TEXT},
    "FINAL": {"error": _TEXT, "data": _OBJECT},
}
_ANYWHERE: Final = {"ack": _COUNT}

DURABLE: Final = frozenset({"ACCEPT", "REJECT", "FINAL"})


def kind_of(message: Message) -> str:
    """The message's type; the two that are called RESPONSE are OUTPUT and FINAL."""
    if message["type"] == "RESPONSE":
        return "FINAL" if "seq" in message or "final" in message else "OUTPUT"
    return str(message["type"])


def read_frame(frame: str | bytes) -> Message:
    """The message in a frame, or `ViolationFound`."""
    message = _decoded(frame)
    named = message.get("type")
    kind = kind_of(message) if isinstance(named, str) else ""
    if kind not in _REQUIRED or named == kind in ("OUTPUT", "FINAL"):
        raise ViolationFound(f"there is no message of type {named!r}", message)
    optional = _ANYWHERE | _OPTIONAL.get(kind, {})
    fault = fault_in(message, {"type": _TEXT} | _REQUIRED[kind], optional)
    fault = fault or _fault_between_fields(kind, message)
    if fault is not None:
        raise ViolationFound(f"{kind}: {fault}: {excerpt(message)}", message)
    return message


def fault_in(
    value: Mapping[str, Any], required: Mapping[str, Field], optional: Mapping[str, Field]
) -> str | None:
    """What is wrong with an object's fields, each on its own."""
    if missing := required.keys() - value.keys():
        return f"{sorted(missing)} missing"
    known = {**optional, **required}
    if unknown := value.keys() - known.keys():
        return f"{sorted(unknown)} not documented"
    wrong = [name for name in value if not known[name].fits(value[name])]
    return f"{wrong[0]} is not {known[wrong[0]].what}" if wrong else None


def chunk_of(message: Message) -> bytes:
    """The bytes of a piece of output."""
    if "output_base64" in message:
        return base64.b64decode(message["output_base64"], validate=True)
    return str(message["logs"]).encode()


def excerpt(message: Message) -> str:
    """A message as a failure shows it."""
    text = json.dumps(message)
    return text if len(text) <= 300 else f"{text[:300]}..."


def _fault_between_fields(kind: str, message: Message) -> str | None:
    if kind == "OUTPUT":
        return _fault_in_chunk(message)
    if kind == "FINAL":
        return _fault_in_final(message)
    if kind == "HELLO":
        ids = [job["job_id"] for job in message["running"]]
        return "a job runs twice" if len(ids) != len(set(ids)) else None
    return None


def _fault_in_chunk(message: Message) -> str | None:
    try:
        chunk = chunk_of(message)
    except (binascii.Error, ValueError):
        return "output_base64 is not base64"
    if len(chunk) != message["length"]:
        return f"length is not that of the {len(chunk)} bytes"
    if "output_base64" not in message:
        return None
    if message["logs"] != "":
        return "logs and output_base64 are both there"
    try:
        chunk.decode()
    except UnicodeDecodeError:
        return None
    return "UTF-8 is sent as base64"


def _fault_in_final(message: Message) -> str | None:
    failed = message["status"] == "FAILED"
    if failed is (message["state"] == "succeeded"):
        return "status and state disagree"
    if failed is not ("error" in message):
        return "error is there with FAILED, and only then"
    data = message.get("data", {})
    if failed and not _TEXT.fits(data.get("reason")):
        return "data.reason is missing"
    if message["state"] == "superseded" and not _JOB_ID.fits(data.get("superseded_by")):
        return "data.superseded_by is missing"
    if any(not one["sha256"] and one["exit_code"] is not None for one in message["output"]):
        return "an attempt that came to its end has no SHA-256"
    attempts = [(entry["step"], entry["attempt"]) for entry in message["output"]]
    return "output has an attempt twice" if len(attempts) != len(set(attempts)) else None


def _decoded(frame: str | bytes) -> Message:
    if not isinstance(frame, str):
        raise ViolationFound("a binary frame")
    if not frame.isascii():
        raise ViolationFound("a frame that is not all ASCII")
    if len(frame) > MAX_FRAME_BYTES:
        raise ViolationFound(f"a frame of {len(frame)} bytes")
    try:
        message = json.loads(
            frame, object_pairs_hook=_object, parse_constant=_number, parse_float=_number
        )
    except (ValueError, RecursionError) as wrong:
        raise ViolationFound(f"not strict JSON: {wrong}") from wrong
    if not isinstance(message, dict):
        raise ViolationFound("not a JSON object")
    if _depth(message) > MAX_DEPTH:
        raise ViolationFound(f"nested deeper than {MAX_DEPTH} levels")
    return message


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return value


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number


def _depth(value: object) -> int:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max((_depth(one) for one in inner), default=0)
    return 0
