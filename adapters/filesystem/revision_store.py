"""`RevisionStore` on a local disk, below the agent's state directory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from adapters.cancellation import finish_in_thread
from adapters.filesystem.project_revisions import RESERVE, ProjectRevisions, fill
from adapters.filesystem.reserve import Reserve
from adapters.storage_errors import translated
from domain.content import ProjectContent
from domain.project import ProjectName
from domain.revision import (
    KEPT_REVISIONS,
    Draft,
    ProjectHistory,
    RanImage,
    Revision,
    RevisionState,
)
from domain.verification import ExpectedService


class LocalRevisionStore:
    """See `RevisionStore`. Each project has a directory below `state_dir`/revisions.

    `kept` is how many revisions of a project stay, beside those that are still needed.
    """

    def __init__(self, state_dir: Path, executor: Executor, *, kept: int = KEPT_REVISIONS) -> None:
        self._root = state_dir / "revisions"
        self._reserve = Reserve(self._root / RESERVE)
        self._executor = executor
        self._kept = kept

    async def history(self, name: ProjectName) -> ProjectHistory:
        """See `RevisionStore`."""
        return await finish_in_thread(self._executor, self._of(name).history)

    async def add(self, name: ProjectName, draft: Draft) -> Revision:
        """See `RevisionStore`."""
        return await finish_in_thread(self._executor, partial(self._of(name).add, draft))

    async def content(self, name: ProjectName, number: int) -> ProjectContent:
        """See `RevisionStore`."""
        return await finish_in_thread(self._executor, partial(self._of(name).content, number))

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
        """See `RevisionStore`."""
        settle = partial(self._of(name).settle, number, state, error, images, expected)
        await finish_in_thread(self._executor, settle)

    async def want(self, name: ProjectName, number: int | None) -> None:
        """See `RevisionStore`."""
        await finish_in_thread(self._executor, partial(self._of(name).want, number))

    async def forget(self, name: ProjectName) -> None:
        """See `RevisionStore`."""
        await finish_in_thread(self._executor, self._of(name).forget)

    async def reserve(self) -> None:
        """See `RevisionStore`."""
        await finish_in_thread(self._executor, self._fill)

    def _fill(self) -> None:
        with translated(self._root):
            fill(self._reserve, self._root)

    def _of(self, name: ProjectName) -> ProjectRevisions:
        return ProjectRevisions(self._root, name, self._kept, self._reserve)
