"""Long lists a page at a time: by where the last entry stood, so that nothing is listed twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Column, Connection, Row, Select, tuple_

from domain.errors import InvalidInput
from domain.fleet.page import Page, PageRequest

T = TypeVar("T")

_PLACE: Final = re.compile(r"[0-9]{1,18}")
_NAME_AND_ID: Final = re.compile(r"([a-z0-9._@-]{1,63})~([A-Za-z0-9._-]{1,256})")


def newest_first(
    connection: Connection,
    queries: Iterable[Select[Any]],
    place: Column[Any],
    page: PageRequest,
    read: Callable[[Row[Any]], T],
) -> Page[T]:
    """A page of what the queries find, each something else, by their `place`, the highest first."""
    rows: list[Row[Any]] = []
    for query in queries:
        if page.after:
            if not _PLACE.fullmatch(page.after):
                raise _unknown_place()
            query = query.where(place < int(page.after))  # noqa: PLW2901
        rows += connection.execute(query.order_by(place.desc()).limit(page.limit + 1))
    rows.sort(key=lambda row: -row.place)
    return _page(rows, page, read, lambda row: str(row.place))


def by_name(
    connection: Connection,
    query: Select[Any],
    columns: tuple[Column[Any], Column[Any]],
    page: PageRequest,
    read: Callable[[Row[Any]], T],
) -> Page[T]:
    """A page of what `query` finds, by `name_key` and `id`, which are the `columns`."""
    if page.after:
        place = _NAME_AND_ID.fullmatch(page.after)
        if place is None:
            raise _unknown_place()
        query = query.where(tuple_(*columns) > tuple_(*place.groups()))
    rows = connection.execute(query.order_by(*columns).limit(page.limit + 1)).all()
    return _page(rows, page, read, lambda row: f"{row.name_key}~{row.id}")


def _page(
    rows: Sequence[Row[Any]],
    page: PageRequest,
    read: Callable[[Row[Any]], T],
    place_of: Callable[[Row[Any]], str],
) -> Page[T]:
    """`rows` has more than asked for, where there is more."""
    found = rows[: page.limit]
    more = len(rows) > page.limit
    return Page([read(row) for row in found], place_of(found[-1]) if more else None)


def _unknown_place() -> InvalidInput:
    return InvalidInput("after", "must be what an earlier page gave as its next")
