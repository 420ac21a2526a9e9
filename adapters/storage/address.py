"""Which database is meant, by the URL in the settings; what is secret in it never leaves this module."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from domain.errors import InvalidInput

SETTING: Final = "DATABASE_URL"

_POSTGRES: Final = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_VERIFYING: Final = ("verify-ca", "verify-full")
_PARAMETERS: Final = ("host", "port", "sslmode", "sslrootcert")


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A file on this machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """A database of a PostgreSQL server. `tls` says whom to trust, where the server has to prove itself."""

    url: URL = field(repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)


def address_of(url: str) -> SqliteFile | PostgresDatabase:
    """The database of a URL; raises `InvalidInput`, which does not repeat it: it may hold a password.

    Reads the certificates that it names.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise _unusable() from None
    if parsed.drivername == "sqlite":
        return _sqlite_file(parsed)
    if parsed.drivername in _POSTGRES and parsed.database:
        return _postgres_database(parsed)
    raise _unusable()


def _postgres_database(parsed: URL) -> PostgresDatabase:
    # The driver takes far more, some of it as objects of Python, and fails at what it does not know.
    given = {name: _parameter(name, value) for name, value in parsed.query.items()}
    mode, root = given.pop("sslmode", None), given.pop("sslrootcert", None)
    if mode is not None and mode not in _SSL_MODES:
        raise InvalidInput(SETTING, f"sslmode must be one of {', '.join(_SSL_MODES)}")
    if root is not None and mode not in _VERIFYING:
        raise InvalidInput(SETTING, f"sslrootcert needs sslmode={' or '.join(_VERIFYING)}")
    if not given.get("port", "0").isdecimal():
        raise InvalidInput(SETTING, "port must be a number")
    tls = None
    if mode in _VERIFYING:
        tls = _trusting(root)
        tls.check_hostname = mode == "verify-full"
    elif mode is not None:
        given["ssl"] = mode
    return PostgresDatabase(parsed.set(drivername="postgresql+asyncpg", query=given), tls)


def _parameter(name: str, value: str | tuple[str, ...]) -> str:
    if name not in _PARAMETERS:
        known = name[:40] if name.isascii() and name.isidentifier() else "one of its parameters"
        raise InvalidInput(
            SETTING, f"{known} is not supported: parameters are {', '.join(_PARAMETERS)}"
        )
    if not isinstance(value, str) or not value:
        raise InvalidInput(SETTING, f"{name} must be given once, with a value")
    return value


def _trusting(root: str | None) -> ssl.SSLContext:
    """Trusts those who sign with one of the file's certificates; without a file, those of the system."""
    if root is None or root == "system":
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=root)
    except (OSError, ValueError):
        # `SSLError` is an `OSError`.
        raise InvalidInput(
            SETTING, "sslrootcert must name a readable file of PEM certificates"
        ) from None


def _sqlite_file(parsed: URL) -> SqliteFile:
    if parsed.host or parsed.query or not parsed.database or parsed.database == ":memory:":
        raise InvalidInput(SETTING, "must name a file for SQLite, as in sqlite:////var/lib/x.db")
    return SqliteFile(Path(parsed.database).absolute())


def _unusable() -> InvalidInput:
    return InvalidInput(
        SETTING, "must be sqlite:///<path>, or postgresql://<user>@<host>/<database>"
    )
