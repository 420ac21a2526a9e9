"""Projects' files in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from domain.content import COMPOSE_FILE_NAME, ENV_FILE_NAME, OURS, ProjectContent
from domain.errors import (
    Conflict,
    InstaDeployError,
    InvalidInput,
    NoSpace,
    NotFound,
    StorageUnavailable,
)
from domain.project import Project, ProjectName
from domain.validation import MAX_COMPOSE_FILE_BYTES

ROOT = "/projects"
COMPOSE_FILE = COMPOSE_FILE_NAME
PINS_FILE = f"{OURS}.pins.yml"
STAGED = (".staged", ".staged.env", ".staged.d")


class FakeProjectFiles:
    """Holds what is on the disk as paths and contents; a directory is there while it holds a file.

    Set `fails_with` to have every call fail, `is_full` to have every write fail, and add a project's
    name to `linked_directories` or `linked_files` to put a symbolic link in its place, or the path of
    one of its files to `links`. `modes` are those that contents brought, by path.
    """

    def __init__(self) -> None:
        self.on_disk: dict[str, bytes] = {}
        self.modes: dict[str, int] = {}
        self.linked_directories: set[str] = set()
        self.linked_files: set[str] = set()
        self.links: set[str] = set()
        self.is_full = False
        self.fails_with: StorageUnavailable | None = None
        self.fails_to_publish_with: InstaDeployError | None = None
        self.publications = 0

    def put(self, name: str, content: bytes, path: str = COMPOSE_FILE) -> Project:
        """Let the project have this file already, its compose file where no other is named."""
        self.on_disk[f"{ROOT}/{name}/{path}"] = content
        return _project(ProjectName(name), COMPOSE_FILE)

    def content(self, name: str, path: str = COMPOSE_FILE) -> bytes | None:
        """The project's current compose file, or another of its files."""
        return self.on_disk.get(f"{ROOT}/{name}/{path}")

    def at(self, path: str) -> bytes:
        """What Compose reads at the path of a `Project`; raises `KeyError` where nothing is."""
        return self.on_disk[path]

    @property
    def staged(self) -> list[str]:
        """The paths of all files that are staged at this moment."""
        return [path for path in self.on_disk if _is_staged(path)]

    async def locate(self, name: ProjectName) -> Project:
        """See `ProjectFiles`."""
        await asyncio.sleep(0)
        self._check(name)
        if self.content(name.value) is None:
            raise NotFound(f"project '{name}' does not exist on this host")
        return _project(name, COMPOSE_FILE)

    async def names(self) -> Sequence[ProjectName]:
        """See `ProjectFiles`."""
        await asyncio.sleep(0)
        if self.fails_with is not None:
            raise self.fails_with
        directories = {path.split("/")[2] for path in self.on_disk}
        return [ProjectName(one) for one in sorted(directories) if self.content(one) is not None]

    async def read(self, name: ProjectName, path: str) -> bytes | None:
        """See `ProjectFiles`."""
        await asyncio.sleep(0)
        self._check(name)
        if path.startswith("/") or ".." in path.split("/"):
            raise InvalidInput("compose_file_base64", "is no path in the project's directory")
        self._refuse_links(name, path, "compose_file_base64")
        content = self.content(name.value, path)
        if content is not None and len(content) > MAX_COMPOSE_FILE_BYTES:
            raise InvalidInput("compose_file_base64", f"'{path}' is larger than 1 MiB")
        if any(other.startswith(f"{ROOT}/{name}/{path}/") for other in self.on_disk):
            raise InvalidInput("compose_file_base64", f"'{path}' is no regular file")
        return content

    @contextlib.asynccontextmanager
    async def stage(
        self, name: ProjectName, content: ProjectContent, key: str
    ) -> AsyncIterator[FakeStaged]:
        """See `ProjectFiles`."""
        await asyncio.sleep(0)
        self._check(name)
        for path in _beside_compose_file(content):
            self._refuse_links(name, path, f"files.{path}")
        if self.is_full:
            raise NoSpace(f"no space left on the disk that holds {ROOT}")
        self._sweep(name, but=f".{COMPOSE_FILE}.{key}.staged")
        staged = FakeStaged(self, _candidate(name, content, key), content)
        self._write(staged)
        try:
            yield staged
        except BaseException as exc:
            if isinstance(exc, InstaDeployError):
                self._sweep(name)
            raise
        self._sweep(name)

    async def pin(self, project: Project, pins: bytes) -> Project:
        """See `ProjectFiles`."""
        await asyncio.sleep(0)
        await self.locate(project.name)
        self._refuse_links(project.name, PINS_FILE, "project_name")
        path = f"{ROOT}/{project.name}/{PINS_FILE}"
        if self.is_full and pins:
            raise NoSpace(f"no space left on the disk that holds {ROOT}")
        others = tuple(override for override in project.overrides if override != path)
        if pins:
            self.on_disk[path] = pins
            return replace(project, overrides=(*others, path))
        self.on_disk.pop(path, None)
        return replace(project, overrides=others)

    async def remove(self, name: ProjectName, content: ProjectContent | None) -> None:
        """See `ProjectFiles`."""
        await asyncio.sleep(0)
        self._check(name)
        self._sweep(name)
        if content is not None:
            self.remove_unchanged(name, _beside_compose_file(content))
        for path in (PINS_FILE, COMPOSE_FILE):
            self.on_disk.pop(f"{ROOT}/{name}/{path}", None)

    def remove_unchanged(self, name: ProjectName, files: dict[str, bytes]) -> None:
        """Remove those that nobody has changed."""
        for path, content in files.items():
            if self.content(name.value, path) == content:
                del self.on_disk[f"{ROOT}/{name}/{path}"]

    def _write(self, staged: FakeStaged) -> None:
        candidate, content = staged.candidate, staged.content
        if candidate.directory != f"{ROOT}/{candidate.name}":
            beside = f"{ROOT}/{candidate.name}/"
            for path, found in list(self.on_disk.items()):
                if path.startswith(beside) and not _is_staged(path):
                    self.on_disk[f"{candidate.directory}/{path.removeprefix(beside)}"] = found
            for path, brought in _beside_compose_file(content).items():
                self.on_disk[f"{candidate.directory}/{path}"] = brought
        elif content.env is not None:
            self.on_disk[candidate.env_file] = content.env
        self.on_disk[candidate.compose_file] = content.file.content

    def _sweep(self, name: ProjectName, but: str | None = None) -> None:
        for path in self.staged:
            directory, entry = path.split("/")[2:4]
            if directory.lower() == name.compose_name and (
                but is None or not entry.startswith(but)
            ):
                del self.on_disk[path]

    def _check(self, name: ProjectName) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        for directory in {path.split("/")[2] for path in self.on_disk if not _is_staged(path)}:
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

    def _refuse_links(self, name: ProjectName, path: str, field: str) -> None:
        for link in self.links:
            if f"{ROOT}/{name}/{path}/".startswith(f"{link}/"):
                raise InvalidInput(field, "in the project's directory is a symbolic link")


