"""PLAN_COMPOSE: what a deployment would do; nothing is done."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from application.agent.handling import Completed
from domain.commands import DeployCompose, PlanCompose
from domain.content import ExtraFile
from domain.deploy_options import PullPolicy
from domain.errors import InvalidInput, RuntimeUnavailable
from domain.policy import STANDARD
from tests.builders import IMAGE, REJECTED_CONTENT, compose_content, stop
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment
from tests.fakes.engine_state import found
from tests.unit.deploying import APP, CRASHING, NEW, OF_APP, OLD, completed, failed, wish


@pytest.fixture
async def host() -> FakeDeployment:
    """One on which a revision runs."""
    host = FakeDeployment()
    completed(await host.deploy(wish(OLD)))
    return host


def everything(host: FakeDeployment) -> dict[str, Any]:
    """What a plan may not change."""
    return copy.deepcopy(
        {
            "files": host.files.on_disk,
            "histories": host.store.histories,
            "containers": host.state.projects,
            "images": host.state.images,
            "networks": host.state.network_names,
            "volumes": host.state.volume_names,
            "starts": host.executor.starts,
            "logins": host.logins.directories,
            "records": host.disk.records,
        }
    )


async def plan(host: FakeDeployment, command: DeployCompose) -> Completed:
    before = everything(host)
    outcome = completed(await host.do(PlanCompose(command)))
    assert everything(host) == before
    json.dumps(outcome.data)
    return outcome


async def actions(host: FakeDeployment, command: DeployCompose) -> list[tuple[str, str]]:
    services = (await plan(host, command)).data["services"]
    assert isinstance(services, list)
    return [(one["service"], one["action"]) for one in services]


async def test_of_what_runs_already_everything_is_kept(host: FakeDeployment) -> None:
    outcome = await plan(host, wish(OLD))
    assert outcome.data == {
        "project_name": "blog",
        "services": [{"service": "web", "action": "keep", "why": ""}],
        "pull": [],
        "build": [],
        "networks": [],
        "volumes": [],
        "policy": {"allowed": True},
        "warnings": [],
    }
    assert outcome.logs.splitlines() == [
        "What a deployment of project 'blog' would do:",
        "  keep      web",
    ]


async def test_what_says_something_else_is_recreated(host: FakeDeployment) -> None:
    outcome = await plan(host, wish(NEW))
    services = outcome.data["services"]
    assert isinstance(services, list)
    web = services[0]
    assert (web["action"], "another configuration" in web["why"]) == ("recreate", True)


async def test_what_is_new_is_created_and_its_names_are_said() -> None:
    host = FakeDeployment()
    content = compose_content("web").replace(b"    network_mode: none\n", b"")
    outcome = await plan(host, wish(content + b"volumes: {data: {}}\n"))
    assert outcome.data["services"] == [{"service": "web", "action": "create", "why": ""}]
    assert (outcome.data["networks"], outcome.data["volumes"]) == (["blog_default"], ["blog_data"])
    assert host.files.on_disk == {}


async def test_after_the_deployment_there_is_nothing_left_to_do(host: FakeDeployment) -> None:
    content = compose_content("web").replace(b"    network_mode: none\n", b"")
    command = wish(content + b"volumes: {data: {}}\n")
    completed(await host.deploy(command))
    data = (await plan(host, command)).data
    assert (data["networks"], data["volumes"]) == ([], [])
    assert await actions(host, command) == [("web", "keep")]


@pytest.mark.parametrize(
    ("facts", "action"),
    [
        ({"state": "exited", "exit_code": 1}, "start"),
        ({"name": "0123456789ab_blog-web-1"}, "recreate"),
        ({"image_id": "sha256:" + "f" * 64}, "recreate"),
        ({"state": "removing"}, "create"),
    ],
)
async def test_what_somebody_has_changed_is_put_right(
    host: FakeDeployment, facts: dict[str, Any], action: str
) -> None:
    host.state.change("blog", "blog-web-1", **facts)
    assert await actions(host, wish(OLD)) == [("web", action)]


async def test_more_or_fewer_containers(host: FakeDeployment) -> None:
    host.state.put("blog", found("web", number=2, config_hash=None))
    assert await actions(host, wish(OLD)) == [("web", "scale")]


async def test_orphans_are_named_and_go_where_they_are_to(host: FakeDeployment) -> None:
    host.state.put("blog", found("old"), found("once", is_oneoff=True))
    assert await actions(host, wish(OLD)) == [("web", "keep"), ("old", "keep")]
    assert await actions(host, wish(OLD, remove_orphans=True)) == [
        ("web", "keep"),
        ("old", "remove"),
    ]


async def test_images_to_pull_and_to_build_are_named_and_nothing_is_fetched(
    host: FakeDeployment,
) -> None:
    built = compose_content("own").removeprefix(b"services:\n") + b"    build: .\n"
    outcome = await plan(host, wish(OF_APP + built))
    assert (outcome.data["pull"], outcome.data["build"]) == ([APP], ["own"])
    assert f"  pull      {APP}" in outcome.logs
    again = await plan(host, wish(OLD, pull=PullPolicy.ALWAYS))
    assert again.data["pull"] == [IMAGE]
    assert again.data["services"] == [
        {
            "service": "web",
            "action": "recreate",
            "why": "if the image that is pulled is a newer one",
        }
    ]


async def test_a_file_that_is_mounted_and_changed_is_a_restart(host: FakeDeployment) -> None:
    content = NEW + b"    volumes: ['./a.conf:/etc/a.conf']\n"
    completed(await host.deploy(wish(content, files=[ExtraFile("a.conf", b"1")])))
    assert await actions(host, wish(content, files=[ExtraFile("a.conf", b"1")])) == [
        ("web", "keep")
    ]
    assert await actions(host, wish(content, files=[ExtraFile("a.conf", b"2")])) == [
        ("web", "restart")
    ]


async def test_variables_from_files_are_compared_too(host: FakeDeployment) -> None:
    content = NEW + b"    env_file: web.env\n"
    completed(await host.deploy(wish(content, files=[ExtraFile("web.env", b"A=1\n")])))
    same = await plan(host, wish(content, files=[ExtraFile("web.env", b"A=1\n")]))
    assert same.data["services"] == [{"service": "web", "action": "keep", "why": ""}]
    assert await actions(host, wish(content, files=[ExtraFile("web.env", b"A=2\n")])) == [
        ("web", "recreate")
    ]


async def test_what_cannot_be_compared_is_not_said_to_be_kept(host: FakeDeployment) -> None:
    joined = compose_content("db").removeprefix(b"services:\n")
    content = NEW + joined.replace(b"network_mode: none", b"network_mode: 'service:web'")
    completed(await host.deploy(wish(content)))
    services = (await plan(host, wish(content))).data["services"]
    assert services == [
        {"service": "web", "action": "keep", "why": ""},
        {
            "service": "db",
            "action": "recreate",
            "why": "if its configuration is another one, which cannot be told before",
        },
    ]


async def test_what_is_built_may_have_another_image_afterwards(host: FakeDeployment) -> None:
    content = compose_content("web").replace(f"image: {IMAGE}".encode(), b"build: .")
    completed(await host.deploy(wish(content)))
    services = (await plan(host, wish(content))).data["services"]
    assert services == [
        {"service": "web", "action": "recreate", "why": "if the image that is built is a newer one"}
    ]


async def test_what_the_policy_refuses_has_a_plan_too_that_says_so(host: FakeDeployment) -> None:
    host.use(policy=STANDARD)
    outcome = await plan(host, wish(OLD + b"    privileged: true\n"))
    policy = outcome.data["policy"]
    assert isinstance(policy, dict)
    assert policy["allowed"] is False
    assert policy["violations"][0]["rule"] == "containers.privileged"
    assert "The host's policy does not allow it:\n  services.web.privileged" in outcome.logs


async def test_warnings_of_compose_are_passed_on(host: FakeDeployment) -> None:
    host.runtime.script("resolve", Scripted(output=b"warning: obsolete\n"))
    assert (await plan(host, wish(OLD))).data["warnings"] == ["warning: obsolete"]


async def test_a_file_that_compose_rejects_has_no_plan(host: FakeDeployment) -> None:
    before = everything(host)
    outcome = failed(await host.do(PlanCompose(wish(REJECTED_CONTENT))))
    assert outcome.data["reason"] == "compose_failed"
    with pytest.raises(InvalidInput):
        await host.do(PlanCompose(wish(b"services: {}")))
    assert everything(host) == before


async def test_an_engine_that_is_down_is_an_error_and_no_empty_plan(host: FakeDeployment) -> None:
    host.lose_engine()
    with pytest.raises(RuntimeUnavailable):
        await host.do(PlanCompose(wish(OLD)))
    assert host.files.staged == []


async def test_of_a_stopped_project_everything_is_created(host: FakeDeployment) -> None:
    await host.stop(stop("blog"))
    assert await actions(host, wish(OLD)) == [("web", "create")]


async def test_a_job_that_has_completed_is_not_started(host: FakeDeployment) -> None:
    job = compose_content("job", command='["sh", "-c", "exit 0"]').removeprefix(b"services:\n")
    content = NEW + b"    depends_on: {job: {condition: service_completed_successfully}}\n" + job
    completed(await host.deploy(wish(content)))
    assert dict(await actions(host, wish(content)))["job"] == "keep"
    failed(await host.deploy(wish(CRASHING, auto_rollback=False)))
    assert dict(await actions(host, wish(CRASHING)))["web"] == "start"
