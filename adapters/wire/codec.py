"""Protocol v1's frames: bytes of JSON to messages, events to text.

Decoding never raises: whatever arrives is a message of the domain, if only a malformed one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, assert_never

from adapters.wire.messages import RECEIVED_LOGS, Status, command_from, json_type
from domain.errors import InstaDeployError, InvalidInput, RemoteProtocolViolation
from domain.events import UNKNOWN_JOB, Event, JobCompleted, JobFailed, JobReceived
from domain.job import JobId
from domain.messages import MalformedMessage, Message, RefusedRequest, Request

MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
MAX_RESPONSE_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 32
ECHOED_ID_LENGTH: Final = 1024
"""A longer id is called unreadable: repeating it in every response would pass the response limit."""

_TOO_LARGE: Final = "[the response passed 1 MiB; its {what} was dropped]"


def decode(frame: bytes | str) -> Message:
    """The message in one frame."""
    try:
        document = _parse(frame)
        if not isinstance(document, dict):
            raise RemoteProtocolViolation(
                f"message: must be a JSON object, not {json_type(document)}"
            )
    except RemoteProtocolViolation as exc:
        return MalformedMessage(UNKNOWN_JOB, exc)
    try:
        job_id = _job_id(document)
    except InvalidInput as exc:
        return MalformedMessage(UNKNOWN_JOB, exc)
    return _message(job_id, document)


def _message(job_id: str, document: Mapping[str, object]) -> Message:
    type_name = document.get("type")
    if not isinstance(type_name, str):
        rule = (
            f"must be a string, not {json_type(type_name)}" if "type" in document else "is missing"
        )
        return MalformedMessage(job_id, InvalidInput("type", rule))
    try:
        return Request(JobId(job_id), command_from(type_name, document))
    except InstaDeployError as exc:
        return RefusedRequest(job_id, exc)


def _job_id(document: Mapping[str, object]) -> str:
    if "id" not in document:
        raise InvalidInput("id", "is missing")
    value = document["id"]
    if not isinstance(value, str):
        raise InvalidInput("id", f"must be a string, not {json_type(value)}")
    if not value:
        raise InvalidInput("id", "must not be empty")
    if len(value) > ECHOED_ID_LENGTH:
        raise InvalidInput("id", f"is {len(value)} characters long; it cannot even be repeated")
    return value


def _parse(frame: bytes | str) -> object:
    try:
        # Given bytes, json would guess at UTF-16 and UTF-32, and let half characters pass.
        text = frame.decode("utf-8") if isinstance(frame, bytes) else frame
        document = json.loads(
            text, object_pairs_hook=_object_without_duplicates, parse_constant=_no_constant
        )
    except RemoteProtocolViolation:
        raise
    except UnicodeDecodeError:
        raise RemoteProtocolViolation("message: is not valid UTF-8") from None
    except json.JSONDecodeError as exc:
        raise RemoteProtocolViolation(
            f"message: is not valid JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}"
        ) from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # An integer of thousands of digits.
        raise RemoteProtocolViolation("message: holds a number that is too long") from None
    if _is_deeper_than(document, MAX_DEPTH):
        raise _too_deep()
    return document


def _too_deep() -> RemoteProtocolViolation:
    return RemoteProtocolViolation(f"message: is nested deeper than {MAX_DEPTH} levels")


def _object_without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise RemoteProtocolViolation("message: an object names the same key twice")
    return document


def _no_constant(name: str) -> object:
    raise RemoteProtocolViolation(f"message: is not valid JSON: {name} is no JSON number")


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


def encode(event: Event) -> str:
    """One response as JSON text, in ASCII, under 1 MiB whatever the event holds."""
    text = json.dumps(_response(event))
    if len(text) <= MAX_RESPONSE_BYTES or isinstance(event, JobReceived):
        return text
    response = _response(event)
    for what in ("logs", "data", "error"):
        note = _TOO_LARGE.format(what=what)
        if what in response:
            response[what] = {"dropped": note} if what == "data" else note
        text = json.dumps(response)
        if len(text) <= MAX_RESPONSE_BYTES:
            break
    return text


def _response(event: Event) -> dict[str, object]:
    match event:
        case JobReceived():
            return {
                "job_id": event.job_id,
                "status": Status.IN_PROGRESS,
                "logs": RECEIVED_LOGS,
            }
        case JobCompleted():
            response: dict[str, object] = {
                "job_id": event.job_id,
                "status": Status.COMPLETED,
                "logs": event.logs,
            }
        case JobFailed():
            response = {
                "job_id": event.job_id,
                "status": Status.FAILED,
                "logs": event.logs,
                "error": event.error,
            }
        case _:
            assert_never(event)
    if event.data:
        response["data"] = dict(event.data)
    return response
