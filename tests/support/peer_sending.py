"""How the control plane that tests use sends: in order, within its window, with acknowledgements."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from websockets.asyncio.server import ServerConnection

from tests.support.agent_frames import Message
from tests.support.peer_database import PeerDatabase
from tests.support.peer_terms import Faults, LinkOver, Terms

MAX_UNDER_WAY: Final = 256
MAX_BYTES_UNDER_WAY: Final = 1 << 20

WITHOUT_ACK: Final = frozenset({"CHALLENGE", "ENROLLED", "WELCOME", "GOAWAY", "ERROR", "BYE"})


class Window:
    """Durable messages of one side that the other has not acknowledged: their sizes, by number."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}

    def add(self, seq: int, size: int) -> None:
        self._sizes[seq] = size

    def acknowledge(self, ack: int) -> None:
        self._sizes = {seq: size for seq, size in self._sizes.items() if seq > ack}

    @property
    def is_full(self) -> bool:
        """Whether no other message may be sent."""
        sizes = self._sizes
        return len(sizes) >= MAX_UNDER_WAY or sum(sizes.values()) >= MAX_BYTES_UNDER_WAY


class OutputWindow:
    """Pieces of one job's output that came on this link and are not acknowledged."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[str, int, int], int] = {}

    def add(self, message: Message) -> int:
        """Add a piece; returns how many bytes of its step are not acknowledged with it."""
        here = (message["step"], message["attempt"])
        self._pieces[*here, message["offset"]] = message["length"]
        return sum(length for piece, length in self._pieces.items() if piece[:2] == here)

    def acknowledge(self, position: dict[str, Any]) -> None:
        here = (position["step"], position["attempt"])
        self._pieces = {
            piece: length
            for piece, length in self._pieces.items()
            if piece[:2] == here and piece[2] + length > position["offset"]
        }


class Sender:
    """All that goes to an agent on one link. Nobody else sends once `run` has begun."""

    def __init__(
        self, connection: ServerConnection, database: PeerDatabase, faults: Faults, terms: Terms
    ) -> None:
        self.received = Window()
        self.outputs: dict[str, OutputWindow] = {}
        self._connection = connection
        self._database = database
        self._faults = faults
        self._terms = terms
        self._changed = asyncio.Event()
        self._replies: deque[Message] = deque()
        self._sent = Window()
        self._next = 1
        self._is_ack_due = False
        self._outputs_due: set[str] = set()
        self._sent_at = asyncio.get_running_loop().time()

    @property
    def last_sent(self) -> int:
        """The highest number that is under way, or has been."""
        return self._next - 1

    def wake(self) -> None:
        """Look whether there is something to send."""
        self._changed.set()

    def later(self, message: Message) -> None:
        """Send a message before any further durable one."""
        self._replies.append(message)
        self.wake()

    def send_from(self, seq: int) -> None:
        """Go on with this one of the durable messages."""
        self._next = seq
        self._sent = Window()
        self.wake()

    def acknowledged(self, ack: int) -> None:
        """The agent has all up to this number."""
        self._sent.acknowledge(ack)
        self.wake()

    def acknowledge_soon(self, job_id: str | None = None) -> None:
        """Tell the agent what is on the disk; of this job, also how much of its output."""
        self._is_ack_due = True
        if job_id is not None:
            self._outputs_due.add(job_id)
        self.wake()

    async def run(self) -> None:
        """Send for ever; raises `ConnectionClosed`, or `LinkOver` where the agent takes nothing."""
        # Sooner than was promised, so that no agent finds it late.
        beat_s = self._terms.heartbeat_s * 0.8
        while True:
            try:
                async with asyncio.timeout_at(self._sent_at + beat_s):
                    await self._changed.wait()
            except TimeoutError:
                self._sent_at = asyncio.get_running_loop().time()
                if not self._faults.silent:
                    await self.now({"type": "HEARTBEAT"})
                continue
            self._changed.clear()
            await self.flush()
            for message in self._due():
                await self.now(message)
            if self._is_ack_due and not self._faults.withhold_acks:
                await self.now(self._acknowledgement())

    async def flush(self) -> None:
        """Send what was said to be sent before anything else."""
        while self._replies:
            await self.now(self._replies.popleft())

    async def now(self, message: Message) -> None:
        """Send a message, with what is acknowledged."""
        if message["type"] not in WITHOUT_ACK and not self._faults.withhold_acks:
            message = message | {"ack": self._database.ledger.last_seq_seen}
            self.received.acknowledge(message["ack"])
        self._sent_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._terms.slow_s):
                await self._connection.send(json.dumps(message))
        except TimeoutError as slow:
            raise LinkOver(4408, "what was sent is not read") from slow

    def _due(self) -> Iterator[Message]:
        outgoing = self._database.ledger.outgoing
        while self._next <= len(outgoing) and not self._sent.is_full:
            message = outgoing[self._next - 1]
            self._next += 1
            self._sent.add(message["seq"], len(json.dumps(message)))
            if self._faults.lose:
                self._faults.lose -= 1
            else:
                yield message

    def _acknowledgement(self) -> Message:
        self._is_ack_due = False
        seen = {}
        for job_id in sorted(self._outputs_due):
            job = self._database.jobs.get(job_id)
            if job is not None and (position := job.position) is not None:
                seen[job_id] = position
                self.outputs.setdefault(job_id, OutputWindow()).acknowledge(position)
        self._outputs_due.clear()
        message: Message = {"type": "ACK", "prune_below": self._database.ledger.prune_below}
        return message | ({"output_seen": seen} if seen else {})
