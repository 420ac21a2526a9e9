"""`ProjectFiles` on a local disk: `<projects directory>/<name>/docker-compose.yml`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from functools import partial
from pathlib import Path, PurePosixPath

from adapters.cancellation import finish_in_thread
from adapters.filesystem import project_directory as on_disk
from adapters.storage_errors import translated
from domain.errors import InstaDeployError, NotFound
from domain.project import ComposeFile, Project, ProjectName


class LocalProjectFiles:
    """Each project in a directory of its own below the absolute path `projects_dir`.

    With `private`, what is written is for the agent's user alone: 0700 and 0600, not 0755 and 0644.
    """

    def __init__(self, projects_dir: str, *, private: bool, executor: Executor) -> None:
        self._projects_dir = PurePosixPath(projects_dir)
        self._modes = on_disk.PRIVATE if private else on_disk.PUBLIC
        self._executor = executor

    async def locate(self, name: ProjectName) -> Project:
        """See `ProjectFiles`."""
        await finish_in_thread(self._executor, partial(self._require, name))
        return self._project(name, on_disk.COMPOSE_FILE)

    @contextlib.asynccontextmanager
    async def stage(
        self, name: ProjectName, file: ComposeFile, key: str
    ) -> AsyncIterator[LocalStagedComposeFile]:
        """See `ProjectFiles`."""
        staging = _Staging(self._projects_dir, name, self._modes, key)
        try:
            await finish_in_thread(self._executor, partial(staging.write, file.content))
            yield LocalStagedComposeFile(
                staging,
                candidate=self._project(name, staging.file_name),
                published=self._project(name, on_disk.COMPOSE_FILE),
                executor=self._executor,
            )
        except BaseException as exc:
            is_over = isinstance(exc, InstaDeployError)
            await finish_in_thread(self._executor, staging.discard if is_over else staging.leave)
            raise
        await finish_in_thread(self._executor, staging.discard)

    def _require(self, name: ProjectName) -> None:
        with translated(self._projects_dir):
            try:
                with on_disk.opened(str(self._projects_dir)) as projects_fd:
                    on_disk.require_compose_file(projects_fd, name)
            except FileNotFoundError:
                raise NotFound(f"project '{name}' does not exist on this host") from None

    def _project(self, name: ProjectName, file_name: str) -> Project:
        directory = self._projects_dir / name.value
        return Project(name, str(directory), str(directory / file_name))


class LocalStagedComposeFile:
    """See `StagedComposeFile`."""

    def __init__(
        self, staging: _Staging, *, candidate: Project, published: Project, executor: Executor
    ) -> None:
        self._staging = staging
        self._candidate = candidate
        self._published = published
        self._executor = executor

    @property
    def candidate(self) -> Project:
        """See `StagedComposeFile`."""
        return self._candidate

    async def publish(self) -> Project:
        """See `StagedComposeFile`."""
        await finish_in_thread(self._executor, self._staging.publish)
        return self._published


class _Staging:
    """The blocking half. It holds the project's directory open from `write` to `discard`."""

    def __init__(
        self, projects_dir: PurePosixPath, name: ProjectName, modes: on_disk.Modes, key: str
    ) -> None:
        self._projects_dir = projects_dir
        self._name = name
        self._modes = modes
        self._fds = contextlib.ExitStack()
        self._projects_fd = -1
        self._directory_fd = -1
        self._is_new_directory = False
        self._is_staged = False
        self.file_name = on_disk.staged_name(key)

    def write(self, content: bytes) -> None:
        directory = self._projects_dir / self._name.value
        with translated(self._projects_dir):
            on_disk.make_projects_directory(Path(self._projects_dir))
            self._projects_fd = self._open(str(self._projects_dir), None)
            on_disk.refuse_namesakes(self._projects_fd, self._name)
            on_disk.refuse_links(self._projects_fd, self._name)
        with translated(directory):
            self._is_new_directory = on_disk.make_directory(
                self._projects_fd, self._name.value, self._modes.directory
            )
            self._directory_fd = self._open(self._name.value, self._projects_fd)
            os.fchmod(self._directory_fd, self._modes.directory)
            on_disk.has_compose_file(self._directory_fd, self._name)
            on_disk.sweep_staged(self._directory_fd, but=self.file_name)
            self._is_staged = True
            on_disk.write_staged(self._directory_fd, self.file_name, content, self._modes.file)

    def publish(self) -> None:
        with translated(self._projects_dir / self._name.value):
            on_disk.publish_staged(self._directory_fd, self.file_name)
        self._is_staged = self._is_new_directory = False

    def discard(self) -> None:
        with self._fds, contextlib.suppress(OSError):
            if self._is_staged:
                on_disk.remove_staged(self._directory_fd, self.file_name)
            if self._is_new_directory:
                os.rmdir(self._name.value, dir_fd=self._projects_fd)

    def leave(self) -> None:
        self._fds.close()

    def _open(self, path: str, dir_fd: int | None) -> int:
        return self._fds.enter_context(
            on_disk.opened(path, dir_fd=dir_fd, nofollow=dir_fd is not None)
        )
