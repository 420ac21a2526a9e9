"""Server-sent events, from bytes as they come (the part of the standard that the control plane uses)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from adapters.api_client.errors import Misunderstood

LONGEST_EVENT: Final = 8 * 1024 * 1024
"""In bytes. An event has a piece of output at most, which is much shorter."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `id` is the last that was said, and may be empty."""

    name: str
    data: str
    id: str


class EventReader:
    """Feed it bytes; it gives the events that are complete. Comments count as nothing."""

    def __init__(self) -> None:
        self._rest = b""
        self._size = 0
        self._name = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that end in this piece. Raises `Misunderstood` where one is longer than any may be."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._size += len(line)
            if (
                event := self._take(line.removesuffix(b"\r").decode("utf-8", "replace"))
            ) is not None:
                yield event
        if self._size + len(self._rest) > LONGEST_EVENT:
            raise Misunderstood(
                "the feed has an event that is longer than any of a control plane's"
            )

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._end()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self._id = value
        return None

    def _end(self) -> Event | None:
        name, data = self._name, self._data
        self._name, self._data, self._size = "", [], 0
        return Event(name or "message", "\n".join(data), self._id) if data else None
