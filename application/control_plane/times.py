"""The time of day as the fleet's records have it."""

from __future__ import annotations

from application.ports.clock import Clock


def seconds_now(clock: Clock) -> float:
    """Seconds since 1970, by the wall clock: what hosts and people compare with theirs."""
    return clock.now().timestamp()
