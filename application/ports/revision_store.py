"""Where the revisions of projects are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from domain.content import ProjectContent
from domain.project import ProjectName
from domain.revision import Draft, ProjectHistory, RanImage, Revision, RevisionState
from domain.verification import ExpectedService


class RevisionStore(Protocol):
    """The history of each project, and the content of each revision, for the agent's user alone.

    What a method has done is durable when it returns; whatever fails or dies in it, the history is
    the one before or the one after. Names that are one project to Compose have one history. Callers
    see to it that one project has one caller at a time. Every method raises `StorageUnavailable`
    (`NoSpace` where the disk is full) where the disk does not do what is asked. Content that is
    spoilt is noticed by its digest: `StorageUnavailable`, and never given back. Cancelling any of
    them leaves the disk as if it had been called and had ended, or had not been called.

    How a deployment has ended can be written down on a full disk too: room for several calls of
    `settle` and `want` is kept back by `reserve` and `add`, and kept back anew as soon as it can be.
    """

    async def history(self, name: ProjectName) -> ProjectHistory:
        """All that is kept; empty for a project that never had a revision.

        A history that is spoilt is set aside and logged, and begins anew, with higher numbers.
        """
        ...

    async def reserve(self) -> None:
        """Keep room back for `settle` and `want`, of projects that were there before, too.

        Again is harmless. Raises `NoSpace` where there is not enough; what there is is kept back.
        """
        ...

    async def add(self, name: ProjectName, draft: Draft) -> Revision:
        """Make a pending revision of the next number.

        For a job that made one before, that one. A number is never used again, also where its
        revision is not kept any more. Old ones are pruned with this too: failures alone do not fill
        a disk. Raises `NoSpace` also where no room can be kept back for what becomes of it.
        """
        ...

    async def content(self, name: ProjectName, number: int) -> ProjectContent:
        """What the revision consists of; raises `NotFound` where there is none of this number."""
        ...

    async def settle(
        self,
        name: ProjectName,
        number: int,
        state: RevisionState,
        *,
        error: str = "",
        images: Sequence[RanImage] = (),
        expected: Sequence[ExpectedService] = (),
    ) -> None:
        """Say what became of a revision. Again is harmless. Raises `NotFound` for an unknown one."""
        ...

    async def want(self, name: ProjectName, number: int | None) -> None:
        """Say which revision should run, None for none. Old ones are pruned with this.

        Raises `NotFound` for an unknown one.
        """
        ...

    async def forget(self, name: ProjectName) -> None:
        """Remove the whole history of a project. Harmless where there is none."""
        ...
