"""A job as the control plane sees it: from the request, which it keeps, to the end that the agent tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NewType

from domain.fleet.host import HostId
from domain.job import JobState
from domain.link_messages import StepOutput

DeploymentId = NewType("DeploymentId", str)

CHANGE_TTL_S: Final = 7 * 24 * 3600.0
"""So long a command that changes something waits for its host, unless the request says otherwise."""
READ_TTL_S: Final = 60.0
"""A question that is answered later than this is not wanted any more."""
LONGEST_TTL_S: Final = 90 * 24 * 3600.0


class FleetJobState(StrEnum):
    """Where a job is. `JobState` has the agent's share of these, under the same words."""

    QUEUED = "queued"
    """It is kept here; no agent has said yet that it has it."""
    ACCEPTED = "accepted"
    RUNNING = "running"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"

    @classmethod
    def of(cls, state: JobState) -> FleetJobState:
        """The agent's word for it."""
        return cls(state.value)


_S = FleetJobState
_ENDS: Final = frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELED, _S.EXPIRED, _S.SUPERSEDED})

TRANSITIONS: Final[Mapping[FleetJobState, frozenset[FleetJobState]]] = {
    _S.QUEUED: _ENDS | {_S.ACCEPTED, _S.RUNNING, _S.CANCELING},
    _S.ACCEPTED: _ENDS | {_S.RUNNING, _S.CANCELING},
    _S.RUNNING: _ENDS | {_S.CANCELING},
    _S.CANCELING: _ENDS,
    **{end: frozenset() for end in _ENDS},
}
"""The only place where it is said which state may follow which. What comes late changes nothing."""


def is_over(state: FleetJobState) -> bool:
    """Whether a job that is there stays there."""
    return state in _ENDS


def may_follow(state: FleetJobState, after: FleetJobState) -> bool:
    """Whether a job may go from `after` to `state`."""
    return state in TRANSITIONS[after]


class Delivery(StrEnum):
    """How far a command has got on its way to the agent."""

    WAITING = "waiting"
    """Not sent: the host is offline, or the command has just come."""
    SENT = "sent"
    """Handed to the link; over v2 it has a number, and is sent again until it is acknowledged."""
    ARRIVED = "arrived"
    """The agent has said that it has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetJob:
    """One command to one host. Times are seconds since 1970, None for what has not happened.

    `kind` is the command's name on the wire, `project` the name as the request has it. `seq` is its
    number on the wire in the database's epoch, `generation` its place among its project's commands.
    """

    id: str
    host_id: HostId
    kind: str
    project: str | None
    state: FleetJobState
    created_at: float
    requested_by: str
    deployment_id: DeploymentId | None = None
    expires_at: float | None = None
    deadline_s: float | None = None
    generation: int | None = None
    seq: int | None = None
    sent_at: float | None = None
    accepted_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    cancel_requested_at: float | None = None
    reason: str = ""
    """Of one that did not succeed, for machines: `unhealthy`, `policy`, `expired`, ..."""
    error: str = ""
    superseded_by: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it has ended; it never changes again then."""
        return is_over(self.state)

    @property
    def payload_context(self) -> str:
        """The id that its payload was sealed for: jobs of one deployment share it."""
        return self.deployment_id or self.id

    @property
    def delivery(self) -> Delivery:
        """How far it has got."""
        if self.accepted_at is not None:
            return Delivery.ARRIVED
        return Delivery.WAITING if self.sent_at is None else Delivery.SENT


@dataclass(frozen=True, slots=True)
class JobResult:
    """What the agent said at the end. `output` sums up each attempt at each step."""

    logs: str
    error: str
    data: Mapping[str, object] = field(default_factory=dict)
    output: tuple[StepOutput, ...] = ()


class FeedKind(StrEnum):
    """What an entry of a job's feed is."""

    STATE = "state"
    OUTPUT = "output"
    CUT = "cut"
    """So much was printed that from here on nothing of it is kept; once for a job."""


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """Something that happened to a job, to be followed live and read again.

    `number` rises through the whole database and is never used again, so that it can be resumed
    from. A `STATE` entry has `state`; an `OUTPUT` one has bytes, at their place; a `CUT` one has the
    place of the first byte that is not kept.
    """

    number: int
    job_id: str
    at: float
    kind: FeedKind
    state: FleetJobState | None = None
    step: str = ""
    attempt: int = 0
    offset: int = 0
    content: bytes = b""
