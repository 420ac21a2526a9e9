"""One WebSocket of an agent, at the control plane's end: who connects, what is heard, what is said.

It is what uvicorn hands an upgrade request to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
from http import HTTPStatus
from typing import Final, Protocol

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response

from adapters.websocket.hub_codes import close_code, how_it_ended, refused
from adapters.websocket.hub_connection import HubConnection
from adapters.websocket.hub_upgrade import Network, Refused, request_of
from adapters.wire.codec_v2 import decode_said, encode_heard
from adapters.wire.command_frames import encode_command
from adapters.wire.plain_answers import decode_answer
from application.ports.agent_link import (
    CommandFrame,
    LinkOwner,
    Reception,
    TurnedAway,
    UpgradeRequest,
)
from domain.errors import RemoteProtocolViolation
from domain.fleet.host_effects import LinkEnd
from domain.link_messages import Bye, Heard, Unusable

MAX_FRAGMENTS: Final = 4096
MOST_FROM_STRANGERS: Final = 64 * 1024 * 1024
"""A HELLO may have a mebibyte, and anybody can send one: this is what they may cost in all."""

_NO_TEXT: Final = Unusable(RemoteProtocolViolation("message: must be a text frame"))


class Hub(Protocol):
    """What all sockets share."""

    reception: Reception
    trusted: tuple[Network, ...]
    user_timeout_ms: int
    library_log: logging.Logger
    from_strangers: int
    """How many bytes all those together have sent who have not proven who they are."""
    strangers: dict[AgentSocket, None]
    """They, where they have sent any."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The one that runs."""
        ...


