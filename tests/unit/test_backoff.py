"""The delays between attempts to connect."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from domain.backoff import reconnect_delays
from entrypoints.agent.container import full_jitter

SERIES = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 120.0, 120.0, 120.0]


def test_the_bare_series_doubles_from_one_second_to_two_minutes_and_stays() -> None:
    assert list(itertools.islice(reconnect_delays(), 10)) == SERIES


def test_jitter_changes_what_is_waited_and_not_the_series() -> None:
    delays = reconnect_delays(jitter=lambda delay: delay / 2)
    assert list(itertools.islice(delays, 10)) == [delay / 2 for delay in SERIES]


def test_two_series_do_not_share_their_place() -> None:
    first, second = reconnect_delays(), reconnect_delays()
    assert [next(first), next(first), next(second)] == [1.0, 2.0, 1.0]


@given(st.floats(min_value=0, max_value=120))
def test_full_jitter_is_never_longer_than_the_delay(delay: float) -> None:
    assert 0.0 <= full_jitter(delay) <= delay


def test_full_jitter_is_spread() -> None:
    waits = [full_jitter(120.0) for _ in range(400)]
    assert min(waits) < 30.0
    assert max(waits) > 90.0
