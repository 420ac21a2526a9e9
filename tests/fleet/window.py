"""What a simulated agent has sent on a link of v2, and what of it the control plane has. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_UNDER_WAY: Final = 256
MAX_BYTES_UNDER_WAY: Final = 1 << 20
MAX_OUTPUT_UNDER_WAY: Final = 256 << 10


class SendWindow:
    """The agent's own durable messages."""

    __slots__ = ("_bytes", "_under_way", "reached", "sent")

    def __init__(self) -> None:
        self._under_way: deque[tuple[int, int, float]] = deque()
        self._bytes = 0
        self.sent = 0
        """After this number it is gone on."""
        self.reached = 0
        """The highest number that was ever sent here, or is known to be there."""

    @property
    def waiting_since(self) -> float | None:
        """When the oldest was sent that is not acknowledged."""
        return self._under_way[0][2] if self._under_way else None

    def resume(self, peer_has: int) -> None:
        """The control plane has everything up to this number."""
        self.sent = self.reached = peer_has

    def has_room(self, size: int) -> bool:
        """Whether a message of this size may be sent."""
        is_open = len(self._under_way) < MAX_UNDER_WAY and self._bytes + size <= MAX_BYTES_UNDER_WAY
        return not self._under_way or is_open

    def add(self, seq: int, size: int, now: float) -> None:
        """It is sent."""
        self.sent = seq
        self.reached = max(self.reached, seq)
        self._under_way.append((seq, size, now))
        self._bytes += size

    def confirm(self, seq: int) -> None:
        """The control plane has everything up to this number."""
        self.sent = max(self.sent, seq)
        self.reached = max(self.reached, seq)
        while self._under_way and self._under_way[0][0] <= seq:
            self._bytes -= self._under_way.popleft()[1]

    def send_again_from(self, seq: int) -> None:
        """The control plane misses this one."""
        self.sent = seq - 1
        while self._under_way and self._under_way[-1][0] >= seq:
            self._bytes -= self._under_way.pop()[1]


class ReceiveWindow:
    """The control plane's durable messages that we have not acknowledged: their sizes, by number."""

    __slots__ = ("_sizes",)

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}

    def add(self, seq: int, size: int) -> bool:
        """It came; whether the control plane was allowed to send it, by what it can know."""
        others = sum(self._sizes.values())
        is_allowed = len(self._sizes) < MAX_UNDER_WAY and others < MAX_BYTES_UNDER_WAY
        self._sizes[seq] = size
        return is_allowed or len(self._sizes) == 1

    def acknowledge(self, ack: int) -> None:
        """It was said that we have everything up to this number."""
        if self._sizes:
            self._sizes = {seq: size for seq, size in self._sizes.items() if seq > ack}


class OutputMark:
    """Up to where a job's output was sent on a link, and up to where the control plane has it."""

    __slots__ = ("seen", "sent")

    def __init__(self, seen: int = 0) -> None:
        self.seen = seen
        self.sent = seen

    def room(self, *, is_over: bool) -> int:
        """How many bytes more may be sent now; what is left of a step that is over may in any case."""
        return MAX_OUTPUT_UNDER_WAY - (0 if is_over else self.sent - self.seen)

    def note_seen(self, offset: int) -> None:
        """The control plane has it up to there."""
        self.seen = max(self.seen, offset)
        self.sent = max(self.sent, offset)
