"""What tests of the whole command line work with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapters.api_client.client import ApiClient, connected
from tests.fleet.agent import Agent
from tests.fleet.fleet import Fleet
from tests.fleet.pace import Pace
from tests.fleet.plane_api import PlaneApi
from tests.fleet.plane_process import PlaneProcess
from tests.fleet.scripts import JobPlan, Outcome, always

PATIENCE_S: Final = 60.0
QUICK: Final = Pace(first_s=0.05, longest_s=0.5, refused_s=0.05)
COMPOSE: Final = "services:\n  web:\n    image: nginx\n"
MODULE: Final = ("-I", "-m", "entrypoints.cli")


@dataclass
class Ran:
    code: int
    out: str
    err: str

    def document(self) -> Any:
        return json.loads(self.out)


class Running:
    """A command that runs; what it prints is read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.printed: list[str] = []

    async def prints(self, text: str) -> str:
        """Wait for a line that has this in it."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while line := (await self.process.stdout.readline()).decode():
                self.printed.append(line)
                if text in line:
                    return line
        raise AssertionError(f"it has ended without {text!r}: {await self.ended()}")

    async def ended(self) -> Ran:
        async with asyncio.timeout(PATIENCE_S):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return Ran(self.process.returncode, "".join(self.printed) + out.decode(), err.decode())


class Rig:
    """Hosts and users are named as the test names them, and more: others have had such names."""

    def __init__(
        self,
        plane: PlaneProcess,
        plane_api: PlaneApi,
        api: ApiClient,
        fleet: Fleet,
        home: Path,
        tag: str,
    ) -> None:
        self.plane = plane
        self.plane_api = plane_api
        self.api = api
        self.fleet = fleet
        self.home = home
        self.tag = tag
        (home / "compose.yml").write_text(COMPOSE)

    def name(self, name: str) -> str:
        return f"{self.tag}-{name}"

    async def agent(self, name: str, plan: JobPlan | None = None, **labels: str) -> Agent:
        """A host, and its simulated agent, which is online."""
        memory = await self.plane_api.enrolled(self.name(name), labels)
        agent = self.fleet.add(memory, name=self.name(name), script=always(plan or JobPlan()))
        await self.fleet.until(lambda: agent.is_online or None, f"{name} to be welcome")
        return agent

    async def add_host(self, name: str, *, fails: bool = False, **labels: str) -> str:
        """See `tests.unit.cli.api_contract.Subject`."""
        await self.agent(name, JobPlan(Outcome.FAIL if fails else Outcome.SUCCEED), **labels)
        return self.name(name)

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "INSTADEPLOY_CONFIG": str(self.home / "config" / "config.json"),
            "INSTADEPLOY_TOKEN_STORE": "file",
            "PYTHONWARNINGS": "error",
            **(more or {}),
        }

    def here(self, token: str = "") -> dict[str, str]:
        """The variables that mean this control plane, and its administrator."""
        return {"INSTADEPLOY_URL": self.plane.url, "INSTADEPLOY_TOKEN": token or self.plane.token}

    async def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Running:
        """A command, as the administrator unless the environment says otherwise."""
        return Running(
            await asyncio.create_subprocess_exec(
                sys.executable,
                *MODULE,
                *arguments,
                cwd=self.home,
                env=self.environment(self.here() if environment is None else environment),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        )

    async def run(
        self, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None
    ) -> Ran:
        """A command, to its end."""
        running = await self.start(*arguments, environment=environment)
        async with asyncio.timeout(PATIENCE_S):
            out, err = await running.process.communicate(stdin.encode())
        assert running.process.returncode is not None
        return Ran(running.process.returncode, out.decode(), err.decode())

    async def ok(self, *arguments: str, **more: Any) -> Ran:
        """One that must succeed."""
        ran = await self.run(*arguments, **more)
        assert ran.code == 0, ran
        return ran


@contextlib.asynccontextmanager
async def opened(plane: PlaneProcess, home: Path, tag: str) -> AsyncIterator[Rig]:
    """A rig on a control plane that runs."""
    async with (
        plane.api() as plane_api,
        connected(plane.url, plane.token) as api,
        Fleet(plane.agents_url, pace=QUICK) as fleet,
    ):
        yield Rig(plane, plane_api, api, fleet, home, tag)
