"""What a control plane may ask of an agent: one frozen dataclass per command."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from domain.content import ExtraFile, ProjectContent
from domain.deploy_options import PLAINLY, DeployOptions, options_document
from domain.project import ComposeFile, ProjectName
from domain.validation import (
    check_number,
    check_registry,
    check_requester,
    check_service_name,
)

MAX_REGISTRIES: Final = 16
MAX_SERVICES_NAMED: Final = 256


@dataclass(frozen=True, slots=True)
class RegistryLogin:
    """What a registry wants to hear. `registry` is a host name, with a port where it needs one."""

    registry: str
    username: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        check_registry(self.registry, self.username, self.password)


@dataclass(frozen=True, slots=True)
class DeployCompose:
    """Make the project run what this compose file says."""

    project: ProjectName
    file: ComposeFile
    env: bytes | None = field(default=None, repr=False)
    files: tuple[ExtraFile, ...] = ()
    options: DeployOptions = PLAINLY
    registry_auth: tuple[RegistryLogin, ...] = ()

    def __post_init__(self) -> None:
        check_number("registry_auth", len(self.registry_auth), MAX_REGISTRIES)
        _ = self.content  # Judges it.

    @property
    def content(self) -> ProjectContent:
        """The files that it brings."""
        return ProjectContent(self.file, self.env, self.files)


@dataclass(frozen=True, slots=True)
class PlanCompose:
    """Say what a deployment would do, and do nothing of it."""

    deployment: DeployCompose

    @property
    def project(self) -> ProjectName:
        """The project that would be deployed."""
        return self.deployment.project


@dataclass(frozen=True, slots=True)
class RollbackCompose:
    """Make the project run a revision that it had; `revision` None is the last good one before now."""

    project: ProjectName
    revision: int | None = None
    requested_by: str = ""

    def __post_init__(self) -> None:
        if self.requested_by:
            check_requester(self.requested_by)


@dataclass(frozen=True, slots=True)
class RestartCompose:
    """Stop and start the project's containers as they are; of these services only, where any is named."""

    project: ProjectName
    services: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_number("services", len(self.services), MAX_SERVICES_NAMED)
        for service in self.services:
            check_service_name(service)


@dataclass(frozen=True, slots=True)
class StopCompose:
    """Stop and remove the project's containers and networks; its volumes stay."""

    project: ProjectName


@dataclass(frozen=True, slots=True)
class RemoveCompose:
    """Take the project off the host: containers, networks, files and history.

    Its volumes stay, unless `volumes` says that they go too.
    """

    project: ProjectName
    volumes: bool = False


@dataclass(frozen=True, slots=True)
class GetStatus:
    """Say what the project should run, what was done last, and what really runs."""

    project: ProjectName


@dataclass(frozen=True, slots=True)
class ListProjects:
    """Say which projects this host has, and how they are."""


@dataclass(frozen=True, slots=True)
class ListRevisions:
    """Say which revisions a project had, and what came of them."""

    project: ProjectName


@dataclass(frozen=True, slots=True)
class CheckHealth:
    """Say how the agent, the engine and Compose are."""


ChangingCommand = DeployCompose | RollbackCompose | RestartCompose | StopCompose | RemoveCompose
Command = ChangingCommand | PlanCompose | GetStatus | ListProjects | ListRevisions | CheckHealth

CHANGING_COMMANDS = (DeployCompose, RollbackCompose, RestartCompose, StopCompose, RemoveCompose)
"""Commands that change something on the host: one id must never start one of them twice at once."""


COMMAND_NAMES: Final[dict[type, str]] = {
    DeployCompose: "DEPLOY_COMPOSE",
    PlanCompose: "PLAN_COMPOSE",
    RollbackCompose: "ROLLBACK_COMPOSE",
    RestartCompose: "RESTART_COMPOSE",
    StopCompose: "STOP_COMPOSE",
    RemoveCompose: "REMOVE_COMPOSE",
    GetStatus: "STATUS",
    ListProjects: "LIST_PROJECTS",
    ListRevisions: "LIST_REVISIONS",
    CheckHealth: "HEALTH_CHECK",
}
"""What they are called, on the wire and in the host's policy."""
CHANGING_KINDS: Final = frozenset(COMMAND_NAMES[command] for command in CHANGING_COMMANDS)


def project_of(command: Command) -> ProjectName | None:
    """The project whose turn a command has to wait for; None when it concerns no project."""
    return None if isinstance(command, CheckHealth | ListProjects) else command.project


def weight_of(command: Command) -> int:
    """How many bytes a waiting command holds in memory, near enough to bound a queue by."""
    deployment = _deployment_in(command)
    return 256 + (0 if deployment is None else deployment.content.size)


def is_private(command: Command) -> bool:
    """Whether it carries what must not lie about: environments, files, passwords."""
    deployment = _deployment_in(command)
    return deployment is not None and (
        not deployment.content.is_plain or bool(deployment.registry_auth)
    )


def without_private(command: Command) -> Command:
    """The command as it may be written down anywhere."""
    match command:
        case DeployCompose():
            return replace(command, env=None, files=(), registry_auth=())
        case PlanCompose():
            bare = without_private(command.deployment)
            assert isinstance(bare, DeployCompose)
            return PlanCompose(bare)
        case _:
            return command


def digest_of(command: Command) -> str:
    """What tells two commands that were given one id apart: SHA-256 over kind and values, in hex.

    It is kept for ever and compared with what later versions compute: a field that is added to a
    command must change nothing for commands that do without it. Credentials are left out: asking
    again with newer ones asks for the same.
    """
    digest = hashlib.sha256()
    for part in _parts_of(command):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _deployment_in(command: Command) -> DeployCompose | None:
    if isinstance(command, PlanCompose):
        return command.deployment
    return command if isinstance(command, DeployCompose) else None


def _parts_of(command: Command) -> Iterator[bytes]:
    yield type(command).__name__.encode()
    match command:
        case DeployCompose():
            yield from _parts_of_deployment(command)
        case PlanCompose():
            yield from _parts_of_deployment(command.deployment)
        case StopCompose() | GetStatus() | ListRevisions():
            yield command.project.value.encode()
        case RollbackCompose():
            yield command.project.value.encode()
            yield str(command.revision or "").encode()
        case RestartCompose():
            yield command.project.value.encode()
            yield from (service.encode() for service in command.services)
        case RemoveCompose():
            yield command.project.value.encode()
            yield b"volumes" if command.volumes else b""
        case CheckHealth() | ListProjects():
            pass
        case _:
            assert_never(command)


def _parts_of_deployment(command: DeployCompose) -> Iterator[bytes]:
    yield command.project.value.encode()
    yield command.file.content
    content = command.content
    if not content.is_plain:
        yield content.digest.encode()
    if options := options_document(command.options):
        yield json.dumps(options, sort_keys=True).encode()
