"""The least that owns a session as an agent does: decides, writes down, runs jobs. Pure; for models.

What it does to its host is in a `Host`, which no crash takes away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from adapters.journal import records as written
from domain.commands import DeployCompose, digest_of, project_of
from domain.errors import InstaDeployError
from domain.job import JobState
from domain.ledger import Ledger
from domain.ledger_jobs import LedgerJob
from domain.link_messages import CancelMessage, CommandMessage, Heard, Said, SequencedHeard
from domain.proving import Introduction
from domain.pruning import prune
from domain.records import (
    CancelRequested,
    EpochBegun,
    JobAccepted,
    JobFinished,
    JobRejected,
    JobRepeated,
    Moment,
    PeerConfirmed,
    PeerMet,
    Record,
    StepExit,
    StepExited,
    StepStarting,
    Tombstone,
)
from domain.session import Session
from domain.session_effects import BeginEpoch, Deliver, EndLink, Leave, MeetPeer, NoteConfirmed
from tests.unit.histories import content, replayed

ATTEMPTS = 3
STEP = "apply"


@dataclass
class Host:
    """What the executors did. A job runs from its start to its exit, or until it is killed."""

    starts: list[tuple[str, int]] = field(default_factory=list)
    """Job and attempt."""
    running: dict[str, str] = field(default_factory=dict)
    """The job that runs, by project."""
    overlaps: int = 0

    def start(self, project: str, job_id: str, attempt: int) -> None:
        self.starts.append((job_id, attempt))
        self.overlaps += project in self.running
        self.running[project] = job_id


class PureAgent:
    """`durable` and `tombstones` are its disk; all else is gone with a crash."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.durable: list[Record] = []
        self.tombstones: dict[str, Tombstone] = {}
        self.accepted: list[JobAccepted] = []
        """Every acceptance there ever was, in order: no part of the agent."""
        self._epochs = 0
        self._nonces = 0
        self._boot()

    # Its life.

    def crash(self) -> None:
        """Forget what is not on the disk, and start again."""
        before = content(self.ledger)
        self._boot()
        assert content(self.ledger) == before, "memory was ahead of the disk"

    def lose_memory(self) -> None:
        """Start again on a disk that lost something: it begins a new epoch."""
        self._boot()
        self._begin_epoch()

    def _boot(self) -> None:
        self.ledger: Ledger = replayed(self.durable)
        self.arriving: set[int] = set()
        self.queue: list[SequencedHeard] = []
        self.session: Session | None = None
        self._meeting: str | None = None
        self._confirmed: PeerConfirmed | None = None
        self._wants_epoch = False
        if not self.ledger.epoch:
            self._begin_epoch()

    def connect(self, now: float) -> None:
        self._nonces += 1
        self._meeting = None
        introduction = Introduction(f"nonce-{self._nonces:016}", "1", "linux-amd64", "web-1")
        self.session = Session(
            self.ledger,
            introduction,
            arriving=self.arriving,
            now=now,
            generations=self._arriving_generations,
        )

    def _arriving_generations(self) -> dict[str, int]:
        highest: dict[str, int] = {}
        for message in self.queue:
            if isinstance(message, CommandMessage) and message.generation is not None:
                assert not isinstance(message.command, InstaDeployError)
                project = project_of(message.command)
                assert project is not None
                name = project.compose_name
                highest[name] = max(message.generation, highest.get(name, 0))
        return highest

    def disconnect(self) -> None:
        self.session = None
        self._meeting = self._confirmed = None

    def hear(self, message: Heard, now: float) -> None:
        assert self.session is not None
        for effect in self.session.hear(message, now):
            self._carry_out(effect)

    def tick(self, now: float, silence_s: float) -> None:
        if self.session is not None:
            for effect in self.session.tick(now, silence_s):
                self._carry_out(effect)

    def said(self, now: float) -> Iterator[Said]:
        while self.session is not None and (message := self.session.next_message(now)) is not None:
            yield message

    def _carry_out(self, effect: object) -> None:
        match effect:
            case Deliver():
                self.queue.append(effect.message)
            case NoteConfirmed():
                self._confirmed = PeerConfirmed(effect.seq, effect.prune_below)
            case MeetPeer():
                self._meeting = effect.epoch
            case BeginEpoch():
                self._wants_epoch = True
                self.disconnect()
            case EndLink() | Leave():
                self.disconnect()

    # Its disk.

    def write(self, place: int = 0) -> None:
        """Let the next things become durable: one message, whichever may be, and what has waited."""
        free = list(self._writable())
        if free:
            message = free[place % len(free)]
            self.queue.remove(message)
            self._decide(message)
            self.arriving.discard(message.seq)
        if self._confirmed is not None:
            self._record(self._confirmed)
            self._confirmed = None
        if not self.queue and self._wants_epoch:
            self._begin_epoch()
            self._wants_epoch = False
        if not self.queue and self._meeting is not None:
            self._record(PeerMet(self._meeting))
            self._meeting = None
            assert self.session is not None
            self.session.peer_met()

    def compact(self, now: float) -> None:
        pruning = prune(self.ledger, now)
        self.durable = list(pruning.records)
        for tombstone in pruning.tombstones:
            self.tombstones.setdefault(tombstone.job_id, tombstone)
        self.ledger.forget(pruning.forgotten)

    @property
    def is_settled(self) -> bool:
        """Whether nothing waits for the disk."""
        return not (self.queue or self._confirmed or self._meeting or self._wants_epoch)

    def _record(self, record: Record) -> None:
        again = written.decode(written.encode(record))
        assert again == record
        self.durable.append(record)
        self.ledger.apply(record)

    def _begin_epoch(self) -> None:
        self._epochs += 1
        self._record(EpochBegun(f"agent-{self._epochs}"))

    def _writable(self) -> Iterator[SequencedHeard]:
        """What no earlier message about the same job or the same project's order stands before."""
        taken: Counter[str] = Counter()
        for message in self.queue:
            keys = _keys_of(message)
            if not any(taken[key] for key in keys):
                yield message
            taken.update(keys)

    def _decide(self, message: SequencedHeard) -> None:
        if isinstance(message, CancelMessage):
            self._record(CancelRequested(message.job_id, message.seq))
            job = self.ledger.jobs.get(message.job_id)
            if job is not None and job.finished is None and not job.attempts:
                self._end(job, JobState.CANCELED)
            return
        command = message.command
        assert not isinstance(command, InstaDeployError)
        digest = digest_of(command)
        known = self._known(message.job_id)
        if known is not None and known[0] != digest:
            self._record(JobRejected(message.job_id, "conflict", "other", message.seq))
        elif known is not None:
            self._record(JobRepeated(message.job_id, message.seq, known[1]))
        elif self._is_stale(message):
            self._record(JobRejected(message.job_id, "stale_generation", "old", message.seq))
        else:
            self._accept(message, digest)

    def _known(self, job_id: str) -> tuple[str, JobState] | None:
        job = self.ledger.jobs.get(job_id)
        if job is not None:
            return job.accepted.digest, job.state
        tombstone = self.tombstones.get(job_id)
        return None if tombstone is None else (tombstone.digest, tombstone.state)

    def _is_stale(self, message: CommandMessage) -> bool:
        assert not isinstance(message.command, InstaDeployError)
        project = project_of(message.command)
        if message.generation is None or project is None:
            return False
        return message.generation <= self.ledger.generations.get(project.compose_name, 0)

    def _accept(self, message: CommandMessage, digest: str) -> None:
        assert not isinstance(message.command, InstaDeployError)
        accepted = JobAccepted(
            message.job_id,
            message.command,
            digest,
            Moment("boot", 0.0),
            peer_seq=message.seq,
            generation=message.generation,
        )
        waiting = [job for job in self.open_in(_name(accepted)) if not job.attempts]
        self._record(accepted)
        self.accepted.append(accepted)
        if isinstance(message.command, DeployCompose):
            for job in waiting:
                if isinstance(job.accepted.command, DeployCompose):
                    self._end(job, JobState.SUPERSEDED)

    # Its jobs.

    def open_in(self, project: str) -> list[LedgerJob]:
        """Oldest first."""
        return [job for job in self.ledger.open_jobs() if _name(job.accepted) == project]

    def projects(self) -> list[str]:
        """Those with open jobs."""
        return sorted({_name(job.accepted) for job in self.ledger.open_jobs()})

    def begin(self, project: str) -> None:
        """Start the oldest job of a project, unless one runs; its token is durable before."""
        job = self.open_in(project)[0]
        if any(not attempt.is_over for attempt in job.attempts) or len(job.attempts) == ATTEMPTS:
            return
        attempt = len(job.attempts) + 1
        self._record(StepStarting(job.job_id, STEP, attempt, f"{job.job_id}-{attempt}", "boot"))
        self.host.start(project, job.job_id, attempt)

    def exit(self, project: str, code: int | None) -> None:
        """Let what runs in a project come to its end; None where it is killed."""
        if self.host.running.pop(project, None) is None:
            return
        job = self.open_in(project)[0]
        exit_ = None if code is None else StepExit(code)
        self._record(StepExited(job.job_id, STEP, len(job.attempts), exit_))
        if exit_ is not None:
            self._end(job, JobState.SUCCEEDED if code == 0 else JobState.FAILED)
        elif job.is_cancel_requested:
            self._end(job, JobState.CANCELED)
        elif len(job.attempts) == ATTEMPTS:
            self._end(job, JobState.FAILED, "interrupted")

    def _end(self, job: LedgerJob, state: JobState, reason: str = "") -> None:
        error = "" if state is JobState.SUCCEEDED else state.value
        data = {"reason": reason} if reason else {}
        self._record(JobFinished(job.job_id, state, "out", error, data, 1.0))


def _name(accepted: JobAccepted) -> str:
    assert accepted.command is not None
    project = project_of(accepted.command)
    return "" if project is None else project.compose_name


def _keys_of(message: SequencedHeard) -> list[str]:
    keys = [f"job:{message.job_id}"]
    if isinstance(message, CommandMessage) and message.generation is not None:
        assert not isinstance(message.command, InstaDeployError)
        project = project_of(message.command)
        keys += [f"project:{project.compose_name}"] if project else []
    return keys
