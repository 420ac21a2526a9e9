"""What databases say when they fail, in the domain's words, and never with what was to be written."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft

from domain.errors import NoSpace, StorageBusy, StorageUnavailable

_PRIMARY: Final = 0xFF
"""The part of SQLite's codes that is not a detail."""
_OF_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: "another program has locked it",
    sqlite3.SQLITE_LOCKED: "another program has locked it",
    sqlite3.SQLITE_READONLY: "it cannot be written",
    sqlite3.SQLITE_CANTOPEN: "it, or the directory that it is in, cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk fails",
    sqlite3.SQLITE_CORRUPT: "the file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is none of SQLite's, or damaged",
    sqlite3.SQLITE_PERM: "the user of this program may not use it",
    sqlite3.SQLITE_AUTH: "the user of this program may not use it",
    sqlite3.SQLITE_NOMEM: "memory is short",
}
_DISK_FULL: Final = "53100"
_OF_POSTGRES: Final = {
    "08": "the link to it was lost",
    "28": "it does not let this user in",
    "3D": "there is no such database",
    "42": "something is missing in it, or this user may not use it",
    "53": "the server is short of something",
    "55": "something holds a lock",
    "57": "the server ended what was asked, or is stopping",
    "58": "the server's disk fails",
    "XX": "the server found it damaged",
}


class Refused(StorageUnavailable):
    """The database refused what one operation was to write; others are not concerned."""

    retryable = False


def is_of_one_operation(exc: DBAPIError) -> bool:
    """Whether the failure is of what was to be written, and not of the database."""
    if exc.connection_invalidated:
        return False
    if isinstance(exc, IntegrityError):
        return True
    state = _sqlstate_of(exc)
    if state is not None:
        return state[:2] in ("22", "54")
    return _code_of(exc) in (sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH)


def translation_of(exc: DBAPIError) -> StorageUnavailable:
    """What to raise in its place."""
    if is_of_one_operation(exc):
        return Refused("the database refused what was to be written")
    code = _code_of(exc)
    if code is not None:
        if code == sqlite3.SQLITE_FULL:
            return NoSpace("no space left on the disk that holds the database")
        why = _OF_SQLITE.get(code, f"SQLite says {getattr(exc.orig, 'sqlite_errorname', code)}")
        return StorageUnavailable(f"the database cannot be used: {why}")
    state = _sqlstate_of(exc)
    if state == _DISK_FULL:
        return NoSpace("no space left on the disk that holds the database")
    if exc.connection_invalidated or state is None:
        return StorageUnavailable("the database cannot be used: the link to it was lost")
    why = _OF_POSTGRES.get(state[:2], "PostgreSQL refuses")
    return StorageUnavailable(f"the database cannot be used: {why} ({state})")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise `StorageUnavailable`, `NoSpace` or `StorageBusy` in the place of what a database raises."""
    try:
        yield
    except NoConnectionLeft as exc:
        raise StorageBusy("too many wait for the database") from exc
    except DBAPIError as exc:
        raise translation_of(exc) from exc
    except SQLAlchemyError as exc:
        raise StorageUnavailable(
            "the database cannot be used: what it holds is not as expected"
        ) from exc
    except TimeoutError as exc:
        raise StorageUnavailable("the database cannot be used: it does not answer") from exc
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise StorageUnavailable(f"the database cannot be reached: {reason}") from exc


def _code_of(exc: DBAPIError) -> int | None:
    code = getattr(exc.orig, "sqlite_errorcode", None)
    return code & _PRIMARY if isinstance(code, int) else None


def _sqlstate_of(exc: DBAPIError) -> str | None:
    state = getattr(exc.orig, "sqlstate", None)
    return state if isinstance(state, str) and len(state) > 1 else None
