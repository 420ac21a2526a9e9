"""What jobs print is sent while they print it, in order, whole, and before their results."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.agent.live_output import LiveOutput, PrintedStep, SpokenOutput
from application.agent.output_pump import CHUNK_BYTES, LOOK_EVERY_S, OutputPump, whole_characters
from domain.errors import StorageUnavailable
from domain.ledger import Ledger
from domain.link_messages import (
    Acknowledge,
    Challenge,
    OutputChunk,
    OutputPosition,
    Result,
    Said,
    Welcome,
)
from domain.output_flow import OUTPUT_WINDOW_BYTES
from domain.proving import Introduction
from domain.records import (
    EpochBegun,
    PeerMet,
    ProcessIdentity,
    StepExit,
    StepExited,
    StepStarting,
)
from domain.session import Session
from tests.fakes.clock import FakeClock, settle
from tests.unit.histories import accepted, finished


class Printer:
    """A step that prints what a test says; `lost` is how many of its first bytes were not kept."""

    def __init__(self) -> None:
        self.printed = bytearray()
        self.lost = 0
        self.fails = False
        self.asked: list[tuple[int, int]] = []

    @property
    def process(self) -> ProcessIdentity:
        return ProcessIdentity(1, 1, "boot-1")

    async def wait(self) -> StepExit | None:
        raise NotImplementedError

    async def end(self, why: str) -> None:
        raise NotImplementedError

    async def output(self, offset: int, limit: int) -> tuple[int, bytes]:
        self.asked.append((offset, limit))
        if self.fails:
            raise StorageUnavailable("Input/output error")
        offset = max(offset, self.lost)
        return offset, bytes(self.printed[offset : offset + limit])


class Bench:
    """A pump at work for one session; `said` is what its link sends."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ledger = Ledger()
        self.live = LiveOutput()
        for record in (EpochBegun("agent"), PeerMet("peer")):
            self.ledger.apply(record)
        self.session = Session(
            self.ledger,
            Introduction("n" * 16, "1.0.0", "linux-amd64", "web-1"),
            arriving=set(),
            now=self.clock.monotonic(),
            printed=self.live.position,
        )
        self.pump = OutputPump(self.live, self.ledger, self.session, self.clock)
        self.woken = 0

    def open(self, **seen: OutputPosition) -> None:
        now = self.clock.monotonic()
        self.session.hear(Challenge("c" * 16), now)
        assert self.session.next_message(now) is not None
        self.session.hear(Welcome("s", "peer", 0, output_seen=seen), now)
        assert self.session.next_message(now) is not None

    def step(self, job_id: str = "j1", name: str = "apply", attempt: int = 1) -> Printer:
        """A step that has begun."""
        if job_id not in self.ledger.jobs:
            self.ledger.apply(accepted(job_id))
        token = f"{job_id}-{name}-{attempt}"
        self.ledger.apply(StepStarting(job_id, name, attempt, token, "boot-1"))
        printer = Printer()
        self.live.add(job_id, PrintedStep(name, attempt, token, printer))
        return printer

    def end(self, job_id: str = "j1", name: str = "apply", attempt: int = 1) -> None:
        self.ledger.apply(StepExited(job_id, name, attempt, StepExit(0)))

    def seen(self, offset: int, job_id: str = "j1", name: str = "apply", attempt: int = 1) -> None:
        """The peer has the output up to there."""
        positions = {job_id: OutputPosition(name, attempt, offset)}
        self.session.hear(Acknowledge(0, positions), self.clock.monotonic())

    async def said(self) -> list[Said]:
        """All that is sent until there is nothing more to send for now."""
        found: list[Said] = []
        for _ in range(6):
            await settle(10)
            while (message := self.session.next_message(self.clock.monotonic())) is not None:
                found.append(message)
                self.pump.resume()
                await settle(10)
            await self.clock.advance(LOOK_EVERY_S)
        return found

    async def chunks(self) -> list[OutputChunk]:
        return [message for message in await self.said() if isinstance(message, OutputChunk)]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Bench]:
        def wake() -> None:
            self.woken += 1

        pumping = asyncio.create_task(self.pump.run(wake))
        await settle(5)
        try:
            yield self
            assert not pumping.done()
        finally:
            pumping.cancel()
            await asyncio.wait({pumping})


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    bench.open()
    async with bench.running():
        yield bench


