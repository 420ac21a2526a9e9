"""Revisions in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from domain.content import ProjectContent
from domain.errors import NoSpace, StorageUnavailable
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

MAX_ERROR_BYTES = 8 * 1024
NOTES = 16
"""So many calls of `settle` and `want` is room kept back for."""


class FakeRevisionStore:
    """Holds histories and contents by Compose's name of the project.

    Set `fails_with` to have every call fail, and `is_full` to have no room but for `notes_left`; add
    a project's name in Compose's spelling to `spoilt_histories`, or a digest to `spoilt_contents`.
    """

    def __init__(self, kept: int = KEPT_REVISIONS) -> None:
        self.histories: dict[str, ProjectHistory] = {}
        self.contents: dict[str, dict[str, ProjectContent]] = {}
        self.spoilt_histories: set[str] = set()
        self.spoilt_contents: set[str] = set()
        self.is_full = False
        self.notes_left = 0
        self.fails_with: StorageUnavailable | None = None
        self._kept = kept
        self._next: dict[str, int] = {}

    async def history(self, name: ProjectName) -> ProjectHistory:
        """See `RevisionStore`."""
        await asyncio.sleep(0)
        if self.fails_with is not None:
            raise self.fails_with
        key = name.compose_name
        if key in self.spoilt_histories:
            self.spoilt_histories.discard(key)
            self.histories.pop(key, None)
        return replace(self.histories.get(key, ProjectHistory(name)), name=name)

    async def reserve(self) -> None:
        """See `RevisionStore`."""
        await asyncio.sleep(0)
        if self.fails_with is not None:
            raise self.fails_with
        if self.notes_left < NOTES:
            self._require_room()
            self.notes_left = NOTES

    async def add(self, name: ProjectName, draft: Draft) -> Revision:
        """See `RevisionStore`."""
        await asyncio.sleep(0)
        history = await self.history(name)
        if (made := history.of_job(draft.job_id)) is not None:
            return made
        self._require_room()
        self.notes_left = NOTES
        number = self._next.get(name.compose_name, 1)
        made = Revision(number, draft.content.digest, draft.job_id, draft.created_at, draft.options)
        self._next[name.compose_name] = number + 1
        self.contents.setdefault(name.compose_name, {})[made.digest] = draft.content
        self.spoilt_contents.discard(made.digest)
        self._keep(history.with_revision(made).pruned(self._kept))
        return made

    async def content(self, name: ProjectName, number: int) -> ProjectContent:
        """See `RevisionStore`."""
        await asyncio.sleep(0)
        digest = (await self.history(name)).find(number).digest
        if digest in self.spoilt_contents:
            raise StorageUnavailable(
                f"the content of revision {number} of project '{name}' is damaged or gone"
            )
        return self.contents[name.compose_name][digest]

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
        history = await self.history(name)
        revision = history.find(number)
        said = error.encode("utf-8", "replace")[:MAX_ERROR_BYTES].decode("utf-8", "ignore")
        settled = replace(
            revision, state=state, error=said, images=tuple(images), expected=tuple(expected)
        )
        self._note(history, history.with_revision(settled))

    async def want(self, name: ProjectName, number: int | None) -> None:
        """See `RevisionStore`."""
        await asyncio.sleep(0)
        history = await self.history(name)
        if number is not None:
            history.find(number)
        self._note(history, replace(history, current=number).pruned(self._kept))

    async def forget(self, name: ProjectName) -> None:
        """See `RevisionStore`."""
        await asyncio.sleep(0)
        if self.fails_with is not None:
            raise self.fails_with
        for held in (self.histories, self.contents, self._next):
            held.pop(name.compose_name, None)

    def _note(self, before: ProjectHistory, history: ProjectHistory) -> None:
        if history == before:
            return
        if self.is_full and self.notes_left:
            self.notes_left -= 1
        else:
            self._require_room()
        self._keep(history)

    def _keep(self, history: ProjectHistory) -> None:
        key = history.name.compose_name
        self.histories[key] = history
        named = {one.digest for one in history.revisions}
        contents = self.contents.get(key, {})
        self.contents[key] = {digest: contents[digest] for digest in contents if digest in named}

    def _require_room(self) -> None:
        if self.is_full:
            raise NoSpace("no space left on the disk that holds /state/revisions")
