"""How long to wait before connecting again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Jitter = Callable[[float], float]
"""Maps the bare delay of the series to the delay that is waited, both in seconds."""


def no_jitter(delay: float) -> float:
    """The bare series, for whoever wants to predict it."""
    return delay


def reconnect_delays(
    *, first_s: float = 1.0, longest_s: float = 120.0, jitter: Jitter = no_jitter
) -> Iterator[float]:
    """Endless delays in seconds: `first_s`, doubling up to `longest_s`, each put through `jitter`."""
    delay = first_s
    while True:
        yield jitter(delay)
        delay = min(delay * 2, longest_s)
