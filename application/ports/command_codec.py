"""How a command is kept until it is sent: as the payload that the wire will carry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from domain.commands import Command


@dataclass(frozen=True, slots=True)
class EncodedCommand:
    """A command's name on the wire, and its payload there; what is in it is nobody's to log."""

    kind: str
    payload: bytes = field(repr=False)


class CommandCodec(Protocol):
    """Turns commands into bytes and back."""

    def encode(self, command: Command) -> EncodedCommand:
        """What `decode` gives the same command for, also years later.

        Raises `InvalidInput` where that would be too large to be sent.
        """
        ...

    def decode(self, encoded: EncodedCommand) -> Command:
        """Raises `InvalidInput` where it is no command, or none that may be sent any more."""
        ...
