"""The steps of a job: each is carried out once, whenever the agent dies, and ends truthfully."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from application.agent.attempts import OVERDUE_S
from application.agent.handling import Failed
from application.agent.job_book import JobBook, JournalFailed
from application.agent.live_output import LiveOutput
from application.agent.step_plan import ATTEMPTS, StepPlan, StepReport
from application.agent.steps import STARTS, JobSteps
from application.ports.compose_executor import ComposeAction, ComposeOptions
from domain.commands import digest_of
from domain.errors import Canceled, NoSpace, RuntimeUnavailable
from domain.records import JobAccepted, StepExited, StepStarted, StepStarting
from tests.builders import compose_content, deploy
from tests.fakes.clock import settle
from tests.fakes.compose_executor import FakeComposeExecutor
from tests.fakes.compose_runtime import Scripted
from tests.fakes.job_journal import FakeJobJournal
from tests.fakes.machine import FakeMachine

CREATED = " Container blog-web-1  Created\n Container blog-web-1  Started\n"
STEP_RECORDS = (StepStarting, StepStarted, StepExited)


class Life:
    """One life of an agent that carries one job out. `die` ends it as SIGKILL does."""

    def __init__(self, machine: FakeMachine, deadline: float | None = None) -> None:
        self.machine = machine
        self.journal = FakeJobJournal(machine.disk)
        self.book = JobBook(journal=self.journal, clock=machine.clock, new_epoch=machine.token)
        self.live = LiveOutput()
        tools = machine.step_tools(self.book, self.live)
        self.steps = JobSteps("j1", deadline, tools)
        self.task: asyncio.Task[StepReport] | None = None

    async def begin(self, plan: StepPlan) -> asyncio.Task[StepReport]:
        """Carry a step out, as far as it goes by itself."""
        await self.book.open()
        command = deploy()
        moment = self.machine.clock.since_boot()
        await self.book.record(JobAccepted("j1", command, digest_of(command), moment))
        return self.go_on(plan)

    def go_on(self, plan: StepPlan) -> asyncio.Task[StepReport]:
        self.task = asyncio.create_task(self.steps.run(plan))
        return self.task

    async def die(self, *, written: int = 0) -> None:
        """What waits for the disk becomes durable, so much of it, and nobody is told."""
        self.journal.crash(written=written)
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait({self.task})


@pytest.fixture
def machine() -> FakeMachine:
    machine = FakeMachine()
    machine.files.put("blog", compose_content())
    return machine


async def plan_for(
    machine: FakeMachine, action: ComposeAction = ComposeAction.UP, deadline_s: float = 100.0
) -> StepPlan:
    project = await machine.files.locate(deploy().project)
    return StepPlan("apply", action, project, deadline_s, consequence="who knows")


def step_records(machine: FakeMachine) -> list[str]:
    """What is durable of the step, in order: kind and attempt."""
    return [
        f"{type(record).__name__} {record.attempt}"
        for record in machine.disk.records
        if isinstance(record, STEP_RECORDS)
    ]


async def run_again(machine: FakeMachine) -> StepReport:
    """Another life of the agent, in which nothing goes wrong."""
    return await (await Life(machine).begin(await plan_for(machine)))


# A step is carried out once.


async def test_a_step_is_announced_before_it_starts_and_its_exit_is_durable_before_it_is_told(
    machine: FakeMachine,
) -> None:
    assert await run_again(machine) == StepReport(CREATED, None)
    assert step_records(machine) == ["StepStarting 1", "StepStarted 1", "StepExited 1"]


@pytest.mark.parametrize("is_another_life", [False, True])
async def test_a_step_that_is_over_gives_what_it_gave_and_is_not_begun_again(
    machine: FakeMachine, is_another_life: bool
) -> None:
    life = Life(machine)
    plan = await plan_for(machine)
    first = await (await life.begin(plan))
    before = step_records(machine)
    again = await run_again(machine) if is_another_life else await life.go_on(plan)
    assert again == first
    assert len(machine.executor.starts) == 1
    assert step_records(machine) == before


async def test_a_failure_that_is_over_is_given_again_too(machine: FakeMachine) -> None:
    machine.runtime.script("up", Scripted(exit_code=18, output=b"pull access denied\n"))
    first = await run_again(machine)
    assert first.failure == Failed(
        "docker compose up failed with exit code 18; who knows",
        cause="pull access denied",
        logs="pull access denied\n",
        data={"reason": "compose_failed", "exit_code": 18},
    )
    assert await run_again(machine) == first
    assert len(machine.executor.starts) == 1


async def test_killed_before_the_announcement_is_durable_nothing_was_started(
    machine: FakeMachine,
) -> None:
    life = Life(machine)
    task = await life.begin(await plan_for(machine))
    machine.disk.hold()
    await settle()
    assert (machine.disk.is_held.is_set(), task.done()) == (True, False)
    await life.die()
    machine.disk.release()
    assert machine.executor.starts == []
    assert (await run_again(machine)).failure is None
    assert len(machine.executor.starts) == 1
    assert step_records(machine) == ["StepStarting 1", "StepStarted 1", "StepExited 1"]


async def test_killed_between_the_announcement_and_the_start_it_is_started_once_under_another_token(
    machine: FakeMachine,
) -> None:
    life = Life(machine)
    await life.begin(await plan_for(machine))
    machine.disk.hold()
    await settle()
    await life.die(written=1)
    machine.disk.release()
    assert step_records(machine) == ["StepStarting 1"]
    assert (await run_again(machine)).failure is None
    assert len(machine.executor.starts) == 1
    assert step_records(machine) == [
        "StepStarting 1",
        "StepExited 1",
        "StepStarting 2",
        "StepStarted 2",
        "StepExited 2",
    ]


async def test_a_start_that_was_under_way_when_the_agent_died_is_revoked_and_never_happens(
    machine: FakeMachine,
) -> None:
    held = machine.executor.hold_next_start()
    life = Life(machine)
    task = await life.begin(await plan_for(machine))
    await held.begun.wait()
    life.journal.crash()
    assert (await run_again(machine)).failure is None
    held.release.set()
    await settle()
    assert len(machine.executor.starts) == 1
    task.cancel()
    await asyncio.wait({task})


async def test_killed_after_the_start_and_before_that_is_durable_what_runs_is_found(
    machine: FakeMachine,
) -> None:
    up = machine.runtime.hang("up")
    held = machine.executor.hold_next_start()
    life = Life(machine)
    await life.begin(await plan_for(machine))
    await held.begun.wait()
    machine.disk.hold()
    held.release.set()
    await machine.disk.is_held.wait()
    await life.die()
    machine.disk.release()
    assert step_records(machine) == ["StepStarting 1"]
    again = await Life(machine).begin(await plan_for(machine))
    await settle()
    assert step_records(machine) == ["StepStarting 1", "StepStarted 1"]
    up.release.set()
    assert (await again).failure is None
    assert len(machine.executor.starts) == 1


@pytest.mark.parametrize("ends_meanwhile", [False, True])
async def test_killed_while_a_step_runs_it_goes_on_and_is_found_again(
    machine: FakeMachine, ends_meanwhile: bool
) -> None:
    up = machine.runtime.hang("up")
    life = Life(machine)
    await life.begin(await plan_for(machine))
    await up.started.wait()
    await settle()
    await life.die()
    assert machine.runtime.calls_under_way == 1
    if ends_meanwhile:
        up.release.set()
        await settle()
    again = await Life(machine).begin(await plan_for(machine))
    up.release.set()
    assert await again == StepReport(CREATED, None)
    assert len(machine.executor.starts) == 1


@pytest.mark.parametrize("written", [0, 1])
async def test_killed_when_a_step_is_over_and_that_is_being_written_down_it_is_not_begun_again(
    machine: FakeMachine, written: int
) -> None:
    up = machine.runtime.hang("up")
    life = Life(machine)
    await life.begin(await plan_for(machine))
    await up.started.wait()
    await settle()
    machine.disk.hold()
    up.release.set()
    await machine.disk.is_held.wait()
    await life.die(written=written)
    machine.disk.release()
    assert await run_again(machine) == StepReport(CREATED, None)
    assert len(machine.executor.starts) == 1
    assert step_records(machine).count("StepExited 1") == 1


async def test_stopped_and_not_killed_it_leaves_the_step_alone_as_well(
    machine: FakeMachine,
) -> None:
    up = machine.runtime.hang("up")
    life = Life(machine)
    task = await life.begin(await plan_for(machine))
    await up.started.wait()
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (machine.runtime.cancelled, machine.runtime.calls_under_way) == ([], 1)
    assert machine.clock.sleepers == 1  # The executor's own, for its deadline.
    up.release.set()
    assert (await run_again(machine)).failure is None


# A step that is killed.


async def test_a_step_that_was_killed_is_tried_again_once_its_predecessor_is_dead(
    machine: FakeMachine,
) -> None:
    up = machine.runtime.hang("up")
    task = await Life(machine).begin(await plan_for(machine))
    await up.started.wait()
    machine.executor.interrupt()
    assert await task == StepReport(CREATED, None)
    assert step_records(machine) == [
        f"{kind} {attempt}"
        for attempt in (1, 2)
        for kind in ("StepStarting", "StepStarted", "StepExited")
    ]
    assert machine.runtime.overlaps == 0
    tokens = [token for token, _, _ in machine.executor.starts]
    assert len(set(tokens)) == 2


@pytest.mark.parametrize("exit_code", [-9, -15, -2, 130, 137, 143, 255])
async def test_what_a_signal_ended_is_tried_again(machine: FakeMachine, exit_code: int) -> None:
    machine.runtime.script("up", Scripted(exit_code=exit_code))
    assert await run_again(machine) == StepReport(CREATED, None)
    assert len(machine.executor.starts) == 2


@pytest.mark.parametrize("exit_code", [1, 15, 18, 127, 128, 129, 254])
async def test_what_ended_by_itself_is_not_tried_again(
    machine: FakeMachine, exit_code: int
) -> None:
    machine.runtime.script("up", Scripted(exit_code=exit_code))
    report = await run_again(machine)
    assert report.failure is not None
    assert report.failure.data == {"reason": "compose_failed", "exit_code": exit_code}
    assert len(machine.executor.starts) == 1


async def test_a_step_that_is_killed_three_times_has_failed(machine: FakeMachine) -> None:
    for number in range(1, ATTEMPTS + 1):
        machine.runtime.script("up", Scripted(exit_code=-9, output=f"try {number}\n".encode()))
    report = await run_again(machine)
    assert report == StepReport(
        "try 3\n",
        Failed(
            "docker compose up was killed 3 times; who knows",
            logs="try 3\n",
            data={"reason": "interrupted"},
        ),
    )
    assert await run_again(machine) == report
    assert len(machine.executor.starts) == ATTEMPTS


async def test_three_is_counted_over_all_lives_of_the_agent(machine: FakeMachine) -> None:
    for _ in range(ATTEMPTS):
        up = machine.runtime.hang("up")
        life = Life(machine)
        await life.begin(await plan_for(machine))
        await up.started.wait()
        await settle()
        await life.die()
        machine.executor.interrupt()
        await settle()
    report = await run_again(machine)
    assert report.failure is not None
    assert report.failure.data == {"reason": "interrupted"}
    assert len(machine.executor.starts) == ATTEMPTS


async def test_starts_that_came_to_nothing_are_not_counted_as_killed(machine: FakeMachine) -> None:
    for _ in range(ATTEMPTS + 2):
        held = machine.executor.hold_next_start()
        life = Life(machine)
        await life.begin(await plan_for(machine))
        await held.begun.wait()
        await life.die()
    assert machine.executor.starts == []
    assert (await run_again(machine)).failure is None


async def test_an_agent_that_always_dies_before_the_start_comes_to_an_end_too(
    machine: FakeMachine,
) -> None:
    life = Life(machine)
    await (await life.begin(await plan_for(machine, ComposeAction.BUILD)))
    for number in range(1, STARTS + 1):
        await life.book.record(StepStarting("j1", "other", number, machine.token(), "boot-1"))
        await life.book.record(StepExited("j1", "other", number, None))
    report = await life.go_on(replace(await plan_for(machine), name="other"))
    assert report.failure is not None
    assert report.failure.data == {"reason": "interrupted"}
    assert len(machine.executor.starts) == 1


async def test_after_a_reboot_a_step_is_tried_again(machine: FakeMachine) -> None:
    up = machine.runtime.hang("up")
    life = Life(machine)
    await life.begin(await plan_for(machine))
    await up.started.wait()
    await settle()
    await life.die()
    await machine.executor.reboot()
    machine.clock.boot_id = "boot-2"
    assert (await run_again(machine)).failure is None
    assert len(machine.executor.starts) == 2


# The names of containers.


async def test_names_are_put_right_before_an_up_and_after_one_that_was_killed(
    machine: FakeMachine,
) -> None:
    await run_again(machine)
    assert (machine.names.asked, machine.names.settled) == (["blog"], [])
    machine.names.asked.clear()
    machine.runtime.misname("blog", "web")
    up = machine.runtime.hang("up")
    life = Life(machine)
    await life.book.open()
    task = life.go_on(replace(await plan_for(machine), name="again"))
    await up.started.wait()
    assert machine.runtime.names_on_engine("blog") == ["blog-web-1"]
    assert (machine.names.asked, machine.names.settled) == (["blog"], [])
    machine.runtime.misname("blog", "web")
    machine.executor.interrupt()
    assert (await task).failure is None
    # Before the second attempt, once the engine has come to rest, and after it.
    assert (machine.names.asked, machine.names.settled) == (["blog"] * 3, ["blog"])
    assert machine.runtime.names_on_engine("blog") == ["blog-web-1"]


@pytest.mark.parametrize("action", [ComposeAction.BUILD, ComposeAction.DOWN])
async def test_other_steps_touch_no_names(machine: FakeMachine, action: ComposeAction) -> None:
    step = machine.runtime.hang(action.value)
    task = await Life(machine).begin(await plan_for(machine, action))
    await step.started.wait()
    machine.executor.interrupt()
    assert (await task).failure is None
    assert machine.names.asked == []
    assert machine.names.settled == (["blog"] if action is ComposeAction.DOWN else [])


async def test_names_that_cannot_be_asked_about_do_not_keep_an_up_from_being_tried(
    machine: FakeMachine,
) -> None:
    machine.names.unavailable = RuntimeUnavailable("the engine does not answer")
    assert (await run_again(machine)).failure is None


# An engine that is away.


async def test_another_attempt_waits_for_the_engine(machine: FakeMachine) -> None:
    up = machine.runtime.hang("up")
    task = await Life(machine).begin(await plan_for(machine))
    await up.started.wait()
    machine.engine.is_down = True
    machine.executor.interrupt()
    await machine.clock.advance(30)
    assert (task.done(), len(machine.executor.starts)) == (False, 1)
    machine.engine.is_down = False
    await machine.clock.advance(1)
    assert (await task).failure is None


async def test_an_engine_that_stays_away_is_said_at_the_deadline(machine: FakeMachine) -> None:
    up = machine.runtime.hang("up")
    task = await Life(machine).begin(await plan_for(machine, deadline_s=20))
    await up.started.wait()
    machine.engine.is_down = True
    machine.executor.interrupt()
    await machine.clock.advance(19)
    assert not task.done()
    await machine.clock.advance(2)
    with pytest.raises(RuntimeUnavailable, match="start Docker Engine"):
        await task
    assert len(machine.executor.starts) == 1


# Starts that fail.


@pytest.mark.parametrize("why", ["revoked", "full"])
async def test_a_start_that_fails_is_an_attempt_that_never_ran(
    machine: FakeMachine, why: str
) -> None:
    plan = await plan_for(machine)
    if why == "full":
        machine.executor.is_full = True
        with pytest.raises(NoSpace):
            await (await Life(machine).begin(plan))
    else:
        machine.runtime.unavailable = RuntimeUnavailable("there is no program 'docker'")
        with pytest.raises(RuntimeUnavailable, match="docker"):
            await (await Life(machine).begin(plan))
    assert machine.executor.starts == []
    assert step_records(machine) == ["StepStarting 1", "StepExited 1"]
    machine.executor.is_full, machine.runtime.unavailable = False, None
    assert (await run_again(machine)).failure is None


async def test_a_journal_that_fails_is_no_result_of_the_step(machine: FakeMachine) -> None:
    life = Life(machine)
    task = await life.begin(await plan_for(machine))
    machine.disk.fails = True
    with pytest.raises(JournalFailed):
        await task
    assert machine.executor.starts == []


async def test_a_full_disk_does_not_keep_steps_from_being_written_down(
    machine: FakeMachine,
) -> None:
    life = Life(machine)
    task = await life.begin(await plan_for(machine))
    machine.disk.is_full = True
    assert (await task).failure is None


# Cancelling.


async def test_a_step_that_is_cancelled_before_it_begins_is_not_begun(machine: FakeMachine) -> None:
    life = Life(machine)
    life.steps.cancel()
    with pytest.raises(Canceled, match="canceled before docker compose up was begun"):
        await (await life.begin(await plan_for(machine)))
    assert (machine.executor.starts, step_records(machine)) == ([], [])


async def test_a_step_that_is_cancelled_while_it_runs_is_ended_and_says_what_it_had_printed(
    machine: FakeMachine,
) -> None:
    up = machine.runtime.script("up", Scripted(output=b"pulling\n", hangs=True))
    life = Life(machine)
    task = await life.begin(await plan_for(machine))
    await up.started.wait()
    life.steps.cancel()
    with pytest.raises(Canceled) as raised:
        await task
    assert str(raised.value) == "canceled during docker compose up; who knows"
    assert raised.value.logs == "pulling\n"
    assert machine.runtime.cancelled == [("up", "blog")]
    assert len(machine.executor.starts) == 1


async def test_a_cancellation_that_outlived_the_agent_ends_the_step_that_is_found_again(
    machine: FakeMachine,
) -> None:
    up = machine.runtime.hang("up")
    life = Life(machine)
    await life.begin(await plan_for(machine))
    await up.started.wait()
    await settle()
    await life.die()
    again = Life(machine)
    again.steps.cancel()
    with pytest.raises(Canceled, match="canceled during docker compose up"):
        await (await again.begin(await plan_for(machine)))
    assert machine.runtime.cancelled == [("up", "blog")]


async def test_a_second_attempt_that_is_found_again_is_ended_too(machine: FakeMachine) -> None:
    """Found by the simulation: the job was over, and the attempt that ran went on."""
    first, second = machine.runtime.hang("up"), machine.runtime.hang("up")
    life = Life(machine)
    await life.begin(await plan_for(machine))
    await first.started.wait()
    await settle()
    machine.executor.interrupt()
    await second.started.wait()
    await settle()
    await life.die()
    again = Life(machine)
    again.steps.cancel()
    with pytest.raises(Canceled, match="canceled during docker compose up"):
        await (await again.begin(await plan_for(machine)))
    assert len(machine.executor.starts) == 2
    assert all(run.over.is_set() for run in machine.executor.runs.values())


async def test_a_step_that_came_to_its_own_end_first_has_succeeded(machine: FakeMachine) -> None:
    up = machine.runtime.hang("up")
    life = Life(machine)
    task = await life.begin(await plan_for(machine))
    await up.started.wait()
    await settle()
    machine.disk.hold()
    up.release.set()
    await machine.disk.is_held.wait()
    life.steps.cancel()
    machine.disk.release()
    assert await task == StepReport(CREATED, None)


async def test_no_other_attempt_is_begun_once_it_is_cancelled(machine: FakeMachine) -> None:
    up = machine.runtime.hang("up")
    life = Life(machine)
    task = await life.begin(await plan_for(machine))
    await up.started.wait()
    await settle()
    machine.disk.hold()
    machine.executor.interrupt()
    await machine.disk.is_held.wait()
    life.steps.cancel()
    machine.disk.release()
    with pytest.raises(Canceled, match="canceled during docker compose up"):
        await task
    assert len(machine.executor.starts) == 1


@pytest.mark.parametrize("comes_back", [False, True])
async def test_cancelled_while_it_waits_for_the_engine_it_begins_no_other_attempt(
    machine: FakeMachine, comes_back: bool
) -> None:
    up = machine.runtime.hang("up")
    life = Life(machine)
    task = await life.begin(await plan_for(machine))
    await up.started.wait()
    machine.engine.is_down = True
    machine.executor.interrupt()
    await machine.clock.advance(3)
    life.steps.cancel()
    machine.engine.is_down = not comes_back
    await machine.clock.advance(1)
    with pytest.raises(Canceled, match=r"^canceled.*; who knows$"):
        await task
    assert len(machine.executor.starts) == 1


# Deadlines.


async def test_a_step_ends_at_its_deadline_and_says_so(machine: FakeMachine) -> None:
    up = machine.runtime.script("up", Scripted(output=b"pulling\n", hangs=True))
    task = await Life(machine).begin(await plan_for(machine))
    await up.started.wait()
    await machine.clock.advance(99)
    assert not task.done()
    await machine.clock.advance(1)
    assert await task == StepReport(
        "pulling\n",
        Failed(
            "docker compose up took longer than 100 s and was ended; who knows",
            logs="pulling\n",
            data={"reason": "deadline"},
        ),
    )
    assert len(machine.executor.starts) == 1


async def test_a_step_ends_at_the_jobs_deadline_where_that_is_sooner(machine: FakeMachine) -> None:
    up = machine.runtime.hang("up")
    deadline = machine.clock.since_boot().seconds + 10
    task = await Life(machine, deadline).begin(await plan_for(machine))
    await up.started.wait()
    await machine.clock.advance(10)
    report = await task
    assert report.failure == Failed(
        "docker compose up was ended, because the job's deadline had passed; who knows",
        data={"reason": "deadline"},
    )


async def test_all_attempts_together_have_the_time_of_one(machine: FakeMachine) -> None:
    machine.runtime.hang("up")
    up = machine.runtime.hang("up")
    task = await Life(machine).begin(await plan_for(machine))
    await machine.clock.advance(60)
    machine.executor.interrupt()
    await up.started.wait()
    await machine.clock.advance(40)
    report = await task
    assert report.failure is not None
    assert report.failure.data == {"reason": "deadline"}


async def test_a_supervisor_that_does_not_end_a_step_in_time_is_made_to(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeComposeExecutor, "_end_late", lambda *_: asyncio.Event().wait())
    up = machine.runtime.hang("up")
    task = await Life(machine).begin(await plan_for(machine))
    await up.started.wait()
    await machine.clock.advance(100 + OVERDUE_S - 1)
    assert not task.done()
    await machine.clock.advance(1)
    report = await task
    assert report.failure is not None
    assert report.failure.data == {"reason": "deadline"}
    assert machine.runtime.cancelled == [("up", "blog")]


# Output.


async def test_long_output_is_reported_without_its_middle(machine: FakeMachine) -> None:
    machine.runtime.script("up", Scripted(exit_code=1, output=b"a" * 2**15 + b"b" * 2**20))
    report = await run_again(machine)
    head, said, tail = report.output.split("\n")
    assert (head, tail) == ("a" * 32 * 1024, "b" * 96 * 1024)
    assert said == f"[... {2**20 - 96 * 1024} bytes of output were dropped here ...]"


async def test_output_of_which_the_executor_kept_no_middle_is_reported_the_same_way(
    machine: FakeMachine,
) -> None:
    machine.executor = FakeComposeExecutor(
        machine.runtime, machine.clock, head_bytes=1000, tail_bytes=100
    )
    machine.runtime.script("up", Scripted(exit_code=1, output=b"a" * 1000 + b"b" * 500))
    report = await run_again(machine)
    assert report.output == (
        "a" * 1000 + "\n[... 400 bytes of output were dropped here ...]\n" + "b" * 100
    )


async def test_each_attempt_can_be_read_while_it_runs(machine: FakeMachine) -> None:
    up = machine.runtime.script("up", Scripted(output=b"pulling\n", hangs=True))
    life = Life(machine)
    task = await life.begin(await plan_for(machine))
    await up.started.wait()
    (printed,) = life.live.steps("j1")
    assert (printed.step, printed.attempt) == ("apply", 1)
    assert await printed.running.output(0, 100) == (0, b"pulling\n")
    machine.executor.interrupt()
    await task
    assert [step.attempt for step in life.live.steps("j1")] == [1, 2]


# What is not repeated, and what is passed on.


@pytest.mark.parametrize("written", [0, 1])
async def test_a_restart_that_is_killed_is_not_repeated(machine: FakeMachine, written: int) -> None:
    plan = await plan_for(machine, ComposeAction.RESTART)
    restart = machine.runtime.hang("restart")
    life = Life(machine)
    task = await life.begin(plan)
    await restart.started.wait()
    await settle()
    if written:
        await life.die()
        task = await Life(machine).begin(plan)
    machine.executor.interrupt()
    report = await task
    assert report.failure == Failed(
        "docker compose restart was killed; who knows", data={"reason": "interrupted"}
    )
    assert len(machine.executor.starts) == 1


async def test_options_are_passed_on_with_every_attempt(machine: FakeMachine) -> None:
    options = ComposeOptions(("debug",), ("web",), remove_orphans=True, docker_config="/c")
    machine.runtime.script("up", Scripted(exit_code=-9))
    plan = replace(await plan_for(machine), options=options)
    assert (await (await Life(machine).begin(plan))).failure is None
    assert machine.runtime.options == [("up", options)] * 2


async def test_volumes_that_go_too_are_said_in_the_words_of_people(machine: FakeMachine) -> None:
    machine.runtime.script("remove", Scripted(exit_code=1))
    report = await (await Life(machine).begin(await plan_for(machine, ComposeAction.REMOVE)))
    assert report.failure is not None
    assert report.failure.what.startswith("docker compose down --volumes failed with exit code 1")


async def test_containers_that_somebody_has_renamed_have_their_names_again_before_up(
    machine: FakeMachine,
) -> None:
    await run_again(machine)
    renamed = machine.state.change("blog", "blog-web-1", name="by-hand")
    life = Life(machine)
    await life.book.open()
    plan = replace(await plan_for(machine), name="again", names={renamed.id: "blog-web-1"})
    await life.go_on(plan)
    assert machine.runtime.names_on_engine("blog") == ["blog-web-1"]


async def test_a_step_that_failed_because_the_engine_was_lost_is_tried_again(
    machine: FakeMachine,
) -> None:
    up = machine.runtime.script("up", Scripted(exit_code=1, output=b"EOF\n", hangs=True))
    task = await Life(machine).begin(await plan_for(machine))
    await up.started.wait()
    machine.engine.is_down = True
    up.release.set()
    await machine.clock.advance(10)
    assert (task.done(), len(machine.executor.starts)) == (False, 1)
    machine.engine.is_down = False
    await machine.clock.advance(1)
    assert await task == StepReport(CREATED, None)
    assert await run_again(machine) == StepReport(CREATED, None)
    assert len(machine.executor.starts) == 2


@pytest.mark.parametrize(
    "action", [ComposeAction.UP, ComposeAction.DOWN, ComposeAction.REMOVE], ids=lambda one: one.name
)
async def test_a_step_that_failed_because_the_engine_kept_a_container_is_tried_again(
    machine: FakeMachine, action: ComposeAction, caplog: pytest.LogCaptureFixture
) -> None:
    await run_again(machine)
    script = Scripted(exit_code=1, output=b"unable to remove filesystem\n", hangs=True)
    failing = machine.runtime.script(action.name.lower(), script)
    life = Life(machine)
    await life.book.open()
    task = life.go_on(replace(await plan_for(machine, action), name="again"))
    await failing.started.wait()
    machine.runtime.remove_by_half("blog", "web")
    failing.release.set()
    report = await task
    assert report.failure is None
    assert machine.executor.actions_of("blog") == [ComposeAction.UP, action, action]
    assert "the engine did not get the container blog-web-1 removed" in caplog.text
    assert machine.runtime.names_on_engine("blog") == ["blog-web-1"] * (action is ComposeAction.UP)


async def test_a_container_that_the_engine_never_gets_removed_is_a_failure_in_the_end(
    machine: FakeMachine,
) -> None:
    await run_again(machine)
    life = Life(machine)
    await life.book.open()
    for _ in range(ATTEMPTS):
        machine.runtime.script("down", Scripted(exit_code=1, output=b"unable to remove\n"))
    machine.runtime.remove_by_half("blog", "web")
    plan = replace(await plan_for(machine, ComposeAction.DOWN), name="again")
    report = await life.go_on(plan)
    assert report.failure is not None
    assert report.failure.cause == "unable to remove"
    assert machine.executor.actions_of("blog")[1:] == [ComposeAction.DOWN] * ATTEMPTS


async def test_what_cannot_be_asked_for_a_kept_container_has_failed_at_once(
    machine: FakeMachine,
) -> None:
    machine.names.unavailable = RuntimeUnavailable("Docker Engine does not answer")
    machine.runtime.script("up", Scripted(exit_code=1))
    report = await run_again(machine)
    assert report.failure is not None
    assert report.failure.data == {"reason": "compose_failed", "exit_code": 1}
    assert len(machine.executor.starts) == 1


# Stages.


async def test_a_step_is_a_stage_of_its_job_and_takes_as_long_as_its_attempts(
    machine: FakeMachine,
) -> None:
    machine.runtime.hang("up")
    up = machine.runtime.hang("up")
    life = Life(machine)
    task = await life.begin(await plan_for(machine))
    await machine.clock.advance(2)
    machine.executor.interrupt()
    await up.started.wait()
    await machine.clock.advance(3)
    up.release.set()
    await task
    assert life.steps.stages.report() == [{"step": "apply", "state": "ok", "seconds": 5.0}]


async def test_a_step_that_was_over_before_this_life_took_as_long_as_it_took(
    machine: FakeMachine,
) -> None:
    up = machine.runtime.script("up", Scripted(exit_code=1, hangs=True))
    task = await Life(machine).begin(await plan_for(machine))
    await up.started.wait()
    await machine.clock.advance(7)
    up.release.set()
    await task
    again = Life(machine)
    await (await again.begin(await plan_for(machine)))
    assert again.steps.stages.report() == [{"step": "apply", "state": "failed", "seconds": 7.0}]


async def test_a_step_that_is_cancelled_is_a_stage_that_was(machine: FakeMachine) -> None:
    up = machine.runtime.hang("up")
    life = Life(machine)
    task = await life.begin(await plan_for(machine))
    await up.started.wait()
    life.steps.cancel()
    with pytest.raises(Canceled):
        await task
    assert life.steps.stages.report()[0]["state"] == "canceled"


# Taking back.


async def test_steps_that_take_back_are_not_cancelled_and_have_no_deadline(
    machine: FakeMachine,
) -> None:
    life = Life(machine, deadline=machine.clock.since_boot().seconds + 1)
    await life.book.open()
    await life.book.record(
        JobAccepted("j1", deploy(), digest_of(deploy()), machine.clock.since_boot())
    )
    await machine.clock.advance(5)
    life.steps.cancel()
    assert life.steps.is_canceled
    undoing = life.steps.undoing("rollback")
    assert undoing.time_left_s(60) == 60
    report = await undoing.run(replace(await plan_for(machine), name="rollback"))
    assert report.failure is None
    with undoing.stages.speaking("wait"):
        pass
    assert [one["step"] for one in life.steps.stages.report()] == ["rollback", "rollback: wait"]
    life.steps.cancel()
    await asyncio.wait_for(_paused(machine, undoing), 5)


async def _paused(machine: FakeMachine, steps: JobSteps) -> None:
    pausing = asyncio.create_task(steps.pause(1, "who knows"))
    await machine.clock.advance(1)
    await pausing


async def test_the_engine_is_waited_for_and_no_longer_than_is_said(machine: FakeMachine) -> None:
    steps = Life(machine).steps
    await steps.engine_answers(0, "who knows")
    machine.engine.is_down = True
    waiting = asyncio.create_task(steps.engine_answers(10, "who knows"))
    await machine.clock.advance(9)
    assert not waiting.done()
    await machine.clock.advance(2)
    with pytest.raises(RuntimeUnavailable, match="start Docker Engine"):
        await waiting


# Pauses, and what is left of the time.


async def test_a_pause_lasts_as_long_as_it_says(machine: FakeMachine) -> None:
    steps = Life(machine).steps
    pausing = asyncio.create_task(steps.pause(2, "who knows"))
    await machine.clock.advance(1.9)
    assert not pausing.done()
    await machine.clock.advance(0.1)
    await pausing
    assert machine.clock.sleepers == 0


async def test_a_pause_ends_when_the_job_is_cancelled(machine: FakeMachine) -> None:
    steps = Life(machine).steps
    pausing = asyncio.create_task(steps.pause(2, "who knows"))
    await settle()
    steps.cancel()
    with pytest.raises(Canceled, match=r"^canceled; who knows$"):
        await pausing
    assert machine.clock.sleepers == 0


async def test_a_pause_whose_task_is_cancelled_leaves_nothing_behind(machine: FakeMachine) -> None:
    pausing = asyncio.create_task(Life(machine).steps.pause(2, "who knows"))
    await settle()
    pausing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pausing
    assert machine.clock.sleepers == 0


async def test_the_time_that_is_left_is_bounded_by_the_jobs_deadline(machine: FakeMachine) -> None:
    assert Life(machine).steps.time_left_s(60) == 60
    steps = Life(machine, machine.clock.since_boot().seconds + 10).steps
    assert (steps.time_left_s(60), steps.time_left_s(5)) == (10, 5)
    await machine.clock.advance(20)
    assert steps.time_left_s(60) == 0


# Questions before the first step.


async def test_a_question_that_hangs_is_given_up_and_says_that_nothing_was_changed(
    machine: FakeMachine,
) -> None:
    life = Life(machine)
    asking = asyncio.create_task(
        life.steps.ask("asking for its version", 5, _hang()), name="asking"
    )
    await machine.clock.advance(5)
    with pytest.raises(RuntimeUnavailable) as raised:
        await asking
    assert str(raised.value) == (
        "asking for its version took longer than 5 s and was ended; nothing was changed"
    )


async def test_a_question_ends_when_the_job_is_cancelled(machine: FakeMachine) -> None:
    life = Life(machine)
    asking = asyncio.create_task(life.steps.ask("asking for its version", 5, _hang()))
    await settle()
    life.steps.cancel()
    with pytest.raises(Canceled, match="canceled while asking for its version; nothing was"):
        await asking


async def test_what_a_question_raises_passes_through(machine: FakeMachine) -> None:
    async def fail() -> None:
        raise RuntimeUnavailable("there is no program 'docker'")

    with pytest.raises(RuntimeUnavailable, match="no program"):
        await Life(machine).steps.ask("asking", 5, fail())


async def _hang() -> None:
    await asyncio.Event().wait()


# What an earlier life began, and nobody goes on with.


async def test_what_an_earlier_life_began_is_ended_and_written_down(machine: FakeMachine) -> None:
    up = machine.runtime.hang("up")
    life = Life(machine)
    await life.begin(await plan_for(machine))
    await up.started.wait()
    await settle()
    await life.die()
    again = Life(machine)
    await again.book.open()
    await again.steps.end_what_runs()
    assert machine.runtime.cancelled == [("up", "blog")]
    assert [(one.step, one.attempt) for one in again.live.steps("j1")] == [("apply", 1)]
    assert step_records(machine) == ["StepStarting 1", "StepStarted 1", "StepExited 1"]
    (attempt,) = again.book.ledger.jobs["j1"].attempts
    assert attempt.exit is not None
    assert attempt.exit.ended_by == "cancel"
    await again.steps.end_what_runs()
    assert len(step_records(machine)) == 3


async def test_what_an_earlier_life_was_about_to_begin_never_begins(machine: FakeMachine) -> None:
    held = machine.executor.hold_next_start()
    life = Life(machine)
    task = await life.begin(await plan_for(machine))
    await held.begun.wait()
    life.journal.crash()
    again = Life(machine)
    await again.book.open()
    await again.steps.end_what_runs()
    assert step_records(machine) == ["StepStarting 1", "StepExited 1"]
    held.release.set()
    await settle()
    assert machine.executor.starts == []
    task.cancel()
    await asyncio.wait({task})
