"""Protocol v1's golden transcripts, played to an agent over a real WebSocket.

A `*` in an expected text stands for any text, and alone for any value. `host` is what is special
about the agent's host; a transcript has these steps:

- `upgrade`: the headers of the agent's request; null for one that it does not have
- `send`: a message, as `json`, as `text`, or as a character to `repeat` so many `times`
- `expect`: the agent's next message, whole
- `expect_close`: the code with which the agent closes
- `expect_ping`: how many pings come; each is answered, unless `withhold_pongs` came before
- `reconnect`: the connection ends as it says, and the agent comes back, `after_s` seconds at the soonest
- `release`: the run of Compose that `hangs` may end
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response

from application.agent.room import DispatchLimits
from domain.policy import policy_from_document
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment
from tests.fakes.handlers import DEADLINES
from tests.integration.websocket.agents import HurriedClock, running_agent
from tests.integration.websocket.peers import HANG_S, port_of, soon, transport_to

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "v1").glob("*.json"))
SCRIPTED = {"login", "pull", "build", "up", "restart", "down", "remove"}
UNCONFIRMED = "before any pong"
ENDED_BY_THE_AGENT = ("closed by the agent", "given up by the agent")


def matches(expected: object, found: object) -> bool:
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and expected.keys() == found.keys()
            and all(matches(value, found[key]) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(expected) == len(found)
            and all(map(matches, expected, found))
        )
    if isinstance(expected, str) and "*" in expected:
        pattern = ".*".join(re.escape(part) for part in expected.split("*"))
        return expected == "*" or (
            isinstance(found, str) and re.fullmatch(pattern, found, re.DOTALL) is not None
        )
    return expected == found


class PingedConnection(ServerConnection):
    """Counts pings, and answers none for as long as `is_silent`, so that nothing is confirmed."""

    is_silent = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pings: asyncio.Queue[Frame] = asyncio.Queue()

    def send_data(self) -> None:
        if self.is_silent:
            pong = bytes([0x80 | Opcode.PONG])
            self.protocol.writes = [w for w in self.protocol.writes if not w.startswith(pong)]
        super().send_data()

    def process_event(self, event: Request | Response | Frame) -> None:
        super().process_event(event)
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pings.put_nowait(event)


class Play:
    """One transcript on its stage: the host in memory, the clock, and the connection of the moment."""

    def __init__(self, script: dict[str, Any]) -> None:
        self.steps: list[dict[str, Any]] = script["steps"]
        self.host: dict[str, Any] = script.get("host", {})
        # An engine that is down stays down: waiting for it would be in vain.
        self.deployment = FakeDeployment(replace(DEADLINES, engine_s=0))
        self.clock = HurriedClock()
        self.connections: asyncio.Queue[PingedConnection] = asyncio.Queue()
        self._starts_silent = any(step.get("reconnect") == UNCONFIRMED for step in self.steps)
        self._peer: PingedConnection | None = None
        self._compose: Scripted | None = None
        self._set_the_stage()

    def _set_the_stage(self) -> None:
        if self.host.get("engine") == "down":
            self.deployment.lose_engine()
        if "policy" in self.host:
            self.deployment.use(policy=policy_from_document(self.host["policy"]))
        for program in SCRIPTED & self.host.keys():
            scripted = self.host[program]
            self._compose = self.deployment.runtime.script(
                program,
                Scripted(
                    exit_code=scripted.get("exit_code", 0),
                    output=scripted.get("output", "").encode(),
                    hangs=scripted.get("hangs", False),
                ),
            )

    @property
    def peer(self) -> PingedConnection:
        assert self._peer is not None
        return self._peer

    async def begin(self) -> None:
        self._peer = await soon(self.connections.get())
        self._peer.is_silent = self._starts_silent

    async def play(self, kind: str, value: Any, step: dict[str, Any]) -> None:
        match kind:
            case "upgrade":
                assert self.peer.request is not None
                found = {name: self.peer.request.headers.get(name) for name in value}
                assert matches(value, found), f"{found} is not {value}"
            case "send":
                await self.peer.send(text_of(value))
            case "expect":
                found = json.loads(await soon(self.peer.recv()))
                assert matches(value, found), f"{found} is not {value}"
            case "expect_close":
                with pytest.raises(ConnectionClosed) as closed:
                    await soon(self.peer.recv())
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == value
            case "expect_ping":
                for _ in range(value):
                    await soon(self.peer.pings.get())
            case "withhold_pongs":
                self.peer.is_silent = value
            case "reconnect":
                await self._reconnect(value, step.get("after_s"))
            case "release":
                assert self._compose is not None
                self._compose.release.set()
            case _:
                raise AssertionError(f"{kind} is no step")

    async def _reconnect(self, how: str, after_s: float | None) -> None:
        if how == "after the pong":
            # Answered after all that was sent before, so that the pong has been read by then.
            await soon(await self.peer.ping())
        if how in ENDED_BY_THE_AGENT:
            await soon(self.peer.wait_closed())
        self.peer.transport.abort()
        self._peer = await soon(self.connections.get())
        waited = self.clock.waits.get_nowait()
        assert after_s is None or waited == after_s


def text_of(message: dict[str, Any]) -> str:
    if "json" in message:
        return json.dumps(message["json"])
    text = message["repeat"] * message["times"] if "repeat" in message else message["text"]
    assert isinstance(text, str)
    return text


@contextlib.asynccontextmanager
async def agent_in(play: Play) -> AsyncIterator[None]:
    """The agent, with the handlers that production has, and a control plane that plays its part."""

    async def accept(connection: ServerConnection) -> None:
        assert isinstance(connection, PingedConnection)
        play.connections.put_nowait(connection)
        await connection.wait_closed()

    limits = DispatchLimits(open_jobs=play.host.get("open_jobs", 1024))
    async with serve(
        accept,
        "127.0.0.1",
        0,
        compression=None,
        ping_interval=None,
        create_connection=PingedConnection,
    ) as server:
        transport = transport_to(
            f"ws://127.0.0.1:{port_of(server)}/ws",
            ping_s=play.host.get("ping_s", HANG_S),
            pong_s=play.host.get("pong_s", HANG_S),
        )
        async with running_agent(
            transport,
            play.deployment.handlers.by_command,
            clock=play.clock,
            limits=limits,
            machine=play.deployment,
        ):
            yield


@pytest.mark.parametrize("transcript", GOLDEN, ids=lambda path: path.stem)
async def test_the_agent_answers_as_written(transcript: Path) -> None:
    script = json.loads(transcript.read_text(encoding="utf-8"))
    assert script["title"]
    assert script["clause"]
    play = Play(script)
    async with agent_in(play):
        await play.begin()
        for step in play.steps:
            kind = next(iter(step))
            await play.play(kind, step[kind], step)
