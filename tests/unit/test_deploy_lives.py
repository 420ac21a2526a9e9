"""A deployment over several lives of the agent: killed anywhere, it comes to the one end it has.

The tests kill the agent after each turn of the event loop after which anything is otherwise than it
was before, that is, at every await that matters, and let the next agent go on from what is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from application.agent.handling import Completed, Failed, Outcome
from application.agent.job_book import JobBook
from application.agent.live_output import LiveOutput
from application.agent.steps import JobSteps
from domain.commands import (
    ChangingCommand,
    RemoveCompose,
    RestartCompose,
    RollbackCompose,
    digest_of,
)
from domain.content import ExtraFile
from domain.errors import InstaDeployError
from domain.records import JobAccepted
from domain.revision import RevisionState
from tests.fakes.clock import settle
from tests.fakes.compose_runtime import Scripted
from tests.fakes.engine_state import image_facts
from tests.fakes.handlers import Handlers
from tests.fakes.job_journal import FakeJobJournal
from tests.fakes.machine import FakeMachine
from tests.unit.deploying import APP, BLOG, CRASHING, NEW, OF_APP, OLD, wish

LONGEST = 2000
"""Turns that a job takes at most."""


@pytest.fixture(autouse=True)
async def in_a_hurry() -> None:
    """Hundreds of lives, in a loop that remembers nothing of where each callback came from."""
    asyncio.get_running_loop().set_debug(False)


class Life:
    """One life of an agent that carries one job out."""

    def __init__(self, machine: FakeMachine, command: ChangingCommand, job_id: str = "j1") -> None:
        self.machine = machine
        self.command = command
        self.job_id = job_id
        self.journal = FakeJobJournal(machine.disk)
        self.book = JobBook(journal=self.journal, clock=machine.clock, new_epoch=machine.token)
        self.handlers = Handlers(machine.parts, self.book)
        self.steps = JobSteps(job_id, None, machine.step_tools(self.book, LiveOutput()))

    async def begin(self) -> asyncio.Task[Outcome]:
        await self.book.open()
        if self.job_id not in self.book.ledger.jobs:
            moment = self.machine.clock.since_boot()
            accepted = JobAccepted(self.job_id, self.command, digest_of(self.command), moment)
            await self.book.record(accepted)
        handler = self.handlers.by_command[type(self.command)]
        self.task: asyncio.Task[Outcome] = asyncio.create_task(handler(self.command, self.steps))
        return self.task

    async def die(self, *, written: int) -> None:
        """As SIGKILL: so much of what waits for the disk becomes durable, and nobody is told."""
        self.journal.crash(written=written)
        self.task.cancel()
        await asyncio.wait({self.task})
        await settle(5)


async def whole(machine: FakeMachine, command: ChangingCommand, job_id: str) -> Outcome:
    """A job that nothing happens to."""
    return await (await Life(machine, command, job_id).begin())


@dataclass
class Case:
    """`prepare` makes the host that the command comes to; `check` looks at what it has become."""

    command: ChangingCommand
    prepare: Callable[[], Awaitable[FakeMachine]]
    check: Callable[[FakeMachine, Outcome], Awaitable[None]]
    changes: list[tuple[str, str]] = field(default_factory=list)
    """What Compose is made to do, once, however often the agent dies."""


async def with_old() -> FakeMachine:
    machine = FakeMachine()
    assert isinstance(await whole(machine, wish(OLD), "j0"), Completed)
    machine.runtime.calls.clear()
    return machine


async def with_app() -> FakeMachine:
    machine = await with_old()
    machine.runtime.registry[APP] = image_facts("b")
    return machine


async def empty() -> FakeMachine:
    return FakeMachine()


async def with_two() -> FakeMachine:
    machine = await with_old()
    assert isinstance(await whole(machine, wish(NEW), "j0b"), Completed)
    machine.runtime.calls.clear()
    return machine


async def with_one_that_crashes_before() -> FakeMachine:
    """Revision 1 was there before revisions were kept: nobody has looked whether it runs."""
    machine = FakeMachine()
    machine.files.put("blog", CRASHING)
    assert isinstance(await whole(machine, wish(NEW), "j0"), Completed)
    machine.runtime.calls.clear()
    return machine


async def with_an_up_that_fails() -> FakeMachine:
    machine = await with_old()
    machine.runtime.script("up", Scripted(exit_code=1, output=b"port is taken\n"))
    return machine


async def adopted() -> FakeMachine:
    machine = FakeMachine()
    machine.files.put("blog", OLD)
    return machine


def expect(
    content: bytes | None, current: int | None, *states: str, good: bool
) -> Callable[[FakeMachine, Outcome], Awaitable[None]]:
    async def check(machine: FakeMachine, outcome: Outcome) -> None:
        assert isinstance(outcome, Completed if good else Failed), outcome
        assert machine.files.content("blog") == content
        assert machine.runtime.running == ({} if content is None else {"blog": content})
        assert machine.files.staged == []
        history = await machine.store.history(BLOG)
        assert history.current == current
        assert [one.state.value for one in history.revisions] == list(states)

    return check


GOOD, FAILED = RevisionState.GOOD.value, RevisionState.FAILED.value
FILES = [ExtraFile("conf/a.conf", b"a")]
UP, DOWN, PULL = ("up", "blog"), ("down", "blog"), ("pull", "blog")
CASES = {
    "first": Case(wish(NEW), empty, expect(NEW, 1, GOOD, good=True), [UP]),
    "second": Case(wish(NEW), with_old, expect(NEW, 2, GOOD, GOOD, good=True), [UP]),
    "with files": Case(
        wish(NEW, files=FILES), with_old, expect(NEW, 2, GOOD, GOOD, good=True), [UP]
    ),
    "pulled": Case(wish(OF_APP), with_app, expect(OF_APP, 2, GOOD, GOOD, good=True), [PULL, UP]),
    "adopted": Case(wish(NEW), adopted, expect(NEW, 2, GOOD, GOOD, good=True), [UP]),
    "taken back": Case(
        wish(CRASHING), with_old, expect(OLD, 1, GOOD, FAILED, good=False), [UP, UP]
    ),
    "up fails": Case(
        wish(NEW), with_an_up_that_fails, expect(OLD, 1, GOOD, FAILED, good=False), [UP, UP]
    ),
    "taken away": Case(wish(CRASHING), empty, expect(None, None, FAILED, good=False), [UP, DOWN]),
    "taken away with files": Case(
        wish(CRASHING, files=FILES, env=b"A=1\n"),
        empty,
        expect(None, None, FAILED, good=False),
        [UP, DOWN],
    ),
    "rolled back": Case(
        RollbackCompose(BLOG), with_two, expect(OLD, 1, GOOD, GOOD, good=True), [UP]
    ),
    "rolled back in vain": Case(
        RollbackCompose(BLOG),
        with_one_that_crashes_before,
        expect(NEW, 2, GOOD, GOOD, good=False),
        [UP, UP],
    ),
    "removed": Case(RemoveCompose(BLOG), with_old, expect(None, None, good=True), [DOWN]),
    "restarted": Case(
        RestartCompose(BLOG), with_old, expect(OLD, 1, GOOD, good=True), [("restart", "blog")]
    ),
}


async def moments(case: Case) -> list[int]:
    """The turns of the event loop after which something is otherwise than it was before.

    To kill the agent between two of them is to kill it at the first.
    """
    machine = await case.prepare()
    life = Life(machine, case.command)
    task = await life.begin()
    turns, seen = [], None
    for turn in range(LONGEST):
        if task.done():
            break
        if (now := what_is_so(machine)) != seen:
            turns.append(turn)
        seen = now
        await asyncio.sleep(0)
    assert isinstance(await task, Completed | Failed)
    assert len(turns) > 6
    return turns


def what_is_so(machine: FakeMachine) -> tuple[object, ...]:
    """All that another life of the agent could find, and how far this one has asked."""
    return (
        dict(machine.files.on_disk),
        dict(machine.store.histories),
        list(machine.disk.records),
        [(token, run.over.is_set()) for token, run in machine.executor.runs.items()],
        dict(machine.state.projects),
        (len(machine.state.asked), machine.engine.asked, machine.runtime.versions_asked),
        (len(machine.runtime.calls), machine.runtime.calls_under_way),
    )


async def live(case: Case, turns: list[int], *, written: int, power_fails: bool = False) -> None:
    """Kill agents after so many turns each, and let the last one go on."""
    machine = await case.prepare()
    for number in turns:
        life = Life(machine, case.command)
        task = await life.begin()
        for _ in range(number):
            await asyncio.sleep(0)
        if task.done():
            break  # It had less to do than the one before.
        if power_fails:
            machine.executor.interrupt()
        await life.die(written=written)
    outcome = await asyncio.wait_for(whole(machine, case.command, "j1"), 10)
    await case.check(machine, outcome)
    changes = machine.runtime.changes
    if power_fails:
        assert set(changes) == set(case.changes)
    else:
        assert changes == case.changes
    assert machine.runtime.overlaps == 0


@pytest.mark.parametrize("name", CASES)
async def test_killed_at_any_moment_it_comes_to_the_same_end(name: str) -> None:
    for turns in await moments(CASES[name]):
        for written in (0, 1):
            with said_where(f"killed after {turns} turns, {written} written"):
                await live(CASES[name], [turns], written=written)


@pytest.mark.parametrize("name", [name for name in CASES if name != "restarted"])
async def test_where_the_power_fails_with_it_the_step_is_done_again_and_the_end_is_the_same(
    name: str,
) -> None:
    for turns in (await moments(CASES[name]))[::2]:
        with said_where(f"killed after {turns} turns"):
            await live(CASES[name], [turns], written=0, power_fails=True)


@pytest.mark.parametrize("name", CASES)
async def test_killed_again_and_again_it_comes_to_the_same_end(name: str) -> None:
    turns = await moments(CASES[name])
    for first, second, third in zip(turns[::4], turns[1::3], reversed(turns), strict=False):
        with said_where(f"killed after {first}, {second}, {third} turns"):
            await live(CASES[name], [first, second, third], written=1)


@contextlib.contextmanager
def said_where(where: str) -> Iterator[None]:
    try:
        yield
    except (AssertionError, InstaDeployError, TimeoutError) as exc:
        raise AssertionError(f"{where}: {exc!r}") from exc
