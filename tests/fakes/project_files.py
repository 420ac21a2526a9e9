"""Compose files in memory."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass

from domain.errors import (
    Conflict,
    InstaDeployError,
    InvalidInput,
    NoSpace,
    NotFound,
    StorageUnavailable,
)
from domain.project import ComposeFile, Project, ProjectName

ROOT = "/projects"
COMPOSE_FILE = "docker-compose.yml"


class FakeProjectFiles:
    """Holds what is on the disk as paths and contents; a directory is there while it holds a file.

    Set `fails_with` to have every call fail, `is_full` to have every write fail, and add a project's
    name to `linked_directories` or `linked_files` to put a symbolic link in its place.
    """

    def __init__(self) -> None:
        self.on_disk: dict[str, bytes] = {}
        self.linked_directories: set[str] = set()
        self.linked_files: set[str] = set()
        self.is_full = False
        self.fails_with: StorageUnavailable | None = None
        self.fails_to_publish_with: InstaDeployError | None = None
        self.publications = 0
        self._numbers = itertools.count(1)

    def put(self, name: str, content: bytes) -> Project:
        """Let the project have this compose file already."""
        project = _project(ProjectName(name), COMPOSE_FILE)
        self.on_disk[project.compose_file] = content
        return project

    def content(self, name: str) -> bytes | None:
        """The project's current compose file."""
        return self.on_disk.get(f"{ROOT}/{name}/{COMPOSE_FILE}")

    def read(self, path: str) -> bytes:
        """What Compose reads at the path of a `Project`; raises `KeyError` where nothing is."""
        return self.on_disk[path]

    @property
    def staged(self) -> list[str]:
        """The paths of all files that are staged at this moment."""
        return [path for path in self.on_disk if path.endswith(".staged")]

    async def locate(self, name: ProjectName) -> Project:
        """See `ProjectFiles`."""
        self._check(name)
        if self.content(name.value) is None:
            raise NotFound(f"project '{name}' does not exist on this host")
        return _project(name, COMPOSE_FILE)

    @contextlib.asynccontextmanager
    async def stage(
        self, name: ProjectName, file: ComposeFile, key: str
    ) -> AsyncIterator[FakeStaged]:
        """See `ProjectFiles`."""
        self._check(name)
        if self.is_full:
            raise NoSpace(f"no space left on the disk that holds {ROOT}")
        candidate = _project(name, f".{COMPOSE_FILE}.{key}.staged")
        self.on_disk[candidate.compose_file] = file.content
        try:
            yield FakeStaged(self, candidate)
        except BaseException as exc:
            if isinstance(exc, InstaDeployError):
                self.on_disk.pop(candidate.compose_file, None)
            raise
        self.on_disk.pop(candidate.compose_file, None)

    def _check(self, name: ProjectName) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        for directory in {path.split("/")[2] for path in self.on_disk}:
            if directory != name.value and directory.lower() == name.compose_name:
                raise Conflict(
                    f"project_name: '{name}' and the existing project '{directory}' are one "
                    "project to Docker Compose, which knows no capitals; use another name"
                )
        if name.value in self.linked_directories:
            raise InvalidInput(
                "project_name", f"the directory of project '{name}' is a symbolic link"
            )
        if name.value in self.linked_files:
            raise InvalidInput("project_name", f"the compose file of '{name}' is a symbolic link")


@dataclass(frozen=True, slots=True)
class FakeStaged:
    """See `StagedComposeFile`."""

    files: FakeProjectFiles
    candidate: Project

    async def publish(self) -> Project:
        """See `StagedComposeFile`."""
        if self.files.fails_to_publish_with is not None:
            raise self.files.fails_to_publish_with
        published = _project(self.candidate.name, COMPOSE_FILE)
        content = self.files.on_disk.pop(self.candidate.compose_file)
        self.files.on_disk[published.compose_file] = content
        self.files.publications += 1
        return published


def _project(name: ProjectName, file_name: str) -> Project:
    directory = f"{ROOT}/{name}"
    return Project(name, directory, f"{directory}/{file_name}")
