"""What the two ends of a link of protocol v2 say to each other, once decoded.

`Heard` is what an agent can receive, `Said` what it can send. Durable messages carry a `seq`, which
counts from 1 within the sender's epoch; `ack` is the highest contiguous seq that the sender of a
message has made durable. docs/protocol-v2.md is the authority.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from domain.commands import Command
from domain.errors import InstaDeployError
from domain.job import JobState


class Ending(Enum):
    """Why the agent closes a link."""

    GOING_AWAY = "going away"
    VIOLATION = "violation"
    DISTRUST = "distrust"
    """The control plane has not proven who it is."""
    TOO_SLOW = "too slow"


@dataclass(frozen=True, slots=True)
class OutputPosition:
    """A place in what a job prints: a byte of what one attempt at one step has printed."""

    step: str
    attempt: int
    offset: int


@dataclass(frozen=True, slots=True)
class Challenge:
    """The control plane's first message. `nonce` is text, at least 16 characters.

    `public_key` is empty where the control plane has no key; nothing proves it before ENROLLED or
    WELCOME does. docs/protocol-v2.md has keys and signatures; `domain.identity` makes what is signed.
    """

    nonce: str
    server_time: str = ""
    public_key: str = ""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The answer to Enroll: the host is known from now on, under this id."""

    host_id: str
    signature: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """The control plane knows the agent, and says where it stands.

    `last_seq_seen` is the highest contiguous seq of the agent's that it has, within the epoch that
    the agent's Hello named. `output_seen` says up to where it has each running job's output.
    `signature` is empty where the agent did not sign its Hello either.
    """

    session: str
    epoch: str
    last_seq_seen: int
    prune_below: int = 0
    heartbeat_s: float = 15.0
    output_seen: Mapping[str, OutputPosition] = field(default_factory=dict)
    signature: str = ""


@dataclass(frozen=True, slots=True)
class CommandMessage:
    """A command of v2. `command` is what was understood of it, or the reason why it is refused."""

    seq: int
    job_id: str
    command: Command | InstaDeployError
    generation: int | None = None
    deadline_s: float | None = None
    ack: int | None = None


@dataclass(frozen=True, slots=True)
class CancelMessage:
    """The job is to end; sent again, or for a job that is over, it changes nothing."""

    seq: int
    job_id: str
    ack: int | None = None


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Either side: all durable messages up to `ack` are durable here.

    From a control plane also: up to where it has each job's output, and below which seq of the
    agent's it needs nothing any more.
    """

    ack: int
    output_seen: Mapping[str, OutputPosition] = field(default_factory=dict)
    prune_below: int | None = None


@dataclass(frozen=True, slots=True)
class MissedMessage:
    """Either side: `expected` has not come, and something behind it has (NACK)."""

    expected: int
    ack: int | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Either side: still here. `facts` are JSON-compatible, empty from a control plane."""

    facts: Mapping[str, object] = field(default_factory=dict)
    ack: int | None = None


@dataclass(frozen=True, slots=True)
class GoAway:
    """Connect again, at a random moment within `window_s` seconds."""

    window_s: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PeerError:
    """Either side: something of yours cannot be used; `code` is for machines, `error` for people."""

    code: str
    error: str


@dataclass(frozen=True, slots=True)
class Bye:
    """Either side: the last message on this link."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """A frame that is no message of v2, or one whose fields break a rule."""

    error: InstaDeployError


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that is not over, as Hello lists it, and how much it has printed so far."""

    job_id: str
    state: JobState
    output: OutputPosition | None = None


@dataclass(frozen=True, slots=True)
class Enroll:
    """The agent wants to become a host: `token` is good for that once, `public_key` is to be its key."""

    nonce: str
    token: str = field(repr=False)
    public_key: str
    signature: str
    version: str
    architecture: str
    hostname: str


@dataclass(frozen=True, slots=True)
class Hello:
    """Who the agent is and where it stands.

    It proves who it is by `host_id` and `signature`, or, where these are empty, by the bearer token
    of its upgrade request.

    `last_seq_seen` counts within the control plane's epoch `peer_epoch`, which is empty where the
    agent has met none. `generations` are the highest ones that are accepted or are being written
    down, by Compose's project name.
    """

    nonce: str
    epoch: str
    peer_epoch: str
    last_seq_seen: int
    version: str
    architecture: str
    hostname: str
    capabilities: tuple[str, ...] = ()
    running: tuple[RunningJob, ...] = ()
    generations: Mapping[str, int] = field(default_factory=dict)
    host_id: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Accept:
    """The job is durable here. `state` is where it is; `is_repeat` says that it was known before."""

    seq: int
    job_id: str
    state: JobState
    is_repeat: bool = False
    ack: int | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """The job is refused for good; nothing was done."""

    seq: int
    job_id: str
    reason: str
    error: str
    data: Mapping[str, object] = field(default_factory=dict)
    ack: int | None = None


@dataclass(frozen=True, slots=True)
class OutputChunk:
    """What a job printed, byte for byte: `chunk` begins at `position`, and has at most 64 KiB."""

    job_id: str
    position: OutputPosition
    chunk: bytes
    ack: int | None = None


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What the output of one attempt at one step amounts to; the SHA-256 is in hexadecimal."""

    step: str
    attempt: int
    exit_code: int | None
    length: int
    sha256: str
    truncated: bool


@dataclass(frozen=True, slots=True)
class Result:
    """The job's one final response."""

    seq: int
    job_id: str
    state: JobState
    logs: str
    error: str
    data: Mapping[str, object] = field(default_factory=dict)
    output: tuple[StepOutput, ...] = ()
    ack: int | None = None


SequencedHeard = CommandMessage | CancelMessage
Heard = (
    Challenge
    | Enrolled
    | Welcome
    | SequencedHeard
    | Acknowledge
    | MissedMessage
    | Heartbeat
    | GoAway
    | PeerError
    | Bye
    | Unusable
)
SequencedSaid = Accept | Reject | Result
Said = (
    Enroll
    | Hello
    | SequencedSaid
    | OutputChunk
    | Acknowledge
    | MissedMessage
    | Heartbeat
    | PeerError
    | Bye
)
