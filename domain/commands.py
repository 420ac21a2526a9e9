"""What a control plane may ask of an agent: one frozen dataclass per command."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from domain.project import ComposeFile, ProjectName


@dataclass(frozen=True, slots=True)
class DeployCompose:
    """Make the project run what this compose file says."""

    project: ProjectName
    file: ComposeFile


@dataclass(frozen=True, slots=True)
class StopCompose:
    """Stop and remove the project's containers and networks; its volumes stay."""

    project: ProjectName


@dataclass(frozen=True, slots=True)
class GetStatus:
    """Say which containers the project has and how they are."""

    project: ProjectName


@dataclass(frozen=True, slots=True)
class CheckHealth:
    """Say how the agent, the engine and Compose are."""


Command = DeployCompose | StopCompose | GetStatus | CheckHealth

CHANGING_COMMANDS = (DeployCompose, StopCompose)
"""Commands that change something on the host: one id must never start one of them twice at once."""


def project_of(command: Command) -> ProjectName | None:
    """The project whose turn a command has to wait for; None when it concerns no project."""
    return None if isinstance(command, CheckHealth) else command.project


def weight_of(command: Command) -> int:
    """How many bytes a waiting command holds in memory, near enough to bound a queue by."""
    return 256 + (len(command.file.content) if isinstance(command, DeployCompose) else 0)


def digest_of(command: Command) -> str:
    """What tells two commands that were given one id apart: SHA-256 over kind and values, in hex.

    It is kept for ever and compared with what later versions compute: a field that is added to a
    command must change nothing for commands that do without it.
    """
    digest = hashlib.sha256()
    for part in _parts_of(command):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _parts_of(command: Command) -> Iterator[bytes]:
    yield type(command).__name__.encode()
    match command:
        case DeployCompose():
            yield command.project.value.encode()
            yield command.file.content
        case StopCompose() | GetStatus():
            yield command.project.value.encode()
        case CheckHealth():
            pass
        case _:
            assert_never(command)
