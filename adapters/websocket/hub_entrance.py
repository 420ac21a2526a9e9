"""Uvicorn's HTTP, with a deadline and a size for the head of each request.

An upgrade request is a request first, and so is one of the API: whoever connects and says nothing, or
a byte a second, or headers without end, is not waited for.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S: Final = 10.0
MAX_HEAD_BYTES: Final = 64 * 1024


class EntranceProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=...)`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._is_in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._begin_head()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._is_in_head:
            if self._head_bytes > MAX_HEAD_BYTES:
                self._end_head()
                self.send_400_response("The head of this request is too long.")
                return
            self._head_bytes += len(data)
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._end_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins; on a connection that is kept alive, a further one."""
        super().on_message_begin()
        if not self._is_in_head:
            self._begin_head()

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._end_head()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, and let go of everything that belongs to HTTP."""
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]

    def _begin_head(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        self._head_timer = self.loop.call_later(HEAD_S, self._give_up)

    def _end_head(self) -> None:
        self._is_in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        self.transport.abort()
