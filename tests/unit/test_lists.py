"""LIST_PROJECTS and LIST_REVISIONS: what is on the host, and what was."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from domain.commands import ListProjects, ListRevisions
from domain.errors import NotFound
from domain.project import ProjectName
from tests.builders import stop
from tests.fakes.deployment import FakeDeployment
from tests.fakes.engine import DOWN
from tests.fakes.engine_state import found
from tests.unit.deploying import BLOG, CRASHING, NEW, OLD, completed, failed, wish


@pytest.fixture
def host() -> FakeDeployment:
    return FakeDeployment()


async def projects(host: FakeDeployment) -> tuple[list[dict[str, Any]], Any]:
    outcome = completed(await host.do(ListProjects()))
    json.dumps(outcome.data)
    told = outcome.data["projects"]
    assert isinstance(told, list)
    return told, outcome


async def test_a_host_without_projects_says_so(host: FakeDeployment) -> None:
    told, outcome = await projects(host)
    assert (told, outcome.logs) == ([], "Projects on this host: 0.")
    assert outcome.data["others"] == []
    assert outcome.data["engine"] == {"reachable": True}


async def test_each_project_has_what_it_wants_its_last_job_and_its_containers(
    host: FakeDeployment,
) -> None:
    completed(await host.deploy(wish(name="Blog"), "j1"))
    completed(await host.deploy(wish(name="shop"), "j2"))
    await host.stop(stop("shop"), "j3")
    (blog, shop), outcome = await projects(host)
    assert (blog["project_name"], blog["wanted"]["revision"]) == ("Blog", 1)
    assert (blog["journal"]["job_id"], blog["containers"]) == ("j1", {"total": 1, "running": 1})
    assert (shop["wanted"], shop["journal"]["job_id"]) == (None, "j3")
    assert shop["containers"] == {"total": 0}
    assert outcome.logs.splitlines() == [
        "Projects on this host: 2.",
        "  Blog  1 of 1 containers running",
        "  shop  stopped",
    ]


async def test_what_somebody_else_runs_is_named_apart(host: FakeDeployment) -> None:
    completed(await host.deploy(wish()))
    host.state.put("traefik", found(project="traefik"), found("x", project="traefik", state="dead"))
    _, outcome = await projects(host)
    assert outcome.data["others"] == [
        {"project_name": "traefik", "containers": {"total": 2, "dead": 1, "running": 1}}
    ]


async def test_all_of_them_cost_the_engine_one_question(host: FakeDeployment) -> None:
    for name in ("a", "b", "c"):
        completed(await host.deploy(wish(name=name)))
    host.state.asked.clear()
    await projects(host)
    assert host.state.asked == [("all_projects", "")]


async def test_an_engine_that_is_down_is_said_and_the_rest_is_said_all_the_same(
    host: FakeDeployment,
) -> None:
    completed(await host.deploy(wish()))
    host.lose_engine()
    (blog,), outcome = await projects(host)
    assert (blog["containers"], blog["wanted"]["revision"]) == (None, 1)
    assert outcome.data["engine"] == {"reachable": False, "detail": DOWN}
    assert outcome.logs.splitlines()[1:] == ["  blog  how it is cannot be said", DOWN]


async def test_an_engine_that_hangs_is_given_up(host: FakeDeployment) -> None:
    host.state.answers.clear()
    asking = asyncio.create_task(host.do(ListProjects()))
    await host.clock.advance(30)
    engine = completed(await asking).data["engine"]
    assert isinstance(engine, dict)
    assert engine["reachable"] is False


async def test_revisions_are_told_with_what_came_of_them(host: FakeDeployment) -> None:
    completed(await host.deploy(wish(OLD), "j1"))
    failed(await host.deploy(wish(CRASHING), "j2"))
    completed(await host.deploy(wish(NEW, env=b"PASSWORD=hunter2\n", requested_by="ann"), "j3"))
    outcome = completed(await host.do(ListRevisions(BLOG)))
    text = json.dumps(outcome.data)
    revisions = outcome.data["revisions"]
    assert isinstance(revisions, list)
    assert (outcome.data["project_name"], outcome.data["current"]) == ("blog", 3)
    assert [(one["revision"], one["state"], one["job_id"]) for one in revisions] == [
        (1, "good", "j1"),
        (2, "failed", "j2"),
        (3, "good", "j3"),
    ]
    assert "exited with code 3" in revisions[1]["error"]
    assert revisions[2]["requested_by"] == "ann"
    assert "hunter2" not in text + outcome.logs
    lines = outcome.logs.splitlines()
    assert lines[0] == "Revisions of project 'blog': 3."
    assert lines[3].startswith("*    3  good  ")
    assert lines[1].startswith("     1  good  ")


async def test_of_a_stopped_project_none_is_current(host: FakeDeployment) -> None:
    completed(await host.deploy(wish()))
    await host.stop(stop("blog"))
    outcome = completed(await host.do(ListRevisions(BLOG)))
    assert outcome.data["current"] is None
    assert "*" not in outcome.logs


async def test_a_project_from_before_revisions_has_none_and_asking_makes_none(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    outcome = completed(await host.do(ListRevisions(BLOG)))
    assert outcome.data["revisions"] == []
    assert host.store.histories == {}


async def test_an_unknown_project_is_refused(host: FakeDeployment) -> None:
    with pytest.raises(NotFound, match="does not exist on this host"):
        await host.do(ListRevisions(ProjectName("shop")))
