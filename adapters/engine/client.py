"""Asks Docker Engine over its socket. GET is the only method that this module can say.

API: https://docs.docker.com/reference/api/engine/. `/_ping` and `/version` need no negotiation:
every engine serves them without a version in the path.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Final
from urllib.parse import urlsplit

from application.ports.engine import EngineInfo
from domain.errors import RuntimeUnavailable

ANSWER_S: Final = 5.0


class SocketEngine:
    """The engine at a `unix://` or `tcp://` address, the same that Compose is given."""

    def __init__(self, docker_host: str, *, answer_s: float = ANSWER_S) -> None:
        self._docker_host = docker_host
        self._answer_s = answer_s

    async def ping(self) -> None:
        """See `Engine`."""
        if await self._get("/_ping") != b"OK":
            raise self._no_engine()

    async def info(self) -> EngineInfo:
        """See `Engine`."""
        body = await self._get("/version")
        try:
            found = json.loads(body)
            return EngineInfo(version=str(found["Version"]), api_version=str(found["ApiVersion"]))
        except (ValueError, KeyError, TypeError):
            raise self._no_engine() from None

    def _no_engine(self) -> RuntimeUnavailable:
        return RuntimeUnavailable(
            f"what answers at {self._docker_host} is not Docker Engine; check AGENT_DOCKER_HOST"
        )

    async def _get(self, path: str) -> bytes:
        # Imported when it is first needed: an agent that waits for work does without h11's memory.
        from adapters.engine.exchange import get  # noqa: PLC0415

        with self._translated():
            async with asyncio.timeout(self._answer_s), self._connected() as (reader, writer):
                return await get(reader, writer, path)

    @contextlib.asynccontextmanager
    async def _connected(
        self,
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        address = urlsplit(self._docker_host)
        if address.scheme == "unix":
            reader, writer = await asyncio.open_unix_connection(address.path)
        else:
            reader, writer = await asyncio.open_connection(address.hostname, address.port or 2375)
        try:
            yield reader, writer
        finally:
            writer.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        where = f"Docker Engine does not answer at {self._docker_host}"
        try:
            yield
        except TimeoutError as exc:
            raise RuntimeUnavailable(
                f"{where} within {self._answer_s:g} s; it hangs or is overloaded: restart it "
                "(systemctl restart docker)"
            ) from exc
        except PermissionError as exc:
            raise RuntimeUnavailable(
                f"{where}: permission denied; run the agent as root or as a member of the group "
                "that owns the socket (usually 'docker')"
            ) from exc
        except FileNotFoundError as exc:
            raise RuntimeUnavailable(
                f"{where}: there is no such socket; install and start Docker Engine "
                "(systemctl start docker), or set AGENT_DOCKER_HOST"
            ) from exc
        except OSError as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            raise RuntimeUnavailable(
                f"{where}: {reason}; start Docker Engine (systemctl start docker)"
            ) from exc
