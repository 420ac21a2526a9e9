"""Seeded plans of disturbing a network."""

from __future__ import annotations

import pytest

from tests.support import chaos_plan
from tests.support.chaos_plan import (
    DOWN,
    UP,
    ChaosPlan,
    Cut,
    Delay,
    Direction,
    Duplicate,
    Pass,
    Passing,
    Reorder,
    Slice,
)


def durable(connection: int, direction: Direction, number: int) -> Passing:
    return Passing(connection, direction, number, b'{"type": "ACCEPT", "seq": 1}')


def decided(plan: ChaosPlan, places: list[tuple[int, Direction, int]]) -> list[object]:
    return [plan.decide(durable(*place)) for place in places]


PLACES: list[tuple[int, Direction, int]] = [
    (connection, direction, number)
    for connection in (1, 2)
    for direction in (UP, DOWN)
    for number in range(1, 100)
]


def test_a_plan_of_one_seed_decides_the_same_in_any_order_and_can_be_replayed() -> None:
    plan = ChaosPlan(7)
    first = decided(plan, PLACES)
    assert first == decided(ChaosPlan(7), PLACES[::-1])[::-1]
    assert first != decided(ChaosPlan(8), PLACES)
    assert {type(action) for action in first} == {Pass, Delay, Slice, Cut, Duplicate, Reorder}
    assert decided(ChaosPlan.of(plan.decisions), PLACES) == first
    replayed = eval(str(plan), vars(chaos_plan))  # It prints itself as what replays it.
    assert decided(replayed, PLACES) == first
    assert str(plan).startswith("# seed 7\n")


def test_a_plan_disturbs_as_many_connections_as_it_is_told() -> None:
    plan = ChaosPlan(7, connections=1)
    decided(plan, PLACES)
    assert {decision.connection for decision in plan.decisions} == {1}


def test_a_plan_loses_and_repeats_only_what_has_a_number() -> None:
    rates = {"duplicate": 0.3, "reorder": 0.3, "swallow": 0.4}
    plan = ChaosPlan(1, rates=rates)
    for number in range(1, 100):
        heartbeat = Passing(1, UP, number, b'{"type": "HEARTBEAT", "facts": {}}')
        assert plan.decide(heartbeat) == Pass()
        assert plan.decide(durable(1, DOWN, number)) != Pass()
    with pytest.raises(ValueError, match="'melt'"):
        ChaosPlan(1, rates={"melt": 1.0}).decide(durable(1, UP, 1))
