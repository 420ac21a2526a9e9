"""HEALTH_CHECK: the agent is healthy when it can say so, whatever the engine does."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from application.agent.handling import Completed
from domain.commands import CheckHealth
from domain.errors import RuntimeUnavailable
from domain.policy import PERMISSIVE, STANDARD
from tests.builders import deploy
from tests.fakes.clock import EPOCH, settle
from tests.fakes.deployment import FakeDeployment
from tests.fakes.engine import DOWN

HEALTHY = "Agent is healthy and operational"


@pytest.fixture
def host() -> FakeDeployment:
    """One whose policy is nothing to warn of."""
    host = FakeDeployment()
    host.use(policy=STANDARD)
    return host


def at(seconds: float) -> str:
    return (EPOCH + timedelta(seconds=seconds)).isoformat()


async def ask(host: FakeDeployment) -> Completed:
    outcome = await host.health(CheckHealth())
    assert isinstance(outcome, Completed)
    return outcome


async def test_a_healthy_host_is_reported_in_full(host: FakeDeployment) -> None:
    await host.clock.advance(90)
    assert await ask(host) == Completed(
        HEALTHY,
        {
            "version": "1.0.0",
            "architecture": "linux-amd64",
            "hostname": "web-1",
            "uptime_s": 90.0,
            "host_uptime_s": 86_400.5,
            "engine": {
                "reachable": True,
                "version": "20.10.24",
                "api_version": "1.41",
                "checked_at": at(90),
            },
            "compose": {"available": True, "version": "2.26.1", "checked_at": at(90)},
            "identity": {"proof": "token"},
            "policy": {"name": "standard", "digest": STANDARD.digest, "warnings": []},
            "journal": {"intact": True, "open_jobs": 0},
        },
    )


async def test_a_policy_that_makes_the_control_plane_root_is_said_with_the_way_out() -> None:
    outcome = await ask(FakeDeployment())
    (warning,) = PERMISSIVE.warnings()
    assert "become root on this host" in warning
    assert outcome.logs == f"{HEALTHY}\n{warning}"
    assert outcome.data["policy"] == {
        "name": "permissive",
        "digest": PERMISSIVE.digest,
        "warnings": [warning],
    }


async def test_the_jobs_that_are_open_are_counted(host: FakeDeployment) -> None:
    up = host.runtime.hang("up")
    deploying = asyncio.create_task(host.deploy(deploy()))
    await up.started.wait()
    assert (await ask(host)).data["journal"] == {"intact": True, "open_jobs": 1}
    deploying.cancel()
    await asyncio.wait({deploying})


async def test_a_journal_that_was_damaged_is_said_in_another_line_and_in_data(
    host: FakeDeployment,
) -> None:
    host.disk.damage = "2 records could not be read"
    await host.jobs.open()
    outcome = await ask(host)
    assert outcome.logs == f"{HEALTHY}\nThe journal was damaged: 2 records could not be read"
    assert outcome.data["journal"] == {
        "intact": False,
        "detail": "2 records could not be read",
        "open_jobs": 0,
    }


async def test_an_engine_that_is_down_is_said_in_the_second_line_and_in_data(
    host: FakeDeployment,
) -> None:
    host.engine.is_down = True
    outcome = await ask(host)
    assert outcome.logs == f"{HEALTHY}\n{DOWN}"
    assert outcome.data["engine"] == {"reachable": False, "detail": DOWN, "checked_at": at(0)}


async def test_compose_that_is_missing_is_said_in_the_second_line_and_in_data(
    host: FakeDeployment,
) -> None:
    host.runtime.unavailable = RuntimeUnavailable("install Docker Compose")
    outcome = await ask(host)
    assert outcome.logs == f"{HEALTHY}\ninstall Docker Compose"
    assert outcome.data["compose"] == {
        "available": False,
        "detail": "install Docker Compose",
        "checked_at": at(0),
    }


async def test_both_may_be_missing(host: FakeDeployment) -> None:
    host.engine.is_down = True
    host.runtime.unavailable = RuntimeUnavailable("install Docker Compose")
    assert (await ask(host)).logs.splitlines() == [
        HEALTHY,
        DOWN,
        "install Docker Compose",
    ]


async def test_an_engine_and_a_compose_that_hang_are_given_up_after_the_deadline_together(
    host: FakeDeployment,
) -> None:
    host.engine.answers.clear()
    host.runtime.hang("version")
    asking = asyncio.create_task(ask(host))
    await host.clock.advance(4.9)
    assert not asking.done()
    await host.clock.advance(0.1)
    assert (await asking).logs.splitlines() == [
        HEALTHY,
        "asking Docker Engine took longer than 5 s and was ended",
        "asking Docker Compose for its version took longer than 5 s and was ended",
    ]


async def test_a_host_that_does_not_tell_its_uptime_is_healthy_too(host: FakeDeployment) -> None:
    host.host.uptime = None
    assert (await ask(host)).data["host_uptime_s"] is None


async def test_the_engine_is_asked_again_after_five_seconds_and_compose_after_a_minute(
    host: FakeDeployment,
) -> None:
    await ask(host)
    await host.clock.advance(4.9)
    assert (await ask(host)).data["engine"] == {
        "reachable": True,
        "version": "20.10.24",
        "api_version": "1.41",
        "checked_at": at(0),
    }
    assert (host.engine.asked, host.runtime.versions_asked) == (1, 1)
    await host.clock.advance(0.1)
    host.engine.version = "29.1.0"
    engine = (await ask(host)).data["engine"]
    assert isinstance(engine, dict)
    assert (engine["version"], engine["checked_at"]) == ("29.1.0", at(5))
    assert (host.engine.asked, host.runtime.versions_asked) == (2, 1)
    await host.clock.advance(55)
    await ask(host)
    assert (host.engine.asked, host.runtime.versions_asked) == (3, 2)


async def test_an_engine_that_came_back_is_reported_when_the_bad_news_has_aged(
    host: FakeDeployment,
) -> None:
    host.engine.is_down = True
    await ask(host)
    host.engine.is_down = False
    assert DOWN in (await ask(host)).logs
    await host.clock.advance(5)
    assert (await ask(host)).logs == HEALTHY


async def test_a_hundred_who_ask_at_once_cause_one_question(host: FakeDeployment) -> None:
    host.engine.answers.clear()
    asking = [asyncio.create_task(ask(host)) for _ in range(100)]
    await settle()
    host.engine.answers.set()
    outcomes = await asyncio.gather(*asking)
    assert {outcome.logs for outcome in outcomes} == {HEALTHY}
    assert (host.engine.asked, host.runtime.versions_asked) == (1, 1)


async def test_who_asked_first_and_was_cancelled_does_not_keep_the_others_waiting(
    host: FakeDeployment,
) -> None:
    host.engine.answers.clear()
    first = asyncio.create_task(ask(host))
    await settle()
    second = asyncio.create_task(ask(host))
    await settle()
    first.cancel()
    await settle()
    host.engine.answers.set()
    assert (await second).logs == HEALTHY
