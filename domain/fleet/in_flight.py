"""Messages that were sent on a link and that the agent has not acknowledged."""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_MESSAGES: Final = 256
WINDOW_BYTES: Final = 1024 * 1024


class InFlight:
    """Made when the first is sent, and dropped with the last: most links have none for hours."""

    __slots__ = ("_bytes", "_messages", "_since")

    def __init__(self) -> None:
        self._messages: deque[tuple[int, int, float]] = deque()
        self._bytes = 0
        self._since = 0.0

    def __bool__(self) -> bool:
        return bool(self._messages)

    @property
    def waiting_since(self) -> float:
        """When the oldest was sent, or the link last had something of ours that was not taken."""
        return max(self._messages[0][2], self._since)

    def has_room(self, size: int) -> bool:
        """Whether the window is open for a message of that size; one is always allowed."""
        if not self._messages:
            return True
        return len(self._messages) < WINDOW_MESSAGES and self._bytes + size <= WINDOW_BYTES

    def add(self, seq: int, size: int, now: float) -> None:
        """One is sent."""
        self._messages.append((seq, size, now))
        self._bytes += size

    def confirm(self, seq: int) -> None:
        """All up to this number have arrived."""
        while self._messages and self._messages[0][0] <= seq:
            self._bytes -= self._messages.popleft()[1]

    def take_back(self, seq: int) -> None:
        """Those from this number on are to be sent again."""
        while self._messages and self._messages[-1][0] >= seq:
            self._bytes -= self._messages.pop()[1]

    def still_going_out(self, now: float) -> None:
        """The socket has not taken all of them yet: the agent cannot have acknowledged them."""
        self._since = now
