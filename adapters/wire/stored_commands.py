"""Commands as the control plane keeps them: the payload of the wire, as JSON."""

from __future__ import annotations

import json
from typing import Final

from adapters.wire.codec import MAX_FRAME_BYTES
from adapters.wire.messages import command_from, payload_of
from application.ports.command_codec import EncodedCommand
from domain.commands import Command
from domain.errors import InvalidInput

MAX_PAYLOAD_BYTES: Final = MAX_FRAME_BYTES - 64 * 1024
"""What is around a payload in a frame is far smaller than that."""


class WireCommands:
    """The `CommandCodec` of the protocol."""

    def encode(self, command: Command) -> EncodedCommand:
        """See `CommandCodec`."""
        kind, payload = payload_of(command)
        encoded = json.dumps(payload).encode("ascii")
        if len(encoded) > MAX_PAYLOAD_BYTES:
            raise InvalidInput(
                "files",
                f"with all else they make {len(encoded)} bytes on the wire; at most "
                f"{MAX_PAYLOAD_BYTES} are allowed",
            )
        return EncodedCommand(kind.value, encoded)

    def decode(self, encoded: EncodedCommand) -> Command:
        """See `CommandCodec`."""
        return command_from(encoded.kind, {"payload": json.loads(encoded.payload)})
