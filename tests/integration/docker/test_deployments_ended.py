"""Deployments that are canceled, or whose deadline passes, in each of their steps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from domain.commands import RollbackCompose
from domain.project import ProjectName
from tests.integration.docker.driver import (
    Driver,
    Ended,
    checked,
    deployment,
    docker,
    driver_at,
    running,
    runs,
    until,
)

ENDS_IN_S = 30.0
DEADLINE_S = 4.0
STEPS = ["pull", "apply", "wait"]


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[Driver]:
    async with driver_at(tmp_path) as driver:
        yield driver


@pytest.fixture
async def name(driver: Driver, project_name: str) -> str:
    """A project of which revision 1 runs."""
    ended = await driver.deploy(project_name, {"web": runs(), "db": runs()})
    assert ended.state == "succeeded", str(ended)
    return project_name


@pytest.fixture
async def hanging_registry() -> AsyncIterator[str]:
    """Takes connections, and says nothing."""
    taken: list[asyncio.StreamWriter] = []

    async def take(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in taken:
            writer.close()


@pytest.fixture
def stuck(hanging_registry: str) -> dict[str, dict[str, object]]:
    """By step, services with which a deployment comes to no end in it."""
    never = checked("exit 1")
    never["healthcheck"] |= {"start_period": "1h"}
    healthy = {"web": {"condition": "service_healthy"}}
    return {
        "pull": {"web": runs(image=f"{hanging_registry}/nothing:1"), "db": runs()},
        "apply": {"web": never, "db": runs(depends_on=healthy)},
        "wait": {"web": never, "db": runs()},
    }


def executors(name: str) -> list[list[str]]:
    """Command lines of processes that work for a project."""
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if name in line and "compose" in line]


async def is_as_before(driver: Driver, name: str, ended: Ended, step: str) -> None:
    assert executors(name) == []
    assert sorted(running(name)) == [f"{name}-db-1", f"{name}-web-1"]
    assert await driver.drift(name) == []
    status = await driver.status(name)
    assert status["wanted"]["revision"] == 1
    file = (driver.directory(name) / "docker-compose.yml").read_text(encoding="utf-8")
    assert "healthcheck" not in file
    assert "nothing:1" not in file
    if step == "pull":
        assert "nothing was changed" in ended.error
    else:
        assert "revision 1 runs again" in ended.error


@pytest.mark.parametrize("step", STEPS)
async def test_canceled(
    driver: Driver, name: str, stuck: dict[str, dict[str, object]], step: str
) -> None:
    before = running(name)
    job = driver.start(deployment(name, stuck[step]))
    await job.is_at(step)
    if step == "apply":
        await until(lambda: running(name) != before, "the new container")
    async with asyncio.timeout(ENDS_IN_S):
        ended = await job.cancel()
    assert ended.state == "canceled", str(ended)
    await is_as_before(driver, name, ended, step)
    if step != "apply":  # There it is what waits for the other one.
        assert running(name)[f"{name}-db-1"] == before[f"{name}-db-1"]
    again = await driver.deploy(name, {"web": runs("exec sleep 1234"), "db": runs()})
    assert again.state == "succeeded", again


@pytest.mark.parametrize("step", STEPS)
async def test_its_deadline_passes(
    driver: Driver, name: str, stuck: dict[str, dict[str, object]], step: str
) -> None:
    before = running(name)
    job = driver.start(deployment(name, stuck[step]), deadline_s=DEADLINE_S)
    await job.is_at(step)
    async with asyncio.timeout(ENDS_IN_S):
        ended = await job.ends()
    assert ended.state == "failed", str(ended)
    assert ended.data["reason"] == "deadline", str(ended)
    await is_as_before(driver, name, ended, step)
    if step != "pull":
        assert ended.data["rolled_back_to"] == 1
    if step != "apply":  # There it is what waits for the other one.
        assert running(name)[f"{name}-db-1"] == before[f"{name}-db-1"]


async def test_a_first_one_that_is_canceled_leaves_nothing(
    driver: Driver, project_name: str, stuck: dict[str, dict[str, object]]
) -> None:
    job = driver.start(deployment(project_name, stuck["wait"]))
    await job.is_at("wait")
    ended = await job.cancel()
    assert ended.state == "canceled", str(ended)
    label = f"label=com.docker.compose.project={project_name}"
    assert docker("ps", "-aq", "--filter", label) == ""
    assert not driver.directory(project_name).exists()
    again = await driver.deploy(project_name, {"web": runs()})
    assert again.state == "succeeded", again


async def test_a_rollback_that_is_canceled_goes_forward_again(
    driver: Driver, project_name: str, tmp_path: Path
) -> None:
    """What it goes back to is healthy no more: it could wait for that for long."""
    gate = tmp_path / "gate"
    gate.mkdir()
    (gate / "open").touch()
    web = checked("test -e /gate/open", volumes=[f"{gate}:/gate:ro"])
    web["healthcheck"] |= {"start_period": "1h"}
    name = project_name
    for services in ({"web": web}, {"web": runs()}):
        ended = await driver.deploy(name, services)
        assert ended.state == "succeeded", str(ended)
    (gate / "open").unlink()
    job = driver.start(RollbackCompose(ProjectName(name)))
    await job.is_at("wait")
    ended = await job.cancel()
    assert ended.state == "canceled", str(ended)
    assert await driver.drift(name) == []
    assert (await driver.status(name))["wanted"]["revision"] == 2
    said = docker("inspect", "--format", "{{json .Config.Healthcheck}}", f"{name}-web-1")
    assert json.loads(said) is None
