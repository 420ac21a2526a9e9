"""The stages of a job: what is said of them live, and in `data.steps`."""

from __future__ import annotations

import asyncio

import pytest

from application.agent.live_output import LiveOutput
from application.agent.stages import MAX_SPOKEN_BYTES, Stages
from domain.errors import Canceled, InvalidInput
from tests.fakes.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def live() -> LiveOutput:
    return LiveOutput()


@pytest.fixture
def stages(clock: FakeClock, live: LiveOutput) -> Stages:
    return Stages("j1", clock, live)


async def test_they_are_reported_in_order_with_their_state_and_duration(
    stages: Stages, clock: FakeClock
) -> None:
    with stages.speaking("validate"):
        await clock.advance(0.25)
    with stages.running("apply") as apply:
        await clock.advance(1.23456)
        apply.fail()
    assert stages.report() == [
        {"step": "validate", "state": "ok", "seconds": 0.25},
        {"step": "apply", "state": "failed", "seconds": 1.235},
    ]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (InvalidInput("x", "y"), "failed"),
        (Canceled("canceled"), "canceled"),
        (asyncio.CancelledError(), "canceled"),
    ],
)
def test_one_that_raises_has_not_gone_well(
    stages: Stages, error: BaseException, state: str
) -> None:
    with pytest.raises(type(error)), stages.running("apply"):
        raise error
    assert stages.report() == [{"step": "apply", "state": state, "seconds": 0.0}]


async def test_a_stage_that_was_over_before_knows_better_how_long_it_took(
    stages: Stages, clock: FakeClock
) -> None:
    with stages.running("apply") as apply:
        apply.seconds = 12.5
    assert stages.report()[0]["seconds"] == 12.5


async def test_sentences_are_live_output_while_the_stage_lasts_and_afterwards(
    stages: Stages, live: LiveOutput
) -> None:
    with stages.speaking("policy") as stage:
        stage.say("allowed")
        (printed,) = live.steps("j1")
        assert (printed.step, printed.attempt, printed.token) == ("policy", 1, "")
        assert await printed.running.output(0, 100) == (0, b"allowed\n")
        assert not printed.is_spoken_to_its_end
        stage.say("indeed")
    assert await printed.running.output(8, 100) == (8, b"indeed\n")
    assert printed.is_spoken_to_its_end


def test_a_stage_that_fails_has_been_spoken_to_its_end(stages: Stages, live: LiveOutput) -> None:
    with pytest.raises(InvalidInput), stages.speaking("validate"):
        raise InvalidInput("x", "y")
    (printed,) = live.steps("j1")
    assert printed.is_spoken_to_its_end


def test_a_name_that_comes_twice_is_another_attempt(stages: Stages, live: LiveOutput) -> None:
    for _ in range(2):
        with stages.speaking("validate"):
            pass
    assert [(one.step, one.attempt) for one in live.steps("j1")] == [
        ("validate", 1),
        ("validate", 2),
    ]


async def test_what_a_stage_says_has_an_end(stages: Stages, live: LiveOutput) -> None:
    with stages.speaking("wait") as stage:
        for _ in range(3 * MAX_SPOKEN_BYTES // 1000):
            stage.say("x" * 1000)
    _, said = await live.steps("j1")[0].running.output(0, 10**9)
    assert MAX_SPOKEN_BYTES <= len(said) <= MAX_SPOKEN_BYTES + 1001


def test_stages_within_another_say_what_they_are_a_part_of_and_stand_in_one_report(
    stages: Stages, live: LiveOutput
) -> None:
    with stages.speaking("wait"):
        pass
    with stages.within("rollback").speaking("wait"):
        pass
    assert [one["step"] for one in stages.report()] == ["wait", "rollback: wait"]
    assert [one.step for one in live.steps("j1")] == ["wait", "rollback: wait"]
