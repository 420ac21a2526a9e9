"""`ControlPlaneWay`: the stages of dialling, each tried by itself, with what the agent dials with."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.proxy import Proxy
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from adapters.websocket.client import SUBPROTOCOLS, public_address
from adapters.websocket.dialing import Attempt, StagedConnect, environment_proxy
from adapters.websocket.hearing import HearingConnection
from adapters.websocket.refusals import Stage, UnusableProxy, failure_of
from application.ports.control_plane_way import WEBSOCKET, Answer, Certificate, IdleEnd, Way
from domain.errors import TransportLost, TransportRefused

NOBODYS_HURRY_S: Final = 3600.0
"""The stages' own deadline, which is whoever calls this one's to set."""


class WebSocketWay:
    """See `ControlPlaneWay`. `tls` trusts as the agent does; None for `ws://`."""

    def __init__(self, url: str, *, version: str, tls: ssl.SSLContext | None) -> None:
        self._url = url
        self._uri = parse_uri(url)
        self._where = public_address(url)
        self._user_agent = f"instadeploy-agent/{version} (doctor)"
        self._tls = tls
        self._log = logging.getLogger("instadeploy.websockets")
        self._log.setLevel(logging.CRITICAL)

    def way(self) -> Way:
        """See `ControlPlaneWay`."""
        proxy = self._proxy()
        named = "" if proxy is None else f"{proxy.scheme}://{proxy.host}:{proxy.port}"
        return Way(self._where, self._uri.host, self._uri.port, self._uri.secure, named)

    async def resolve(self) -> Sequence[str]:
        """See `ControlPlaneWay`."""
        proxy = self._proxy()
        host, port = (self._uri.host, self._uri.port) if proxy is None else (proxy.host, proxy.port)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as exc:
            raise TransportLost(f"the name {host} is not known: {exc.strerror}") from exc
        except UnicodeError:
            advice = "check the host in SERVER_URL"
            raise TransportRefused(f"{host} can be no host's name", advice=advice) from None
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    async def connect(self) -> None:
        """See `ControlPlaneWay`."""
        async with self._opened(None):
            pass

    async def secure(self) -> Certificate:
        """See `ControlPlaneWay`."""
        async with self._opened(self._tls) as connection:
            shown = connection.transport.get_extra_info("peercert") or {}
            link = connection.transport.get_extra_info("ssl_object")
            return Certificate(
                subject=_name(shown.get("subject", ())) or _alternative(shown),
                issuer=_name(shown.get("issuer", ())),
                expires_at=float(ssl.cert_time_to_seconds(shown["notAfter"])),
                tls=str(link.version()),
            )

    async def ask(self) -> Answer:
        """See `ControlPlaneWay`."""
        async with self._opened(self._tls) as connection:
            return await self._asked(connection)

    async def date(self) -> float | None:
        """See `ControlPlaneWay`."""
        tls = None
        if self._uri.secure:
            # A certificate may look bad for no other reason than the clock that is asked about. Nothing
            # is sent but a request without a token, and nothing believed but the time, which is shown.
            tls = ssl.create_default_context()
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        async with self._opened(tls) as connection:
            return (await self._asked(connection)).date

    async def idle(self, seconds: float) -> IdleEnd:
        """See `ControlPlaneWay`."""
        async with self._opened(self._tls) as connection:
            status = (await self._asked(connection)).status
            if status == 101:  # noqa: PLR2004
                return await _silent(connection, seconds, WEBSOCKET)
        async with self._opened(self._tls) as connection:
            kind = "TCP" if self._tls is None else "TLS"
            return await _silent(connection, seconds, kind)

    def _proxy(self) -> Proxy | None:
        try:
            return environment_proxy(self._uri)
        except UnusableProxy as exc:
            raise self._failure(exc, Attempt()) from None

    @contextlib.asynccontextmanager
    async def _opened(self, tls: ssl.SSLContext | None) -> AsyncIterator[HearingConnection]:
        attempt = Attempt()
        dialler = StagedConnect(
            self._url,
            attempt=attempt,
            stage_s=NOBODYS_HURRY_S,
            tls=tls,
            user_agent_header=self._user_agent,
            subprotocols=[Subprotocol(SUBPROTOCOLS[2])],
            compression=None,
            ping_interval=None,
            logger=self._log,
        )
        try:
            connection = await dialler.open_tcp_connection()
        except Exception as exc:  # noqa: BLE001 - sorted, and raised in our words
            raise self._failure(exc, attempt) from None
        try:
            yield connection
        finally:
            connection.transport.abort()

    async def _asked(self, connection: HearingConnection) -> Answer:
        try:
            await connection.handshake(None, self._user_agent)
        except InvalidStatus as exc:
            return Answer(exc.response.status_code, _date(exc.response.headers))
        except Exception as exc:  # noqa: BLE001 - sorted, and raised in our words
            attempt = Attempt(Stage.HANDSHAKE, connection.answered_status)
            raise self._failure(exc, attempt) from None
        response = connection.response
        assert response is not None
        return Answer(response.status_code, _date(response.headers))

    def _failure(self, exc: Exception, attempt: Attempt) -> TransportLost | TransportRefused:
        now = datetime.now(UTC)
        where = self._where
        return failure_of(
            exc, where, stage=attempt.stage, status=attempt.status, now=now, by_key=True
        )


async def _silent(connection: HearingConnection, seconds: float, kind: str) -> IdleEnd:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.shield(connection.connection_lost_waiter)
    lasted = loop.time() - began
    said = connection.protocol.close_rcvd  # None where it was cut, and where it is open.
    is_open = said is None and not connection.connection_lost_waiter.done()
    return IdleEnd(lasted, is_open, kind, None if said is None else int(said.code))


def _date(headers: Headers) -> float | None:
    value = next(iter(headers.get_all("Date")), "")
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def _name(parts: Sequence[Sequence[tuple[str, str]]]) -> str:
    """A distinguished name's most telling part, with nothing that a terminal acts on."""
    found = {key: value for part in parts for key, value in part}
    name = found.get("commonName") or found.get("organizationName") or ""
    return "".join(one for one in name if one.isprintable())[:100]


def _alternative(shown: Mapping[str, Any]) -> str:
    names = [str(value) for _, value in shown.get("subjectAltName", ())]
    return ", ".join(names[:3]) or "nobody"
