"""One content of one project from its staging to its end. Blocking."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path, PurePosixPath

from adapters.filesystem import project_directory as on_disk
from adapters.filesystem import publishing
from adapters.filesystem.directories import Modes, make_directory, opened
from adapters.filesystem.staged_content import StagedContent
from adapters.storage_errors import translated
from domain.content import ProjectContent
from domain.project import ProjectName


class Staging:
    """It holds the project's directory open from `write` to `discard` or `leave`."""

    def __init__(
        self, projects_dir: PurePosixPath, name: ProjectName, modes: Modes, staged: StagedContent
    ) -> None:
        self._projects_dir = projects_dir
        self._name = name
        self._modes = modes
        self._staged = staged
        self._fds = contextlib.ExitStack()
        self._projects_fd = -1
        self._directory_fd = -1
        self._is_new_directory = False
        self._is_staged = False

    def write(self) -> None:
        """Stage it; what an agent that was killed left staged is swept before."""
        with translated(self._projects_dir):
            on_disk.make_projects_directory(Path(self._projects_dir))
            self._projects_fd = self._open(str(self._projects_dir), None)
            on_disk.refuse_namesakes(self._projects_fd, self._name)
            on_disk.refuse_links(self._projects_fd, self._name)
            on_disk.sweep_unborn_namesakes(self._projects_fd, self._name)
        with translated(self._projects_dir / self._name.value):
            self._is_new_directory = make_directory(
                self._projects_fd, self._name.value, self._modes.directory
            ) or on_disk.is_unborn(self._projects_fd, self._name.value)
            self._directory_fd = self._open(self._name.value, self._projects_fd)
            os.fchmod(self._directory_fd, self._modes.directory)
            on_disk.has_compose_file(self._directory_fd, self._name)
            self._staged.refuse_links(self._directory_fd)
            on_disk.sweep_staged(self._directory_fd, but=self._staged.names)
            self._is_staged = True
            self._staged.write(self._directory_fd, self._modes)

    def publish(self, replaced: ProjectContent | None) -> None:
        """Make it current."""
        with translated(self._projects_dir / self._name.value):
            publishing.publish_staged(self._directory_fd, self._staged, replaced, self._modes)
        self._is_new_directory = False
        with contextlib.suppress(OSError):  # What is left of it is swept at the next staging.
            self._staged.remove(self._directory_fd)
            self._is_staged = False

    def discard(self) -> None:
        """Remove what is still staged, and a directory that was new for it."""
        with self._fds, contextlib.suppress(OSError):
            if self._is_staged:
                self._staged.remove(self._directory_fd)
            if self._is_new_directory:
                os.rmdir(self._name.value, dir_fd=self._projects_fd)

    def leave(self) -> None:
        """Let what is staged lie there."""
        self._fds.close()

    def _open(self, path: str, dir_fd: int | None) -> int:
        return self._fds.enter_context(opened(path, dir_fd=dir_fd, nofollow=dir_fd is not None))
