"""Thousands of moments to look at something, on one wheel."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from application.control_plane.wheel import Wheel


class Thing:
    def __init__(self) -> None:
        self.slot = 0


def test_a_thing_comes_up_at_its_moment_and_once() -> None:
    wheel: Wheel[Thing] = Wheel()
    thing = Thing()
    wheel.put(thing, 10.2)
    assert wheel.take(10.9) == []
    assert wheel.take(11.0) == [thing]
    assert wheel.take(100.0) == []


def test_an_earlier_moment_counts_and_a_later_one_does_not() -> None:
    wheel: Wheel[Thing] = Wheel()
    thing = Thing()
    wheel.put(thing, 10.0)
    wheel.put(thing, 20.0)
    assert wheel.take(10.0) == [thing]
    wheel.put(thing, 20.0)
    wheel.put(thing, 15.0)
    assert wheel.take(15.0) == [thing]
    assert wheel.take(20.0) == []


def test_what_is_dropped_does_not_come_up() -> None:
    wheel: Wheel[Thing] = Wheel()
    thing = Thing()
    wheel.drop(thing)
    wheel.put(thing, 10.0)
    wheel.drop(thing)
    assert wheel.take(10.0) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0.0, 100.0))), st.floats(0.0, 100.0))
def test_nothing_comes_up_too_early_or_is_forgotten(
    puts: list[tuple[int, float]], now: float
) -> None:
    wheel: Wheel[Thing] = Wheel()
    things = [Thing() for _ in range(6)]
    due: dict[int, float] = {}
    for which, moment in puts:
        wheel.put(things[which], moment)
        due[which] = min(moment, due.get(which, moment))
    up = {things.index(thing) for thing in wheel.take(now)}
    for which, moment in due.items():
        if moment > now:
            assert which not in up
        elif moment <= now - 1.0:
            assert which in up
    later = {things.index(thing) for thing in wheel.take(1000.0)}
    assert up | later == due.keys()
    assert not up & later
