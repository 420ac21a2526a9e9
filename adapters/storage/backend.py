"""What differs between SQLite and PostgreSQL: how one connects, and sees to it that one writes alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class ReadingLink(Protocol):
    """A connection, wherever it lives. It raises what SQLAlchemy raises."""

    async def run_sync(self, work: Callable[..., T], *args: Any) -> T:
        """Call `work` with a `Connection` and these arguments, and return what it returns."""
        ...


class WritingLink(ReadingLink, Protocol):
    """The connection that alone writes."""

    async def close(self) -> None:
        """Give it up, whatever state it is in; raises nothing."""
        ...


class Backend(Protocol):
    """One database. Everything raises `StorageUnavailable` and its like, and nothing of a library."""

    async def take(self) -> None:
        """Make what has to be there before anything can connect, and keep others away.

        Raises `Conflict` where another control plane has it, and is kept away beside the database.
        """
        ...

    async def connect_to_write(self) -> WritingLink:
        """The connection that alone writes. Raises `Conflict` where another control plane does."""
        ...

    async def prepare(self, link: WritingLink) -> None:
        """Once it is known that the database is ours to write: what has to be set in it before."""
        ...

    def reading(self) -> AbstractAsyncContextManager[ReadingLink]:
        """A connection that reads; each statement sees what was committed when it began."""
        ...

    async def tend(self, link: WritingLink) -> None:
        """After a commit, whatever has to be done now and then."""
        ...

    async def let_go(self) -> None:
        """Close what is open; a second call is harmless."""
        ...
