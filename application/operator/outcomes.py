"""What the states of jobs amount to for whoever has asked for them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from application.operator.progress import is_end
from domain.fleet.job import FleetJobState


class Verdict(Enum):
    """Of all jobs together."""

    SUCCEEDED = "succeeded"
    """All of them have."""
    FAILED = "failed"
    """All are over, and at least one has not succeeded: failed, canceled, expired, or superseded."""
    OPEN = "open"
    """At least one is not over."""


def verdict_of(states: Iterable[str]) -> Verdict:
    """The verdict on jobs that are in these states."""
    known = set(states)
    if not all(is_end(state) for state in known):
        return Verdict.OPEN
    return Verdict.SUCCEEDED if known <= {FleetJobState.SUCCEEDED.value} else Verdict.FAILED
