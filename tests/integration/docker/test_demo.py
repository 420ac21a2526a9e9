"""`make demo` tells its whole story on a real engine, hides what is secret, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from tests.support.ports import bound, port_of, reserved_port

DEMO = Path(__file__).resolve().parents[3] / "examples" / "demo.sh"
PATIENCE_S = 300.0
STORY = (
    "This is a new control plane",
    "$ instadeploy setup",
    "$ instadeploy hosts enroll demo-host",
    "demo-host  online",
    "www/index.html",
    "demo-host  succeeded",
    "version 1",
    "No drift.",
    "~ web  recreate",
    "demo-host  rollback: verify",
    "demo-host  failed",
    "version 1",
    "$ instadeploy history",
    "job.end",
    "The audit trail is whole",
)


def containers(project: str) -> str:
    label = f"label=com.docker.compose.project={project}"
    command = ["docker", "ps", "--all", "--quiet", "--filter", label]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


async def run(*words: str, **settings: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        str(DEMO),
        *words,
        env=dict(os.environ) | settings,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, printed.decode()


def settings_of(home: Path, project: str, ports: tuple[int, int]) -> Mapping[str, str]:
    return {
        "DEMO_HOME": str(home),
        "DEMO_PROJECT": project,
        "DEMO_PORT": str(ports[0]),
        "SITE_PORT": str(ports[1]),
    }


@pytest.mark.xdist_group("demo")
async def test_it_tells_the_story_goes_on_by_hand_and_leaves_nothing(
    tmp_path: Path, project_name: str
) -> None:
    home = tmp_path / "demo"
    with reserved_port() as port, reserved_port() as site:
        settings = settings_of(home, project_name, (port, site))
    code, printed = await run("run", str(Path(sys.executable).parent), KEEP="1", **settings)
    try:
        assert code == 0, printed
        at = 0
        for each in STORY:
            at = printed.find(each, at)
            assert at >= 0, f"{each!r} is not there, or not in its place: {printed}"
        assert not re.search(r"id[aes]_[A-Za-z0-9_-]{8,}", printed)
        assert (home / "password").read_text().strip() not in printed
        assert (home / "password").stat().st_mode & 0o077 == 0
        async with httpx.AsyncClient(trust_env=False) as client:
            assert "version 1" in (await client.get(f"http://127.0.0.1:{site}/")).text
        # What it says about going on is true: the folder comes up as it is.
        healthy = (DEMO.parent / "hello" / "docker-compose.yml").read_text()
        assert (home / "hello" / "docker-compose.yml").read_text() == healthy
        code, printed = await run("check", **settings)
        assert (code, "a demo is running already" in printed) == (1, True)
    finally:
        code, printed = await run("stop", **settings)
    assert code == 0, printed
    assert not home.exists()
    assert containers(project_name) == ""


@pytest.mark.xdist_group("demo")
async def test_a_port_that_is_taken_is_said_and_nothing_is_begun(
    tmp_path: Path, project_name: str
) -> None:
    with bound() as taken:
        taken.listen()
        port = port_of(taken)
        settings = settings_of(tmp_path / "demo", project_name, (port, port))
        code, printed = await run("run", str(Path(sys.executable).parent), **settings)
    assert code == 1
    assert f"port {port}" in printed
    assert "DEMO_PORT" in printed
    assert not (tmp_path / "demo").exists()
