"""A small control plane that speaks protocol v2, and v1 where that is chosen, as a test tells it.

It is written against docs/protocol-v2.md alone and shares no code with the agent. What it knows is
in a `PeerDatabase`, which outlives it: `crash` one, and start another on the same database and port.

    async with ReferencePeer(database) as peer:
        session = await peer.agent()
        job_id = await peer.submit("HEALTH_CHECK", {})
        await peer.accepted(job_id)
        final = await peer.final(job_id)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import Final, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.agent_frames import MAX_FRAME_BYTES, Message
from tests.support.control_plane import deploy_payload
from tests.support.peer_database import PATIENCE_S, PeerDatabase
from tests.support.peer_session import AgentSession
from tests.support.peer_session_v1 import PlainSession
from tests.support.peer_terms import Crashed, Faults, LinkOver, Terms
from tests.support.ports import bound, port_of

V1: Final = "instadeploy.v1"
V2: Final = "instadeploy.v2"
CLOSE_S: Final = 0.5
"""So long an agent gets to answer a close frame."""
UNACKNOWLEDGED_MS: Final = 28_000
"""With a heartbeat of 15 s, an agent that acknowledges nothing is noticed within 45 s."""


class ReferencePeer:
    """Listens on a port of loopback from entering the context to leaving it, or to its crash.

    `subprotocol` is what it selects of an agent's offer; None selects nothing, and a text that is
    no version is selected though nobody offered it. Leaving raises where the agent has violated the
    protocol and the database is strict.
    """

    def __init__(
        self,
        database: PeerDatabase,
        port: int = 0,
        *,
        subprotocol: str | None = V2,
        faults: Faults | None = None,
        terms: Terms | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.database = database
        self.port = port
        self.faults = faults or Faults()
        self.crashed = asyncio.Event()
        self._terms = terms or Terms()
        self._subprotocol = subprotocol
        self._tls = tls
        self._bugs: list[Exception] = []
        self._server: Server | None = None
        self._current: AgentSession | PlainSession | None = None

    async def __aenter__(self) -> Self:
        listener = bound(self.port)
        self.port = port_of(listener)
        self._server = await serve(
            self._serve,
            sock=listener,
            ssl=self._tls,
            select_subprotocol=self._select,
            max_size=MAX_FRAME_BYTES,
            compression=None,
            ping_interval=None,
            close_timeout=CLOSE_S,
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._server is not None
        self._server.close(close_connections=False)
        if self._current is not None:
            await self._current.close(4503, "the control plane goes away")
        self._cut_all()
        await self._server.wait_closed()
        for bug in self._bugs:
            raise bug
        if kind is None:
            self.database.check()

    @property
    def url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}/ws"

    # Links.

    async def session(self, *, after: AgentSession | None = None) -> AgentSession | PlainSession:
        """The live session of whichever version; with `after`, another one than that."""

        def live() -> AgentSession | PlainSession | None:
            current = self._current
            is_new = current is not None and current is not after
            return current if is_new and current is not None and current.is_live else None

        return await self.database.until(live, "an agent")

    async def agent(self, *, after: AgentSession | None = None) -> AgentSession:
        """The live session of v2, once it is welcomed; with `after`, another one than that."""
        session = await self.session(after=after)
        assert isinstance(session, AgentSession), "the agent speaks v1"
        return session

    async def crash(self) -> None:
        """Go down as a killed process does: sockets are cut, and what is not written is lost."""
        self._go_down()
        assert self._server is not None
        async with asyncio.timeout(PATIENCE_S):
            await self._server.wait_closed()

    async def has_crashed(self) -> None:
        """Wait for the crash that `faults.crash_when` causes."""
        async with asyncio.timeout(PATIENCE_S):
            await self.crashed.wait()
        await self.crash()

    def heal(self) -> None:
        """Put all faults right, in place, and catch up on what they held back."""
        vars(self.faults).update(vars(Faults()))
        if isinstance(self._current, AgentSession):
            self._current.catch_up()

    # Jobs.

    async def submit(
        self,
        command_type: str,
        payload: object,
        *,
        generation: int | None = None,
        deadline_s: float | None = None,
        job_id: str | None = None,
    ) -> str:
        """Issue a command, and return its id at once; it is sent when there is a link for it."""
        return self.database.issue(
            command_type, payload, generation=generation, deadline_s=deadline_s, job_id=job_id
        )

    async def cancel(self, job_id: str) -> None:
        """Ask for a job's end; sent like a command."""
        self.database.cancel(job_id)

    async def accepted(self, job_id: str) -> Message:
        """The ACCEPT of the command that was issued last under this id; a REJECT fails the test."""
        answer = await self.database.answer(job_id)
        assert answer["type"] == "ACCEPT", answer
        return answer

    async def rejected(self, job_id: str) -> Message:
        """The REJECT of the command that was issued last under this id; an ACCEPT fails the test."""
        answer = await self.database.answer(job_id)
        assert answer["type"] == "REJECT", answer
        return answer

    async def final(self, job_id: str) -> Message:
        """The job's final response."""
        return await self.database.final(job_id)

    async def ask(
        self,
        command_type: str,
        payload: object,
        *,
        generation: int | None = None,
        deadline_s: float | None = None,
    ) -> Message:
        """Issue a command, see that it is accepted, and return its final response."""
        job_id = await self.submit(
            command_type, payload, generation=generation, deadline_s=deadline_s
        )
        await self.accepted(job_id)
        return await self.final(job_id)

    async def deploy(self, project: str, compose: str, *, generation: int | None = None) -> Message:
        return await self.ask(
            "DEPLOY_COMPOSE", deploy_payload(project, compose), generation=generation
        )

    async def stop(self, project: str, *, generation: int | None = None) -> Message:
        return await self.ask("STOP_COMPOSE", {"project_name": project}, generation=generation)

    async def status(self, project: str) -> Message:
        return await self.ask("STATUS", {"project_name": project})

    async def health(self) -> Message:
        return await self.ask("HEALTH_CHECK", {})

    # Connections.

    def _select(self, _: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        wanted = self._subprotocol
        if wanted is None or (wanted in (V1, V2) and wanted not in offered):
            return None
        return Subprotocol(wanted)

    async def _serve(self, connection: ServerConnection) -> None:
        # Each side finds out for itself: an agent that gives a link up may be unable to say so, and
        # what it had sent before may still be coming in.
        link = connection.transport.get_extra_info("socket")
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
        session: AgentSession | PlainSession
        if connection.subprotocol == V2:
            session = AgentSession(connection, self.database, self.faults, self._terms)
        else:
            session = PlainSession(connection, self.database)
        try:
            await self._attend(session)
        except Crashed:
            self._go_down()
        except LinkOver as over:
            await _close(session, over)
        except ConnectionClosed:
            pass
        except Exception as bug:  # noqa: BLE001
            self._bugs.append(bug)
            self.database.violation(f"none: the control plane is broken: {bug!r}")
        finally:
            session.over.set()
            self.database.wake()

    async def _attend(self, session: AgentSession | PlainSession) -> None:
        if isinstance(session, AgentSession):
            await session.open()
            if self.faults.swallow_hellos:
                self.faults.swallow_hellos -= 1
                await session.ignore()
        if self._current is not None:
            self._current.end(LinkOver(4409, "replaced by a newer connection"))
        if self.crashed.is_set():
            return
        self._current = session
        if isinstance(session, AgentSession):
            await session.welcome()
        await session.serve()

    def _go_down(self) -> None:
        self.crashed.set()
        if self._current is not None:
            self._current.end(Crashed())
        assert self._server is not None
        self._server.close(close_connections=False)
        self._cut_all()

    def _cut_all(self) -> None:
        assert self._server is not None
        for connection in self._server.all_connections:
            connection.transport.abort()


async def _close(session: AgentSession | PlainSession, over: LinkOver) -> None:
    if isinstance(session, AgentSession):
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await session.say_bye(over.reason)
    await session.connection.close(over.code, over.reason)
