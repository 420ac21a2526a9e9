"""How the agent's link stands, in a line for whoever looks at the host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LONGEST: Final = 400
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Standing(StrEnum):
    """In a word or two."""

    STARTING = "Starting"
    CONNECTING = "Connecting"
    CONNECTED = "Connected"
    LOST = "Not connected"
    REFUSED = "Refused"
    STOPPING = "Stopping"


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """`detail` is a sentence without its beginning: why, or over what and since when."""

    standing: Standing
    detail: str = ""

    def __str__(self) -> str:
        """One line, whatever the far end has said."""
        text = f"{self.standing}: {self.detail}" if self.detail else str(self.standing)
        return _CONTROL.sub(" ", text)[:LONGEST]

    @classmethod
    def of(cls, text: str) -> LinkStatus | None:
        """What such a line says; None for a line that is none."""
        standing, _, detail = text.partition(": ")
        try:
            return cls(Standing(standing), detail)
        except ValueError:
            return None
