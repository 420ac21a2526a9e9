"""Whole lists, where the store gives a page at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

from domain.fleet.page import MAX_PAGE, Page, PageRequest

T = TypeVar("T")


async def pages_of(
    read: Callable[[PageRequest], Awaitable[Page[T]]], at_once: int = MAX_PAGE
) -> AsyncGenerator[Sequence[T], None]:
    """All that `read` gives, at most `at_once` entries at a time; at least one page, if an empty one."""
    after: str | None = ""
    while after is not None:
        page = await read(PageRequest(at_once, after))
        yield page.items
        after = page.next
