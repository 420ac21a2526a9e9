"""STATUS: readable words, and the same facts for machines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

import pytest

from application.agent.get_status import GetStatusHandler
from application.agent.handling import Completed, Deadlines, Failed
from domain.errors import Conflict, RuntimeUnavailable
from domain.output import BoundedOutput
from domain.project import Project
from domain.services import PublishedPort, ServiceContainer
from tests.builders import IMAGE, compose_content, deploy, status, stop
from tests.contracts.compose_runtime import ENDED_CONTENT
from tests.fakes.compose_runtime import FakeComposeRuntime, Scripted
from tests.fakes.deployment import FakeDeployment


@pytest.fixture
def host() -> FakeDeployment:
    return FakeDeployment()


async def test_a_running_project_is_described_in_words_and_in_data(host: FakeDeployment) -> None:
    await host.deploy(deploy("Blog"))
    assert await host.status(status("Blog")) == Completed(
        f"Project 'Blog': 1 of 1 containers running.\n  web  running  {IMAGE}",
        {
            "project_name": "Blog",
            "exists": True,
            "services": [
                {
                    "service": "web",
                    "container": "blog-web-1",
                    "state": "running",
                    "health": "",
                    "image": IMAGE,
                    "published_ports": (),
                    "exit_code": None,
                }
            ],
        },
    )


async def test_a_container_that_ended_is_there_with_its_exit_code(host: FakeDeployment) -> None:
    await host.deploy(deploy("blog", ENDED_CONTENT))
    outcome = await host.status(status("blog"))
    assert isinstance(outcome, Completed)
    assert "0 of 1 containers running" in outcome.logs
    assert "exited with exit code 3" in outcome.logs
    assert services_of(outcome.data)[0]["exit_code"] == 3


async def test_a_stopped_project_has_no_containers(host: FakeDeployment) -> None:
    await host.deploy(deploy("blog"))
    await host.stop(stop("blog"))
    assert await host.status(status("blog")) == Completed(
        "Project 'blog' has no containers: it is stopped.",
        {"project_name": "blog", "exists": True, "services": []},
    )


async def test_an_unknown_project_is_no_failure_and_compose_is_not_asked(
    host: FakeDeployment,
) -> None:
    assert await host.status(status("blog")) == Completed(
        "project 'blog' does not exist on this host",
        {"project_name": "blog", "exists": False, "services": []},
    )
    assert host.runtime.calls == []


async def test_published_ports_become_json(host: FakeDeployment) -> None:
    port = PublishedPort("0.0.0.0", 8080, 80, "tcp")
    web = ServiceContainer("web", "blog-web-1", "running", "healthy", "nginx", (port,), None)
    host.files.put("blog", compose_content())
    handler = GetStatusHandler(
        files=host.files,
        runtime=OneContainer(host.runtime, web),
        clock=host.clock,
        deadlines=Deadlines(),
    )
    outcome = await handler(status("blog"))
    assert isinstance(outcome, Completed)
    assert "0.0.0.0:8080->80/tcp" in outcome.logs
    assert json.loads(json.dumps(outcome.data))["services"][0]["published_ports"] == [
        {"host_address": "0.0.0.0", "host_port": 8080, "container_port": 80, "protocol": "tcp"}
    ]


async def test_a_listing_that_fails_is_a_failure_and_never_called_stopped(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", compose_content())
    host.runtime.script(
        "containers", Scripted(exit_code=1, output=b"Cannot connect to the Docker daemon\n")
    )
    assert await host.status(status("blog")) == Failed(
        "docker compose ps failed with exit code 1; how the project is cannot be said",
        cause="Cannot connect to the Docker daemon",
        logs="Cannot connect to the Docker daemon\n",
        data={"reason": "compose_failed", "exit_code": 1},
    )


async def test_a_listing_that_hangs_is_ended_after_its_deadline(host: FakeDeployment) -> None:
    host.files.put("blog", compose_content())
    host.runtime.hang("containers")
    asking = asyncio.create_task(host.status(status("blog")))
    await host.clock.advance(30)
    outcome = await asking
    assert isinstance(outcome, Failed)
    assert outcome.error == (
        "docker compose ps took longer than 30 s and was ended; how the project is cannot be said"
    )
    assert outcome.data == {"reason": "deadline"}


async def test_what_is_unavailable_or_in_conflict_is_not_hidden(host: FakeDeployment) -> None:
    host.files.put("MyApp", compose_content())
    with pytest.raises(Conflict):
        await host.status(status("myapp"))
    host.runtime.unavailable = RuntimeUnavailable("there is no program 'docker'")
    with pytest.raises(RuntimeUnavailable):
        await host.status(status("MyApp"))


def services_of(data: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    services = data["services"]
    assert isinstance(services, list)
    return services


class OneContainer(FakeComposeRuntime):
    """Lists one container that the fake would not come up with by itself."""

    def __init__(self, like: FakeComposeRuntime, container: ServiceContainer) -> None:
        super().__init__(like._read)
        self._container = container

    async def containers(
        self, project: Project, output: BoundedOutput
    ) -> tuple[int, Sequence[ServiceContainer]]:
        return 0, (self._container,)