class AgentSocket(HubConnection):
    """An `AgentLink`. `listed` is a set that it is in while it is there: uvicorn's."""

    __slots__ = (
        "_admission",
        "_fragments",
        "_from_stranger",
        "_hub",
        "_opcode",
        "_owner",
        "_protocol",
    )

    def __init__(self, hub: Hub, listed: set[object]) -> None:
        super().__init__(hub.loop, hub.library_log, listed)
        self._hub = hub
        self._owner: LinkOwner | None = None
        self._admission: asyncio.Task[None] | None = None
        self._protocol = 0
        self._from_stranger = 0
        self._opcode: Opcode | None = None
        self._fragments: list[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `HubConnection`."""
        super().connection_made(transport)
        link = transport.get_extra_info("socket")
        if link is not None and self._hub.user_timeout_ms:
            with contextlib.suppress(OSError):  # It may be a socket of this machine.
                link.setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._hub.user_timeout_ms
                )

    def data_received(self, data: bytes) -> None:
        """See `HubConnection`."""
        if self._owner is None or not self._owner.is_known:
            self._comes_from_stranger(len(data))
            if self._from_stranger == 0:
                return  # It had sent the most.
        elif self._from_stranger:
            self._is_no_stranger()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `HubConnection`."""
        super().connection_lost(exc)
        self._is_no_stranger()
        self._fragments = None
        if self._admission is not None:
            self._admission.cancel()
        owner, self._owner = self._owner, None
        if owner is not None:
            is_answered = self._ws.close_rcvd_then_sent is False
            owner.ended(how_it_ended(self._ws), answered=is_answered)

    def resume_writing(self) -> None:
        """See `HubConnection`."""
        super().resume_writing()
        if self._owner is not None and not self.is_over:
            self._owner.writable()

    def shutdown(self) -> None:
        """Uvicorn stops."""
        if self._owner is not None:
            self.close(LinkEnd.GOING_AWAY, "the control plane goes away")
        else:
            self.refuse(refused(TurnedAway(LinkEnd.GOING_AWAY, 1.0)))

    # What its owner calls; the rest of it is `HubConnection`'s.

    def say(self, message: Heard) -> None:
        """See `AgentLink`."""
        self.send(encode_heard(message).encode("ascii"))

    def command(self, frame: CommandFrame) -> int:
        """See `AgentLink`."""
        text = encode_command(frame, 1 if self._protocol == 1 else 2)
        self.send(text)
        return len(text)

    def close(self, end: LinkEnd, reason: str) -> None:
        """See `AgentLink`."""
        if self.is_over:
            return
        code = close_code(end, self._protocol)
        if code is None:
            self.cut()
        elif self._protocol == 1 or end is LinkEnd.LEFT:
            self.say_last(code, reason)
        else:
            self.say_last(code, reason, encode_heard(Bye(reason)).encode("ascii"))

    # Opening.

    def asked(self, request: Request) -> None:
        """See `HubConnection`."""
        response = self._ws.accept(request)
        assert self._transport is not None
        peer = self._transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        wanted = request_of(request.path, request.headers, address, self._hub.trusted)
        if isinstance(wanted, Refused):
            self.refuse(wanted)
        elif response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self.answer(response)
        else:
            self._admission = self._hub.loop.create_task(
                self._admit(wanted, response), name="admitting an agent"
            )

    async def _admit(self, request: UpgradeRequest, response: Response) -> None:
        try:
            answer = await self._hub.reception.admit(request)
        finally:
            self._admission = None
        if self.is_over:
            return
        if isinstance(answer, TurnedAway):
            # Many are turned away at one moment, and are not to come back at one.
            wait_s = answer.retry_after_s * random.uniform(1.0, 2.0)  # noqa: S311 - no secret
            self.refuse(refused(TurnedAway(answer.end, wait_s)))
            return
        self.accept(response)
        self._protocol = request.protocol
        self._owner = self._hub.reception.attend(self, request, answer)

    # Hearing.

    def framed(self, frame: Frame) -> None:
        """See `HubConnection`; pings and close frames are answered already."""
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY if frame.fin:
                self._heard(frame.opcode, bytes(frame.data))
            case Opcode.TEXT | Opcode.BINARY:
                self._opcode, self._fragments = frame.opcode, [bytes(frame.data)]
            case Opcode.CONT if self._fragments is not None and self._opcode is not None:
                self._fragments.append(bytes(frame.data))
                if len(self._fragments) > MAX_FRAGMENTS:
                    self._fragments = None
                    self.fail(CloseCode.MESSAGE_TOO_BIG, "a message has too many fragments")
                elif frame.fin:
                    whole, self._fragments = b"".join(self._fragments), None
                    self._heard(self._opcode, whole)
            case _:
                pass

    def _heard(self, opcode: Opcode, message: bytes) -> None:
        owner = self._owner
        if owner is None:
            return
        if self._protocol == 1:
            owner.heard(decode_answer(message), len(message))
        elif opcode is Opcode.BINARY:
            owner.heard(_NO_TEXT, len(message))
        else:
            owner.heard(decode_said(message), len(message))

    def _comes_from_stranger(self, size: int) -> None:
        """Count what it sends; past what all may, whoever has sent most gives way.

        Whoever sends little, as an agent does, is not put out by others who send much.
        """
        hub = self._hub
        self._from_stranger += size
        hub.from_strangers += size
        hub.strangers[self] = None
        while hub.from_strangers > MOST_FROM_STRANGERS:
            greatest = max(hub.strangers, key=lambda each: each._from_stranger)
            # Asked to close, it could keep what it holds for seconds.
            greatest.cut()
            greatest._is_no_stranger()

    def _is_no_stranger(self) -> None:
        """What it has sent is not held any more, or it is not anybody any more."""
        self._hub.from_strangers -= self._from_stranger
        self._from_stranger = 0
        self._hub.strangers.pop(self, None)

    def too_slow(self) -> None:
        """See `HubConnection`."""
        self.close(LinkEnd.TOO_SLOW, "what was sent is not read")

    def too_many_pings(self) -> None:
        """See `HubConnection`."""
        self.close(LinkEnd.TOO_MUCH, "too many pings")
