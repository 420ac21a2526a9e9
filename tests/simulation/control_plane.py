"""The control plane in the simulation: a database that outlives it, and one agent that connects."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Final, Literal

from adapters.wire.codec_v2 import decode_said, encode_heard
from domain.errors import TransportLost
from domain.job import JobState
from domain.link_messages import GoAway
from tests.fakes.identity import FakeKeys
from tests.simulation.database import Database
from tests.simulation.network import NetworkFaults, PlainLink, SequencedLink, Wire
from tests.simulation.orders import AgentBroke, Submission
from tests.simulation.peer_link import PeerLink
from tests.simulation.plain_peer import PlainPeer

CONNECTING_S: Final = 0.2
COMMIT_S: Final = 0.05


class ControlPlane:
    """`database` and `backup` are on disks; a crash loses all else."""

    def __init__(
        self,
        rng: Random,
        faults: NetworkFaults,
        counts: Counter[str],
        *,
        choose_version: Callable[[], Literal[1, 2]],
        prune_rate: float,
        fail: Callable[[Exception], None],
        keys: FakeKeys | None = None,
    ) -> None:
        self.database = Database("peer-1", keys)
        self.backup = self.database.copy()
        self.is_up = True
        self.wire: Wire | None = None
        self.peer: PeerLink | PlainPeer | None = None
        self.ends: dict[str, JobState] = {}
        """What was ever known to have ended: what operators saw, which no restoring takes away."""
        self._rng = rng
        self._faults = faults
        self._counts = counts
        self._choose_version = choose_version
        self._prune_rate = prune_rate
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        self._epochs = 1
        self._commits = False
        self._timer: asyncio.TimerHandle | None = None

    # What operators want.

    def submit(self, wish: Submission) -> None:
        self.database.submit(wish)
        self._speak()

    def cancel(self, job_id: str) -> None:
        self.database.cancel(job_id)
        self._speak()

    def go_away(self, window_s: float) -> None:
        """Ask the agent to connect again."""
        if self.wire is not None and isinstance(self.peer, PeerLink) and self.peer.is_open:
            message = GoAway(window_s, "maintenance")
            self.wire.say_down(message, encode_heard(message))

    # Its life.

    def crash(self) -> None:
        """Lose what is not written, and the connection."""
        self.is_up = False
        wire, self.wire, self.peer = self.wire, None, None
        if wire is not None:
            wire.cut()

    def start(self) -> None:
        self.is_up = True

    def back_up(self) -> None:
        self.backup = self.database.copy()

    def restore(self) -> None:
        """Start with an older database, which begins a new epoch."""
        self._epochs += 1
        self.database = self.backup.restored(f"peer-{self._epochs}")
        self._counts["restored databases"] += 1
        self.start()

    # Its links.

    async def connect(self) -> SequencedLink | PlainLink:
        """What an agent's transport does: one attempt."""
        await asyncio.sleep(self._rng.random() * CONNECTING_S)
        if not self.is_up:
            raise TransportLost("connection refused")
        wire = Wire(self._rng, self._faults, self._counts, self._choose_version())
        if self.wire is not None:
            self._counts["disconnects"] += 1
            self.wire.close()  # A newer connection of the same agent.
        self.wire = wire
        self._counts[f"links of v{wire.version}"] += 1
        now = self._loop.time()
        self.peer = PlainPeer(self.database) if wire.version == 1 else PeerLink(self.database, now)
        wire.hear = lambda frame: self._hear(wire, frame)
        wire.lost = lambda: self._lose(wire)
        self._speak()
        return wire.link

    def _lose(self, wire: Wire) -> None:
        if self.wire is wire:
            self._counts["disconnects"] += 1
            self.wire = self.peer = None

    def _hear(self, wire: Wire, frame: str) -> None:
        if self.wire is not wire or self.peer is None:
            return
        try:
            if isinstance(self.peer, PlainPeer):
                self.peer.hear(frame)
            else:
                duplicates, nacks = self.peer.duplicates, self.peer.nacks_heard
                self.peer.hear(decode_said(frame), self._loop.time())
                self._counts["duplicates noticed"] += self.peer.duplicates - duplicates
                self._counts["gaps told by the agent"] += self.peer.nacks_heard - nacks
                if self.peer.is_over:
                    wire.close()
                    return
        except AgentBroke as broke:
            self._fail(broke)
        if self.peer.has_uncommitted and not self._commits:
            self._commits = True
            self._loop.call_later(self._rng.random() * COMMIT_S, self._commit)
        self._speak()

    def _commit(self) -> None:
        self._commits = False
        if self.peer is None:
            return
        try:
            self.peer.commit()
            self._note_ends()
        except AgentBroke as broke:
            self._fail(broke)
        if self._rng.random() < self._prune_rate:
            self.database.prune_below = self.database.seen + 1
        self._speak()

    def _note_ends(self) -> None:
        for job_id, order in self.database.orders.items():
            end = order.end
            if end is not None and order.changes and self.ends.setdefault(job_id, end) is not end:
                raise AgentBroke(f"{job_id} has ended as {self.ends[job_id]}, and as {end}")

    def _speak(self) -> None:
        wire, peer = self.wire, self.peer
        if wire is None or peer is None:
            return
        if isinstance(peer, PlainPeer):
            for frame in peer.frames():
                wire.say_plainly(frame)
            return
        while (message := peer.next_message(self._loop.time())) is not None:
            wire.say_down(message, encode_heard(message))
        if self._timer is None:
            self._set_timer(wire, peer)

    def _set_timer(self, wire: Wire, peer: PeerLink) -> None:
        due = peer.due_at(self._loop.time(), self._loop.time() - wire.heard_at)
        self._timer = self._loop.call_at(max(due, self._loop.time() + 0.01), self._tick)

    def _tick(self) -> None:
        self._timer = None
        wire, peer = self.wire, self.peer
        if wire is None or not isinstance(peer, PeerLink):
            return
        peer.tick(self._loop.time(), self._loop.time() - wire.heard_at)
        if peer.is_over:
            wire.cut()
        else:
            self._speak()
