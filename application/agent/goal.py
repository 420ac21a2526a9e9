"""What a project is to run, with all that is known of it beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from application.agent.project_judge import Judged
from application.ports.compose_executor import ComposeOptions
from domain.deploy_options import DeployOptions
from domain.project import Project

APPLY: Final = "apply"
"""The `up` of a deployment."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to run. `step` is how its `up` is called."""

    project: Project
    judged: Judged
    options: DeployOptions
    step: str
    consequence: str
    docker_config: str = ""
    changed_files: frozenset[str] = frozenset()
    """Paths in the project's directory that name other files than before."""

    def step_beside(self, name: str) -> str:
        """How a step that goes with its `up` is called."""
        return name if self.step == APPLY else f"{self.step} {name}"

    @property
    def compose_options(self) -> ComposeOptions:
        """What Compose is told beside the files."""
        return ComposeOptions(
            profiles=self.options.profiles,
            remove_orphans=self.options.remove_orphans,
            docker_config=self.docker_config,
        )