def position(offset: int, name: str = "apply", attempt: int = 1) -> OutputPosition:
    return OutputPosition(name, attempt, offset)


async def test_what_is_printed_is_sent_as_it_comes(bench: Bench) -> None:
    printer = bench.step()
    printer.printed += b"pulling\n"
    assert await bench.chunks() == [OutputChunk("j1", position(0), b"pulling\n")]
    printer.printed += b"pulled\n"
    assert await bench.chunks() == [OutputChunk("j1", position(8), b"pulled\n")]
    assert await bench.chunks() == []


async def test_who_sends_is_woken_when_there_is_something_to_send(bench: Bench) -> None:
    before = bench.woken
    bench.step().printed += b"pulling\n"
    await bench.clock.advance(LOOK_EVERY_S)
    assert bench.woken > before


async def test_while_nothing_is_printed_anywhere_nothing_is_looked_at(bench: Bench) -> None:
    await bench.clock.advance(60)
    assert bench.clock.slept == []


async def test_before_the_opening_is_over_nothing_is_read() -> None:
    bench = Bench()
    async with bench.running():
        printer = bench.step()
        printer.printed += b"pulling\n"
        await bench.clock.advance(1)
        assert printer.asked == []
        bench.open()
        assert await bench.chunks() == [OutputChunk("j1", position(0), b"pulling\n")]


async def test_much_is_sent_in_pieces_that_join_without_a_gap(bench: Bench) -> None:
    printer = bench.step()
    printer.printed += bytes(range(256)) * 700
    chunks = await bench.chunks()
    assert max(len(chunk.chunk) for chunk in chunks) <= CHUNK_BYTES
    at = 0
    for chunk in chunks:
        assert chunk.position == position(at)
        at += len(chunk.chunk)
    assert b"".join(chunk.chunk for chunk in chunks) == printer.printed


async def test_it_is_read_no_further_ahead_than_one_piece(bench: Bench) -> None:
    printer = bench.step()
    printer.printed += b"x" * 200_000
    await bench.clock.advance(10)
    assert len([limit for _, limit in printer.asked if limit]) == 1


async def test_a_peer_that_does_not_say_that_it_reads_gets_so_much_and_no_more(
    bench: Bench,
) -> None:
    printer = bench.step()
    printer.printed += b"x" * 1_000_000
    chunks = await bench.chunks()
    assert sum(len(chunk.chunk) for chunk in chunks) == OUTPUT_WINDOW_BYTES
    assert await bench.chunks() == []
    bench.seen(100_000)
    more = await bench.chunks()
    assert more[0].position == position(OUTPUT_WINDOW_BYTES)
    assert sum(len(chunk.chunk) for chunk in more) == 100_000


async def test_what_is_left_of_a_step_that_is_over_is_sent_all_the_same(bench: Bench) -> None:
    printer = bench.step()
    printer.printed += b"x" * 1_000_000
    bench.end()
    assert sum(len(chunk.chunk) for chunk in await bench.chunks()) == 1_000_000
    assert bench.pump.is_all_sent("j1")


async def test_output_goes_on_from_where_the_peer_says_that_it_has_it() -> None:
    bench = Bench()
    bench.open(j1=position(8))
    async with bench.running():
        bench.step().printed += b"pulling\npulled\n"
        assert await bench.chunks() == [OutputChunk("j1", position(8), b"pulled\n")]


