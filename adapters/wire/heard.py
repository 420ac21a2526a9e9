"""Protocol v2: what a control plane says, from and to the JSON objects that carry it."""

from __future__ import annotations

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
    positions_from,
)
from adapters.wire.fields import SHORTEST_NONCE, Fields
from adapters.wire.messages import (
    ECHOED_TYPE_LENGTH,
    CommandType,
    command_from,
    deadline_in,
    payload_of,
)
from domain.commands import CHANGING_COMMANDS, Command
from domain.errors import (
    InstaDeployError,
    InvalidInput,
    LocalProtocolViolation,
    UnknownCommand,
)
from domain.events import UNKNOWN_JOB
from domain.job import JobId
from domain.link_messages import (
    Acknowledge,
    Bye,
    CancelMessage,
    Challenge,
    CommandMessage,
    Enrolled,
    GoAway,
    Heard,
    Heartbeat,
    MissedMessage,
    OutputPosition,
    PeerError,
    SequencedHeard,
    Unusable,
    Welcome,
)

LONGEST_WINDOW_S: Final = 3600
LONGEST_HEARTBEAT_S: Final = 60
DEFAULT_HEARTBEAT_S: Final = 15.0


def heard_from(fields: Fields) -> Heard:
    """The message; raises `InvalidInput` where there is none.

    A durable message whose `seq` can be read is always one, if only a command that is refused: nobody
    could get past its number otherwise.
    """
    type_name = fields.document.get("type")
    if isinstance(type_name, str) and type_name in _READERS:
        return _READERS[type_name](fields)
    seq = _seq_of(fields)
    return _cancel(fields, seq) if type_name == MessageType.CANCEL else _command(fields, seq)


def _seq_of(fields: Fields) -> int:
    if "seq" not in fields.document:
        type_name = fields.text("type")
        if type_name not in (MessageType.CANCEL, *CommandType):
            raise UnknownCommand(type_name[:ECHOED_TYPE_LENGTH])
    return fields.ordinal("seq")


def _command(fields: Fields, seq: int) -> CommandMessage:
    job_id = UNKNOWN_JOB
    ack: int | None = None
    generation: int | None = None
    deadline_s: float | None = None
    command: Command | InstaDeployError
    try:
        job_id = fields.job_id("id")
        ack = ack_of(fields)
        generation = fields.optional("generation", fields.ordinal)
        deadline_s = fields.optional("deadline_s", fields.positive)
        type_name = fields.text("type")
        JobId(job_id)
        command = command_from(type_name, fields.document)
        if isinstance(command, CHANGING_COMMANDS):
            in_payload = deadline_in(fields.document)
            deadline_s = in_payload if deadline_s is None else deadline_s
    except InstaDeployError as exc:
        command = exc
    return CommandMessage(seq, job_id, command, generation, deadline_s, ack)


def _cancel(fields: Fields, seq: int) -> CancelMessage | CommandMessage:
    job_id = UNKNOWN_JOB
    try:
        job_id = fields.job_id("job_id")
        return CancelMessage(seq, job_id, ack_of(fields))
    except InvalidInput as exc:
        return CommandMessage(seq, job_id, exc)


def _challenge(fields: Fields) -> Challenge:
    return Challenge(
        fields.label("nonce", shortest=SHORTEST_NONCE),
        fields.optional("server_time", fields.text) or "",
        fields.optional("public_key", fields.label) or "",
    )


def _enrolled(fields: Fields) -> Enrolled:
    return Enrolled(fields.label("host_id"), fields.label("signature"))


def _welcome(fields: Fields) -> Welcome:
    def interval_of(name: str) -> float:
        return fields.number(name, least=1, most=LONGEST_HEARTBEAT_S)

    return Welcome(
        session=fields.label("session"),
        epoch=fields.label("epoch"),
        last_seq_seen=fields.count("last_seq_seen"),
        prune_below=fields.optional("prune_below", fields.count) or 0,
        heartbeat_s=fields.optional("heartbeat_s", interval_of) or DEFAULT_HEARTBEAT_S,
        output_seen=_output_seen(fields),
        signature=fields.optional("signature", fields.label) or "",
    )


def _acknowledge(fields: Fields) -> Acknowledge:
    return Acknowledge(
        fields.count("ack"),
        _output_seen(fields),
        fields.optional("prune_below", fields.count),
    )


def _output_seen(fields: Fields) -> Mapping[str, OutputPosition]:
    return fields.optional("output_seen", lambda name: positions_from(fields, name)) or {}


_READERS: Final[Mapping[str, Callable[[Fields], Heard]]] = {
    MessageType.CHALLENGE: _challenge,
    MessageType.ENROLLED: _enrolled,
    MessageType.WELCOME: _welcome,
    MessageType.ACK: _acknowledge,
    MessageType.NACK: missed_message_from,
    MessageType.HEARTBEAT: lambda fields: Heartbeat(ack=ack_of(fields)),
    MessageType.GOAWAY: lambda fields: GoAway(
        fields.number("window_s", least=0, most=LONGEST_WINDOW_S), fields.text("reason")
    ),
    MessageType.ERROR: peer_error_from,
    MessageType.BYE: bye_from,
}


def heard_document(message: Heard) -> Document:
    """The message as a JSON object; raises `LocalProtocolViolation` for one that cannot be sent."""
    match message:
        case Challenge():
            return document_of(
                MessageType.CHALLENGE,
                nonce=message.nonce,
                server_time=message.server_time or None,
                public_key=message.public_key or None,
            )
        case Enrolled():
            return document_of(
                MessageType.ENROLLED, host_id=message.host_id, signature=message.signature
            )
        case Welcome():
            return document_of(
                MessageType.WELCOME,
                session=message.session,
                epoch=message.epoch,
                last_seq_seen=message.last_seq_seen,
                prune_below=message.prune_below,
                heartbeat_s=message.heartbeat_s,
                output_seen=_positions(message.output_seen),
                signature=message.signature or None,
            )
        case CommandMessage() | CancelMessage():
            return _sequenced_document(message)
        case Acknowledge():
            return document_of(
                MessageType.ACK,
                ack=message.ack,
                output_seen=_positions(message.output_seen) or None,
                prune_below=message.prune_below,
            )
        case Heartbeat():
            return document_of(MessageType.HEARTBEAT, ack=message.ack)
        case GoAway():
            return document_of(MessageType.GOAWAY, window_s=message.window_s, reason=message.reason)
        case MissedMessage() | PeerError() | Bye():
            return common_document(message)
        case Unusable():
            raise LocalProtocolViolation("a message that could not be used cannot be sent either")
        case _:
            assert_never(message)


def _sequenced_document(message: SequencedHeard) -> Document:
    if isinstance(message, CancelMessage):
        return document_of(
            MessageType.CANCEL, seq=message.seq, job_id=message.job_id, ack=message.ack
        )
    if isinstance(message.command, InstaDeployError):
        raise LocalProtocolViolation("a command that is refused cannot be sent")
    command_type, payload = payload_of(message.command)
    return document_of(
        command_type,
        id=message.job_id,
        payload=payload,
        seq=message.seq,
        generation=message.generation,
        deadline_s=message.deadline_s,
        ack=message.ack,
    )


def _positions(positions: Mapping[str, OutputPosition]) -> Document:
    return {job_id: position_document(position) for job_id, position in positions.items()}
