"""The shapes of protocol v1: what a payload carries, and what becomes of it in the domain.

Unknown fields are ignored; a missing or mistyped one is refused by name. What the values must
satisfy is the domain's to say.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

from domain.commands import CheckHealth, Command, DeployCompose, GetStatus, StopCompose
from domain.errors import InvalidInput, UnknownCommand
from domain.project import ComposeFile, ProjectName
from domain.validation import MAX_COMPOSE_FILE_BYTES

ECHOED_TYPE_LENGTH = 100
_LONGEST_BASE64 = 4 * (MAX_COMPOSE_FILE_BYTES // 3 + 1)


class CommandType(StrEnum):
    """The commands, as they are called on the wire."""

    DEPLOY_COMPOSE = "DEPLOY_COMPOSE"
    STOP_COMPOSE = "STOP_COMPOSE"
    STATUS = "STATUS"
    HEALTH_CHECK = "HEALTH_CHECK"


class Status(StrEnum):
    """The states of a job that protocol v1 knows; this agent never says QUEUED."""

    QUEUED = "QUEUED"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


RECEIVED_LOGS = "Command received, processing..."


def command_from(type_name: str, message: Mapping[str, object]) -> Command:
    """The command that a well-formed frame asks for; raises `InvalidInput` where it asks badly."""
    try:
        command_type = CommandType(type_name)
    except ValueError:
        raise UnknownCommand(type_name[:ECHOED_TYPE_LENGTH]) from None
    payload = _payload(message)
    match command_type:
        case CommandType.DEPLOY_COMPOSE:
            return DeployCompose(_project_name(payload), _compose_file(payload))
        case CommandType.STOP_COMPOSE:
            return StopCompose(_project_name(payload))
        case CommandType.STATUS:
            return GetStatus(_project_name(payload))
        case CommandType.HEALTH_CHECK:
            return CheckHealth()
        case _:
            assert_never(command_type)


def payload_of(command: Command) -> tuple[CommandType, dict[str, object]]:
    """What a message has to carry to ask for the command: `command_from` the other way round."""
    match command:
        case DeployCompose():
            return CommandType.DEPLOY_COMPOSE, {
                "project_name": command.project.value,
                "compose_file_base64": base64.b64encode(command.file.content).decode("ascii"),
            }
        case StopCompose():
            return CommandType.STOP_COMPOSE, {"project_name": command.project.value}
        case GetStatus():
            return CommandType.STATUS, {"project_name": command.project.value}
        case CheckHealth():
            return CommandType.HEALTH_CHECK, {}
        case _:
            assert_never(command)


def _payload(message: Mapping[str, object]) -> Mapping[str, object]:
    if "payload" not in message:
        raise InvalidInput("payload", "is missing")
    payload = message["payload"]
    if not isinstance(payload, Mapping):
        raise InvalidInput("payload", f"must be a JSON object, not {json_type(payload)}")
    return payload


def _text(payload: Mapping[str, object], field: str) -> str:
    if field not in payload:
        raise InvalidInput(field, "is missing from the payload")
    value = payload[field]
    if not isinstance(value, str):
        raise InvalidInput(field, f"must be a string, not {json_type(value)}")
    return value


def _project_name(payload: Mapping[str, object]) -> ProjectName:
    return ProjectName(_text(payload, "project_name"))


def _compose_file(payload: Mapping[str, object]) -> ComposeFile:
    encoded = _text(payload, "compose_file_base64")
    if len(encoded) > _LONGEST_BASE64:
        raise InvalidInput(
            "compose_file_base64",
            f"the compose file is larger than {MAX_COMPOSE_FILE_BYTES} bytes (1 MiB)",
        )
    try:
        content: bytes | None = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        content = None
    # Before Python 3.13, padding without end is decoded too.
    if content is None or len(encoded) != (len(content) + 2) // 3 * 4:
        raise InvalidInput("compose_file_base64", "is not valid base64")
    return ComposeFile(content)


def json_type(value: object) -> str:
    """What JSON calls a value's type, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
