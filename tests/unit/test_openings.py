"""Who is let in when more want to come in than can be looked at."""

from __future__ import annotations

import asyncio

import pytest

from application.control_plane import openings
from application.control_plane.openings import HELD_S, Openings
from domain.fleet.host_effects import LinkEnd
from tests.fakes.clock import FakeClock, settle


class Link:
    """One that is being opened."""

    def __init__(self, *, is_checking: bool = True) -> None:
        self.is_checking = is_checking
        self.ended: LinkEnd | None = None

    def end(self, end: LinkEnd, reason: str) -> None:
        del reason
        self.ended = end


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openings, "MOST_OPENING", 2)
    monkeypatch.setattr(openings, "MOST_AT_ONCE", 1)
    monkeypatch.setattr(openings, "MOST_WAITING", 2)
    monkeypatch.setattr(openings, "MOST_HELD", 3)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def all_links(clock: FakeClock) -> Openings:
    return Openings(clock)


async def comes(all_links: Openings) -> asyncio.Task[bool]:
    task = asyncio.create_task(all_links.room())
    await settle()
    return task


async def full(all_links: Openings) -> list[Link]:
    links = [Link(), Link()]
    for link in links:
        assert await all_links.room()
        all_links.opened(link)
    return links


async def test_they_are_looked_at_in_the_order_in_which_they_came_and_one_who_has_gone_is_passed_over(
    all_links: Openings,
) -> None:
    seen = []
    go_on = asyncio.Event()

    async def looked_at(name: str) -> None:
        async with all_links.turn():
            seen.append(name)
            await go_on.wait()

    tasks = {name: asyncio.create_task(looked_at(name)) for name in "abcd"}
    await settle()
    assert seen == ["a"]
    tasks["b"].cancel()
    go_on.set()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    assert seen == ["a", "c", "d"]


async def test_who_comes_while_many_wait_is_held_until_they_do_not(all_links: Openings) -> None:
    turns = [asyncio.Event() for _ in range(3)]

    async def looked_at(until: asyncio.Event) -> None:
        async with all_links.turn():
            await until.wait()

    tasks = [asyncio.create_task(looked_at(until)) for until in turns]
    await settle()
    first, second = await comes(all_links), await comes(all_links)
    assert not first.done()
    turns[0].set()
    await settle()
    assert await first
    assert not second.done(), "its place is taken until that one has asked for its turn"
    await settle()
    all_links.call()
    assert await second
    for until in turns[1:]:
        until.set()
    await asyncio.gather(*tasks)


async def test_no_more_come_in_than_there_are_places_and_who_is_held_comes_first(
    all_links: Openings,
) -> None:
    links = await full(all_links)
    first, second = await comes(all_links), await comes(all_links)
    all_links.left(links[0])
    assert await first
    all_links.opened(Link())
    third = await comes(all_links)
    await settle()
    assert not second.done()
    all_links.left(links[1])
    assert await second
    assert not third.done()
    third.cancel()


async def test_nobody_is_held_for_longer_than_agents_wait(
    all_links: Openings, clock: FakeClock
) -> None:
    links = await full(all_links)
    held = await comes(all_links)
    await clock.advance(HELD_S - 0.1)
    assert not held.done()
    await clock.advance(0.2)
    assert await held is False
    all_links.left(links[0])
    assert await all_links.room()


async def test_only_so_many_are_held(all_links: Openings) -> None:
    await full(all_links)
    held = [await comes(all_links) for _ in range(3)]
    assert await all_links.room() is False
    held[0].cancel()
    await settle()
    other = await comes(all_links)
    assert not other.done()
    for task in (*held, other):
        task.cancel()


async def test_a_place_goes_to_nobody_who_has_gone_at_that_moment(all_links: Openings) -> None:
    links = await full(all_links)
    gone, there = await comes(all_links), await comes(all_links)
    gone.cancel()
    all_links.left(links[0])
    await settle()
    assert gone.cancelled()
    assert await there


async def test_who_has_gone_with_a_place_leaves_it_to_others(all_links: Openings) -> None:
    links = await full(all_links)
    gone, there = await comes(all_links), await comes(all_links)
    all_links.left(links[0])
    gone.cancel()
    await settle()
    assert gone.cancelled()
    all_links.call()
    assert await there


async def test_who_presents_nothing_makes_room_after_a_while(
    all_links: Openings, clock: FakeClock
) -> None:
    silent, other = Link(is_checking=False), Link(is_checking=False)
    all_links.opened(silent)
    all_links.opened(other)
    held = await comes(all_links)
    all_links.call()
    assert not held.done()
    await clock.advance(openings.OPENING_PATIENCE_S)
    all_links.call()
    assert await held
    assert (silent.ended, other.ended) == (LinkEnd.TOO_MUCH, None)


async def test_once_closed_it_lets_in_nobody(all_links: Openings) -> None:
    links = await full(all_links)
    held = await comes(all_links)
    all_links.close()
    assert await held is False
    assert await all_links.room() is False
    all_links.end_all(LinkEnd.GOING_AWAY, "the control plane goes away")
    assert {link.ended for link in links} == {LinkEnd.GOING_AWAY}
