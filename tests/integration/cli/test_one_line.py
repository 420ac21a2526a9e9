"""The one line from end to end: a control plane with TLS, the command line that pins it, curl, and sh."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from adapters.api_client.errors import Misunderstood, Unreachable
from adapters.api_client.key_pins import key_pin_of
from tests.integration.cli.rig import MODULE, PATIENCE_S, Ran
from tests.integration.installing.sandbox import TOKEN, Sandbox
from tests.support.control_plane_process import ControlPlaneProcess, running_control_plane
from tests.support.private_authority import certified

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Plane:
    """A control plane whose certificate is of a private authority, and a machine."""

    process: ControlPlaneProcess
    home: Path
    ca_file: Path
    machine: Sandbox

    async def cli(self, *arguments: str) -> Ran:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *MODULE,
            *arguments,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "INSTADEPLOY_CONFIG": str(self.home / "config.json"),
                "INSTADEPLOY_TOKEN_STORE": "file",
                "INSTADEPLOY_URL": self.process.url,
                "INSTADEPLOY_TOKEN": self.process.token,
                "INSTADEPLOY_CA_FILE": str(self.ca_file),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    async def line(self, *arguments: str) -> str:
        ran = await self.cli("hosts", "enroll", "web-1", *arguments)
        assert ran.code == 0, ran
        return ran.out

    async def pasted(self, line: str) -> Ran:
        """What comes of it in a shell on the machine."""
        self.machine.variables = {}
        ran = await asyncio.to_thread(self.machine.run, line)
        return Ran(ran.code, ran.out, ran.said)


@contextlib.asynccontextmanager
async def a_plane(home: Path, *, is_trusted: bool = True) -> AsyncIterator[Plane]:
    certificate = certified(home)
    (home / "machine").mkdir()
    machine = Sandbox(home / "machine")
    (home / "state").mkdir(mode=0o700)
    # Where it is found without a setting.
    (home / "state" / "agent").write_bytes(machine.agent())
    settings = {
        **certificate,
        **({"CONTROL_PLANE_CA_FILE": str(home / "ca.pem")} if is_trusted else {}),
    }
    async with running_control_plane(home, settings=settings) as process:
        yield Plane(process, home, home / "ca.pem", machine)


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    async with a_plane(tmp_path) as one:
        yield one


async def test_the_line_hands_a_good_token_to_a_verified_agent(plane: Plane) -> None:
    line = await plane.line("--ttl", "2m")
    assert "--insecure --pinnedpubkey 'sha256//" in line
    ran = await plane.pasted(line)
    assert ran.code == 0, ran
    told = plane.machine.told
    assert told is not None
    token = told["environment"]["INSTADEPLOY_ENROLL_TOKEN"]
    assert f"'{token}'" in line
    assert f"ws{plane.process.url.removeprefix('http')}/ws" in told["arguments"]
    assert told["ca"] == plane.ca_file.read_text()
    assert token not in plane.machine.environments + "\n".join(plane.machine.calls)
    assert plane.machine.is_clean()


async def test_with_another_pin_not_a_byte_is_run(plane: Plane) -> None:
    line = await plane.line()
    wrong = re.sub(r"sha256//[^']+", "sha256//" + "A" * 43 + "=", line)
    ran = await plane.pasted(wrong)
    # 90: the pin is not the key's; --insecure does not change that.
    assert "curl: (90)" in ran.err
    assert "install.sh: " not in ran.err
    assert plane.machine.told is None


async def test_where_agents_would_not_trust_it_nothing_is_done(tmp_path: Path) -> None:
    async with a_plane(tmp_path, is_trusted=False) as plane:
        ran = await plane.pasted(await plane.line())
        assert ran.code == 1
        assert "trust its certificate" in ran.err
        assert plane.machine.told is None
        assert plane.machine.is_clean()


async def test_user_data_does_the_same_and_leaves_no_token(plane: Plane) -> None:
    made = await plane.cli("hosts", "cloud-init", "web-1")
    assert made.code == 0, made
    config = yaml.safe_load(made.out)
    token = config["write_files"][0]["content"]
    laying_out = "mkdir -p /run/instadeploy-enroll\n"
    for file in config["write_files"]:
        laying_out += f"cat >{file['path']} <<'END'\n{file['content']}\nEND\n"
        laying_out += f"chmod {file['permissions']} {file['path']}\n"
    ((sh, script),) = config["runcmd"]
    ran = await plane.pasted(f"{laying_out}{sh} {script}; echo $?; find /run -type f")
    assert ran.out == "the agent speaks\n0\n", ran
    told = plane.machine.told
    assert told is not None
    assert told["environment"]["INSTADEPLOY_ENROLL_TOKEN"] == token != TOKEN


async def test_user_data_is_valid(plane: Plane) -> None:
    command = await asyncio.to_thread(
        subprocess.run,
        [ROOT / "deploy" / "ensure-cloud-init.sh"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    made = await plane.cli("hosts", "cloud-init", "web-1")
    (plane.home / "user-data").write_text(made.out)
    asking = [command.stdout.strip(), "schema", "--config-file", str(plane.home / "user-data")]
    ran = await asyncio.to_thread(
        subprocess.run, asking, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran
    assert "Valid" in ran.stdout
    assert "deprecat" not in (ran.stdout + ran.stderr).lower()


async def test_the_pin_is_of_a_certificate_that_is_verified(plane: Plane) -> None:
    url = f"{plane.process.url}/install.sh"
    pin = await key_pin_of(url, ca_file=plane.ca_file, agent="test")
    openssl = (
        f"openssl x509 -in {plane.home}/cert.pem -noout -pubkey | openssl pkey -pubin -outform der "
        "| openssl dgst -sha256 -binary | base64"
    )
    ran = await asyncio.to_thread(
        subprocess.run, ["sh", "-c", openssl], capture_output=True, text=True, check=True
    )
    assert pin == f"sha256//{ran.stdout.strip()}"
    with pytest.raises(Unreachable, match="cannot be trusted"):
        await key_pin_of(url, ca_file=None, agent="test")
    (plane.home / "state" / "agent").unlink()
    with pytest.raises(Misunderstood, match="404"):
        await key_pin_of(url, ca_file=plane.ca_file, agent="test")


async def test_without_tls_nothing_is_pinned(tmp_path: Path) -> None:
    (tmp_path / "an-agent").write_bytes(b"x")
    settings = {"CONTROL_PLANE_AGENT_FILE": str(tmp_path / "an-agent")}
    async with running_control_plane(tmp_path, settings=settings) as one:
        assert await key_pin_of(f"{one.url}/install.sh", ca_file=None, agent="test") is None
