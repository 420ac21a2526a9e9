"""A machine that is to be a host, and the control plane that it belongs to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from domain.installation import UNIT
from tests.builders import IMAGE
from tests.host.machine import BARE, DOCKER, Done, TestHost
from tests.support.control_plane_process import ControlPlaneProcess, running_control_plane
from tests.support.private_authority import CA_FILE, certified

Document = dict[str, Any]
T = TypeVar("T")
HOST: Final = "web-1"
PROJECT: Final = "blog"
AGENT: Final = "/root/agent"
INSTALL_S: Final = 300.0
PATIENCE_S: Final = 120.0
LOOK_AGAIN_S: Final = 0.2
PAGE: Final = "hello from a file of the project's\n"


def compose(command: str = "cat /data/page && sleep 3600", more: str = "") -> str:
    """A project with a file of its own mounted into it; as nobody, who reads what the agent wrote."""
    return (
        "services:\n"
        "  web:\n"
        f"    image: {IMAGE}\n"
        f'    command: ["sh", "-c", "{command}"]\n'
        '    user: "65534"\n'
        "    init: true\n"
        "    restart: always\n"
        "    stop_grace_period: 8s\n"
        "    network_mode: none\n"
        "    volumes:\n"
        "      - ./data:/data:ro\n"
        f"{more}"
    )


async def until(probe: Callable[[], Awaitable[T]], holds: Callable[[T], object]) -> T:
    """Look again and again, until what is found is as it should be; return that."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds(found := await probe()):  # noqa: ASYNC110 - of another machine
            await asyncio.sleep(LOOK_AGAIN_S)
    return found


class ManagedHost:
    """A machine, before and after it is a host."""

    def __init__(
        self,
        machine: TestHost,
        plane: ControlPlaneProcess,
        client: httpx.AsyncClient,
        home: Path,
    ) -> None:
        self.machine = machine
        self.plane = plane
        self.client = client
        self._home = home

    async def operator(self, *arguments: str) -> str:
        """What `instadeploy` prints, run by an administrator on this machine."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", "entrypoints.cli", *arguments),
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._home),
                "INSTADEPLOY_URL": self.plane.url,
                "INSTADEPLOY_TOKEN": self.plane.token,
                "INSTADEPLOY_CA_FILE": str(self._home / CA_FILE),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def enrolment(self) -> Document:
        """Leave to become a host, with its token."""
        return self.ok(await self.client.post("/enrolments", json={"name": HOST}), 201)

    async def install(
        self, *options: str, token: str = "", check: bool = True, agent: str = AGENT, **more: str
    ) -> Done:
        """Run `install`, with the token where only its environment has it."""
        variables = {"PEX_ROOT": "/tmp/pex", "INSTADEPLOY_ENROLL_TOKEN": token, **more}
        script = "".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in variables.items() if value
        )
        script += f"exec python3 {agent} install {shlex.join(options)}\n"
        return await self.machine.run("sh", "-s", given=script, check=check, patience_s=INSTALL_S)

    async def become_host(self) -> Done:
        """A fresh enrolment, and the installation with it."""
        made = await self.enrolment()
        return await self.install(
            *("--server-url", self.plane.agents_url),
            *("--control-plane-key", made["control_plane_key"]),
            token=made["token"],
        )

    async def until_online(self, *, is_online: bool = True) -> Document:
        """The host, as soon as the control plane takes it for that."""
        response = await until(
            lambda: self.client.get(f"/hosts/{HOST}"),
            lambda one: one.status_code == httpx.codes.OK and one.json()["online"] == is_online,
        )
        return self.ok(response, 200)

    async def begin(self, content: str | None = None, **more: object) -> Document:
        """A deployment, begun."""
        body = {
            "project": PROJECT,
            "compose": content or compose(),
            "files": {"data/page": {"content": PAGE}},
            "hosts": [HOST],
            **more,
        }
        return self.ok(await self.client.post("/deployments", json=body), 202)

    async def ended(self, deployment: Document) -> Document:
        """The one job of a deployment, with its result."""
        (job,) = deployment["jobs"]
        response = await until(
            lambda: self.client.get(f"/jobs/{job['id']}"), lambda one: one.json()["over"]
        )
        return self.ok(response, 200)

    async def deploy(self, content: str | None = None, **more: object) -> Document:
        return await self.ended(await self.begin(content, **more))

    async def systemd(self, *properties: str) -> dict[str, str]:
        """What systemd says of the unit."""
        options = [f"--property={name}" for name in properties]
        shown = await self.machine.run("systemctl", "show", *options, UNIT)
        return dict(line.split("=", 1) for line in shown.text.splitlines())

    async def pid(self) -> int:
        """Of the agent; 0 where it does not run."""
        return int((await self.systemd("MainPID"))["MainPID"])

    async def until_another_than(self, pid: int) -> int:
        """Of the next agent, once it is connected."""
        found = await until(
            lambda: self.systemd("MainPID", "StatusText"),
            lambda one: (
                one["MainPID"] not in ("0", str(pid)) and one["StatusText"].startswith("Connected:")
            ),
        )
        return int(found["MainPID"])

    async def executing(self) -> set[str]:
        """The processes that carry out `docker compose up`: the supervisor's first, then Compose's."""
        asked = ("pgrep", "-u", "instadeploy", "-f", "compose.* up ")
        return set((await self.machine.run(*asked, check=False)).text.split())

    async def until_executing(self) -> set[str]:
        return await until(self.executing, bool)

    async def containers(self) -> list[str]:
        """The names of what runs of the project."""
        label = f"label=com.docker.compose.project={PROJECT}"
        listed = await self.machine.run("docker", "ps", "--filter", label, "--format", "{{.Names}}")
        return listed.text.split()

    async def printed(self) -> str:
        """What the project's container has printed."""
        (name,) = await self.containers()
        return (await self.machine.run("docker", "logs", name)).stdout.decode()

    @staticmethod
    def ok(response: httpx.Response, status: int) -> Document:
        assert response.status_code == status, response.text
        document: Document = response.json()
        return document


@contextlib.asynccontextmanager
async def _reaching(
    home: Path,
    image: str,
    settings: Mapping[str, str] | None = None,
    verify: ssl.SSLContext | bool = True,
) -> AsyncIterator[ManagedHost]:
    """A control plane with these settings, and a machine that reaches it."""
    async with (
        running_control_plane(home, settings=settings) as plane,
        plane.client(verify=verify) as client,
        TestHost(image) as machine,
        machine.reaching(plane.port),
    ):
        if image != BARE:
            await machine.load_test_image()
        yield ManagedHost(machine, plane, client, home)


@contextlib.asynccontextmanager
async def managed(
    home: Path, agent_file: Path, *, image: str = DOCKER
) -> AsyncIterator[ManagedHost]:
    """A machine with the agent's file, which reaches a control plane of its own."""
    async with _reaching(home, image) as host:
        await host.machine.copy_in(agent_file, AGENT)
        yield host


@contextlib.asynccontextmanager
async def to_be_enrolled(
    home: Path, agent_file: Path, image: str = DOCKER
) -> AsyncIterator[ManagedHost]:
    """A machine with nothing of ours, and a control plane with TLS that has all that it needs."""
    settings = {
        **certified(home),
        "CONTROL_PLANE_CA_FILE": str(home / CA_FILE),
        "CONTROL_PLANE_AGENT_FILE": str(agent_file),
    }
    trust = ssl.create_default_context(cafile=home / CA_FILE)
    async with _reaching(home, image, settings, trust) as host:
        yield host
