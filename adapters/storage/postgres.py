"""PostgreSQL: a server, and a lock in it that belongs to the session that writes.

So whoever has lost the session has lost the right to write, and cannot do so any more: what a session
holds that has not noticed yet that its client is gone is let go before another can write.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from adapters.storage.backend import ReadingLink, WritingLink
from adapters.storage.failures import translated
from domain.errors import Conflict

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

READERS: Final = 4
CONNECT_TIMEOUT_S: Final = 10.0
COMMAND_TIMEOUT_S: Final = 30.0
LOCK_PATIENCE_S: Final = 5.0
"""So long a server may take to notice that the session before has ended."""
_LOCK_PAUSE_S: Final = 0.1

LOCK_KEY: Final = 0x1D5_7A_DE_910

_SETTINGS: Final = {
    "application_name": "instadeploy-control-plane",
    "synchronous_commit": "on",
    "TimeZone": "UTC",
    # A client whose machine is gone holds the lock until the server notices.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "60s",
}


class _Session:
    """See `WritingLink`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def run_sync(self, work: Callable[..., T], *args: Any) -> T:
        """See `WritingLink`."""
        return await self._connection.run_sync(work, *args)

    async def close(self) -> None:
        """See `WritingLink`."""
        with contextlib.suppress(SQLAlchemyError, OSError):
            await self._connection.invalidate()
        with contextlib.suppress(SQLAlchemyError, OSError):
            await self._connection.close()


class PostgresBackend:
    """See `Backend`."""

    def __init__(
        self,
        url: URL,
        tls: ssl.SSLContext | None = None,
        *,
        lock_patience_s: float = LOCK_PATIENCE_S,
    ) -> None:
        self._lock_patience_s = lock_patience_s
        self._writing = engine_on(url, tls, poolclass=NullPool)
        self._reading = engine_on(
            url,
            tls,
            pool_size=READERS,
            max_overflow=0,
            pool_timeout=10.0,
            # Each statement sees one moment, and no call needs more.
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )

    async def take(self) -> None:
        """See `Backend`; nothing is beside the server."""

    async def connect_to_write(self) -> WritingLink:
        """See `Backend`."""
        with translated():
            connection = await self._writing.connect().start()
            link = _Session(connection)
            try:
                await self._lock(connection)
            except BaseException:
                await link.close()
                raise
        return link

    async def prepare(self, link: WritingLink) -> None:
        """See `Backend`; it needs nothing."""
        with translated():
            fsync = await link.run_sync(_fsync_of)
        if fsync != "on":
            _LOG.warning(
                "the PostgreSQL server runs without fsync: its crash loses what we promise"
            )

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[ReadingLink]:
        """See `Backend`."""
        with translated():
            async with self._reading.connect() as connection:
                yield _Session(connection)

    async def tend(self, link: WritingLink) -> None:
        """See `Backend`; the server tends itself."""

    async def let_go(self) -> None:
        """See `Backend`."""
        await self._reading.dispose()
        await self._writing.dispose()

    async def _lock(self, connection: AsyncConnection) -> None:
        until = asyncio.get_running_loop().time() + self._lock_patience_s
        while True:
            locked = await connection.scalar(select(func.pg_try_advisory_lock(LOCK_KEY)))
            await connection.commit()  # The lock is the session's.
            if locked:
                return
            if asyncio.get_running_loop().time() >= until:
                raise Conflict("another control plane is running with this database")
            await asyncio.sleep(_LOCK_PAUSE_S)


def _fsync_of(connection: Connection) -> str:
    with connection.begin():
        return str(connection.scalar(select(func.current_setting("fsync"))))


def engine_on(url: URL, tls: ssl.SSLContext | None, **more: Any) -> AsyncEngine:
    """Connects as this program does; `more` is for SQLAlchemy."""
    return create_async_engine(
        url,
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": COMMAND_TIMEOUT_S,
            "server_settings": _SETTINGS,
            **({} if tls is None else {"ssl": tls}),
        },
        hide_parameters=True,
        **more,
    )
