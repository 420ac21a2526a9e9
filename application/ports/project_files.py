"""Where projects keep their compose files, and what lies beside them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from domain.content import ProjectContent
from domain.project import Project, ProjectName


class StagedContent(Protocol):
    """A project's files, durable on disk beside the current ones, and not current yet."""

    @property
    def candidate(self) -> Project:
        """The project as Compose would see it with them: judging and pulling use this.

        `compose_file` names the staged file. What the project's directory holds beside the staged
        files is found under the candidate's `directory` too.
        """
        ...

    @property
    def directory(self) -> str:
        """The project's own directory, which may be another one than the candidate's."""
        ...

    async def publish(self, replaced: ProjectContent | None) -> Project:
        """Make the staged files the current ones, durably, each of them atomically.

        The compose file comes last: whatever fails before that, and whoever dies, publishing the
        same content again completes it, and publishing `replaced` takes it back. Files of `replaced`,
        which is what was published before, that are not in the new content are removed, unless
        somebody has changed them since; so is its `.env`.
        """
        ...


class ProjectFiles(Protocol):
    """The files of each project. Callers see to it that one project has one caller at a time.

    Every method raises `StorageUnavailable` (`NoSpace` when the disk is full) where the disk does not
    do what is asked, `Conflict` where another project has the same name to Compose, and `InvalidInput`
    where a symbolic link stands in the place of a project's directory or file, or on the way to a
    file that is to be written. Cancelling any of them leaves the disk as if it had been called and
    had ended, or had not been called.
    """

    async def locate(self, name: ProjectName) -> Project:
        """Find a project that has a compose file; raises `NotFound` where there is none."""
        ...

    async def names(self) -> Sequence[ProjectName]:
        """The projects that have a compose file, sorted; what can be no project's name is left out."""
        ...

    async def read(self, name: ProjectName, path: str) -> bytes | None:
        """A file of a project's directory that Compose is going to read; None where there is none.

        `path` is relative, without `..`. Raises `InvalidInput` where a symbolic link is on the way,
        where it is no regular file, or larger than a compose file may be.
        """
        ...

    def stage(
        self, name: ProjectName, content: ProjectContent, key: str
    ) -> AbstractAsyncContextManager[StagedContent]:
        """Write a project's files beside the current ones for as long as the context lasts.

        `key`, letters and digits, is the content's own: the same content staged again under it, also
        by another process, lies at the same path, and is there at every moment in between.

        Leaving the context without `publish` removes every trace, a new project's directory too; but
        left by a cancellation, or by what is no `InstaDeployError`, it stays for whoever comes next.
        """
        ...

    async def pin(self, project: Project, pins: bytes) -> Project:
        """Put a compose file of the agent's own above the project's, durably, or none where empty.

        It stands in the project's directory under a name that is the agent's, and stays until the
        next call. Returns the project with it in `overrides`.
        """
        ...

    async def remove(self, name: ProjectName, content: ProjectContent | None) -> None:
        """Remove the compose file, what `content` brought beside it, and the directory if empty then.

        Files of anybody else stay, and the directory with them. Again is harmless.
        """
        ...
