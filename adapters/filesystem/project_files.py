"""`ProjectFiles` on a local disk: `<projects directory>/<name>/docker-compose.yml`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import TypeVar

from adapters.cancellation import finish_in_thread
from adapters.filesystem import project_directory as on_disk
from adapters.filesystem import publishing
from adapters.filesystem.directories import PRIVATE, PUBLIC, opened
from adapters.filesystem.staged_content import StagedContent
from adapters.filesystem.staging import Staging
from adapters.storage_errors import translated
from domain.content import ProjectContent
from domain.errors import InstaDeployError, NotFound
from domain.project import Project, ProjectName

T = TypeVar("T")


class LocalProjectFiles:
    """Each project in a directory of its own below the absolute path `projects_dir`.

    With `private`, what is written is for the agent's user alone: 0700 and 0600, not 0755 and 0644.
    An env is 0600 always, and files that a content brings have the modes that it says.
    """

    def __init__(self, projects_dir: str, *, private: bool, executor: Executor) -> None:
        self._projects_dir = PurePosixPath(projects_dir)
        self._modes = PRIVATE if private else PUBLIC
        self._executor = executor

    async def locate(self, name: ProjectName) -> Project:
        """See `ProjectFiles`."""
        await finish_in_thread(self._executor, partial(self._require, name))
        return self._published(name)

    async def names(self) -> Sequence[ProjectName]:
        """See `ProjectFiles`."""
        return await self._in_projects(on_disk.project_names, missing=[])

    async def read(self, name: ProjectName, path: str) -> bytes | None:
        """See `ProjectFiles`."""
        return await self._in_projects(
            lambda projects_fd: on_disk.read_source(projects_fd, name, path), missing=None
        )

    @contextlib.asynccontextmanager
    async def stage(
        self, name: ProjectName, content: ProjectContent, key: str
    ) -> AsyncIterator[LocalStagedContent]:
        """See `ProjectFiles`."""
        staged = StagedContent.under(key, content)
        staging = Staging(self._projects_dir, name, self._modes, staged)
        try:
            await finish_in_thread(self._executor, staging.write)
            yield LocalStagedContent(
                staging,
                candidate=self._candidate(name, staged),
                published=self._published(name),
                executor=self._executor,
            )
        except BaseException as exc:
            is_over = isinstance(exc, InstaDeployError)
            await finish_in_thread(self._executor, staging.discard if is_over else staging.leave)
            raise
        await finish_in_thread(self._executor, staging.discard)

    async def pin(self, project: Project, pins: bytes) -> Project:
        """See `ProjectFiles`."""
        path = str(self._projects_dir / project.name.value / on_disk.PINS_FILE)
        others = tuple(override for override in project.overrides if override != path)
        await self.locate(project.name)
        await self._in_projects(partial(self._pin, name=project.name, pins=pins), missing=None)
        return replace(project, overrides=(*others, path) if pins else others)

    async def remove(self, name: ProjectName, content: ProjectContent | None) -> None:
        """See `ProjectFiles`."""
        await self._in_projects(partial(self._remove, name=name, content=content), missing=None)

    def _require(self, name: ProjectName) -> None:
        with translated(self._projects_dir):
            try:
                with opened(str(self._projects_dir)) as projects_fd:
                    on_disk.require_compose_file(projects_fd, name)
            except FileNotFoundError:
                raise NotFound(f"project '{name}' does not exist on this host") from None

    def _pin(self, projects_fd: int, name: ProjectName, pins: bytes) -> None:
        with (
            translated(self._projects_dir / name.value),
            opened(name.value, dir_fd=projects_fd, nofollow=True) as directory_fd,
        ):
            publishing.pin(directory_fd, pins, self._modes)

    def _remove(self, projects_fd: int, name: ProjectName, content: ProjectContent | None) -> None:
        on_disk.refuse_namesakes(projects_fd, name)
        on_disk.refuse_links(projects_fd, name)
        with (
            translated(self._projects_dir / name.value),
            contextlib.suppress(FileNotFoundError),
            opened(name.value, dir_fd=projects_fd, nofollow=True) as directory_fd,
        ):
            on_disk.has_compose_file(directory_fd, name)
            on_disk.sweep_staged(directory_fd)
            publishing.remove_content(directory_fd, content)
            with contextlib.suppress(OSError):  # Files of somebody else are in it.
                os.rmdir(name.value, dir_fd=projects_fd)
            os.fsync(projects_fd)

    async def _in_projects(self, work: Callable[[int], T], *, missing: T) -> T:
        """What `work` gives for the projects directory; `missing` where there is none."""

        def blocking() -> T:
            with translated(self._projects_dir), contextlib.ExitStack() as fds:
                try:
                    projects_fd = fds.enter_context(opened(str(self._projects_dir)))
                except FileNotFoundError:
                    return missing
                return work(projects_fd)

        return await finish_in_thread(self._executor, blocking)

    def _published(self, name: ProjectName) -> Project:
        directory = self._projects_dir / name.value
        return Project(name, str(directory), str(directory / on_disk.COMPOSE_FILE))

    def _candidate(self, name: ProjectName, staged: StagedContent) -> Project:
        directory = self._projects_dir / name.value
        if staged.tree is not None:
            return Project(name, str(directory / staged.tree), str(directory / staged.file))
        env_file = "" if staged.content.env is None else str(directory / staged.env)
        return Project(name, str(directory), str(directory / staged.file), env_file=env_file)


class LocalStagedContent:
    """See `StagedContent`."""

    def __init__(
        self, staging: Staging, *, candidate: Project, published: Project, executor: Executor
    ) -> None:
        self._staging = staging
        self._candidate = candidate
        self._published = published
        self._executor = executor

    @property
    def candidate(self) -> Project:
        """See `StagedContent`."""
        return self._candidate

    @property
    def directory(self) -> str:
        """See `StagedContent`."""
        return self._published.directory

    async def publish(self, replaced: ProjectContent | None) -> Project:
        """See `StagedContent`."""
        await finish_in_thread(self._executor, partial(self._staging.publish, replaced))
        return self._published
