"""Serves one link of protocol v2: carries out what the session says, and sends what it has to send."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from application.agent.admission import Admission
from application.agent.credential import WHAT_TO_CHECK, Credential
from application.agent.job_book import JobBook
from application.agent.live_output import LiveOutput
from application.agent.losing import STOPPING, Loss, first_loss, forever
from application.agent.output_pump import OutputPump
from application.agent.vital_signs import VitalSigns
from application.ports.clock import Clock
from application.ports.transport import SequencedLink
from domain.commands import weight_of
from domain.errors import InstaDeployError, StorageUnavailable, TransportLost, TransportRefused
from domain.identity import Membership
from domain.link_messages import Bye, CommandMessage, Ending, SequencedHeard
from domain.proving import Introduction
from domain.records import PeerConfirmed, PeerMet
from domain.send_window import WINDOW_MESSAGES
from domain.session import Phase, Session
from domain.session_effects import (
    BeginEpoch,
    Complaint,
    Deliver,
    Distrust,
    Effect,
    EndLink,
    Leave,
    MeetPeer,
    NoteConfirmed,
    Pin,
)

logger = logging.getLogger(__name__)

SEND_S: Final = 60.0
"""How long the peer may take for one message; then it does not read."""
BYE_S: Final = 1.0
SHORTEST_TICK_S: Final = 0.05
MAX_NOTICES: Final = 4096
"""Answers that wait for the peer's confirmation; with so many, no more commands are taken in."""
MAX_HELD_BYTES: Final = 64 * 1024 * 1024
MAX_COMPLAINT: Final = 500


class LeftForAnotherLink(TransportLost):
    """The control plane asked for it; `rejoin_at` is the moment, on the monotonic clock, to connect."""

    def __init__(self, why: str, rejoin_at: float) -> None:
        super().__init__(why)
        self.rejoin_at = rejoin_at


class SequencedServing:
    """What all links of v2 have in common. `spread` draws evenly between 0 and a number of seconds."""

    def __init__(
        self,
        *,
        book: JobBook,
        admission: Admission,
        credential: Credential,
        live: LiveOutput,
        clock: Clock,
        introduce: Callable[[], Introduction],
        spread: Callable[[float], float],
        vital_signs: VitalSigns,
    ) -> None:
        self.book = book
        self.admission = admission
        self.credential = credential
        self.live = live
        self.clock = clock
        self.spread = spread
        self._introduce = introduce
        self.vital_signs = vital_signs

    def session(self) -> Session:
        """A session for a link that has just been made."""
        return Session(
            self.book.ledger,
            self._introduce(),
            arriving=self.admission.arriving,
            now=self.clock.monotonic(),
            proof=self.credential.proof(),
            printed=self.live.position,
            generations=self.admission.arriving_generations,
            facts=self.vital_signs.facts,
        )

    async def serve(self, link: SequencedLink, welcomed: Callable[[], None]) -> None:
        """Serve until the link ends; cancelled, it says BYE. `welcomed` is called when it is open.

        Raises `TransportLost`, or `TransportRefused` where the peer's last word was a no.
        """
        served = _ServedLink(self, link, welcomed)
        try:
            await served.serve()
        except asyncio.CancelledError:
            await served.say_bye()
            raise
        finally:
            await link.close(Ending.GOING_AWAY, STOPPING)


