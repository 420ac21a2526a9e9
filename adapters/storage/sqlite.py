"""SQLite: a file, its write-ahead log, and a lock file beside it.

The log is taken back into the file by SQLite itself, but can begin anew only when nobody reads from
it: where readers follow each other closely, it would grow for ever. Past `LONGEST_LOG_BYTES`, new
readers wait for a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from adapters.storage.backend import ReadingLink, WritingLink
from adapters.storage.failures import translated
from adapters.storage.reading_gate import ReadingGate
from adapters.storage.threaded_connection import ThreadedConnection
from adapters.storage.threaded_pool import ThreadedPool
from adapters.storage_errors import translated as disk_translated
from domain.errors import Conflict, StorageUnavailable

LONGEST_LOG_BYTES: Final = 64 * 1024 * 1024
READERS: Final = 2
"""More would not read faster: Python runs one thread at a time. One long answer holds up nobody."""
READER_PATIENCE_S: Final = 10.0
BUSY_TIMEOUT_S: Final = 5.0
"""So long another program, such as a backup, may hold the database before what waits fails."""
PATIENCE_WITH_READERS_S: Final = 1.0

_ALWAYS: Final = ("foreign_keys = ON", "synchronous = FULL", "temp_store = MEMORY")
_WRITING: Final = (*_ALWAYS, f"journal_size_limit = {LONGEST_LOG_BYTES}", "cache_size = -16384")
_READING: Final = (*_ALWAYS, "query_only = ON")
_LOCK_SUFFIX: Final = ".lock"


class SqliteBackend:
    """See `Backend`."""

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        longest_log_bytes: int = LONGEST_LOG_BYTES,
    ) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._longest_log_bytes = self._log_limit = longest_log_bytes
        self._log = path.with_name(f"{path.name}-wal")
        self._gate = ReadingGate()
        self._lock_fd: int | None = None
        self._writing = self._engine(_WRITING)
        # Each statement sees one moment, and no call needs more.
        self._reading = self._engine(
            _READING, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True
        )
        self._readers = ThreadedPool(self._reading, size=READERS, patience_s=READER_PATIENCE_S)
        event.listen(self._writing, "begin", _begin)

    async def take(self) -> None:
        """See `Backend`."""
        with disk_translated(self._path):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
            if not self._path.exists():
                # SQLite itself would make it for everybody to read. Its log is as private as it is.
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
                os.close(os.open(self._path, flags, 0o600))

    async def connect_to_write(self) -> WritingLink:
        """See `Backend`."""
        link = ThreadedConnection(self._writing)
        with translated():
            await link.connect()
        return link

    async def prepare(self, link: WritingLink) -> None:
        """See `Backend`."""
        with translated():
            mode = await link.run_sync(_with_log)
        if mode != "wal":
            raise StorageUnavailable(
                f"the database cannot be used: no write-ahead log can be had for {self._path}"
            )

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[ReadingLink]:
        """See `Backend`."""
        async with self._gate.passed():
            with translated():
                async with self._readers.connection() as connection:
                    yield connection

    async def tend(self, link: WritingLink) -> None:
        """See `Backend`."""
        size = self._log_size()
        if size <= self._log_limit:
            return
        # Where a program beside us reads and reads, it has to be left at that for a while.
        self._log_limit = size + self._longest_log_bytes
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_WITH_READERS_S), self._gate.closed():
                with translated():
                    is_done = await link.run_sync(_begin_log_anew, self._busy_timeout_s)
                if is_done:
                    self._log_limit = self._longest_log_bytes

    async def let_go(self) -> None:
        """See `Backend`."""
        await self._readers.close()
        self._reading.dispose()
        self._writing.dispose()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _take_lock(self) -> None:
        path = self._path.with_name(self._path.name + _LOCK_SUFFIX)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise Conflict(f"another control plane is running with {self._path}") from None
        except BaseException:
            os.close(fd)
            raise
        self._lock_fd = fd

    def _log_size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def _engine(self, pragmas: tuple[str, ...], **more: Any) -> Engine:
        engine = create_engine(
            URL.create("sqlite", database=str(self._path)),
            # sqlite3 itself would begin transactions where it likes, and none for what makes tables.
            connect_args={
                "timeout": self._busy_timeout_s,
                "isolation_level": None,
                "check_same_thread": False,
            },
            poolclass=NullPool,
            hide_parameters=True,
            **more,
        )
        _set_pragmas(engine, pragmas)
        return engine


def _set_pragmas(engine: Engine, pragmas: tuple[str, ...]) -> None:
    @event.listens_for(engine, "connect")
    def _set(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _with_log(connection: Connection) -> str:
    return _outside(connection, "PRAGMA journal_mode = WAL")


def _begin_log_anew(connection: Connection, busy_timeout_s: float) -> bool:
    """Whether nobody was in the way."""
    _outside(connection, f"PRAGMA busy_timeout = {int(PATIENCE_WITH_READERS_S * 1000)}")
    is_busy = _outside(connection, "PRAGMA wal_checkpoint(TRUNCATE)") != "0"
    _outside(connection, f"PRAGMA busy_timeout = {int(busy_timeout_s * 1000)}")
    return not is_busy


def _outside(connection: Connection, pragma: str) -> str:
    """Carry out what no transaction may hold; returns the first value that it gives."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(pragma)
        row = cursor.fetchone()
        assert row is not None
        return str(row[0])
    finally:
        cursor.close()
