"""Protocol v2: what an agent says, from and to the JSON objects that carry it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Final, assert_never

from adapters.wire.either import (
    Document,
    MessageType,
    ack_of,
    bye_from,
    common_document,
    document_of,
    missed_message_from,
    peer_error_from,
    position_document,
    position_from,
)
from adapters.wire.fields import Fields
from adapters.wire.introducing import enroll_document, enroll_from, hello_document, hello_from
from adapters.wire.messages import Status
from domain.errors import LocalProtocolViolation
from domain.job import JobState, is_terminal
from domain.link_messages import (
    Accept,
    Acknowledge,
    Bye,
    Enroll,
    Heartbeat,
    Hello,
    MissedMessage,
    OutputChunk,
    PeerError,
    Reject,
    Result,
    Said,
    StepOutput,
)

MAX_CHUNK_BYTES: Final = 64 * 1024

_SHA256: Final = re.compile(r"([0-9a-f]{64})?")


def said_from(fields: Fields) -> Said:
    """The message; raises `InvalidInput` where there is none."""
    read = _READERS.get(fields.text("type"))
    if read is None:
        raise fields.broken("type", f"must be one of {', '.join(_READERS)}")
    return read(fields)


def _accept(fields: Fields) -> Accept:
    return Accept(
        seq=fields.ordinal("seq"),
        job_id=fields.job_id("job_id"),
        state=fields.word("state", JobState),
        is_repeat=fields.optional("repeat", fields.flag) or False,
        ack=ack_of(fields),
    )


def _reject(fields: Fields) -> Reject:
    return Reject(
        seq=fields.ordinal("seq"),
        job_id=fields.job_id("job_id"),
        reason=fields.label("reason"),
        error=fields.text("error"),
        data=fields.optional("data", fields.mapping) or {},
        ack=ack_of(fields),
    )


def _response(fields: Fields) -> OutputChunk | Result:
    match fields.word("status", Status):
        case Status.IN_PROGRESS:
            return _chunk(fields)
        case Status.COMPLETED | Status.FAILED as status:
            return _result(fields, status)
        case Status.QUEUED:
            raise fields.broken("status", "is of v1, and never sent over v2")


def _chunk(fields: Fields) -> OutputChunk:
    chunk = _chunk_bytes(fields)
    if fields.count("length") != len(chunk):
        raise fields.broken("length", f"must be the {len(chunk)} bytes that the message brings")
    if len(chunk) > MAX_CHUNK_BYTES:
        raise fields.broken("length", f"must be at most {MAX_CHUNK_BYTES}")
    return OutputChunk(fields.job_id("job_id"), position_from(fields), chunk, ack_of(fields))


def _chunk_bytes(fields: Fields) -> bytes:
    logs = fields.text("logs")
    encoded = fields.optional("output_base64", fields.text)
    try:
        if encoded is None:
            return logs.encode("utf-8")
        chunk = base64.b64decode(encoded, validate=True)
    except UnicodeEncodeError:
        raise fields.broken("logs", "must be what UTF-8 can say") from None
    except (binascii.Error, ValueError):
        raise fields.broken("output_base64", "is not valid base64") from None
    if logs:
        raise fields.broken("logs", "must be empty beside output_base64")
    return chunk


def _result(fields: Fields, status: Status) -> Result:
    if not fields.flag("final"):
        raise fields.broken("final", "must be true")
    state = fields.word("state", JobState)
    if not is_terminal(state) or (state is JobState.SUCCEEDED) != (status is Status.COMPLETED):
        raise fields.broken("state", f"must be one that a job which {status} can end in")
    return Result(
        seq=fields.ordinal("seq"),
        job_id=fields.job_id("job_id"),
        state=state,
        logs=fields.text("logs"),
        error=fields.text("error") if status is Status.FAILED else "",
        data=fields.optional("data", fields.mapping) or {},
        output=tuple(map(_step_output, fields.objects("output"))),
        ack=ack_of(fields),
    )


def _step_output(fields: Fields) -> StepOutput:
    sha256 = fields.text("sha256")
    if not _SHA256.fullmatch(sha256):
        raise fields.broken("sha256", "must be 64 hexadecimal digits in lower case, or empty")
    return StepOutput(
        step=fields.label("step"),
        attempt=fields.ordinal("attempt"),
        exit_code=fields.whole_or_null("exit_code"),
        length=fields.count("length"),
        sha256=sha256,
        truncated=fields.flag("truncated"),
    )


_READERS: Final[Mapping[str, Callable[[Fields], Said]]] = {
    MessageType.ENROLL: enroll_from,
    MessageType.HELLO: hello_from,
    MessageType.ACCEPT: _accept,
    MessageType.REJECT: _reject,
    MessageType.RESPONSE: _response,
    MessageType.ACK: lambda fields: Acknowledge(fields.count("ack")),
    MessageType.NACK: missed_message_from,
    MessageType.HEARTBEAT: lambda fields: Heartbeat(fields.mapping("facts"), ack_of(fields)),
    MessageType.ERROR: peer_error_from,
    MessageType.BYE: bye_from,
}


def said_document(message: Said) -> Document:
    """The message as a JSON object."""
    match message:
        case Enroll():
            return enroll_document(message)
        case Hello():
            return hello_document(message)
        case Accept():
            return document_of(
                MessageType.ACCEPT,
                seq=message.seq,
                job_id=message.job_id,
                state=message.state,
                repeat=message.is_repeat or None,
                ack=message.ack,
            )
        case Reject():
            return document_of(
                MessageType.REJECT,
                seq=message.seq,
                job_id=message.job_id,
                reason=message.reason,
                error=message.error,
                data=dict(message.data) or None,
                ack=message.ack,
            )
        case OutputChunk():
            return _chunk_document(message)
        case Result():
            return _result_document(message)
        case Acknowledge():
            return document_of(MessageType.ACK, ack=message.ack)
        case Heartbeat():
            return document_of(MessageType.HEARTBEAT, facts=dict(message.facts), ack=message.ack)
        case MissedMessage() | PeerError() | Bye():
            return common_document(message)
        case _:
            assert_never(message)


def _chunk_document(message: OutputChunk) -> Document:
    if len(message.chunk) > MAX_CHUNK_BYTES:
        raise LocalProtocolViolation(f"a chunk of {len(message.chunk)} bytes cannot be sent")
    encoded: str | None = None
    try:
        logs = message.chunk.decode("utf-8")
    except UnicodeDecodeError:
        logs, encoded = "", base64.b64encode(message.chunk).decode("ascii")
    return document_of(
        MessageType.RESPONSE,
        job_id=message.job_id,
        status=Status.IN_PROGRESS,
        logs=logs,
        **position_document(message.position),
        length=len(message.chunk),
        output_base64=encoded,
        ack=message.ack,
    )


def _result_document(message: Result) -> Document:
    has_succeeded = message.state is JobState.SUCCEEDED
    return document_of(
        MessageType.RESPONSE,
        seq=message.seq,
        job_id=message.job_id,
        status=Status.COMPLETED if has_succeeded else Status.FAILED,
        state=message.state,
        logs=message.logs,
        error=None if has_succeeded else message.error,
        data=dict(message.data) or None,
        final=True,
        output=[
            {
                "step": step.step,
                "attempt": step.attempt,
                "exit_code": step.exit_code,
                "length": step.length,
                "sha256": step.sha256,
                "truncated": step.truncated,
            }
            for step in message.output
        ],
        ack=message.ack,
    )
