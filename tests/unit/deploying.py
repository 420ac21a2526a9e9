"""Commands and looks at what came of them, for the tests of deployments."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from application.agent.handling import Completed, Failed, Outcome
from application.agent.steps import JobSteps
from domain.commands import ChangingCommand, DeployCompose
from domain.content import ExtraFile
from domain.deploy_options import DeployOptions
from domain.project import ComposeFile, ProjectName
from domain.revision import ProjectHistory, Revision
from tests.builders import IMAGE, compose_content
from tests.fakes.clock import settle
from tests.fakes.deployment import FakeDeployment

OLD = compose_content("web", command='["sleep", "1"]')
NEW = compose_content("web", command='["sleep", "2"]')
UNHEALTHY = compose_content("web") + b'    healthcheck: {test: ["CMD", "false"]}\n'
STARTING = compose_content("web") + b'    healthcheck: {test: ["CMD", "x"], interval: 1h}\n'
CRASHING = compose_content("web", command='["sh", "-c", "exit 3"]')
APP = "registry.example.com/app:latest"
OF_APP = compose_content("web").replace(IMAGE.encode(), APP.encode())
BLOG = ProjectName("blog")


def wish(
    content: bytes = NEW,
    *,
    name: str = "blog",
    env: bytes | None = None,
    files: Sequence[ExtraFile] = (),
    registry_auth: Sequence[Any] = (),
    **options: Any,
) -> DeployCompose:
    """A deployment, with these options."""
    return DeployCompose(
        ProjectName(name),
        ComposeFile(content),
        env,
        tuple(files),
        DeployOptions(**options),
        tuple(registry_auth),
    )


def failed(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed)
    return outcome


def completed(outcome: Outcome) -> Completed:
    assert isinstance(outcome, Completed), outcome
    return outcome


def steps_of(outcome: Outcome) -> list[tuple[str, str]]:
    """Name and state of each stage."""
    told = outcome.data["steps"]
    assert isinstance(told, list)
    return [(one["step"], one["state"]) for one in told]


async def history(host: FakeDeployment, name: ProjectName = BLOG) -> ProjectHistory:
    return await host.store.history(name)


async def revision(host: FakeDeployment, number: int) -> Revision:
    return (await history(host)).find(number)


def commands_of(host: FakeDeployment, name: str = "blog") -> list[str]:
    """What was started for a project, in order."""
    return [action.value for action in host.executor.actions_of(name)]


def running_images(host: FakeDeployment, name: str = "blog") -> list[str | None]:
    return [one.image_id for one in host.state.projects.get(name, ())]


async def begin(
    host: FakeDeployment,
    command: ChangingCommand,
    job_id: str = "j1",
    deadline_s: float | None = None,
) -> tuple[JobSteps, asyncio.Task[Outcome]]:
    """A job as far as it goes by itself, and its steps, to cancel them."""
    deadline = None if deadline_s is None else host.clock.monotonic() + deadline_s
    steps = await host.steps(command, job_id, deadline)
    handler = host.handlers.by_command[type(command)]
    task: asyncio.Task[Outcome] = asyncio.create_task(handler(command, steps))
    await settle(200)
    return steps, task
