"""STATUS: readable words, and for machines three columns side by side and what differs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from application.agent.handling import Completed, Failed
from domain.commands import DeployCompose
from domain.deploy_options import DeployOptions
from domain.errors import Conflict, RuntimeUnavailable
from domain.project import ComposeFile, ProjectName
from domain.services import PublishedPort
from tests.builders import IMAGE, compose_content, deploy, status, stop
from tests.fakes.clock import EPOCH
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment
from tests.fakes.engine_state import found

NOTHING: dict[str, object] = {"wanted": None, "journal": None, "engine": [], "drift": []}


@pytest.fixture
def host() -> FakeDeployment:
    return FakeDeployment()


async def ask(host: FakeDeployment, name: str = "blog") -> Completed:
    outcome = await host.status(status(name))
    assert isinstance(outcome, Completed)
    json.dumps(outcome.data)
    return outcome


async def test_a_running_project_is_described_in_words_and_in_data(host: FakeDeployment) -> None:
    labels = (("ticket", "OPS-1"),)
    command = DeployCompose(
        ProjectName("Blog"),
        ComposeFile(compose_content()),
        options=DeployOptions(labels=labels, requested_by="ann"),
    )
    await host.deploy(command)
    (web,) = host.state.projects["blog"]
    outcome = await ask(host, "Blog")
    assert outcome.logs == f"Project 'Blog': 1 of 1 containers running.\n  web  running  {IMAGE}"
    data = dict(outcome.data)
    assert data.pop("journal") == {
        "job_id": "job-1",
        "state": "running",
        "error": "",
        "finished_at": None,
    }
    assert data == {
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
        "wanted": {
            "revision": 1,
            "digest": command.content.digest,
            "state": "good",
            "job_id": "job-1",
            "created_at": EPOCH.timestamp(),
            "requested_by": "ann",
            "labels": {"ticket": "OPS-1"},
            "error": "",
            "images": [
                {
                    "service": "web",
                    "reference": IMAGE,
                    "image_id": web.image_id,
                    "repo_digest": "",
                }
            ],
        },
        "engine": [
            {
                "service": "web",
                "container": "blog-web-1",
                "state": "running",
                "status": "Up 3 seconds",
                "health": "none",
                "exit_code": None,
                "restart_count": 0,
                "started_at": web.started_at,
                "image": IMAGE,
                "image_id": web.image_id,
            }
        ],
        "drift": [],
    }


async def test_a_container_that_ended_is_there_with_its_exit_code(host: FakeDeployment) -> None:
    ended = compose_content("job", command='["sh", "-c", "exit 3"]')
    content = compose_content("web") + ended.removeprefix(b"services:\n")
    options = DeployOptions(auto_rollback=False)
    await host.deploy(DeployCompose(ProjectName("blog"), ComposeFile(content), options=options))
    outcome = await ask(host)
    assert "1 of 2 containers running" in outcome.logs
    assert "exited with exit code 3" in outcome.logs
    assert listed(outcome.data, "services")[0]["exit_code"] == 3


async def test_a_stopped_project_has_no_containers_and_wants_none(host: FakeDeployment) -> None:
    await host.deploy(deploy("blog"))
    await host.stop(stop("blog"))
    outcome = await ask(host)
    assert outcome.logs == "Project 'blog' has no containers: it is stopped."
    assert {**outcome.data, "journal": None} == {
        "project_name": "blog",
        "exists": True,
        "services": [],
        **NOTHING,
    }


async def test_an_unknown_project_is_no_failure_and_nobody_is_asked(host: FakeDeployment) -> None:
    assert await ask(host) == Completed(
        "project 'blog' does not exist on this host",
        {"project_name": "blog", "exists": False, "services": [], **NOTHING},
    )
    assert (host.runtime.calls, host.state.asked) == ([], [])


async def test_compose_is_not_asked(host: FakeDeployment) -> None:
    await host.deploy(deploy("blog"))
    host.runtime.calls.clear()
    await ask(host)
    assert host.runtime.calls == []


async def test_published_ports_become_json(host: FakeDeployment) -> None:
    host.files.put("blog", compose_content())
    port = PublishedPort("0.0.0.0", 8080, 80, "tcp")
    host.state.put("blog", found(published_ports=(port,)))
    outcome = await ask(host)
    assert "0.0.0.0:8080->80/tcp" in outcome.logs
    assert listed(json.loads(json.dumps(outcome.data)), "services")[0]["published_ports"] == [
        {"host_address": "0.0.0.0", "host_port": 8080, "container_port": 80, "protocol": "tcp"}
    ]


async def test_a_container_that_somebody_runs_once_is_no_part_of_the_project(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", compose_content())
    host.state.put("blog", found(name="blog-web-run-1", is_oneoff=True))
    outcome = await ask(host)
    assert "has no containers" in outcome.logs
    assert (outcome.data["engine"], outcome.data["drift"]) == ([], [])


# What differs.


async def drift(host: FakeDeployment) -> list[tuple[str, str]]:
    """Kinds and services; each is said in words as well."""
    outcome = await ask(host)
    told = listed(outcome.data, "drift")
    for one in told:
        assert f"{one['kind']}: {one['message']}" in outcome.logs
    return [(one["kind"], one["service"]) for one in told]


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"name": "by-hand"}, "renamed"),
        ({"image_id": "sha256:" + "f" * 64}, "image"),
        ({"config_hash": "f" * 64}, "config"),
        ({"state": "exited", "exit_code": 137}, "stopped"),
        ({"state": "restarting"}, "unhealthy"),
    ],
)
async def test_what_was_changed_by_hand_is_named(
    host: FakeDeployment, facts: dict[str, Any], kind: str
) -> None:
    await host.deploy(deploy("blog"))
    assert await drift(host) == []
    host.state.change("blog", "blog-web-1", **facts)
    assert await drift(host) == [(kind, "web")]


async def test_what_is_missing_and_what_is_extra_are_named(host: FakeDeployment) -> None:
    await host.deploy(deploy("blog"))
    host.state.remove("blog", "blog-web-1")
    host.state.put("blog", found("shell"))
    assert await drift(host) == [("missing", "web"), ("extra", "shell")]


async def test_what_runs_of_a_stopped_project_is_extra(host: FakeDeployment) -> None:
    await host.deploy(deploy("blog"))
    await host.stop(stop("blog"))
    host.state.put("blog", found("web"))
    assert await drift(host) == [("extra", "web")]


async def test_of_a_project_that_was_never_deployed_by_revisions_no_drift_is_known(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", compose_content())
    host.state.put("blog", found("shell"))
    assert await drift(host) == []


async def test_the_journals_column_is_the_last_job_that_changed_the_project(
    host: FakeDeployment,
) -> None:
    await host.deploy(deploy("blog"), "j1")
    await host.deploy(deploy("shop"), "j2")
    journal = (await ask(host)).data["journal"]
    assert isinstance(journal, dict)
    assert journal["job_id"] == "j1"


async def test_a_job_of_another_spelling_is_not_the_last_one_of_the_project(
    host: FakeDeployment,
) -> None:
    await host.deploy(deploy("Blog"), "j1")
    with pytest.raises(Conflict, match="which knows no capitals"):
        await host.deploy(deploy("blog"), "j2")
    journal = (await ask(host, "Blog")).data["journal"]
    assert isinstance(journal, dict)
    assert journal["job_id"] == "j1"


async def test_a_job_whose_spelling_was_not_written_down_is_one_of_the_projects(
    host: FakeDeployment,
) -> None:
    await host.deploy(deploy("Blog"), "j1")
    job = host.jobs.ledger.jobs["j1"]
    job.accepted = replace(job.accepted, spelling="")
    journal = (await ask(host, "Blog")).data["journal"]
    assert isinstance(journal, dict)
    assert journal["job_id"] == "j1"


# What cannot be said.


async def test_an_engine_that_is_down_is_an_error_and_never_called_stopped(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", compose_content())
    host.lose_engine()
    with pytest.raises(RuntimeUnavailable, match="start Docker Engine"):
        await host.status(status("blog"))


async def test_an_engine_that_hangs_is_given_up_after_the_deadline(host: FakeDeployment) -> None:
    host.files.put("blog", compose_content())
    host.state.answers.clear()
    asking = asyncio.create_task(host.status(status("blog")))
    await host.clock.advance(30)
    assert await asking == Failed(
        "asking Docker Engine for the project's containers took longer than 30 s and was ended; "
        "how the project is cannot be said",
        data={"reason": "deadline"},
    )


async def test_a_conflict_is_not_hidden(host: FakeDeployment) -> None:
    host.files.put("MyApp", compose_content())
    with pytest.raises(Conflict):
        await host.status(status("myapp"))


async def test_after_a_deployment_that_was_taken_back_the_revision_before_is_the_wanted_one(
    host: FakeDeployment,
) -> None:
    await host.deploy(deploy("blog"))
    host.runtime.script("up", Scripted(exit_code=1))
    await host.deploy(deploy("blog", compose_content("new")))
    wanted = (await ask(host)).data["wanted"]
    assert isinstance(wanted, dict)
    assert (wanted["revision"], wanted["state"]) == (1, "good")


def listed(data: Mapping[str, object], key: str) -> Sequence[Mapping[str, Any]]:
    found = data[key]
    assert isinstance(found, list)
    return found
