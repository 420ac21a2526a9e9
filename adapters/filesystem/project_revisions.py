"""The revisions of one project on a local disk. Blocking.

    <root>/<compose name>/history.json            what is known of them
    <root>/<compose name>/history.json.damaged-1  one that was spoilt, for people to look at
    <root>/<compose name>/contents/<digest>       what they consist of; revisions may share one
    <root>/.reserve/<n>                           room for histories on a full disk, of all projects

A content is durable before a history names it, and goes after none does.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from adapters.filesystem import revision_documents as documents
from adapters.filesystem.private_directory import PrivateDirectory
from adapters.filesystem.reserve import Reserve
from adapters.filesystem.revision_documents import StoredHistory
from adapters.filesystem.sealed import NewerVersion, Spoilt
from adapters.storage_errors import is_full, translated
from domain.content import ProjectContent
from domain.errors import StorageUnavailable
from domain.project import ProjectName
from domain.revision import Draft, ProjectHistory, RanImage, Revision, RevisionState
from domain.verification import ExpectedService

HISTORY: Final = "history.json"
CONTENTS: Final = "contents"
DAMAGED_INFIX: Final = ".damaged-"
DAMAGED_KEPT: Final = 3
"""Damaged histories that are kept for people to look at; older ones go."""
UNREADABLE_LEAP: Final = 1000
"""How far numbers rise above what can be guessed where nothing of a damaged history can be read."""

RESERVE: Final = ".reserve"
GROWTH_BYTES: Final = 24 * 1024
"""What the note of how a deployment has ended may add to a history: an error, images, hashes."""
MAX_RESERVED_BYTES: Final = 512 * 1024
"""For a history that is larger no room is kept back: it would be as much several times over."""

_FORGOTTEN: Final = ".forgotten."
_MAX_HISTORY_BYTES: Final = 64 * 1024 * 1024

logger = logging.getLogger(__name__)


class ProjectRevisions:
    """See `RevisionStore`, of which this is one project's part."""

    def __init__(self, root: Path, name: ProjectName, kept: int, reserve: Reserve) -> None:
        self._name = name
        self._kept = kept
        self._reserve = reserve
        self._root = PrivateDirectory(root)
        self._directory = PrivateDirectory(root / name.compose_name)
        self._contents = PrivateDirectory(root / name.compose_name / CONTENTS)

    def history(self) -> ProjectHistory:
        """See `RevisionStore`."""
        with self._translated():
            return self._load().history

    def add(self, draft: Draft) -> Revision:
        """See `RevisionStore`."""
        with self._translated():
            stored = self._load()
            if (made := stored.history.of_job(draft.job_id)) is not None:
                self._directory.sync()
                return made
            # What cannot be said to have ended must not begin.
            fill(self._reserve, self._root.path)
            made = Revision(
                number=stored.next_number,
                digest=draft.content.digest,
                job_id=draft.job_id,
                created_at=draft.created_at,
                options=draft.options,
            )
            try:
                self._store_content(made.digest, draft.content)
                history = stored.history.with_revision(made).pruned(self._kept)
                self._save(StoredHistory(history, made.number + 1))
            finally:
                self._drop_unreferenced()
            return made

    def content(self, number: int) -> ProjectContent:
        """See `RevisionStore`."""
        with self._translated():
            digest = self._load().history.find(number).digest
            try:
                return self._stored_content(digest)
            except (Spoilt, FileNotFoundError):
                raise StorageUnavailable(
                    f"the content of revision {number} of project '{self._name}' is damaged or gone: "
                    f"{self._contents.path / digest}"
                ) from None
            except NewerVersion as exc:
                raise _refusal(self._contents.path / digest, exc) from exc

    def settle(
        self,
        number: int,
        state: RevisionState,
        error: str,
        images: Sequence[RanImage],
        expected: Sequence[ExpectedService],
    ) -> None:
        """See `RevisionStore`."""
        with self._translated():
            stored = self._load()
            revision = stored.history.find(number)
            settled = replace(
                revision,
                state=state,
                error=documents.bounded(error),
                images=tuple(images),
                expected=tuple(expected),
            )
            self._save_changed(stored, stored.history.with_revision(settled))

    def want(self, number: int | None) -> None:
        """See `RevisionStore`."""
        with self._translated():
            stored = self._load()
            if number is not None:
                stored.history.find(number)
            wanted = replace(stored.history, current=number).pruned(self._kept)
            self._save_changed(stored, wanted)
            self._drop_unreferenced()

    def forget(self) -> None:
        """See `RevisionStore`. The history is gone at once, and then all that it consisted of."""
        name = self._name.compose_name
        with self._translated(), contextlib.suppress(FileNotFoundError):
            forgotten = f"{_FORGOTTEN}{name}"
            self._root.remove_directories(forgotten)  # Of an agent that was killed meanwhile.
            self._directory.path.rename(self._root.path / forgotten)
            self._root.sync()
            self._root.remove_directories(forgotten)

    def _load(self) -> StoredHistory:
        try:
            data = self._directory.read(HISTORY, limit=_MAX_HISTORY_BYTES)
        except FileNotFoundError:
            return StoredHistory(ProjectHistory(self._name))
        try:
            return documents.history_from(data, self._name)
        except NewerVersion as exc:
            raise _refusal(self._directory.path / HISTORY, exc) from exc
        except Spoilt:
            return self._begin_anew(data)

    def _begin_anew(self, damaged: bytes) -> StoredHistory:
        """Set the history aside, and begin one whose numbers are above what can be guessed.

        That is above every number that can still be read in it and in those set aside before, and
        above the number of contents; far above, where none can be read.
        """
        prefix = f"{HISTORY}{DAMAGED_INFIX}"
        suffixes = [
            name.removeprefix(prefix) for name in self._directory.names() if name.startswith(prefix)
        ]
        aside = sorted(int(suffix) for suffix in suffixes if suffix.isdecimal())
        numbers = documents.numbers_in(damaged)
        earlier = [
            number
            for suffix in aside
            for number in documents.numbers_in(
                self._directory.read(f"{prefix}{suffix}", limit=_MAX_HISTORY_BYTES)
            )
        ]
        highest = max([*numbers, *earlier, len(self._contents.names())])
        begun = StoredHistory(
            ProjectHistory(self._name), highest + 1 + (0 if numbers else UNREADABLE_LEAP)
        )
        kept = f"{prefix}{aside[-1] + 1 if aside else 1}"
        self._directory.replace(kept, damaged)
        self._save(begun)
        self._directory.remove(
            *(f"{prefix}{old}" for old in aside[: len(aside) + 1 - DAMAGED_KEPT])
        )
        logger.error(
            "the history of project '%s' is damaged and begins anew, with revision %d; it is kept as %s",
            self._name,
            begun.next_number,
            self._directory.path / kept,
        )
        return begun

    def _save_changed(self, stored: StoredHistory, history: ProjectHistory) -> None:
        if history == stored.history:
            if history.revisions:
                self._directory.sync()
            return
        content = documents.history_bytes(replace(stored, history=history))
        try:
            self._directory.replace(HISTORY, content)
        except OSError as exc:
            if not is_full(exc) or not self._reserve.replace(self._directory, HISTORY, content):
                raise
            # The history before has just given its room back.
            with contextlib.suppress(OSError):
                fill(self._reserve, self._root.path)

    def _save(self, stored: StoredHistory) -> None:
        self._directory.replace(HISTORY, documents.history_bytes(stored))

    def _store_content(self, digest: str, content: ProjectContent) -> None:
        """Write it; what is there already is looked at, since it may be spoilt."""
        with contextlib.suppress(FileNotFoundError, Spoilt, NewerVersion):
            self._stored_content(digest)
            self._contents.sync()
            return
        self._contents.replace(digest, documents.content_bytes(content))

    def _stored_content(self, digest: str) -> ProjectContent:
        data = self._contents.read(digest, limit=documents.MAX_STORED_CONTENT_BYTES)
        return documents.content_from(data, digest)

    def _drop_unreferenced(self) -> None:
        """Remove contents that no revision on the disk has any more, as far as the disk lets us."""
        with contextlib.suppress(OSError, Spoilt, NewerVersion):
            try:
                data = self._directory.read(HISTORY, limit=_MAX_HISTORY_BYTES)
                history = documents.history_from(data, self._name).history
            except FileNotFoundError:
                history = ProjectHistory(self._name)
            named = {revision.digest for revision in history.revisions}
            unnamed = [found for found in self._contents.names() if found not in named]
            if unnamed:
                self._contents.remove(*unnamed)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        with translated(self._directory.path):
            yield


def fill(reserve: Reserve, root: Path) -> None:
    """Keep back room for the histories that are there, as they may become."""
    largest = 0
    for found in root.glob(f"*/{HISTORY}"):
        with contextlib.suppress(FileNotFoundError):  # It may just be forgotten, or replaced.
            largest = max(largest, found.stat().st_size)
    reserve.fill(min(largest + GROWTH_BYTES, MAX_RESERVED_BYTES))


def _refusal(path: Path, exc: NewerVersion) -> StorageUnavailable:
    return StorageUnavailable(
        f"{path} was written by a newer agent ({exc}); install that one again, or move the file away"
    )
