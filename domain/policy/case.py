"""What is judged, and by what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.compose_model import ComposeModel
from domain.policy.policy import Policy
from domain.project import ProjectName


@dataclass(frozen=True, slots=True)
class HostPlaces:
    """Paths that a policy cannot know. All of them are absolute."""

    agent_directories: tuple[str, ...] = ()
    """Where the agent keeps its state, its settings and its policy."""
    engine_sockets: tuple[str, ...] = ()
    """The socket that this agent reaches its engine at, wherever it is."""
    real_paths: Mapping[str, str] = field(default_factory=dict)
    """Paths as `host_paths` gives them, and where their symbolic links lead. A path is allowed
    where both are."""


@dataclass(frozen=True, slots=True)
class Case:
    """One project's model before one host's policy."""

    model: ComposeModel
    policy: Policy
    project: ProjectName
    project_directory: str
    places: HostPlaces
