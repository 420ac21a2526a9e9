"""Looking as root at what belongs to the agent's user, and telling it to who does not listen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import RuntimeUnavailable
from entrypoints.agent.commands.looking import compose_of
from entrypoints.agent.commands.surroundings import Surroundings
from entrypoints.agent.settings import AgentSettings

NOBODY = 65534
# As the docker command does: the plugins of the home come first.
DOCKER = '#!/bin/sh\nexec "$HOME/.docker/cli-plugins/docker-compose" "$@"\n'
PLUGIN = """\
#!/bin/sh
{ id -u; id -g; id -G; cat /proc/self/status; } >"$HOME/ran"
echo 2.40.2
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of the user nobody, who has planted a plugin there."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        home, programs = root / "home", root / "bin"
        plugin = home / ".docker/cli-plugins/docker-compose"
        plugin.parent.mkdir(parents=True)
        programs.mkdir()
        for path, text in ((programs / "docker", DOCKER), (plugin, PLUGIN)):
            path.write_text(text)
            path.chmod(0o755)
        for path in (home, *home.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        home.chmod(0o700)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
        yield home


def compose_as(user: str) -> Surroundings:
    return Surroundings(AgentSettings(), "a file", user, is_installed=True)


@needs_root
async def test_what_the_agents_user_has_planted_does_not_run_as_root(home: Path) -> None:
    assert await compose_of(compose_as("nobody")).version() == "2.40.2"
    said = (home / "ran").read_text().splitlines()
    assert said[:2] == [str(NOBODY)] * 2
    assert "0" not in said[2].split()
    status = dict(line.split(":\t", 1) for line in said[3:] if ":\t" in line)
    assert set(status["Uid"].split() + status["Gid"].split()) == {str(NOBODY)}
    assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"


@needs_root
async def test_without_that_user_or_a_docker_command_nothing_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"the user nosuch is not there; run .* install"):
        await compose_of(compose_as("nosuch")).version()
    shutil.rmtree(home.parent / "bin")
    monkeypatch.setenv("PATH", str(home.parent / "bin"))
    with pytest.raises(RuntimeUnavailable, match="there is no program 'docker'"):
        await compose_of(compose_as("nobody")).version()
    assert not (home / "ran").exists()


@needs_root
async def test_roots_own_agent_is_looked_at_as_root(home: Path) -> None:
    await compose_of(compose_as("root")).version()
    assert (home / "ran").read_text().splitlines()[0] == "0"


@pytest.mark.parametrize("command", ["status", "doctor"])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_who_has_read_enough_is_no_error(command: str, more: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "SERVER_URL": "ws://127.0.0.1:1/ws",
        "AGENT_STATE_DIR": str(tmp_path / "state"),
        "AGENT_DOCKER_HOST": f"unix://{tmp_path}/none.sock",
    }
    try:
        ran = subprocess.run(
            [sys.executable, "-I", "-m", "entrypoints.agent", command, *more],
            env=environment,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert ran.stderr == b""
    assert ran.returncode == (0 if command == "status" else 1)
