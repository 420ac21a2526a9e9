"""One step of a project at a time on one engine, whoever starts it."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.compose.project_lock import engine_key
from application.ports.compose_executor import ComposeAction
from domain.project import Project, ProjectName
from tests.integration.job_runner.conftest import (
    BLOG,
    BOUNDS,
    DOCKER_HOST,
    Bench,
    interrupted,
    over,
)
from tests.support.runs import until

UP = ComposeAction.UP


def lock_path(bench: Bench, name: str = "blog") -> Path:
    return bench.locks / engine_key(DOCKER_HOST) / f"{name}.lock"


@contextmanager
def held_by_another(path: Path) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def is_held(path: Path) -> bool:
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


async def test_a_step_waits_for_its_turn(bench: Bench) -> None:
    with held_by_another(lock_path(bench)):
        step = await bench.start("echo > $bench/ran")
        other = await bench.executor().start(
            secrets.token_hex(16), UP, project("other"), deadline_s=60
        )
        await over(other)
        (bench.directory / "ran").unlink()  # The other one's: it shares the script.
    assert (await over(step)).exit_code == 0
    assert bench.has_said("ran")


async def test_names_that_are_one_to_compose_have_one_lock(bench: Bench) -> None:
    with held_by_another(lock_path(bench)):
        bench.docker("echo > $bench/ran")
        steps = [
            await bench.executor().start(secrets.token_hex(16), UP, project(name), deadline_s=600)
            for name in ("blog", "BLOG")
        ]
        for step in steps:
            await step.end("cancel")
            ended = await over(step)
            assert (ended.exit_code, ended.ended_by) == (-signal.SIGTERM, "cancel")
    assert not bench.has_said("ran")


async def test_the_deadline_counts_while_it_waits(bench: Bench) -> None:
    with held_by_another(lock_path(bench)):
        step = await bench.start("echo > $bench/ran", deadline_s=0.2)
        ended = await over(step)
    assert (ended.exit_code, ended.ended_by) == (-signal.SIGTERM, "deadline")
    assert not bench.has_said("ran")


async def test_agents_with_other_state_share_the_turns(bench: Bench, tmp_path: Path) -> None:
    first = await bench.start("echo > $bench/started; read _ < $bench/gate; echo > $bench/first")
    await bench.said("started")
    bench.docker("test -e $bench/first")
    elsewhere = bench.executor(runs=tmp_path / "elsewhere")
    second = await elsewhere.start(secrets.token_hex(16), UP, BLOG, deadline_s=60)
    bench.open_gate()
    assert (await over(second)).exit_code == 0
    assert (await over(first)).exit_code == 0


async def test_the_lock_is_held_while_the_command_runs_and_not_by_the_command(
    bench: Bench, token: str
) -> None:
    step = await bench.start("echo $$ > $bench/pid; read _ < $bench/gate", token=token)
    command = int(await bench.said("pid"))
    path = lock_path(bench)
    assert is_held(path)
    files = [str(link.readlink()) for link in Path(f"/proc/{command}/fd").iterdir()]
    assert len(files) == 4  # /dev/null, the pipe twice, and the gate that the shell opens.
    assert str(path) not in files
    os.kill(step.process.pid, signal.SIGKILL)
    await until(lambda: not is_held(path))
    assert await interrupted(step)


def test_all_addresses_of_an_engine_have_one_key(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to(tmp_path)
    direct = engine_key(f"unix://{tmp_path}/run/docker.sock")
    assert engine_key(f"unix://{tmp_path}/var/run/docker.sock") == direct
    assert engine_key(f"unix://{tmp_path}/run/other.sock") != direct
    assert engine_key("tcp://127.0.0.1:2375") != engine_key("tcp://127.0.0.1:2376")


async def test_a_lock_that_is_a_link_is_not_followed(bench: Bench, token: str) -> None:
    target = bench.directory / "precious"
    path = lock_path(bench)
    path.parent.mkdir(mode=0o700, parents=True)
    path.symlink_to(target)
    with pytest.raises(Exception, match="cannot be used"):
        await bench.executor(bounds=BOUNDS).start(token, UP, BLOG, deadline_s=60)
    assert not target.exists()


def project(name: str) -> Project:
    return Project(ProjectName(name), f"/srv/{name}", f"/srv/{name}/docker-compose.yml")
