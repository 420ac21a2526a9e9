"""One connection of an agent that speaks protocol v2, from CHALLENGE to its end."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from websockets.asyncio.server import ServerConnection

from tests.support.agent_frames import (
    Message,
    ViolationFound,
    read_frame,
)
from tests.support.peer_database import PATIENCE_S, PeerDatabase
from tests.support.peer_hearing import Hearer
from tests.support.peer_keys import PeerKeys
from tests.support.peer_sending import Sender
from tests.support.peer_terms import Crashed, Faults, LinkOver, Terms
from tests.support.ports import reset

OPENING_S: Final = 10.0
OFFER: Final = "instadeploy.v2, instadeploy.v1"
OFFER_WITH_KEY: Final = "instadeploy.v2"


class AgentSession:
    """The control plane's end of one link. `over` is set once the link is gone."""

    def __init__(
        self, connection: ServerConnection, database: PeerDatabase, faults: Faults, terms: Terms
    ) -> None:
        request = connection.request
        assert request is not None
        self.headers = request.headers
        self.connection = connection
        self.over = asyncio.Event()
        self.hello: Message = {}
        self.longest_silence_s = 0.0
        self.is_welcome = False
        self._database = database
        self._faults = faults
        self._terms = terms
        self._challenge_nonce = secrets.token_hex(16)
        self._sender = Sender(connection, database, faults, terms)
        self._hearer = Hearer(database, faults, self._sender)
        self._ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._may_hear = asyncio.Event()
        self._may_hear.set()

    # What a test can do.

    @property
    def is_live(self) -> bool:
        return self.is_welcome and not self.over.is_set() and not self._ending.done()

    @property
    def close_code(self) -> int | None:
        """What the link was closed with, by whichever side."""
        return self.connection.close_code

    @property
    def facts(self) -> Message:
        """Of the last HEARTBEAT."""
        return self._hearer.facts

    @property
    def heartbeats(self) -> int:
        """How many HEARTBEATs came."""
        return self._hearer.heartbeats

    @property
    def bye(self) -> str | None:
        """Why the agent said that it leaves; None until it does."""
        return self._hearer.bye

    def send(self, message: Message) -> None:
        """Send a message that the protocol may not allow, with the `ack` that it gets like any."""
        self._sender.later(message)

    async def send_raw(self, frame: str | bytes) -> None:
        """Send a frame as it is."""
        await self.connection.send(frame)

    def nack(self, expected: int) -> None:
        """Ask for the agent's messages again, from this number."""
        self.send({"type": "NACK", "expected": expected})

    def resend(self, seq: int) -> None:
        """Send a durable message once more, which nobody asked for."""
        self.send(self._database.ledger.outgoing[seq - 1])

    def goaway(self, window_s: float, reason: str = "maintenance") -> None:
        self.send({"type": "GOAWAY", "window_s": window_s, "reason": reason})

    def prune(self) -> None:
        """Tell the agent that none of its messages so far is needed any more."""
        ledger = self._database.ledger
        ledger.prune_below = ledger.last_seq_seen + 1
        self._sender.acknowledge_soon()

    def stop_reading(self) -> None:
        """Take nothing from the socket, so that what the agent sends stays with it."""
        self._may_hear.clear()
        self.connection.transport.pause_reading()

    def go_on_reading(self) -> None:
        self.connection.transport.resume_reading()
        self._may_hear.set()

    async def close(self, code: int, reason: str = "") -> None:
        """Say BYE, close with a code, and wait for the end."""
        self.end(LinkOver(code, reason or f"closing with {code}"))
        await self.ended()

    async def ended(self) -> None:
        """Wait until the link is gone."""
        async with asyncio.timeout(PATIENCE_S):
            await self.over.wait()

    # What the control plane does.

    def end(self, why: LinkOver | Crashed) -> None:
        """Hear nothing more, and end the session with this."""
        if not self._ending.done():
            self._ending.set_exception(why)
            self._ending.exception()  # Retrieved, also where nobody waits for it any more.

    def catch_up(self) -> None:
        """Write down and acknowledge what was held back."""
        self._hearer.catch_up()

    async def open(self) -> None:
        """Challenge the agent and take its HELLO; raises `LinkOver` where it is not as it should be."""
        keys = self._database.keys
        shown = {} if keys is None or self._faults.hide_key else {"public_key": keys.public_key}
        await self._sender.now(
            {
                "type": "CHALLENGE",
                "nonce": self._challenge_nonce,
                "server_time": "2026-01-01T00:00:00Z",
            }
            | shown
        )
        try:
            async with asyncio.timeout(OPENING_S):
                hello = await self._first("HELLO", "ENROLL")
                if hello["type"] == "ENROLL":
                    await self._enroll(hello)
                    hello = await self._first("HELLO")
        except TimeoutError as late:
            raise LinkOver(4400, "no HELLO") from late
        except ViolationFound as found:
            self._database.violation(str(found))
            raise LinkOver(4400, "no HELLO") from found
        self._authenticate(hello)
        if self._faults.refuse_with is not None:
            raise LinkOver(self._faults.refuse_with, "refused")
        self.hello = hello

    async def _first(self, *types: str) -> Message:
        while True:
            message = read_frame(await self.connection.recv())
            if message["type"] in types:
                return message
            self._hearer.hear_early(message)

    async def _enroll(self, message: Message) -> None:
        if self._database.keys is None:
            raise LinkOver(4401, "there are no keys here")
        answer = self._database.enroll(self._challenge_nonce, message)
        if self._faults.lose_enrolled:
            self._faults.lose_enrolled -= 1
            reset(self.connection.transport)
            raise LinkOver(4503, "the answer is lost")
        if "ENROLLED" in self._faults.forge:
            answer["signature"] = PeerKeys().sign_enrolled(
                self._challenge_nonce, message, answer["host_id"]
            )
        await self._sender.now(answer)

    def _authenticate(self, hello: Message) -> None:
        offer = ", ".join(self.headers.get_all("Sec-WebSocket-Protocol"))
        keys = self._database.keys
        if offer != (OFFER if keys is None else OFFER_WITH_KEY):
            self._database.violation(f"offers {offer!r}")
        if keys is not None:
            if "Authorization" in self.headers:
                self._database.violation("sends a token beside its key")
            keys.check_hello(self._challenge_nonce, hello)
            return
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token == "" or self._terms.token not in (None, token):
            raise LinkOver(4401, "who are you?")

    async def ignore(self) -> None:
        """Leave the HELLO unanswered, and see that the agent says nothing more than it may."""
        while True:
            try:
                self._hearer.hear_early(read_frame(await self.connection.recv()))
            except ViolationFound as found:
                self._database.violation(str(found))

    async def welcome(self) -> None:
        """Find out where both sides stand, and say so."""
        ledger = self._database.ledger
        self._sender.send_from(self._database.meet(self.hello) + 1)
        positions = {
            job.job_id: job.position
            for job in ledger.jobs.values()
            if job.position is not None and not job.has_all_output
        }
        welcome: Message = {
            "type": "WELCOME",
            "session": secrets.token_hex(8),
            "epoch": ledger.epoch,
            "last_seq_seen": ledger.last_seq_seen,
            "prune_below": ledger.prune_below,
            "heartbeat_s": min(max(self._terms.heartbeat_s, 1.0), 60.0),
            "output_seen": positions,
        }
        keys = PeerKeys() if "WELCOME" in self._faults.forge else self._database.keys
        if keys is not None and not self._faults.leave_unsigned:
            welcome["signature"] = keys.sign_welcome(self._challenge_nonce, self.hello, welcome)
        self._hearer.welcome(positions)
        await self._sender.now(welcome)
        self.is_welcome = True
        self._database.wake()

    async def serve(self) -> None:
        """Send and hear until the end: `ConnectionClosed`, `LinkOver` or `Crashed`."""
        tasks = {
            asyncio.create_task(self._sender.run(), name="sending to an agent"),
            asyncio.create_task(self._hear_all(), name="hearing an agent"),
        }
        self._database.listeners.append(self._sender.wake)
        try:
            await asyncio.wait({*tasks, self._ending}, return_when=asyncio.FIRST_COMPLETED)
            for done in (self._ending, *tasks):
                if done.done():
                    done.result()
        finally:
            self._database.listeners.remove(self._sender.wake)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def say_bye(self, reason: str) -> None:
        """Send what is left to be said, and that this is the last."""
        await self._sender.flush()
        await self._sender.now({"type": "BYE", "reason": reason})

    async def _hear_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            since = loop.time()
            try:
                async with asyncio.timeout(self._terms.silence_s):
                    frame = await self.connection.recv()
            except TimeoutError:
                reset(self.connection.transport)
                continue
            self.longest_silence_s = max(self.longest_silence_s, loop.time() - since)
            await self._may_hear.wait()
            if self._ending.done():
                return
            try:
                self._hearer.hear(read_frame(frame), len(frame))
            except ViolationFound as found:
                self._answer_violation(found, frame)

    def _answer_violation(self, found: ViolationFound, frame: str | bytes) -> None:
        self._database.violation(str(found))
        self.send({"type": "ERROR", "code": "protocol", "error": str(found)[:500]})
        if found.message is not None and "seq" in found.message:
            # It can neither be acknowledged nor left out: the link would stand still.
            raise LinkOver(4400, "a durable message that cannot be used")
