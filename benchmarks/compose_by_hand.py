"""The `docker compose` calls that the agent makes, made without it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from adapters.compose import argv
from domain.project import Project, ProjectName

CALL_S: Final = 120.0


class ComposeByHand:
    """One project, with the agent's argument lists and the environment that it gives to Compose.

    Each method returns the seconds that its calls took together.
    """

    def __init__(self, name: str, directory: Path, environment: Mapping[str, str]) -> None:
        compose_file = directory / "docker-compose.yml"
        self._project = Project(ProjectName(name), str(directory), str(compose_file))
        self._environment = dict(environment)

    def write(self, compose: str) -> None:
        """Put the compose file in its place."""
        path = Path(self._project.compose_file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(compose, encoding="utf-8")

    def deploy(self) -> float:
        """`config --quiet`, then `up --detach`."""
        return self._timed(_config_quiet, argv.up)

    def stop(self) -> float:
        """`down`."""
        return self._timed(argv.down)

    def status(self) -> float:
        """`ps --all --format json`."""
        return self._timed(_ps)

    def _timed(self, *calls: Callable[[Project], tuple[str, ...]]) -> float:
        started = time.perf_counter()
        for call in calls:
            run_docker(*call(self._project), environment=self._environment)
        return time.perf_counter() - started


def _config_quiet(project: Project) -> tuple[str, ...]:
    """What people do before they apply a file."""
    return (*argv.config_json(project, ())[: -len(("--format", "json"))], "--quiet")


def _ps(project: Project) -> tuple[str, ...]:
    """How people see what runs."""
    config = ("config", "--format", "json")
    return (*argv.config_json(project, ())[: -len(config)], "ps", "--all", "--format", "json")


def run_docker(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run `docker`; returns what it printed to stdout."""
    finished = subprocess.run(
        ["docker", *arguments],
        env=dict(environment if environment is not None else os.environ),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=CALL_S,
    )
    return finished.stdout