async def test_output_goes_on_from_there_also_when_the_peer_has_told_of_another_stage_since() -> (
    None
):
    """As it does of what an agent says that has started again, before it finds the step again."""
    bench = Bench()
    bench.open(j1=position(8))
    async with bench.running():
        stage = SpokenOutput(bytearray(b"valid\n"), is_over=True)
        bench.live.add_spoken("j1", "validate", stage, first_attempt=2)
        spoken = position(0, "validate", attempt=2)
        assert await bench.chunks() == [OutputChunk("j1", spoken, b"valid\n")]
        bench.seen(6, name="validate", attempt=2)
        bench.step().printed += b"pulling\npulled\n"
        assert await bench.chunks() == [OutputChunk("j1", position(8), b"pulled\n")]


async def test_how_much_was_sent_is_forgotten_with_the_job(bench: Bench) -> None:
    bench.step().printed += b"pulling\n"
    await bench.chunks()
    assert bench.session.output.wanted("j1", "apply", 1)[0] == 8
    bench.live.forget("j1")
    bench.step("j2")
    await bench.chunks()
    assert bench.session.output.wanted("j1", "apply", 1)[0] == 0


async def test_a_place_in_another_attempt_is_the_beginning_of_this_one() -> None:
    bench = Bench()
    bench.open(j1=position(8, attempt=1))
    async with bench.running():
        bench.step(attempt=2).printed += b"pulling\n"
        assert await bench.chunks() == [OutputChunk("j1", position(0, attempt=2), b"pulling\n")]


async def test_a_gap_of_what_was_not_kept_is_told_by_the_position(bench: Bench) -> None:
    printer = bench.step()
    printer.printed += b"x" * 100 + b"tail"
    printer.lost = 100
    assert await bench.chunks() == [OutputChunk("j1", position(100), b"tail")]


async def test_a_character_is_not_cut_where_the_rest_of_it_comes_soon(bench: Bench) -> None:
    printer = bench.step()
    euro = "€".encode()
    printer.printed += b"price: " + euro[:2]
    await bench.clock.advance(LOOK_EVERY_S)
    printer.printed += euro[2:] + b" 5\n"
    assert [chunk.chunk for chunk in await bench.chunks()] == [b"price: ", "€ 5\n".encode()]


async def test_a_character_whose_rest_does_not_come_is_not_waited_for(bench: Bench) -> None:
    printer = bench.step()
    printer.printed += b"price: " + "€".encode()[:2]
    assert [chunk.chunk for chunk in await bench.chunks()] == [b"price: ", "€".encode()[:2]]


async def test_a_character_that_is_never_finished_is_sent_when_the_step_is_over(
    bench: Bench,
) -> None:
    printer = bench.step()
    printer.printed += b"price: " + "€".encode()[:2]
    bench.end()
    chunks = await bench.chunks()
    assert b"".join(chunk.chunk for chunk in chunks) == printer.printed


async def test_a_character_at_the_end_of_a_full_piece_is_not_cut(bench: Bench) -> None:
    printer = bench.step()
    printer.printed += b"x" * (CHUNK_BYTES - 1) + "€€€".encode()
    bench.end()
    chunks = [chunk.chunk for chunk in await bench.chunks()]
    assert [len(chunk) for chunk in chunks] == [CHUNK_BYTES - 1, 9]


async def test_steps_and_attempts_are_sent_one_after_another(bench: Bench) -> None:
    bench.step(name="validate").printed += b"ok\n"
    first = bench.step()
    first.printed += b"killed\n"
    bench.step(attempt=2).printed += b"up\n"
    assert [chunk.chunk for chunk in await bench.chunks()] == [b"ok\n"]
    bench.end(name="validate")
    bench.end()
    assert await bench.chunks() == [
        OutputChunk("j1", position(0), b"killed\n"),
        OutputChunk("j1", position(0, attempt=2), b"up\n"),
    ]


