"""The agent's WebSocket: the upgrade request, and which version of the protocol comes of it."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from adapters.websocket.dialing import Attempt, StagedConnect
from adapters.websocket.links import LinkTimes, SequencedWebSocketLink, WebSocketLink
from adapters.websocket.refusals import failure_of
from adapters.wire.codec import MAX_FRAME_BYTES
from application.ports.host import HostFacts

__all__ = ["LinkTimes", "WebSocketTransport", "public_address"]

RECEIVED_FRAMES: Final = 8
"""Frames that may wait unread; a message may have 8 MiB, so the number is small."""
SUBPROTOCOLS: Final = {1: Subprotocol("instadeploy.v1"), 2: Subprotocol("instadeploy.v2")}


class WebSocketTransport:
    """Dials `url` with the token in the Authorization header, through the environment's proxy.

    It offers `versions` of the protocol, the preferred one first; a peer that selects none speaks v1.
    Without a token, whoever uses it proves by a key who it is: then v2 alone is offered.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None,
        facts: HostFacts,
        times: LinkTimes,
        tls: ssl.SSLContext | None,
        versions: Sequence[Literal[1, 2]] = (2, 1),
    ) -> None:
        self._url = url
        self._by_key = token is None
        self._headers = {
            **({} if token is None else {"Authorization": f"Bearer {token}"}),
            "X-Agent-Version": facts.agent_version,
            "X-Agent-Architecture": facts.architecture,
            "X-Agent-Hostname": facts.hostname,
        }
        self._user_agent = f"instadeploy-agent/{facts.agent_version}"
        self._times = times
        self._tls = tls
        self._offered = [SUBPROTOCOLS[version] for version in ((2,) if self._by_key else versions)]
        # At DEBUG the library logs the upgrade request, and with it the token.
        self._library_log = logging.getLogger("instadeploy.websockets")
        self._library_log.setLevel(logging.CRITICAL)

    async def connect(self) -> WebSocketLink | SequencedWebSocketLink:
        """See `Transport`."""
        where = public_address(self._url)
        attempt = Attempt()
        try:
            connection = await self._dialler(attempt).connect()
        except Exception as exc:  # noqa: BLE001 - sorted, and raised in our words
            failure = failure_of(
                exc,
                where,
                stage=attempt.stage,
                status=attempt.status,
                now=datetime.now(UTC),
                by_key=self._by_key,
            )
            # What the library says quotes the peer, who knows the token.
            raise failure from (None if isinstance(exc, WebSocketException) else exc)
        if connection.subprotocol == SUBPROTOCOLS[2]:
            return SequencedWebSocketLink(connection, where, self._times, by_key=self._by_key)
        return WebSocketLink(connection, where, self._times)

    def _dialler(self, attempt: Attempt) -> StagedConnect:
        return StagedConnect(
            self._url,
            attempt=attempt,
            stage_s=self._times.stage_s,
            tls=self._tls,
            additional_headers=self._headers,
            user_agent_header=self._user_agent,
            subprotocols=self._offered,
            compression=None,
            max_size=MAX_FRAME_BYTES,
            max_queue=RECEIVED_FRAMES,
            ping_interval=None,
            # The link's own time is over before: it ends with a reset, and the library's does not.
            close_timeout=self._times.close_s + 1.0,
            logger=self._library_log,
        )


def public_address(url: str) -> str:
    """A URL without what may be secret in it: user, password, query and fragment."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
