"""Protocol v1's frames: bytes of JSON to messages, events to text.

Decoding never raises: whatever arrives is a message of the domain, if only a malformed one.
"""

from __future__ import annotations

from typing import Final, assert_never

from adapters.wire.fields import Fields
from adapters.wire.messages import RECEIVED_LOGS, Status, command_from, deadline_in
from adapters.wire.strict_json import object_in, text_within
from domain.commands import CHANGING_COMMANDS
from domain.errors import InstaDeployError, InvalidInput, RemoteProtocolViolation
from domain.events import UNKNOWN_JOB, Event, JobCompleted, JobFailed, JobReceived
from domain.job import JobId
from domain.messages import MalformedMessage, Message, RefusedRequest, Request

MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
MAX_RESPONSE_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 32


def decode(frame: bytes | str) -> Message:
    """The message in one frame."""
    try:
        fields = Fields(object_in(frame, max_depth=MAX_DEPTH))
        job_id = fields.job_id("id")
    except (RemoteProtocolViolation, InvalidInput) as exc:
        return MalformedMessage(UNKNOWN_JOB, exc)
    try:
        type_name = fields.text("type")
    except InvalidInput as exc:
        return MalformedMessage(job_id, exc)
    try:
        named = JobId(job_id)  # What is wrong with the id is said first.
        command = command_from(type_name, fields.document)
        changes = isinstance(command, CHANGING_COMMANDS)
        deadline_s = deadline_in(fields.document) if changes else None
        return Request(named, command, deadline_s)
    except InstaDeployError as exc:
        return RefusedRequest(job_id, exc)


def encode(event: Event) -> str:
    """One response as JSON text, in ASCII, under 1 MiB whatever the event holds."""
    droppable = () if isinstance(event, JobReceived) else ("logs", "data", "error")
    return text_within(MAX_RESPONSE_BYTES, _response(event), droppable)


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
