"""The engine is killed in each step of a deployment, and comes back: the job ends right, R10 and R18."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.docker.driver import (
    LOOK_AGAIN_S,
    PATIENCE_S,
    Driver,
    Ended,
    Running,
    checked,
    deployment,
    driver_at,
    running,
    runs,
    until,
)
from tests.integration.docker.private_engine import PrivateEngine

NAME = "app"


@pytest.fixture
async def driver(tmp_path: Path, engine: PrivateEngine) -> AsyncIterator[Driver]:
    async with driver_at(tmp_path, docker_host=engine.address, engine_timeout=60) as driver:
        yield driver


def kept(command: str = "exec sleep 3600", **more: Any) -> dict[str, Any]:
    """A service that the engine starts again when it comes back."""
    return runs(command, restart="always", **more)


async def crash(engine: PrivateEngine) -> None:
    """Kill it, and have it come back."""
    await asyncio.to_thread(engine.kill)
    await asyncio.to_thread(engine.start_again)


async def prints(job: Running, step: str, word: str) -> None:
    """Wait until Compose says this in a step."""
    async with asyncio.timeout(PATIENCE_S):
        await job.is_at(step)
        while not job.task.done():
            if job.steps.has_begun(step) and word in await job.steps.printed(step):
                return
            await asyncio.sleep(LOOK_AGAIN_S)


async def is_right(driver: Driver, engine: PrivateEngine, ended: Ended, *, before: int) -> None:
    """It runs as it was deployed, or as the revision `before`; and the next deployment succeeds."""
    status = await driver.status(NAME)
    if ended.state == "succeeded":
        assert status["wanted"]["revision"] == ended.data["revision"]
        assert status["drift"] == []
    else:
        assert ended.data["rolled_back_to"] == (before or None), str(ended)
        if before:
            assert status["wanted"]["revision"] == before
            assert status["drift"] == []
        else:
            assert status["exists"] is False
            assert running(NAME, engine.address) == {}
    again = await driver.deploy(NAME, {"web": kept("exec sleep 1234"), "db": kept()})
    assert again.state == "succeeded", again
    assert sorted(running(NAME, engine.address)) == ["app-db-1", "app-web-1"]
    assert await driver.drift(NAME) == []


async def test_in_pull(driver: Driver, engine: PrivateEngine) -> None:
    first = await driver.deploy(NAME, {"web": kept(), "db": kept()})
    assert first.state == "succeeded", first
    taken: list[asyncio.StreamWriter] = []

    async def take(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)

    async with await asyncio.start_server(take, "127.0.0.1", 0) as registry:
        port = registry.sockets[0].getsockname()[1]
        image = f"127.0.0.1:{port}/nothing:1"
        job = driver.start(deployment(NAME, {"web": kept(image=image), "db": kept()}))
        await job.is_at("pull")
        await until(lambda: taken, "the engine at the registry")
        await crash(engine)
        registry.close()
        for writer in taken:
            writer.close()
        ended = await job.ends()
    assert ended.data["reason"] == "pull_failed", str(ended)
    assert "nothing was changed" in ended.error
    assert (await driver.status(NAME))["wanted"]["revision"] == 1
    assert await driver.drift(NAME) == []


async def test_in_create(driver: Driver, engine: PrivateEngine) -> None:
    job = driver.start(deployment(NAME, {"web": kept(), "db": kept()}))
    await prints(job, "apply", "Creat")
    await crash(engine)
    await is_right(driver, engine, await job.ends(), before=0)


async def test_in_recreate(driver: Driver, engine: PrivateEngine) -> None:
    first = await driver.deploy(NAME, {"web": kept(), "db": kept()})
    assert first.state == "succeeded", first
    job = driver.start(deployment(NAME, {"web": kept("exec sleep 999"), "db": kept()}))
    await prints(job, "apply", "Recreat")
    await crash(engine)
    await is_right(driver, engine, await job.ends(), before=1)


async def test_in_wait(driver: Driver, engine: PrivateEngine, tmp_path: Path) -> None:
    first = await driver.deploy(NAME, {"web": kept(), "db": kept()})
    assert first.state == "succeeded", first
    gate = tmp_path / "gate"
    gate.mkdir()
    web = checked("test -e /gate/open", restart="always", volumes=[f"{gate}:/gate:ro"])
    web["healthcheck"] |= {"start_period": "1h"}
    job = driver.start(deployment(NAME, {"web": web, "db": kept()}))
    await job.is_at("wait")
    await crash(engine)
    (gate / "open").touch()
    ended = await job.ends()
    assert ended.state == "succeeded", str(ended)
    await is_right(driver, engine, ended, before=1)


async def test_while_it_goes_back(driver: Driver, engine: PrivateEngine) -> None:
    first = await driver.deploy(NAME, {"web": kept(), "db": kept()})
    assert first.state == "succeeded", first
    job = driver.start(deployment(NAME, {"web": runs("exit 3"), "db": kept()}))
    await prints(job, "rollback", "Recreat")
    await crash(engine)
    ended = await job.ends()
    assert ended.state == "failed"
    await is_right(driver, engine, ended, before=1)


async def test_and_it_does_not_come_back(driver: Driver, engine: PrivateEngine) -> None:
    """Then that is said, and what is left cannot be."""
    first = await driver.deploy(NAME, {"web": kept(), "db": kept()})
    assert first.state == "succeeded", first
    never = checked("exit 1", restart="always")
    never["healthcheck"] |= {"start_period": "1h"}
    hurried = deployment(NAME, {"web": never, "db": kept()}, wait_timeout_s=1)
    async with driver_at(driver.home, docker_host=engine.address, engine_timeout=1) as brief:
        job = brief.start(hurried)
        await job.is_at("wait")
        await asyncio.to_thread(engine.kill)
        ended = await job.ends()
    assert ended.state == "failed", str(ended)
    assert ended.data["reason"] == "runtime_unavailable"
    assert "Docker Engine does not answer" in ended.data["rollback_failed"]
    assert "what is left of it cannot be said" in ended.data["left"]
    await asyncio.to_thread(engine.start_again)
    again = await driver.deploy(NAME, {"web": kept(), "db": kept()})
    assert again.state == "succeeded", again
    assert await driver.drift(NAME) == []
