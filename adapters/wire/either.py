"""Protocol v2: the messages that both sides send, and what messages of both directions hold."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from adapters.wire.fields import Fields
from domain.link_messages import Bye, MissedMessage, OutputPosition, PeerError

Document = dict[str, object]


class MessageType(StrEnum):
    """What a message is called on the wire; a command has its own name instead."""

    CHALLENGE = "CHALLENGE"
    ENROLLED = "ENROLLED"
    WELCOME = "WELCOME"
    CANCEL = "CANCEL"
    GOAWAY = "GOAWAY"
    ENROLL = "ENROLL"
    HELLO = "HELLO"
    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    RESPONSE = "RESPONSE"
    ACK = "ACK"
    NACK = "NACK"
    HEARTBEAT = "HEARTBEAT"
    ERROR = "ERROR"
    BYE = "BYE"


def document_of(message_type: StrEnum, *, ack: int | None = None, **fields: object) -> Document:
    """A message with these fields, those aside that are None."""
    document: Document = {"type": message_type, **fields, "ack": ack}
    return {name: value for name, value in document.items() if value is not None}


def ack_of(fields: Fields) -> int | None:
    """The acknowledgement that a message may carry."""
    return fields.optional("ack", fields.count)


def missed_message_from(fields: Fields) -> MissedMessage:
    """NACK."""
    return MissedMessage(fields.ordinal("expected"), ack_of(fields))


def peer_error_from(fields: Fields) -> PeerError:
    """ERROR."""
    return PeerError(fields.text("code"), fields.text("error"))


def bye_from(fields: Fields) -> Bye:
    """BYE."""
    return Bye(fields.text("reason"))


def common_document(message: MissedMessage | PeerError | Bye) -> Document:
    """NACK, ERROR and BYE."""
    match message:
        case MissedMessage():
            return document_of(MessageType.NACK, expected=message.expected, ack=message.ack)
        case PeerError():
            return document_of(MessageType.ERROR, code=message.code, error=message.error)
        case Bye():
            return document_of(MessageType.BYE, reason=message.reason)


def position_from(fields: Fields) -> OutputPosition:
    """A place in a job's output."""
    return OutputPosition(fields.label("step"), fields.ordinal("attempt"), fields.count("offset"))


def position_document(position: OutputPosition) -> Document:
    """A place in a job's output, as it stands in a message."""
    return {"step": position.step, "attempt": position.attempt, "offset": position.offset}


def positions_from(fields: Fields, name: str) -> Mapping[str, OutputPosition]:
    """How far each job's output is known."""
    return {job_id: position_from(entry) for job_id, entry in fields.objects_by_id(name)}
