"""`EngineRoot` over the engine's socket."""

from __future__ import annotations

from typing import Final

from adapters.engine.reading import EngineReads

ANSWER_S: Final = 5.0


class SocketEngineRoot:
    """The engine at a `unix://` or `tcp://` address, the same that Compose is given."""

    def __init__(self, docker_host: str, *, answer_s: float = ANSWER_S) -> None:
        self._reads = EngineReads(docker_host, answer_s=answer_s)

    async def directory(self) -> str:
        """See `EngineRoot`."""
        async with self._reads.begun() as reading:
            return str((await reading.get("/info"))["DockerRootDir"])