@dataclass(frozen=True, slots=True)
class FakeStaged:
    """See `StagedContent`."""

    files: FakeProjectFiles
    candidate: Project
    content: ProjectContent

    @property
    def directory(self) -> str:
        """See `StagedContent`."""
        return f"{ROOT}/{self.candidate.name}"

    async def publish(self, replaced: ProjectContent | None) -> Project:
        """See `StagedContent`."""
        await asyncio.sleep(0)
        files, name = self.files, self.candidate.name
        if files.fails_to_publish_with is not None:
            raise files.fails_to_publish_with
        brought = _beside_compose_file(self.content)
        if replaced is not None:
            before = _beside_compose_file(replaced)
            files.remove_unchanged(name, {path: before[path] for path in before.keys() - brought})
        for path, content in (brought | {COMPOSE_FILE: self.content.file.content}).items():
            files.put(name.value, content, path)
        for extra in self.content.files:
            files.modes[f"{ROOT}/{name}/{extra.path}"] = extra.mode
        for path in files.staged:
            if path.startswith(f"{ROOT}/{name}/"):
                del files.on_disk[path]
        files.publications += 1
        return _project(name, COMPOSE_FILE)


def _candidate(name: ProjectName, content: ProjectContent, key: str) -> Project:
    staged = f".{COMPOSE_FILE}.{key}.staged"
    plain = _project(name, staged)
    if content.files or (
        content.env is not None and ENV_FILE_NAME.encode() in content.file.content
    ):
        tree = f"{plain.directory}/{staged}.d"
        return Project(name, tree, f"{tree}/{COMPOSE_FILE}")
    if content.env is None:
        return plain
    return Project(
        name, plain.directory, plain.compose_file, env_file=f"{plain.directory}/{staged}.env"
    )


def _project(name: ProjectName, file_name: str) -> Project:
    directory = f"{ROOT}/{name}"
    return Project(name, directory, f"{directory}/{file_name}")


def _beside_compose_file(content: ProjectContent) -> dict[str, bytes]:
    files = {extra.path: extra.content for extra in content.files}
    return files if content.env is None else {**files, ENV_FILE_NAME: content.env}


def _is_staged(path: str) -> bool:
    entry = path.split("/")[3]
    return entry.startswith(f".{COMPOSE_FILE}.") and entry.endswith(STAGED)
