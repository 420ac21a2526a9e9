"""What a control plane may ask of an agent: one frozen dataclass per command."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, assert_never

from domain.content import ExtraFile, ProjectContent
from domain.errors import InvalidInput
from domain.project import ComposeFile, ProjectName
from domain.validation import (
    check_label,
    check_number,
    check_profile,
    check_registry,
    check_requester,
    check_service_name,
)

MAX_PROFILES: Final = 64
MAX_LABELS: Final = 64
MAX_REGISTRIES: Final = 16
MAX_SERVICES_NAMED: Final = 256
LONGEST_WAIT_S: Final = 24 * 3600.0


class PullPolicy(StrEnum):
    """When images are pulled, before anything that runs is touched."""

    MISSING = "missing"
    """Those that the engine does not have, and those of which the compose file says `always`."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """How a deployment is carried out; part of the revision that it makes.

    Without `wait` it is enough that the containers were started. `wait_timeout_s` is how long they
    may take to become healthy, None for as long as the host allows. `labels` are the operator's own
    notes, by name; `requested_by` says who asked, as the control plane puts it.
    """

    pull: PullPolicy = PullPolicy.MISSING
    wait: bool = True
    wait_timeout_s: float | None = None
    remove_orphans: bool = False
    profiles: tuple[str, ...] = ()
    auto_rollback: bool = True
    labels: tuple[tuple[str, str], ...] = ()
    requested_by: str = ""

    def __post_init__(self) -> None:
        check_number("profiles", len(self.profiles), MAX_PROFILES)
        check_number("labels", len(self.labels), MAX_LABELS)
        for profile in self.profiles:
            check_profile(profile)
        for name, value in self.labels:
            check_label(name, value)
        if self.requested_by:
            check_requester(self.requested_by)
        if self.wait_timeout_s is not None and not 0 < self.wait_timeout_s <= LONGEST_WAIT_S:
            raise InvalidInput(
                "wait_timeout_s", f"must be over 0 and at most {LONGEST_WAIT_S:g} seconds"
            )


PLAINLY: Final = DeployOptions()
"""As an agent of the first days deployed, but for looking whether it came up."""


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


def options_document(options: DeployOptions) -> dict[str, object]:
    """The options that differ from the default, as the wire has them."""
    values: dict[str, object] = {
        "pull": options.pull.value,
        "wait": options.wait,
        "wait_timeout_s": options.wait_timeout_s,
        "remove_orphans": options.remove_orphans,
        "profiles": list(options.profiles),
        "auto_rollback": options.auto_rollback,
        "labels": dict(options.labels),
        "requested_by": options.requested_by,
    }
    return {
        name: value
        for name, value in values.items()
        if getattr(options, name) != getattr(PLAINLY, name)
    }


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
