"""Which database is meant, by the URL in the settings; what is secret in it never leaves this module."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from domain.errors import InvalidInput

SETTING: Final = "DATABASE_URL"

_POSTGRES: Final = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})
_SQLITE: Final = frozenset({"sqlite", "sqlite+aiosqlite"})


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A file on this machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """A database of a PostgreSQL server."""

    url: URL = field(repr=False)


def address_of(url: str) -> SqliteFile | PostgresDatabase:
    """The database of a URL; raises `InvalidInput`, which does not repeat it: it may hold a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise _unusable() from None
    if parsed.drivername in _SQLITE:
        return _sqlite_file(parsed)
    if parsed.drivername in _POSTGRES and parsed.database:
        query = {("ssl" if key == "sslmode" else key): value for key, value in parsed.query.items()}
        return PostgresDatabase(parsed.set(drivername="postgresql+asyncpg", query=query))
    raise _unusable()


def _sqlite_file(parsed: URL) -> SqliteFile:
    if parsed.host or parsed.query or not parsed.database or parsed.database == ":memory:":
        raise InvalidInput(SETTING, "must name a file for SQLite, as in sqlite:////var/lib/x.db")
    return SqliteFile(Path(parsed.database).absolute())


def _unusable() -> InvalidInput:
    return InvalidInput(
        SETTING, "must be sqlite:///<path>, or postgresql://<user>@<host>/<database>"
    )