class _ServedLink:
    def __init__(
        self, serving: SequencedServing, link: SequencedLink, welcomed: Callable[[], None]
    ) -> None:
        self._serving = serving
        self._welcomed = welcomed
        self._link = link
        self._clock = serving.clock
        self._session = serving.session()
        self._pump = OutputPump(serving.live, serving.book.ledger, self._session, serving.clock)
        self._wake = asyncio.Event()
        self._retimed = asyncio.Event()
        self._confirmed: PeerConfirmed | None = None
        self._has_confirmed = asyncio.Event()
        self._rejoin_at: float | None = None
        self._held: deque[SequencedHeard] = deque()
        self._tasks: asyncio.TaskGroup | None = None

    async def serve(self) -> None:
        stop_listening = self._serving.book.listen(self._wake.set)
        lost: Loss | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._read(), name="session-reader")
                tasks.create_task(self._write(), name="session-writer")
                tasks.create_task(self._tick(), name="session-ticker")
                tasks.create_task(self._note(), name="session-noter")
                tasks.create_task(self._serving.vital_signs.watch(), name="vital-signs")
                tasks.create_task(self._pump.run(self._wake.set), name="session-output")
                await forever()
        except* (TransportLost, TransportRefused) as group:
            lost = first_loss(group)
        finally:
            stop_listening()
            for message in self._held:  # The peer sends it again.
                self._serving.admission.arriving.discard(message.seq)
        assert lost is not None, "a session ends only with its link"
        if self._rejoin_at is not None and isinstance(lost, TransportLost):
            raise LeftForAnotherLink(str(lost), self._rejoin_at) from lost
        raise lost

    async def say_bye(self) -> None:
        """The last message, in bounded time."""
        with contextlib.suppress(TransportLost, TimeoutError):
            async with self._clock.timeout(BYE_S):
                await self._link.say(Bye(STOPPING))

    async def _read(self) -> None:
        while True:
            await self._serving.admission.room()
            message = await self._link.hear()
            if isinstance(message, Bye):
                await self._hear_close_code()
            before = self._session.phase
            for effect in self._session.hear(message, self._clock.monotonic()):
                await self._carry_out(effect)
            if self._session.phase is not before:
                self._retimed.set()
                if self._session.phase is Phase.OPEN:
                    self._welcomed()
            self._wake.set()
            # A burst of frames is received without waiting: let the jobs and the writer in between.
            await self._clock.sleep(0)

    async def _hear_close_code(self) -> None:
        """What follows a BYE may be a no, which counts more than the farewell."""
        with contextlib.suppress(TransportLost, TimeoutError):
            async with self._clock.timeout(BYE_S):
                while True:
                    await self._link.hear()

    async def _write(self) -> None:
        while True:
            self._wake.clear()
            self._deliver()
            while (message := self._session.next_message(self._clock.monotonic())) is not None:
                try:
                    async with self._clock.timeout(SEND_S):
                        await self._link.say(message)
                except TimeoutError:
                    await self._end(EndLink(Ending.TOO_SLOW, f"nothing was read for {SEND_S:g} s"))
                self._pump.resume()
            await self._wake.wait()

    async def _tick(self) -> None:
        while True:
            now = self._clock.monotonic()
            due = self._session.due_at(now, self._link.silence_s)
            self._retimed.clear()
            try:
                async with self._clock.timeout(max(due - now, SHORTEST_TICK_S)):
                    await self._retimed.wait()
            except TimeoutError:
                pass
            for effect in self._session.tick(self._clock.monotonic(), self._link.silence_s):
                await self._carry_out(effect)
            self._wake.set()

    async def _note(self) -> None:
        """Write down what the peer has: the latest only, as it includes all before."""
        while True:
            await self._has_confirmed.wait()
            self._has_confirmed.clear()
            if (record := self._confirmed) is not None:
                self._confirmed = None
                await self._serving.book.record(record, must=True)

    async def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Deliver():
                self._held.append(effect.message)
                self._deliver()
                if self._holds_too_much():
                    await self._end(EndLink(Ending.VIOLATION, "too much is under way at once"))
            case NoteConfirmed():
                self._confirmed = PeerConfirmed(effect.seq, effect.prune_below)
                self._has_confirmed.set()
            case Pin():
                await self._pin(effect.membership)
            case Distrust():
                await self._link.close(Ending.DISTRUST, effect.reason)
                raise TransportRefused(effect.reason, advice=WHAT_TO_CHECK)
            case MeetPeer():
                await self._meet(effect.epoch)
            case BeginEpoch():
                logger.error("%s; both sides begin anew", effect.why)
                await self._serving.admission.settled()
                await self._serving.book.begin_epoch()
                await self._end(EndLink(Ending.GOING_AWAY, "a new epoch begins"))
            case Leave():
                self._leave(effect)
            case EndLink():
                await self._end(effect)
            case Complaint():
                logger.warning(
                    "the control plane cannot use what it got: %s: %s",
                    effect.code[:MAX_COMPLAINT],
                    effect.error[:MAX_COMPLAINT],
                )

    def _deliver(self) -> None:
        """Take in what was held back while too many answers waited for the peer's confirmation.

        The peer goes on being heard meanwhile, as its confirmations stand behind its commands. What
        is held is not acknowledged, which keeps the peer from sending more.
        """
        while self._held and len(self._serving.book.ledger.notices) < MAX_NOTICES:
            self._serving.admission.deliver(self._held.popleft())

    def _holds_too_much(self) -> bool:
        held = sum(
            weight_of(message.command)
            for message in self._held
            if isinstance(message, CommandMessage)
            and not isinstance(message.command, InstaDeployError)
        )
        return len(self._held) > WINDOW_MESSAGES or held > MAX_HELD_BYTES

    async def _pin(self, membership: Membership) -> None:
        try:
            await self._serving.credential.pin(membership)
        except StorageUnavailable as exc:
            # The control plane answers the same token and key again.
            logger.error("who this host is cannot be written down: %s", exc)
            await self._end(EndLink(Ending.GOING_AWAY, "the enrolment cannot be written down"))
        self._session.pinned(self._clock.monotonic())

    async def _meet(self, epoch: str) -> None:
        logger.info("the control plane's memory begins at %s; it is told what is known here", epoch)
        await self._serving.admission.settled()
        await self._serving.book.record(PeerMet(epoch), must=True)
        self._session.peer_met()

    def _leave(self, effect: Leave) -> None:
        delay = self._serving.spread(effect.window_s)
        self._rejoin_at = self._clock.monotonic() + delay
        logger.info("the control plane asks to connect again, in %.1f s", delay)
        assert self._tasks is not None
        self._tasks.create_task(self._leave_in(delay), name="session-leaver")

    async def _leave_in(self, delay: float) -> None:
        await self._clock.sleep(delay)
        await self._end(EndLink(Ending.GOING_AWAY, "going to another link, as asked"))

    async def _end(self, effect: EndLink) -> None:
        await self._link.close(effect.ending, effect.reason)
        raise TransportLost(effect.reason)
