"""A response that goes on for a while, within bounds.

Nothing is queued for a reader: what comes next is made when the last piece is taken. A reader that
takes nothing for `STALLED_S` is given up, and so is every one whose token is not good any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from application.control_plane.sessions import Session
from domain.errors import InstaDeployError

logger = logging.getLogger(__name__)

ABORT: Final = "instadeploy.abort"
"""The ASGI extension of our server that ends a connection at once."""
STALLED_S: Final = 30.0
LAST_WORD_S: Final = 1.0


class HeldResponse(Response):
    """Sends what `body` gives, until it ends, the reader goes, or the session ends.

    With `may_end_early` the reader is not told when the session ends: what it has is good.
    """

    def __init__(
        self,
        body: AsyncGenerator[bytes, None],
        session: Callable[[], AbstractContextManager[Session]],
        *,
        media_type: str,
        may_end_early: bool = False,
    ) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"}, media_type=media_type)
        del self.headers["content-length"]
        self._pieces = body
        self._session = session
        self._may_end_early = may_end_early

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        with self._session() as session:
            async with aclosing(self._pieces) as pieces:
                sending = asyncio.create_task(self._send(pieces, send), name="held response")
                others = [
                    asyncio.create_task(session.ended.wait(), name="end of session"),
                    asyncio.create_task(_gone(receive), name="end of reader"),
                ]
                try:
                    await asyncio.wait([sending, *others], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in (sending, *others):
                        task.cancel()
                    outcomes = await asyncio.gather(sending, *others, return_exceptions=True)
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        if outcomes[0] is True:
            return
        if session.ended.is_set() and self._may_end_early:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORD_S):
                    await send({"type": "http.response.body", "body": b""})
                    return
        await _abort(scope, receive)

    async def _send(self, pieces: AsyncGenerator[bytes, None], send: Send) -> bool:
        """Whether all of it was sent."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        try:
            async for piece in pieces:
                async with asyncio.timeout(STALLED_S):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            return False
        except InstaDeployError as exc:
            logger.warning("a response ends before its time: %s", exc)
            return False
        await send({"type": "http.response.body", "body": b""})
        return True


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _abort(scope: Scope, receive: Receive) -> None:
    """End the connection at once, where the server lets us: also with what is not sent yet."""
    abort = scope.get("extensions", {}).get(ABORT)
    if abort is not None:
        abort()
        await _gone(receive)
