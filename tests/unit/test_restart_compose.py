"""RESTART_COMPOSE: containers as they are, stopped and started."""

from __future__ import annotations

import pytest

from application.agent.handling import Failed
from domain.commands import RestartCompose, StopCompose
from domain.errors import Canceled, Conflict, NotFound, RuntimeUnavailable
from domain.policy import STANDARD
from tests.builders import compose_content
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment
from tests.fakes.engine_state import image_facts
from tests.unit.deploying import (
    APP,
    BLOG,
    NEW,
    OF_APP,
    begin,
    commands_of,
    completed,
    failed,
    history,
    steps_of,
    wish,
)

TWO = NEW + compose_content("db").removeprefix(b"services:\n")


def restart(*services: str) -> RestartCompose:
    return RestartCompose(BLOG, services)


@pytest.fixture
async def host() -> FakeDeployment:
    """One on which a project of two services runs, for a while."""
    host = FakeDeployment()
    completed(await host.deploy(wish(TWO)))
    await host.clock.advance(10)
    return host


def ages(host: FakeDeployment) -> dict[str, float]:
    now = host.clock.monotonic()
    return {one.service: now - (one.started_at or 0) for one in host.state.projects["blog"]}


async def test_all_containers_are_started_again_and_looked_at(host: FakeDeployment) -> None:
    outcome = completed(await host.do(restart()))
    assert outcome.logs.startswith("Project 'blog' restarted successfully.\n\nOutput:\n")
    assert steps_of(outcome) == [
        (step, "ok") for step in ("validate", "policy", "restart", "wait", "verify")
    ]
    assert ages(host) == {"web": 0, "db": 0}
    assert len((await history(host)).revisions) == 1


async def test_only_those_that_are_named(host: FakeDeployment) -> None:
    host.state.change("blog", "blog-web-1", state="exited", exit_code=1)
    completed(await host.do(restart("db")))
    assert ages(host) == {"web": 10, "db": 0}


async def test_a_service_that_is_not_there_is_refused(host: FakeDeployment) -> None:
    with pytest.raises(NotFound, match="has no service cache, shell"):
        await host.do(restart("shell", "web", "cache"))
    assert "restart" not in commands_of(host)


async def test_an_unknown_project_is_refused() -> None:
    host = FakeDeployment()
    with pytest.raises(NotFound, match="does not exist on this host"):
        await host.do(restart())
    assert host.runtime.calls == []


async def test_a_project_that_is_stopped_is_refused_and_what_starts_it_is_said(
    host: FakeDeployment,
) -> None:
    completed(await host.do(StopCompose(BLOG)))
    with pytest.raises(Conflict, match=r"'blog' is stopped: .*deploy it, or roll back"):
        await host.do(restart())
    assert "restart" not in commands_of(host)


async def test_the_policy_of_now_is_asked(host: FakeDeployment) -> None:
    completed(await host.deploy(wish(TWO + b"    privileged: true\n")))
    host.use(policy=STANDARD)
    outcome = failed(await host.do(restart()))
    assert outcome.data["reason"] == "policy"
    assert "restart" not in commands_of(host)


async def test_what_does_not_come_up_again_is_a_failure(host: FakeDeployment) -> None:
    content = TWO + b'    healthcheck: {test: ["CMD", "false"]}\n'
    host.files.put("blog", content)
    outcome = failed(await host.do(restart()))
    assert outcome.data["reason"] == "unhealthy"
    assert "blog-db-1 is unhealthy" in outcome.cause
    assert ("wait", "failed") in steps_of(outcome)


async def test_compose_that_fails_is_said(host: FakeDeployment) -> None:
    host.runtime.script("restart", Scripted(exit_code=1, output=b"no such container\n"))
    outcome = failed(await host.do(restart()))
    assert outcome.what == (
        "docker compose restart failed with exit code 1; some of its containers may be stopped"
    )
    assert outcome.cause == "no such container"


async def test_a_restart_that_is_killed_is_not_done_again(host: FakeDeployment) -> None:
    running = host.runtime.hang("restart")
    _, restarting = await begin(host, restart())
    assert running.started.is_set()
    host.executor.interrupt()
    outcome = await restarting
    assert isinstance(outcome, Failed)
    assert outcome.data["reason"] == "interrupted"
    assert commands_of(host).count("restart") == 1


async def test_what_it_was_made_from_is_not_its_affair(host: FakeDeployment) -> None:
    """A name that means another image by now, and a file that somebody has changed."""
    host.runtime.registry[APP] = image_facts("b", tag=APP)
    completed(await host.deploy(wish(OF_APP)))
    host.state.move(APP, image_facts("c", tag=APP))
    host.files.put("blog", OF_APP.replace(b'"3600"', b'"1800"'))
    completed(await host.do(restart()))


async def test_it_can_be_cancelled(host: FakeDeployment) -> None:
    host.runtime.hang("restart")
    steps, restarting = await begin(host, restart())
    steps.cancel()
    with pytest.raises(Canceled, match="some of its containers may be stopped"):
        await restarting


async def test_compose_that_is_missing_is_said() -> None:
    host = FakeDeployment()
    host.files.put("blog", NEW)
    host.runtime.unavailable = RuntimeUnavailable("there is no program 'docker'")
    with pytest.raises(RuntimeUnavailable):
        await host.do(restart())
