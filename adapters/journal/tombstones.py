"""What is kept of jobs for ever, in a file beside the journal that is looked up on the disk. Blocking."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from adapters.journal import tombstone_format as form
from adapters.journal.files import LOCAL_FILES, LocalFiles
from adapters.journal.replacing import discard_unfinished, replace, set_aside
from adapters.journal.slots import Slots, intact_slots, write_slots
from adapters.journal.tombstone_format import HEADER_BYTES, SLOT_BYTES
from adapters.journal.versions import NewerVersion, refusal
from adapters.storage_errors import translated
from domain.errors import StorageUnavailable
from domain.records import Tombstone

TOMBSTONES_FILE: Final = "tombstones"


class TombstoneFile:
    """One file, one writer. `find` may come while another thread is in `add`."""

    def __init__(self, directory: Path, files: LocalFiles = LOCAL_FILES) -> None:
        self._files = files
        self._path = directory / TOMBSTONES_FILE
        self._slots: Slots | None = None
        self._intact: list[bytes] = []
        self._exchange = threading.Lock()

    @property
    def exists(self) -> bool:
        """Whether there is a file, whatever it holds."""
        with translated(self._path):
            return self._files.exists(self._path)

    def refuse_newer(self) -> None:
        """Raise `StorageUnavailable` where a newer agent wrote the file. Changes nothing."""
        with translated(self._path), contextlib.suppress(FileNotFoundError):
            fd = self._files.open(self._path, os.O_RDONLY)
            try:
                self._read_header(fd)
            finally:
                self._files.close(fd)

    def open(self, *, is_expected: bool) -> str:
        """Read what is there; returns what is found to be lost, in words, empty where nothing is.

        A file that is damaged, or is missing where it `is_expected`, is used as far as it is intact,
        and changed by `put_right` only. Raises as `refuse_newer`.
        """
        with translated(self._path):
            discard_unfinished(self._files, self._path)
            try:
                fd = self._files.open(self._path, os.O_RDONLY)
            except FileNotFoundError:
                if not is_expected:
                    self._replace(())
                    return ""
                self._use_in_memory([])
                return f"{self._path} is missing"
            try:
                return self._adopt(fd)
            finally:
                self._files.close(fd)

    def put_right(self) -> str:
        """Keep a damaged file aside, and put what is intact in its place; says what became of it."""
        with translated(self._path):
            if self._files.exists(self._path):
                return set_aside(self._files, self._path, lambda: self._replace(self._intact))
            try:
                self._replace(())
            except OSError as exc:
                return f"it could not be made: {exc.strerror}"
            return "it was made anew"

    def find(self, job_id: str) -> Tombstone | None:
        """What is kept of a job; raises `StorageUnavailable` where that cannot be read."""
        with translated(self._path), self._exchange:
            _, slot = self._opened().find(form.key_of(job_id))
        return None if slot is None else form.tombstone_in(slot, job_id)

    def add(self, tombstones: Iterable[Tombstone]) -> None:
        """Put more of them in, durably and all at once; of a job that is there it changes nothing.

        Raises `NoSpace` with the file as it was, `StorageUnavailable` where the disk fails.
        """
        with translated(self._path):
            old = self._opened()
            slots = {form.key_of(each.job_id): form.slot_of(each) for each in tombstones}
            found = [(*old.find(key), slots[key]) for key in sorted(slots)]
            new = [(place, slot) for place, there, slot in found if there is None]
            if new:
                self._replace(old.with_more(new))

    def close(self) -> None:
        """Let go of the file; a second call is harmless."""
        self._use(None)

    def _opened(self) -> Slots:
        if self._slots is None:
            raise StorageUnavailable(f"{self._path} is not open")
        return self._slots

    def _use(self, slots: Slots | None) -> None:
        with self._exchange:
            if self._slots is not None:
                self._slots.close()
            self._slots = slots

    def _adopt(self, fd: int) -> str:
        said = self._read_header(fd)
        size = self._files.size(fd)
        if said is not None and size == HEADER_BYTES + said[0] * SLOT_BYTES:
            self._use(Slots(self._files, self._files.duplicate(fd), *said))
            if self._opened().is_whole:
                return ""
        intact, spoilt = intact_slots(self._files, fd, size)
        self._use_in_memory(intact)
        lost = spoilt if said is None else max(spoilt, said[0] - len(intact))
        return f"{self._path} is damaged, and at least {lost} of its entries are lost"

    def _use_in_memory(self, intact: list[bytes]) -> None:
        self._intact = intact
        fd = self._files.open_nameless(TOMBSTONES_FILE)
        self._use(Slots(self._files, fd, *write_slots(self._files, fd, intact)))

    def _replace(self, pieces: Iterable[bytes]) -> None:
        said = (0, 0)

        def write(fd: int) -> None:
            nonlocal said
            said = write_slots(self._files, fd, pieces)

        fd = replace(self._files, self._path, write)
        self._use(Slots(self._files, fd, *said))
        self._intact = []

    def _read_header(self, fd: int) -> tuple[int, int] | None:
        try:
            return form.count_and_crc(self._files.read(fd, HEADER_BYTES, 0))
        except NewerVersion as exc:
            raise refusal(self._path, exc) from exc
