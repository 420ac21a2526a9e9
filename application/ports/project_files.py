"""Where projects keep their compose files."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from domain.project import ComposeFile, Project, ProjectName


class StagedComposeFile(Protocol):
    """A compose file that is durable on disk beside the current one, and not current yet."""

    @property
    def candidate(self) -> Project:
        """The project with `compose_file` naming the staged file."""
        ...

    async def publish(self) -> Project:
        """Make the staged file the current one, atomically and durably.

        Whatever fails, either the old file or the new one is there, whole.
        """
        ...


class ProjectFiles(Protocol):
    """The compose file of each project. Callers see to it that one project has one caller at a time.

    Every method raises `StorageUnavailable` (`NoSpace` when the disk is full) where the disk does not
    do what is asked, `Conflict` where another project has the same name to Compose, and `InvalidInput`
    where a symbolic link stands in the place of a project's directory or file. Cancelling any of
    them leaves the disk as if it had been called and had ended, or had not been called.
    """

    async def locate(self, name: ProjectName) -> Project:
        """Find a project that has a compose file; raises `NotFound` where there is none."""
        ...

    def stage(
        self, name: ProjectName, file: ComposeFile, key: str
    ) -> AbstractAsyncContextManager[StagedComposeFile]:
        """Write a compose file beside the current one for as long as the context lasts.

        `key`, letters and digits, is the content's own: the same content staged again under it, also
        by another process, lies at the same path, and is there at every moment in between.
        Leaving the context without `publish` removes every trace, a new project's directory too; but
        left by a cancellation, or by what is no `InstaDeployError`, it stays for whoever comes next.
        """
        ...
