"""The database of a control plane of protocol v2: its ledger, and what was seen of its agent.

It survives the `ReferencePeer` that writes it, as a database survives its program, so that a test
can kill the one and start another on the other. It knows one agent.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from tests.support.agent_frames import Message
from tests.support.peer_keys import PeerKeys
from tests.support.peer_ledger import JobEntry, Ledger

T = TypeVar("T")

PATIENCE_S: Final = 60.0
"""How long a test waits for what must come; only a test that fails waits that long."""


class PeerDatabase:
    """The ledger is durable; the lists beside it are notes, which no crash or restoring takes away.

    With `strict`, whatever waits raises `AssertionError` once the agent has violated the protocol;
    without, violations are only noted.
    """

    def __init__(self, *, strict: bool = True, keys: PeerKeys | None = None) -> None:
        self.strict = strict
        self.keys = keys
        """With them, the agent has to prove who it is by its key; without, by a bearer token."""
        self.ledger = Ledger(_new_epoch())
        self.violations: list[str] = []
        self.hellos: list[Message] = []
        self.enrolls: list[Message] = []
        self.errors: list[Message] = []
        """The ERRORs that the agent sent."""
        self.seen: Counter[str] = Counter()
        """`duplicate` and `gap` in what came, which an undisturbed link has none of, and `nack`."""
        self.output_ahead: dict[str, int] = {}
        """The most bytes of a job's step that came on a link beyond what was acknowledged there.

        No violation, however many: 256 KiB are the most only while the step runs, and whether it does
        is not told. A test that keeps a step running looks here.
        """
        self.listeners: list[Callable[[], None]] = []
        """Called at every change."""
        self._tag = secrets.token_hex(3)
        self._ids = itertools.count(1)
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def epoch(self) -> str:
        return self.ledger.epoch

    @property
    def jobs(self) -> dict[str, JobEntry]:
        return self.ledger.jobs

    @property
    def unknown_jobs(self) -> list[str]:
        """Jobs that this database did not issue, or has forgotten when it was restored."""
        return [job.job_id for job in self.jobs.values() if job.command is None]

    def snapshot(self) -> Ledger:
        """A backup."""
        return copy.deepcopy(self.ledger)

    def restore(self, backup: Ledger) -> None:
        """Forget all since the backup, and begin a new epoch. Nobody may be connected."""
        self.ledger = copy.deepcopy(backup)
        self.ledger.epoch = _new_epoch()
        self.wake()

    def issue(
        self,
        command_type: str,
        payload: object,
        *,
        generation: int | None = None,
        deadline_s: float | None = None,
        job_id: str | None = None,
    ) -> str:
        """Write a command down, to be sent; returns its id, which may be one that was used before."""
        command: Message = {
            "id": job_id or f"job-{self._tag}-{next(self._ids)}",
            "type": command_type,
            "payload": payload,
        }
        if generation is not None:
            command["generation"] = generation
        if deadline_s is not None:
            command["deadline_s"] = deadline_s
        self.ledger.issue(command)
        self.wake()
        return str(command["id"])

    def cancel(self, job_id: str) -> None:
        """Write a cancel down, to be sent."""
        self.ledger.cancel(job_id)
        self.wake()

    def next_generation(self, project: str) -> int:
        """One above the highest that was issued for the project."""
        return self.ledger.generations.get(project.lower(), 0) + 1

    def meet(self, hello: Message) -> int:
        """Take a HELLO: go on with the sequence, or begin another. Returns what the agent has of it."""
        self._note(self.ledger.faults_in_hello(hello))
        self._take_nonce(hello, self.hellos)
        if (hello["epoch"], hello["peer_epoch"]) != (self.ledger.agent_epoch, self.epoch):
            self.ledger.begin_sequence(hello["epoch"])
            return 0
        self.acknowledge(hello["last_seq_seen"])
        return self.ledger.agent_ack

    def enroll(self, challenge_nonce: str, message: Message) -> Message:
        """Take an ENROLL, and return the answer; raises `LinkOver` where there is none."""
        self._take_nonce(message, self.enrolls)
        assert self.keys is not None
        answer = self.keys.enroll(challenge_nonce, message)
        self.wake()
        return answer

    def acknowledge(self, ack: int) -> None:
        """The agent says that our messages up to this number are on its disk."""
        issued = len(self.ledger.outgoing)
        if ack > issued:
            self.violation(f"acknowledges {ack} of {issued} messages")
        self.ledger.agent_ack = max(self.ledger.agent_ack, min(ack, issued))
        self.wake()

    def commit(self, message: Message) -> None:
        """Write down the next durable message, or a piece of output."""
        self._note(self.ledger.take(message))
        self.wake()

    def repeated(self, message: Message) -> None:
        """A durable message came whose number is on the disk already."""
        self.seen["duplicate"] += 1
        self._note(self.ledger.faults_in_repeated(message))
        self.wake()

    def note_output_ahead(self, job_id: str, count: int) -> None:
        """So many bytes of a step are not acknowledged."""
        self.output_ahead[job_id] = max(self.output_ahead.get(job_id, 0), count)

    def violation(self, text: str) -> None:
        """Note what the agent must not do."""
        self.violations.append(text)
        self.wake()

    def check(self) -> None:
        """Raise where the agent has violated the protocol and the database is strict."""
        if self.strict and self.violations:
            raise AssertionError("\n  ".join(["the agent violated protocol v2:", *self.violations]))

    def wake(self) -> None:
        """Something has changed that somebody may wait for."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)
        for listener in self.listeners:
            listener()

    async def until(self, condition: Callable[[], T | None], what: str) -> T:
        """Wait until the condition gives something that is not None, and return that."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    self.check()
                    if (found := condition()) is not None:
                        return found
                    change = asyncio.get_running_loop().create_future()
                    self._waiting.append(change)
                    await change
        except TimeoutError as late:
            states = {job.job_id: job.state for job in self.jobs.values()}
            raise AssertionError(f"waited in vain for {what}; jobs: {states}") from late

    async def answer(self, job_id: str) -> Message:
        """The ACCEPT or REJECT of the command that was issued last under the id."""

        def answer() -> Message | None:
            job = self.jobs[job_id]
            return job.answers[-1] if job.answers and job.owed == 0 else None

        return await self.until(answer, f"the answer to {job_id}")

    async def final(self, job_id: str, *, count: int = 1) -> Message:
        """The final response, once it has been delivered under so many sequence numbers."""

        def final() -> Message | None:
            job = self.jobs.get(job_id)
            assert job is None or job.state != "rejected", f"{job_id}: {job.answers[-1]}"
            return job.finals[-1] if job is not None and len(job.finals) >= count else None

        return await self.until(final, f"the result of {job_id}")

    async def output(self, job_id: str) -> dict[tuple[str, int], bytes]:
        """All that the job printed, by step and attempt, once the final response and all of it came."""
        await self.until(
            lambda: self.jobs[job_id].has_all_output or None, f"the output of {job_id}"
        )
        return {
            key: b"".join(piece for _, piece in output.pieces)
            for key, output in self.jobs[job_id].outputs.items()
        }

    def _take_nonce(self, message: Message, earlier: list[Message]) -> None:
        """HELLO may have the one of the ENROLL on its link; there is one of each on a link."""
        if any(message["nonce"] == one["nonce"] for one in earlier):
            self.violation("a nonce is used twice")
        earlier.append(message)

    def _note(self, faults: Iterable[str]) -> None:
        for fault in faults:
            self.violation(fault)


def _new_epoch() -> str:
    return f"peer-{secrets.token_hex(8)}"
