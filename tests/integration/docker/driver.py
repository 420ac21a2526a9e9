"""The agent's handlers, wired as in production, driven by a test on a real engine.

It does for a job what the dispatcher does: without a control plane a test can cancel a job, or let
its deadline pass, at the moment that it is about.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from application.agent.handling import Completed
from application.agent.steps import JobSteps
from application.ports.clock import Clock
from domain.commands import (
    CHANGING_COMMANDS,
    Command,
    DeployCompose,
    GetStatus,
    RegistryLogin,
    digest_of,
    is_private,
    without_private,
)
from domain.content import ExtraFile
from domain.deploy_options import DeployOptions
from domain.errors import Canceled, InstaDeployError
from domain.project import ComposeFile, ProjectName
from domain.records import JobAccepted
from entrypoints.agent.container import AgentContainer
from entrypoints.agent.settings import AgentSettings
from tests.builders import IMAGE

PATIENCE_S: Final = 60.0
SETTLE_S: Final = 0.3
LOOK_AGAIN_S: Final = 0.02
MISSING: Final = "127.0.0.1:9/instadeploy/nowhere:1"
"""An image of a registry at which nobody listens."""


@dataclass(frozen=True)
class Ended:
    """How a job ended, as its result would say it."""

    state: str
    error: str
    logs: str
    data: Mapping[str, Any]

    @property
    def steps(self) -> list[str]:
        """The names of its stages, those that went wrong marked."""
        return [
            step["step"] if step["state"] == "ok" else f"{step['step']}!"
            for step in self.data["steps"]
        ]

    def seconds(self, *steps: str) -> float:
        """How long these took together."""
        return sum(float(one["seconds"]) for one in self.data["steps"] if one["step"] in steps)


@dataclass
class Driver:
    """One agent's handlers, with the files below `home`, and `settings` of its own."""

    home: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    container: AgentContainer = field(init=False)

    def __post_init__(self) -> None:
        values = {
            "token": "not-needed",
            "projects_dir": self.home / "projects",
            "state_dir": self.home / "state",
            "lock_dir": self.home / "locks",
            "settle_time": SETTLE_S,
            **self.settings,
        }
        self.container = AgentContainer(settings=AgentSettings(**values))

    @property
    def clock(self) -> Clock:
        return self.container.clock()

    def directory(self, name: str) -> Path:
        """Where a project's files are."""
        return self.home / "projects" / name

    def start(self, command: Command, *, deadline_s: float | None = None) -> Running:
        """Have a job begin."""
        job_id = f"job-{secrets.token_hex(4)}"
        deadline = None if deadline_s is None else self.clock.since_boot().seconds + deadline_s
        steps = JobSteps(job_id, deadline, self.container.step_tools())
        return Running(steps, asyncio.create_task(self._ended(command, steps), name=job_id))

    async def ends(self, command: Command, *, deadline_s: float | None = None) -> Ended:
        """Have a job begin, and wait for its end."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.start(command, deadline_s=deadline_s).task

    async def deploy(self, name: str, services: object, **options: Any) -> Ended:
        """DEPLOY_COMPOSE, to its end."""
        return await self.ends(deployment(name, services, **options))

    async def status(self, name: str) -> Mapping[str, Any]:
        """`data` of STATUS."""
        return (await self.ends(GetStatus(ProjectName(name)))).data

    async def drift(self, name: str) -> list[tuple[str, str]]:
        """Kind and service of everything that is not as wanted."""
        return [(one["kind"], one["service"]) for one in (await self.status(name))["drift"]]

    async def _ended(self, command: Command, steps: JobSteps) -> Ended:
        handler = self.container.handlers()[type(command)]
        try:
            if not isinstance(command, CHANGING_COMMANDS):
                return _ended(await handler(command))
            accepted = JobAccepted(
                steps.job_id,
                without_private(command),
                digest_of(command),
                self.clock.since_boot(),
                is_private=is_private(command),
                project=command.project.compose_name,
            )
            await self.container.book().record(accepted)
            return _ended(await handler(command, steps))
        except Canceled as exc:
            return Ended("canceled", str(exc), exc.logs, {**exc.data, "reason": exc.code})
        except InstaDeployError as exc:
            return Ended("failed", str(exc), "", {"reason": exc.code})


@dataclass
class Running:
    """A job under way."""

    steps: JobSteps
    task: asyncio.Task[Ended]

    async def is_at(self, *stages: str) -> None:
        """Wait until it has come to one of these stages."""
        await until(
            lambda: (
                self.task.done()
                or any(one["step"] in stages for one in self.steps.stages.report())
                or any(self.steps.has_begun(stage) for stage in stages)
            ),
            f"one of the stages {stages}",
        )
        assert not self.task.done(), self.task.result()

    async def ends(self) -> Ended:
        """Wait for its end."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.task

    async def cancel(self) -> Ended:
        """Cancel it, and wait for its end."""
        self.steps.cancel()
        return await self.ends()


