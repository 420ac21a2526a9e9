"""Events on their way, and that no result is lost on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.agent.outbox import Outbox
from domain.events import Event, FinalEvent, JobCompleted, JobFailed, JobReceived
from tests.fakes.clock import settle

NO_SPACE = "[output dropped: too many results were waiting to be sent]"
UNDELIVERABLE = "[output dropped: the link ended each time it was sent]"


def final(job_id: str, logs: str = "output") -> JobCompleted:
    return JobCompleted(job_id, logs)


async def send(outbox: Outbox, count: int) -> list[Event]:
    """Take so many events and call them sent."""
    taken = [await outbox.take() for _ in range(count)]
    outbox.sent()
    return taken


async def is_done(waiting: Awaitable[object]) -> bool:
    """Whether it can be had without anything else happening."""
    task = asyncio.ensure_future(waiting)
    await settle(5)
    done = task.done()
    task.cancel()
    return done


async def test_events_leave_in_the_order_they_came() -> None:
    outbox = Outbox()
    events: list[Event] = [JobReceived("j1"), final("j1"), JobReceived("j2"), JobFailed("j2", "no")]
    for event in events:
        outbox.put(event)
    assert await send(outbox, 4) == events


async def test_who_takes_from_an_empty_outbox_waits_for_the_next_event() -> None:
    outbox = Outbox()
    taking = asyncio.create_task(outbox.take())
    await settle(5)
    assert not taking.done()
    outbox.put(final("j1"))
    assert await taking == final("j1")


async def test_a_result_is_kept_until_it_is_confirmed_and_an_acknowledgement_is_not() -> None:
    outbox = Outbox()
    outbox.put(JobReceived("j1"))
    outbox.put(final("j1"))
    await send(outbox, 2)
    assert len(outbox) == 1
    outbox.confirm(await outbox.sent_unconfirmed())
    assert len(outbox) == 0


async def test_nothing_is_to_be_confirmed_before_a_result_has_left() -> None:
    outbox = Outbox()
    outbox.put(JobReceived("j1"))
    outbox.put(final("j1"))
    assert not await is_done(outbox.sent_unconfirmed())
    await outbox.take()
    outbox.sent()
    assert not await is_done(outbox.sent_unconfirmed())
    await outbox.take()
    assert not await is_done(outbox.sent_unconfirmed())
    outbox.sent()
    assert await is_done(outbox.sent_unconfirmed())


async def test_a_confirmation_is_for_what_was_sent_before_it_was_asked_for() -> None:
    outbox = Outbox()
    outbox.put(final("j1"))
    await send(outbox, 1)
    mark = await outbox.sent_unconfirmed()
    outbox.put(final("j2"))
    await send(outbox, 1)
    outbox.confirm(mark)
    assert len(outbox) == 1
    outbox.rewind()
    assert await send(outbox, 1) == [final("j2")]


async def test_after_a_link_unconfirmed_results_are_sent_again_in_order_and_first() -> None:
    outbox = Outbox()
    for event in (final("j1"), JobReceived("j2"), final("j2")):
        outbox.put(event)
    await send(outbox, 3)
    outbox.put(JobReceived("j3"))
    outbox.put(final("j3"))
    outbox.rewind()
    assert len(outbox) == 3
    assert await send(outbox, 3) == [final("j1"), final("j2"), final("j3")]


async def test_a_result_that_was_taken_and_never_sent_is_sent_again() -> None:
    outbox = Outbox()
    outbox.put(final("j1"))
    await outbox.take()
    outbox.rewind()
    assert await send(outbox, 1) == [final("j1")]


async def test_a_mark_of_the_old_link_means_nothing_on_the_new_one() -> None:
    outbox = Outbox()
    outbox.put(final("j1"))
    await send(outbox, 1)
    mark = await outbox.sent_unconfirmed()
    outbox.rewind()
    await outbox.take()
    outbox.confirm(mark)
    assert len(outbox) == 1


async def test_what_was_confirmed_is_not_sent_again() -> None:
    outbox = Outbox()
    outbox.put(final("j1"))
    await send(outbox, 1)
    outbox.confirm(await outbox.sent_unconfirmed())
    outbox.rewind()
    assert not await is_done(outbox.take())


async def test_a_result_goes_without_its_output_after_three_links_have_ended_on_it() -> None:
    outbox = Outbox()
    outbox.put(JobFailed("j1", "why", "x" * 1000, {"exit_code": 1}))
    outbox.put(final("later"))
    logs = []
    for _ in range(4):
        event = await outbox.take()
        assert isinstance(event, JobFailed)
        assert (event.error, event.data) == ("why", {"exit_code": 1})
        logs.append(event.logs)
        outbox.rewind()
    assert logs == ["x" * 1000] * 3 + [UNDELIVERABLE]
    assert (await send(outbox, 2))[1] == final("later")


async def test_there_is_room_until_too_much_is_unsent() -> None:
    outbox = Outbox(max_unsent=2)
    outbox.put(JobReceived("j1"))
    assert await is_done(outbox.room())
    outbox.put(final("j1"))
    assert not await is_done(outbox.room())
    waiting = asyncio.create_task(outbox.room())
    await settle(5)
    await outbox.take()
    await waiting


async def test_what_is_sent_and_unconfirmed_takes_no_room() -> None:
    outbox = Outbox(max_unsent=1)
    outbox.put(final("j1"))
    await send(outbox, 1)
    assert await is_done(outbox.room())


async def test_a_peer_that_confirms_nothing_has_the_oldest_results_taken_as_confirmed() -> None:
    outbox = Outbox(max_unconfirmed=2)
    for number in range(5):
        outbox.put(final(f"j{number}"))
    await send(outbox, 5)
    assert len(outbox) == 2
    outbox.rewind()
    assert await send(outbox, 2) == [final("j3"), final("j4")]


async def test_past_the_bound_on_memory_results_go_without_their_output() -> None:
    outbox = Outbox(max_bytes=2000)
    outbox.put(final("j1", "x" * 1000))
    outbox.put(final("j2", "y" * 1000))
    outbox.put(JobFailed("j3", "why", "z" * 1000))
    taken = await send(outbox, 3)
    assert taken == [
        final("j1", "x" * 1000),
        final("j2", NO_SPACE),
        JobFailed("j3", "why", NO_SPACE),
    ]


async def test_what_is_confirmed_or_given_up_makes_room_in_memory() -> None:
    outbox = Outbox(max_bytes=2000, max_unconfirmed=1)
    for number in range(6):
        outbox.put(final(f"j{number}", "x" * 1000))
        assert await send(outbox, 1) == [final(f"j{number}", "x" * 1000)]
        if number < 3:
            outbox.confirm(await outbox.sent_unconfirmed())
        elif number < 5:
            outbox.rewind()
            await send(outbox, 1)
            outbox.confirm(await outbox.sent_unconfirmed())


async def test_what_is_taken_as_confirmed_makes_room_in_memory_too() -> None:
    outbox = Outbox(max_bytes=4000, max_unconfirmed=1)
    for number in range(6):
        outbox.put(final(f"j{number}", "x" * 1000))
        assert await send(outbox, 1) == [final(f"j{number}", "x" * 1000)]


async def test_it_is_empty_when_all_is_sent_and_the_results_are_confirmed() -> None:
    outbox = Outbox()
    assert await is_done(outbox.empty())
    outbox.put(JobReceived("j1"))
    outbox.put(final("j1"))
    emptying = asyncio.create_task(outbox.empty())
    await send(outbox, 2)
    await settle(5)
    assert not emptying.done()
    outbox.confirm(await outbox.sent_unconfirmed())
    await emptying


async def test_without_a_link_a_result_that_is_in_the_journal_is_not_held() -> None:
    outbox = Outbox()
    outbox.put_result(final("j1"))
    assert len(outbox) == 0


async def test_a_link_begins_with_what_the_journal_has_and_goes_on_with_what_waited() -> None:
    outbox = Outbox()
    outbox.put(final("read"))
    outbox.attach([final("j1"), final("j2")])
    outbox.put_result(final("j3"))
    assert await send(outbox, 4) == [final("j1"), final("j2"), final("read"), final("j3")]


async def test_a_confirmation_names_the_jobs_whose_results_are_in_the_journal_and_no_others() -> (
    None
):
    outbox = Outbox()
    outbox.attach([final("j1")])
    outbox.put(final("read"))
    outbox.put_result(final("j2"))
    await send(outbox, 3)
    mark = await outbox.sent_unconfirmed()
    outbox.put_result(final("j3"))
    await send(outbox, 1)
    assert outbox.confirm(mark) == ("j1", "j2")
    assert outbox.confirm(await outbox.sent_unconfirmed()) == ("j3",)
    assert len(outbox) == 0


async def test_with_its_link_goes_what_is_in_the_journal_and_nothing_else() -> None:
    outbox = Outbox()
    outbox.attach([final("j1")])
    outbox.put_result(final("j2"))
    outbox.put(final("read"))
    await send(outbox, 1)
    outbox.rewind()
    outbox.put_result(final("j3"))
    assert len(outbox) == 1
    assert await send(outbox, 1) == [final("read")]


async def test_each_link_that_ends_is_counted() -> None:
    outbox = Outbox()
    assert outbox.link_number == 0
    outbox.attach([])
    outbox.rewind()
    assert outbox.link_number == 1


async def test_a_result_in_the_journal_goes_without_its_output_after_three_links_have_ended_on_it() -> (
    None
):
    outbox = Outbox()
    logs = []
    for _ in range(4):
        outbox.attach([JobFailed("j1", "why", "x" * 1000, {"exit_code": 1})])
        (event,) = await send(outbox, 1)
        assert isinstance(event, JobFailed)
        assert (event.error, event.data) == ("why", {"exit_code": 1})
        logs.append(event.logs)
        outbox.rewind()
    assert logs == ["x" * 1000] * 3 + [UNDELIVERABLE]


async def test_links_that_end_before_a_result_was_sent_are_not_its_fault() -> None:
    outbox = Outbox()
    for _ in range(5):
        outbox.attach([final("j1")])
        outbox.rewind()
    outbox.attach([final("j1")])
    assert await send(outbox, 1) == [final("j1")]


async def test_past_the_bound_on_memory_results_in_the_journal_go_without_their_output_too() -> (
    None
):
    outbox = Outbox(max_bytes=2000)
    outbox.attach([final("j1", "x" * 1000), final("j2", "y" * 1000)])
    outbox.put_result(final("j3", "z" * 1000))
    taken = await send(outbox, 3)
    assert [event.logs for event in taken if not isinstance(event, JobReceived)][2] == NO_SPACE


STEPS = st.lists(
    st.sampled_from(["put", "put", "send", "send", "take", "confirm", "drop link"]), max_size=60
)


@given(STEPS)
def test_whatever_happens_to_links_each_result_arrives_in_order_and_none_is_lost(
    steps: list[str],
) -> None:
    """Links end anywhere; what counts as arrived is what was confirmed."""

    async def play() -> tuple[list[FinalEvent], list[FinalEvent]]:
        outbox = Outbox()
        put: list[FinalEvent] = []
        on_link: list[FinalEvent] = []
        arrived: list[FinalEvent] = []
        unsent = 0

        async def confirm_all() -> None:
            if on_link:
                outbox.sent()
                outbox.confirm(await outbox.sent_unconfirmed())
                arrived.extend(on_link)
                on_link.clear()

        async def take() -> None:
            event = await outbox.take()
            assert not isinstance(event, JobReceived)
            on_link.append(event)

        for step in [*steps, "drop link"]:
            if step == "put":
                put.append(final(f"j{len(put)}", ""))
                outbox.put(put[-1])
                unsent += 1
            elif step in ("send", "take") and unsent:
                await take()
                unsent -= 1
                if step == "send":
                    outbox.sent()
            elif step == "confirm":
                await confirm_all()
            elif step == "drop link":
                unsent += len(on_link)
                on_link.clear()
                outbox.rewind()
        while unsent:
            await take()
            unsent -= 1
        await confirm_all()
        assert len(outbox) == 0
        return put, arrived

    put, arrived = asyncio.run(play())
    assert [event.job_id for event in arrived] == [event.job_id for event in put]


@pytest.mark.parametrize("event", [JobReceived("j1"), final("j1")])
async def test_an_event_that_is_put_is_counted(event: Event) -> None:
    outbox = Outbox()
    outbox.put(event)
    assert len(outbox) == 1