async def test_jobs_are_sent_beside_each_other(bench: Bench) -> None:
    first, second = bench.step("j1"), bench.step("j2")
    first.printed += b"x" * 10
    second.printed += b"y" * 10
    assert {chunk.job_id for chunk in await bench.chunks()} == {"j1", "j2"}


async def test_a_job_that_prints_much_does_not_keep_another_ones_output_back_for_ever(
    bench: Bench,
) -> None:
    loud, quiet = bench.step("loud"), bench.step("quiet")
    loud.printed += b"x" * 10_000_000
    quiet.printed += b"here\n"
    chunks = await bench.chunks()
    assert "quiet" in {chunk.job_id for chunk in chunks}


async def test_a_result_comes_behind_all_that_its_job_has_printed(bench: Bench) -> None:
    printer = bench.step()
    printer.printed += b"x" * 100_000
    bench.ledger.apply(accepted("other", seq=1))
    bench.end()
    bench.ledger.apply(finished("j1", logs="x"))
    said = await bench.said()
    kinds = [type(message) for message in said]
    assert kinds.index(Result) > max(
        index for index, message in enumerate(said) if isinstance(message, OutputChunk)
    )
    assert sum(len(m.chunk) for m in said if isinstance(m, OutputChunk)) == 100_000


async def test_the_result_of_a_job_that_printed_nothing_is_not_kept_waiting_for_long(
    bench: Bench,
) -> None:
    bench.step()
    bench.end()
    bench.ledger.apply(finished("j1"))
    assert any(isinstance(message, Result) for message in await bench.said())


async def test_a_job_that_ended_without_the_exit_of_its_step_keeps_no_result_back(
    bench: Bench,
) -> None:
    bench.step().printed += b"abc"
    bench.ledger.apply(finished("j1"))
    assert [type(message) for message in await bench.said()] == [OutputChunk, Result]


async def test_output_that_cannot_be_read_keeps_no_result_back_and_is_said(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    printer = bench.step()
    printer.printed += b"pulling\n"
    printer.fails = True
    bench.end()
    bench.ledger.apply(finished("j1"))
    said = await bench.said()
    assert any(isinstance(message, Result) for message in said)
    assert caplog.text.count("what apply has printed cannot be read: Input/output error") == 1


async def test_how_far_a_job_was_read_is_known(bench: Bench) -> None:
    assert bench.live.position("j1") is None
    printer = bench.step()
    assert bench.live.position("j1") == position(0)
    printer.printed += b"pulling\n"
    await bench.chunks()
    assert bench.live.position("j1") == position(8)


async def test_another_link_begins_where_its_peer_says() -> None:
    first = Bench()
    first.open()
    printer = first.step()
    printer.printed += b"pulling\npulled\n"
    async with first.running():
        assert len(await first.chunks()) == 1
    second = Bench()
    second.ledger, second.live = first.ledger, first.live
    second.session = Session(
        first.ledger,
        Introduction("n" * 16, "1.0.0", "linux-amd64", "web-1"),
        arriving=set(),
        now=second.clock.monotonic(),
    )
    second.pump = OutputPump(first.live, first.ledger, second.session, second.clock)
    second.open(j1=position(8))
    async with second.running():
        assert await second.chunks() == [OutputChunk("j1", position(8), b"pulled\n")]


@given(st.text(max_size=20), st.integers(0, 60))
def test_whole_characters_are_what_can_be_read_of_a_text_that_is_cut(text: str, at: int) -> None:
    cut = text.encode()[:at]
    whole = whole_characters(cut)
    assert cut.startswith(whole)
    assert len(cut) - len(whole) <= 3
    if whole != cut or not cut:
        assert text.startswith(whole.decode())


@given(st.binary(max_size=20))
def test_bytes_that_are_no_text_lose_none_but_what_may_begin_a_character(raw: bytes) -> None:
    whole = whole_characters(raw)
    assert raw.startswith(whole)
    assert len(raw) - len(whole) <= 3
    assert bool(whole) == bool(raw)
