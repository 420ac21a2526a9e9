"""Where Docker Engine listens, and what is wrong when it does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Final
from urllib.parse import urlsplit

from domain.errors import RuntimeUnavailable

_REASON_LENGTH: Final = 500


class EngineAddress:
    """A `unix://` or `tcp://` address, the same that Compose is given."""

    def __init__(self, docker_host: str) -> None:
        self._docker_host = docker_host

    def __str__(self) -> str:
        return self._docker_host

    @contextlib.asynccontextmanager
    async def connected(
        self, within_s: float
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection for one exchange, which ends with the context or after `within_s` seconds.

        Raises `RuntimeUnavailable` that says what is wrong and what to do about it.
        """
        async with self.answering(within_s):
            reader, writer = await self.connect()
            try:
                yield reader, writer
            finally:
                writer.close()

    @contextlib.asynccontextmanager
    async def answering(self, within_s: float) -> AsyncIterator[None]:
        """A time in which the engine is asked; raises as `connected` does."""
        with self._translated(within_s):
            async with asyncio.timeout(within_s):
                yield

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to close. Raises as the sockets do: it is for use within `answering`."""
        address = urlsplit(self._docker_host)
        if address.scheme == "unix":
            return await asyncio.open_unix_connection(address.path)
        return await asyncio.open_connection(address.hostname, address.port or 2375)

    def is_not_docker(self) -> RuntimeUnavailable:
        """The error for answers that no engine gives."""
        return RuntimeUnavailable(
            f"what answers at {self._docker_host} is not Docker Engine; check AGENT_DOCKER_HOST"
        )

    def has_refused(self, status: int, body: bytes) -> RuntimeUnavailable:
        """The error for an answer that says that it cannot be done, and why."""
        reason = body.decode("utf-8", "replace").strip()[:_REASON_LENGTH]
        return RuntimeUnavailable(
            f"Docker Engine at {self._docker_host} answered HTTP {status}: {reason}"
        )

    @contextlib.contextmanager
    def _translated(self, within_s: float) -> Iterator[None]:
        where = f"Docker Engine does not answer at {self._docker_host}"
        try:
            yield
        except TimeoutError as exc:
            raise RuntimeUnavailable(
                f"{where} within {within_s:g} s; it hangs or is overloaded: restart it "
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
