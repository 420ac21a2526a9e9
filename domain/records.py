"""What an agent must not forget: facts, written down in the order in which they became true.

Each is durable before the agent acts on it or speaks of it. `domain.ledger` says what a sequence of
them amounts to. A fact that a control plane's message caused carries that message's `peer_seq`
(protocol v2), so that having heard it is as durable as what came of it; None where the message had
none (protocol v1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.commands import Command
from domain.job import Job, JobId, JobState


@dataclass(frozen=True, slots=True)
class Moment:
    """A reading of a clock that counts since the machine booted, and which boot that was.

    Two moments of one boot can be subtracted; a wall clock that is set changes nothing.
    """

    boot_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, for ever: its pid may be given to another one, all three together never are.

    `start_time` is in clock ticks since boot (field 22 of /proc/<pid>/stat).
    """

    pid: int
    start_time: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class StepExit:
    """How a step's executor ended. `exit_code` below 0 is minus the number of a signal.

    `output_bytes` and `output_sha256` (hexadecimal) are of all that was printed; of it the first
    `head_bytes` and the last `tail_bytes` were kept.
    """

    exit_code: int
    output_bytes: int = 0
    output_sha256: str = ""
    head_bytes: int = 0
    tail_bytes: int = 0
    ended_by: str = ""
    """Why it was made to end: `cancel`, `deadline`; empty where it ended by itself."""
    seconds: float = 0.0
    """How long it took, from its turn on; 0 where that was not measured."""

    @property
    def is_truncated(self) -> bool:
        """Whether some of what was printed was not kept."""
        return self.head_bytes + self.tail_bytes < self.output_bytes


class NoticeKind(StrEnum):
    """What a durable message of the agent's answers, or tells."""

    ACCEPT = "accept"
    REPEAT = "repeat"
    REJECT = "reject"
    RESULT = "result"


@dataclass(frozen=True, slots=True)
class EpochBegun:
    """The agent's sequence numbers begin anew; `epoch` is random and never used again."""

    epoch: str


@dataclass(frozen=True, slots=True)
class PeerMet:
    """A control plane whose database has this epoch is on the other side from now on.

    Both directions' sequence numbers begin anew with it.
    """

    epoch: str


@dataclass(frozen=True, slots=True)
class JobAccepted:
    """The job will reach a terminal state, whatever happens. `digest` is `digest_of(command)`.

    `command` is None in a compacted journal, once the job is over and its payload is not needed.
    """

    job_id: str
    command: Command | None
    digest: str
    accepted_at: Moment
    peer_seq: int | None = None
    generation: int | None = None
    deadline_s: float | None = None
    """Seconds after `accepted_at` within which the job has to end."""
    is_private: bool = False
    """Whether the private parts of the command lie elsewhere, and `command` is without them."""
    project: str = ""
    """Compose's name of the project, for as long as the job is known."""
    spelling: str = ""
    """The project's name as the command has it; empty in records of before it was written down."""


@dataclass(frozen=True, slots=True)
class JobRepeated:
    """A job that is known, and was in `state`, was asked for again, by a message of its own.

    Nothing starts.
    """

    job_id: str
    peer_seq: int
    state: JobState


@dataclass(frozen=True, slots=True)
class JobRejected:
    """A command was refused; `reason` is the machine's word, `error` the sentence for people."""

    job_id: str
    reason: str
    error: str
    peer_seq: int
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody wants the job to end; for a job that is over or unknown it changes nothing."""

    job_id: str
    peer_seq: int | None = None


@dataclass(frozen=True, slots=True)
class StepStarting:
    """An executor is about to be started, once, under a random `token` of its own."""

    job_id: str
    step: str
    attempt: int
    token: str
    boot_id: str


@dataclass(frozen=True, slots=True)
class StepStarted:
    """The executor of an attempt runs as this process."""

    job_id: str
    step: str
    attempt: int
    process: ProcessIdentity


@dataclass(frozen=True, slots=True)
class StepExited:
    """The attempt is over; `exit` is None where it was interrupted: dead, with nothing recorded."""

    job_id: str
    step: str
    attempt: int
    exit: StepExit | None


@dataclass(frozen=True, slots=True)
class JobFinished:
    """The job's one result. `error` is empty where it succeeded, `data` JSON-compatible.

    `finished_at` is the wall clock's (seconds since 1970, UTC): for pruning, never for an outcome.
    """

    job_id: str
    state: JobState
    logs: str
    error: str
    data: Mapping[str, object]
    finished_at: float


@dataclass(frozen=True, slots=True)
class ResultsDelivered:
    """A peer without sequence numbers has proven that it read these jobs' results."""

    job_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PeerConfirmed:
    """The peer has made all our messages up to `seq` durable, and needs none below `prune_below`."""

    seq: int
    prune_below: int = 0


@dataclass(frozen=True, slots=True)
class GenerationReached:
    """The highest generation accepted for a project, by Compose's name; kept when jobs are pruned."""

    project: str
    generation: int


@dataclass(frozen=True, slots=True)
class SequencesStand:
    """Where both directions stand, in a compacted journal: after the jobs, before the notices kept.

    `heard` is the highest contiguous sequence number of the peer's, `heard_beyond` the others;
    `confirmed` is the highest of ours that the peer has, `next_seq` the next one we give.
    """

    heard: int
    heard_beyond: tuple[int, ...]
    confirmed: int
    prune_below: int
    next_seq: int


@dataclass(frozen=True, slots=True)
class NoticeKept:
    """An answer to the peer and its sequence number, in a compacted journal.

    Kept until the peer confirms it, a result's until the result is pruned.
    """

    seq: int
    kind: NoticeKind
    job_id: str
    state: JobState | None = None
    """Of a repeat: where the job was."""
    reason: str = ""
    """Of a rejection, as `error` and `data` are."""
    error: str = ""
    data: Mapping[str, object] = field(default_factory=dict)


Record = (
    EpochBegun
    | PeerMet
    | JobAccepted
    | JobRepeated
    | JobRejected
    | CancelRequested
    | StepStarting
    | StepStarted
    | StepExited
    | JobFinished
    | ResultsDelivered
    | PeerConfirmed
    | GenerationReached
    | SequencesStand
    | NoticeKept
)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """All that is kept of a job for ever: so that its id, met again, starts nothing.

    `digest` is the one of its command.
    """

    job_id: str
    digest: str
    state: JobState


def job_of(accepted: JobAccepted, now: Moment) -> Job:
    """The job that was accepted. After a reboot its deadline counts anew."""
    assert accepted.command is not None
    deadline = None
    if accepted.deadline_s is not None:
        is_same_boot = accepted.accepted_at.boot_id == now.boot_id
        begins = accepted.accepted_at.seconds if is_same_boot else now.seconds
        deadline = begins + accepted.deadline_s
    return Job(
        JobId(accepted.job_id),
        accepted.command,
        is_journalled=True,
        is_sequenced=accepted.peer_seq is not None,
        is_private=accepted.is_private,
        deadline=deadline,
    )