@contextlib.asynccontextmanager
async def driver_at(home: Path, **settings: Any) -> AsyncIterator[Driver]:
    """A driver with its journal open, and its threads ended afterwards."""
    driver = Driver(home, settings)
    await driver.container.book().open()
    try:
        yield driver
    finally:
        await asyncio.to_thread(driver.container.executor().shutdown)


def deployment(
    name: str,
    services: object,
    *,
    env: Mapping[str, str] | bytes | None = None,
    files: Mapping[str, str] | None = None,
    registry_auth: Mapping[str, tuple[str, str]] | None = None,
    **options: Any,
) -> DeployCompose:
    """A deployment of these services; of a whole document where it is a text."""
    text = services if isinstance(services, str) else json.dumps({"services": services})
    if isinstance(env, Mapping):
        env = "".join(f"{key}={value}\n" for key, value in env.items()).encode()
    return DeployCompose(
        ProjectName(name),
        ComposeFile(text.encode()),
        env=env,
        files=tuple(ExtraFile(path, one.encode()) for path, one in sorted((files or {}).items())),
        options=replace(DeployOptions(), **options),
        registry_auth=tuple(
            RegistryLogin(registry, *login) for registry, login in (registry_auth or {}).items()
        ),
    )


def runs(command: str = "exec sleep 3600", **more: Any) -> dict[str, Any]:
    """A service of the test image; `$` is the shell's, not Compose's."""
    return {
        "image": IMAGE,
        "command": ["sh", "-c", command.replace("$", "$$")],
        "init": True,
        "stop_grace_period": "0s",
        "network_mode": "none",
        **more,
    }


def checked(test: str, **more: Any) -> dict[str, Any]:
    """A service with a health check that is made often."""
    check = {"test": ["CMD-SHELL", test.replace("$", "$$")], "interval": "200ms", "retries": 2}
    return runs(healthcheck=check, **more)


def docker(*arguments: str, host: str | None = None, given: str = "") -> str:
    """What the docker program prints; it must succeed."""
    at = () if host is None else ("--host", host)
    ended = subprocess.run(
        ["docker", *at, *arguments], input=given, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"docker {' '.join(arguments)}: {ended.stderr}"
    return ended.stdout.strip()


def running(name: str, host: str | None = None) -> dict[str, str]:
    """By name, the ids of a project's containers that run."""
    label = f"label=com.docker.compose.project={name}"
    lines = docker(
        *("ps", "--no-trunc", "--format", "{{.Names}} {{.ID}}", "--filter", label), host=host
    )
    return dict(line.split() for line in lines.splitlines())


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for what nobody tells of."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + PATIENCE_S
    while not condition():
        assert loop.time() < give_up_at, f"waited in vain for {what}"
        await asyncio.sleep(LOOK_AGAIN_S)


def _ended(outcome: Any) -> Ended:
    # As it is on the wire: what is no JSON fails here.
    data = json.loads(json.dumps(outcome.data))
    if isinstance(outcome, Completed):
        return Ended("succeeded", "", outcome.logs, data)
    return Ended("failed", outcome.error, outcome.logs, data)
