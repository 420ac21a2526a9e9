"""Long lists, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from domain.errors import InvalidInput

T = TypeVar("T")
MAX_PAGE: Final = 500
USUAL_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class PageRequest:
    """At most `limit` entries, from behind the one that `after` names; empty for the beginning.

    `after` is a `Page.next` of the same list; whoever is asked raises `InvalidInput` for what never
    was one.
    """

    limit: int = USUAL_PAGE
    after: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_PAGE:
            raise InvalidInput("limit", f"must be from 1 to {MAX_PAGE}")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`next` is to be given as `after` for what follows; None at the end."""

    items: Sequence[T]
    next: str | None = None
