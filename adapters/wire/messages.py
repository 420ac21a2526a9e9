"""The shapes of protocol v1: what a payload carries, and what becomes of it in the domain.

Unknown fields are ignored; a missing or mistyped one is refused by name. What the values must
satisfy is the domain's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

from adapters.wire.deployments import deployment_document, deployment_from, project_name
from adapters.wire.fields import Fields, json_type
from domain.commands import (
    CheckHealth,
    Command,
    DeployCompose,
    GetStatus,
    ListProjects,
    ListRevisions,
    PlanCompose,
    RemoveCompose,
    RestartCompose,
    RollbackCompose,
    StopCompose,
)
from domain.errors import InvalidInput, UnknownCommand
from domain.project import ProjectName

ECHOED_TYPE_LENGTH = 100


class CommandType(StrEnum):
    """The commands, as they are called on the wire."""

    DEPLOY_COMPOSE = "DEPLOY_COMPOSE"
    PLAN_COMPOSE = "PLAN_COMPOSE"
    ROLLBACK_COMPOSE = "ROLLBACK_COMPOSE"
    RESTART_COMPOSE = "RESTART_COMPOSE"
    STOP_COMPOSE = "STOP_COMPOSE"
    REMOVE_COMPOSE = "REMOVE_COMPOSE"
    STATUS = "STATUS"
    LIST_PROJECTS = "LIST_PROJECTS"
    LIST_REVISIONS = "LIST_REVISIONS"
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
    fields = Fields(payload)
    match command_type:
        case CommandType.DEPLOY_COMPOSE:
            return deployment_from(payload)
        case CommandType.PLAN_COMPOSE:
            return PlanCompose(deployment_from(payload))
        case CommandType.ROLLBACK_COMPOSE:
            return RollbackCompose(
                project_name(payload),
                fields.given("revision", fields.ordinal),
                fields.given("requested_by", fields.text) or "",
            )
        case CommandType.RESTART_COMPOSE:
            return RestartCompose(
                project_name(payload), fields.given("services", fields.texts) or ()
            )
        case CommandType.STOP_COMPOSE:
            return StopCompose(project_name(payload))
        case CommandType.REMOVE_COMPOSE:
            return RemoveCompose(
                project_name(payload), fields.given("volumes", fields.flag) or False
            )
        case CommandType.STATUS:
            return GetStatus(project_name(payload))
        case CommandType.LIST_PROJECTS:
            return ListProjects()
        case CommandType.LIST_REVISIONS:
            return ListRevisions(project_name(payload))
        case CommandType.HEALTH_CHECK:
            return CheckHealth()
        case _:
            assert_never(command_type)


def deadline_in(message: Mapping[str, object]) -> float | None:
    """How long the command of a message may take, where its payload says so; in seconds.

    Raises `InvalidInput`. Answers to questions are not kept, and have no deadline.
    """
    fields = Fields(_payload(message))
    return fields.given("deadline_s", fields.positive)


def payload_of(command: Command) -> tuple[CommandType, dict[str, object]]:
    """What a message has to carry to ask for the command: `command_from` the other way round."""
    match command:
        case DeployCompose():
            return CommandType.DEPLOY_COMPOSE, deployment_document(command)
        case PlanCompose():
            return CommandType.PLAN_COMPOSE, deployment_document(command.deployment)
        case RollbackCompose():
            return CommandType.ROLLBACK_COMPOSE, _document(
                command.project, revision=command.revision, requested_by=command.requested_by
            )
        case RestartCompose():
            return CommandType.RESTART_COMPOSE, _document(
                command.project, services=list(command.services)
            )
        case StopCompose():
            return CommandType.STOP_COMPOSE, _document(command.project)
        case RemoveCompose():
            return CommandType.REMOVE_COMPOSE, _document(command.project, volumes=command.volumes)
        case GetStatus():
            return CommandType.STATUS, _document(command.project)
        case ListRevisions():
            return CommandType.LIST_REVISIONS, _document(command.project)
        case ListProjects():
            return CommandType.LIST_PROJECTS, {}
        case CheckHealth():
            return CommandType.HEALTH_CHECK, {}
        case _:
            assert_never(command)


def _document(project: ProjectName, **values: object) -> dict[str, object]:
    """What says nothing is left out."""
    return {"project_name": project.value} | {name: one for name, one in values.items() if one}


def _payload(message: Mapping[str, object]) -> Mapping[str, object]:
    if "payload" not in message:
        raise InvalidInput("payload", "is missing")
    payload = message["payload"]
    if not isinstance(payload, Mapping):
        raise InvalidInput("payload", f"must be a JSON object, not {json_type(payload)}")
    return payload
