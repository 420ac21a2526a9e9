"""How a job of the fleet changes: each function gives the job as it is afterwards.

All of them leave alone what is over, and what may not follow by `domain.fleet.job.TRANSITIONS`; who
wants to know whether something has changed compares.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from domain.commands import COMMAND_NAMES, DeployCompose
from domain.fleet.job import FleetJob, FleetJobState, is_over, may_follow

EXPIRED: Final = "the host has not fetched it in time"
REVOKED: Final = "the host was revoked"
"""Errors of jobs that ended so."""

HIGHEST_GENERATION: Final = 2**62
"""No agent has accepted that many commands: what is said to be higher counts as this."""

_DEPLOY: Final = COMMAND_NAMES[DeployCompose]
_OF_THEMSELVES = frozenset(
    {FleetJobState.CANCELED, FleetJobState.EXPIRED, FleetJobState.SUPERSEDED}
)


def sent(job: FleetJob, at: float) -> FleetJob:
    """It was handed to the link; the first time counts."""
    return job if job.is_over or job.sent_at is not None else replace(job, sent_at=at)


def numbered(job: FleetJob, seq: int, generation: int | None, at: float) -> FleetJob:
    """It has a number, under which it is sent from now on."""
    sent_at = at if job.sent_at is None else job.sent_at
    return replace(job, seq=seq, generation=generation, sent_at=sent_at)


def perhaps_sent(job: FleetJob, generation: int | None, at: float) -> FleetJob:
    """It has not left, as a backup has it; by now an agent may have it, and only that can say so."""
    return replace(sent(job, at), generation=generation) if has_not_left(job) else job


def arrived(job: FleetJob, at: float) -> FleetJob:
    """The agent has said that it has it; the first time counts."""
    return job if job.is_over or job.accepted_at is not None else replace(job, accepted_at=at)


def in_state(job: FleetJob, state: FleetJobState, at: float) -> FleetJob:
    """The agent has it, and says that it is in this state, which is no end."""
    if is_over(state) or not may_follow(state, job.state):
        return arrived(job, at)
    started_at = job.started_at
    if started_at is None and state is FleetJobState.RUNNING:
        started_at = at
    accepted_at = at if job.accepted_at is None else job.accepted_at
    return replace(job, state=state, accepted_at=accepted_at, started_at=started_at)


def ended(
    job: FleetJob,
    state: FleetJobState,
    at: float,
    *,
    reason: str = "",
    error: str = "",
    superseded_by: str = "",
    has_arrived: bool = False,
) -> FleetJob:
    """It is over. Where no reason is given, it is the state's own word, if that says why."""
    if not is_over(state) or not may_follow(state, job.state):
        return job
    return replace(
        job,
        state=state,
        accepted_at=at if has_arrived and job.accepted_at is None else job.accepted_at,
        finished_at=at,
        reason=reason or (state.value if state in _OF_THEMSELVES else ""),
        error=error,
        superseded_by=superseded_by,
    )


def asked_to_end(job: FleetJob, at: float) -> FleetJob:
    """Somebody wants it to end: at once, where no agent can have it, else once the agent says so."""
    if job.is_over or job.cancel_requested_at is not None:
        return job
    asked = replace(job, cancel_requested_at=at)
    if has_not_left(job):
        return ended(asked, FleetJobState.CANCELED, at)
    return in_canceling(asked)


def in_canceling(job: FleetJob) -> FleetJob:
    """It is to end."""
    if not may_follow(FleetJobState.CANCELING, job.state):
        return job
    return replace(job, state=FleetJobState.CANCELING)


def has_not_left(job: FleetJob) -> bool:
    """Whether no agent can have it."""
    return job.state is FleetJobState.QUEUED and job.sent_at is None and job.seq is None


def has_waited_too_long(job: FleetJob, now: float) -> bool:
    """Whether it is to expire."""
    return job.expires_at is not None and job.expires_at <= now and has_not_left(job)


def expired(job: FleetJob, at: float) -> FleetJob:
    """It has waited too long."""
    return ended(job, FleetJobState.EXPIRED, at, error=EXPIRED)


def revoked(job: FleetJob, at: float) -> FleetJob:
    """Its host will never come again."""
    return ended(job, FleetJobState.FAILED, at, reason="revoked", error=REVOKED)


def is_deployment(job: FleetJob) -> bool:
    """Whether it deploys something, and so may take the place of another."""
    return job.kind == _DEPLOY


def takes_the_place_of(newer: FleetJob, job: FleetJob) -> bool:
    """Whether a deployment that is asked for now makes another one pointless."""
    return (
        newer.kind == job.kind == _DEPLOY
        and newer.host_id == job.host_id
        and (newer.project or "").lower() == (job.project or "").lower()
        and has_not_left(job)
    )


def superseded(job: FleetJob, newer: FleetJob) -> FleetJob:
    """Another deployment has taken its place."""
    return ended(job, FleetJobState.SUPERSEDED, newer.created_at, superseded_by=newer.id)
