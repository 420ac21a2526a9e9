"""STOP_COMPOSE: what is said, and what runs afterwards."""

from __future__ import annotations

import asyncio

import pytest

from application.agent.handling import Completed, Failed
from domain.errors import Conflict, NotFound, RuntimeUnavailable, StorageUnavailable
from tests.builders import compose_content, deploy, stop
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment


@pytest.fixture
def host() -> FakeDeployment:
    return FakeDeployment()


async def test_stopping_says_protocol_v1s_sentence_and_what_compose_printed(
    host: FakeDeployment,
) -> None:
    await host.deploy(deploy("Blog"))
    assert await host.stop(stop("Blog")) == Completed(
        "Project 'Blog' stopped successfully.\n\nOutput:\n Container blog-web-1  Removed\n",
        {"steps": [{"step": "remove", "state": "ok", "seconds": 0.0}]},
    )
    assert host.runtime.running == {}
    assert host.files.content("Blog") == compose_content()


async def test_stopping_what_is_stopped_succeeds(host: FakeDeployment) -> None:
    host.files.put("blog", compose_content())
    assert await host.stop(stop("blog")) == Completed(
        "Project 'blog' stopped successfully.\n\nOutput:\n",
        {"steps": [{"step": "remove", "state": "ok", "seconds": 0.0}]},
    )


async def test_a_project_that_was_stopped_is_to_run_nothing_and_keeps_its_history(
    host: FakeDeployment,
) -> None:
    await host.deploy(deploy("blog"))
    assert (await host.store.history(deploy().project)).current == 1
    await host.stop(stop("blog"))
    history = await host.store.history(deploy().project)
    assert (history.current, [one.number for one in history.revisions]) == (None, [1])


async def test_a_stop_that_failed_leaves_the_wish_as_it_was(host: FakeDeployment) -> None:
    await host.deploy(deploy("blog"))
    host.runtime.script("down", Scripted(exit_code=1))
    assert isinstance(await host.stop(stop("blog")), Failed)
    assert (await host.store.history(deploy().project)).current == 1


async def test_an_unknown_project_is_refused_and_nothing_is_run(host: FakeDeployment) -> None:
    with pytest.raises(NotFound, match=r"^project 'blog' does not exist on this host$"):
        await host.stop(stop("blog"))
    assert host.runtime.calls == []


async def test_a_down_that_fails_says_the_cause_and_what_may_still_run(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", compose_content())
    printed = b"Cannot connect to the Docker daemon\n"
    host.runtime.script("down", Scripted(exit_code=1, output=printed))
    assert await host.stop(stop("blog")) == Failed(
        "docker compose down failed with exit code 1; some of its containers may still run",
        cause="Cannot connect to the Docker daemon",
        logs="Cannot connect to the Docker daemon\n",
        data={"reason": "compose_failed", "exit_code": 1},
    )


async def test_a_down_that_hangs_is_ended_after_its_deadline(host: FakeDeployment) -> None:
    host.files.put("blog", compose_content())
    down = host.runtime.hang("down")
    stopping = asyncio.create_task(host.stop(stop("blog")))
    await down.started.wait()
    await host.clock.advance(300)
    assert await stopping == Failed(
        "docker compose down took longer than 300 s and was ended; some of its containers may still "
        "run",
        data={"reason": "deadline"},
    )
    assert host.runtime.cancelled == [("down", "blog")]


async def test_cancelled_it_leaves_the_step_alone_and_goes_on_with_it_when_it_is_called_again(
    host: FakeDeployment,
) -> None:
    await host.deploy(deploy("blog"))
    down = host.runtime.hang("down")
    stopping = asyncio.create_task(host.stop(stop("blog"), "j1"))
    await down.started.wait()
    stopping.cancel()
    await asyncio.wait({stopping})
    assert (host.runtime.cancelled, host.runtime.calls_under_way) == ([], 1)
    again = asyncio.create_task(host.stop(stop("blog"), "j1"))
    down.release.set()
    assert isinstance(await again, Completed)
    assert host.runtime.names_of("down") == ["blog"]
    assert host.runtime.running == {}


@pytest.mark.parametrize("other", ["myapp", "MYAPP"])
async def test_the_project_of_another_spelling_is_not_stopped(
    host: FakeDeployment, other: str
) -> None:
    await host.deploy(deploy("MyApp"))
    with pytest.raises(Conflict):
        await host.stop(stop(other))
    assert set(host.runtime.running) == {"myapp"}


async def test_compose_that_is_missing_and_a_disk_that_is_gone_are_said(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", compose_content())
    host.runtime.unavailable = RuntimeUnavailable("there is no program 'docker'")
    with pytest.raises(RuntimeUnavailable):
        await host.stop(stop("blog"))
    host.files.fails_with = StorageUnavailable("/projects cannot be used: I/O error")
    with pytest.raises(StorageUnavailable):
        await host.stop(stop("blog"))
