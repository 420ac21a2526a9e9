"""Commands to one host, the jobs that they become, and what is told of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from application.control_plane.happenings import Happenings
from domain.commands import PlanCompose, RestartCompose, RollbackCompose
from domain.errors import StorageUnavailable
from domain.fleet.host import AgentReport, Host
from domain.job import JobState
from tests.contracts.fleet import accept, chunk, result
from tests.fakes.clock import settle
from tests.support.control_plane_parts import ControlPlane
from tests.unit.api import BLOG, COMPOSE, SECRET, V1, WEB, Api, Document, payload_of, serving


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving() as api:
        yield api


@pytest.fixture
async def host(api: Api) -> Host:
    (host,) = await api.plane.add_hosts("web-1", env="prod")
    return host


@contextlib.contextmanager
def failing_after_a_submit(plane: ControlPlane) -> Iterator[None]:
    """A database that is gone once it has taken something."""
    submit = plane.fleet.jobs.submit

    async def submit_and_fail(*arguments: Any, **more: Any) -> Any:
        made = await submit(*arguments, **more)
        plane.fleet.reach.failure = StorageUnavailable("the disk is gone")
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plane.fleet.jobs, "submit", submit_and_fail)
        yield


COMMANDS = [
    (f"{BLOG}/stop", None, "STOP_COMPOSE", {"project_name": "blog"}),
    (f"{BLOG}/restart", None, "RESTART_COMPOSE", {"project_name": "blog"}),
    (
        f"{BLOG}/restart",
        {"services": ["web"]},
        "RESTART_COMPOSE",
        {"project_name": "blog", "services": ["web"]},
    ),
    (f"{BLOG}/remove", {}, "REMOVE_COMPOSE", {"project_name": "blog"}),
    (
        f"{BLOG}/remove",
        {"volumes": True},
        "REMOVE_COMPOSE",
        {"project_name": "blog", "volumes": True},
    ),
    (
        f"{BLOG}/rollback",
        {"revision": 3},
        "ROLLBACK_COMPOSE",
        {"project_name": "blog", "revision": 3, "requested_by": "administrator"},
    ),
    (f"{BLOG}/status", None, "STATUS", {"project_name": "blog"}),
    (f"{BLOG}/revisions", None, "LIST_REVISIONS", {"project_name": "blog"}),
    (f"{WEB}/projects", None, "LIST_PROJECTS", {}),
    (f"{WEB}/health", None, "HEALTH_CHECK", {}),
]


class TestCommands:
    @pytest.mark.parametrize(("path", "body", "kind", "payload"), COMMANDS)
    async def test_each_becomes_a_job(
        self, api: Api, host: Host, path: str, body: Document | None, kind: str, payload: Document
    ) -> None:
        response = await api.client.post(path, json=body)
        assert response.status_code == 202
        job = response.json()
        assert response.headers["location"] == f"{V1}/jobs/{job['id']}"
        assert (job["kind"], job["state"], job["over"]) == (kind, "queued", False)
        assert await payload_of(api, job) == payload
        assert await api.get(f"{V1}/jobs/{job['id']}") == job

    async def test_a_plan_has_all_that_a_deployment_has(self, api: Api, host: Host) -> None:
        body = {"compose": COMPOSE, "env": {"A": SECRET}, "options": {"profiles": ["debug"]}}
        job = await api.post(f"{BLOG}/plan", 202, body)
        command = await api.plane.payloads.command_of(await api.plane.fleet.jobs.job(job["id"]))
        assert isinstance(command, PlanCompose)
        assert command.deployment.env == f"A={SECRET}\n".encode()
        assert command.deployment.options.profiles == ("debug",)

    @pytest.mark.parametrize(
        ("path", "body", "field"),
        [
            ("restart", {"services": ["--all"]}, "services"),
            ("restart", {"services": "web"}, "services"),
            ("remove", {"volumes": 1}, "volumes"),
            ("rollback", {"revision": 0}, "revision"),
            ("rollback", {"revision": "3"}, "revision"),
            ("stop", {"force": True}, "force"),
            ("plan", {"compose": COMPOSE, "hosts": ["web-1"]}, "hosts"),
        ],
    )
    async def test_one_that_breaks_a_rule_becomes_none(
        self, api: Api, host: Host, path: str, body: Document, field: str
    ) -> None:
        problem = await api.problem("POST", f"{BLOG}/{path}", 422, "invalid_input", json=body)
        assert problem["errors"][0]["field"] == field
        assert api.plane.fleet.state.jobs == {}

    async def test_whoever_prefers_to_wait_gets_the_finished_job(
        self, api: Api, host: Host
    ) -> None:
        asking = asyncio.create_task(
            api.client.post(f"{BLOG}/status", headers={"Prefer": "respond-async, wait=10"})
        )
        await settle(200)
        (job_id,) = api.plane.fleet.state.jobs
        await api.plane.hear(host.id, accept(1, job_id), result(2, job_id, running=True))
        response = await asking
        assert response.status_code == 200
        assert response.headers["preference-applied"] == "wait=10"
        job = response.json()
        assert (job["state"], job["over"]) == ("succeeded", True)
        assert job["result"] == {
            "logs": "what it printed",
            "error": "",
            "data": {"running": True},
            "output": [
                {
                    "step": "up",
                    "attempt": 1,
                    "exit_code": 0,
                    "length": 12,
                    "sha256": "a" * 64,
                    "truncated": False,
                }
            ],
        }

    async def test_or_the_job_as_it_is_when_the_time_is_over(self, api: Api, host: Host) -> None:
        asking = asyncio.create_task(
            api.client.post(f"{BLOG}/status", headers={"Prefer": "wait=3600"})
        )
        await settle(200)
        await api.plane.clock.advance(60)
        response = await asking
        assert response.status_code == 202
        assert response.headers["preference-applied"] == "wait=60"
        assert response.json()["state"] == "queued"

    async def test_what_was_accepted_is_so_answered_where_nobody_can_wait_for_it(
        self, host: Host
    ) -> None:
        plane = ControlPlane(happenings=Happenings(limit=0))
        async with serving(plane) as api:
            await plane.add_hosts("web-1")
            response = await api.client.post(f"{BLOG}/stop", headers={"Prefer": "wait=5"})
            assert response.status_code == 202, response.text
            assert "preference-applied" not in response.headers
            assert "retry-after" not in response.headers
            (job_id,) = plane.fleet.state.jobs
            assert response.headers["location"] == f"{V1}/jobs/{job_id}"
            assert (response.json()["id"], response.json()["state"]) == (job_id, "queued")

    @pytest.mark.parametrize("prefer", ["wait=0", "wait=5"])
    async def test_what_was_accepted_is_so_answered_where_the_database_fails_then(
        self, api: Api, host: Host, prefer: str
    ) -> None:
        with failing_after_a_submit(api.plane):
            response = await api.client.post(f"{BLOG}/stop", headers={"Prefer": prefer})
        assert response.status_code == 202, response.text
        (job_id,) = api.plane.fleet.state.jobs
        assert response.headers["location"] == f"{V1}/jobs/{job_id}"
        assert (response.json()["id"], response.json()["host"]) == (job_id, None)

    async def test_so_is_a_deployment(self, api: Api, host: Host) -> None:
        with failing_after_a_submit(api.plane):
            made = await api.deploy("web-1")
        assert [job["host_id"] for job in made["jobs"]] == [host.id]

    async def test_when_the_program_stops_nobody_waits_any_more(self, api: Api, host: Host) -> None:
        asking = asyncio.create_task(
            api.client.post(f"{BLOG}/status", headers={"Prefer": "wait=60"})
        )
        await settle(200)
        api.plane.sessions.end_all()
        response = await asking
        assert (response.status_code, response.json()["state"]) == (202, "queued")
        assert api.plane.happenings.watches == 0

    @pytest.mark.parametrize("prefer", ["wait", "wait=x", "wait=-1", "return=minimal", "wait=0"])
    async def test_a_preference_that_is_not_understood_is_ignored(
        self, api: Api, host: Host, prefer: str
    ) -> None:
        response = await api.client.post(f"{BLOG}/status", headers={"Prefer": prefer})
        assert response.status_code == 202
        assert "preference-applied" not in response.headers

    async def test_under_a_key_it_is_carried_out_once_and_waited_for_again(
        self, api: Api, host: Host
    ) -> None:
        headers = {"Idempotency-Key": "k"}
        first = await api.client.post(f"{BLOG}/stop", headers=headers)
        await api.plane.hear(host.id, accept(1, first.json()["id"]), result(2, first.json()["id"]))
        again = await api.client.post(f"{BLOG}/stop", headers=headers | {"Prefer": "wait=5"})
        assert again.status_code == 200
        assert again.json()["id"] == first.json()["id"]
        assert again.json()["result"]["logs"] == "what it printed"

    async def test_the_command_that_is_meant_is_the_one_that_is_sent(
        self, api: Api, host: Host
    ) -> None:
        for path, kind in (("restart", RestartCompose), ("rollback", RollbackCompose)):
            job = await api.post(f"{BLOG}/{path}", 202)
            kept = await api.plane.fleet.jobs.job(job["id"])
            assert isinstance(await api.plane.payloads.command_of(kept), kind)


class TestJobs:
    async def test_they_are_filtered_and_come_in_pages(self, api: Api, host: Host) -> None:
        await api.plane.add_hosts("web-2")
        made = [(await api.post(f"{BLOG}/stop", 202))["id"] for _ in range(3)]
        await api.post(f"{V1}/hosts/web-2/health", 202)
        first = await api.get(f"{V1}/jobs?host=web-1&project=BLOG&state=queued&limit=2")
        assert [job["id"] for job in first["items"]] == [made[2], made[1]]
        rest = await api.get(f"{V1}/jobs?host=web-1&limit=2&after={first['next']}")
        assert [job["id"] for job in rest["items"]] == [made[0]]
        assert rest["next"] is None
        health = await api.get(f"{V1}/jobs?kind=HEALTH_CHECK&kind=STATUS")
        assert [job["host"] for job in health["items"]] == ["web-2"]
        history = await api.get(f"{BLOG}/history?limit=1")
        assert [job["id"] for job in history["items"]] == [made[2]]

    async def test_a_projects_history_has_nothing_of_another_spelling(
        self, api: Api, host: Host
    ) -> None:
        """The host refuses it; all of both spellings are in the list of jobs."""
        mine = (await api.post(f"{BLOG}/stop", 202))["id"]
        other = (await api.post(f"{V1}/hosts/web-1/projects/Blog/stop", 202))["id"]
        history = await api.get(f"{BLOG}/history")
        assert [job["id"] for job in history["items"]] == [mine]
        both = await api.get(f"{V1}/jobs?project=blog")
        assert [job["id"] for job in both["items"]] == [other, mine]

    async def test_a_result_is_there_when_it_is_over(self, api: Api, host: Host) -> None:
        job = await api.post(f"{BLOG}/stop", 202)
        path = f"{V1}/jobs/{job['id']}"
        await api.problem("GET", f"{path}/result", 404, "not_found")
        failed = result(2, job["id"], JobState.FAILED, reason="unhealthy")
        await api.plane.hear(host.id, accept(1, job["id"]), failed)
        shown = await api.get(path)
        assert (shown["state"], shown["reason"], shown["error"]) == (
            "failed",
            "unhealthy",
            "it failed",
        )
        assert await api.get(f"{path}/result") == shown["result"]
        assert (await api.get(f"{V1}/jobs"))["items"][0]["result"] is None

    async def test_one_is_canceled_once(self, api: Api, host: Host) -> None:
        job = await api.post(f"{BLOG}/stop", 202)
        for _ in range(2):
            ended = await api.post(f"{V1}/jobs/{job['id']}/cancel", 202)
            assert (ended["state"], ended["reason"]) == ("canceled", "canceled")

    async def test_one_that_an_agent_of_v1_has_is_not(self, api: Api, host: Host) -> None:
        job = await api.post(f"{BLOG}/stop", 202)
        report = AgentReport(1, "1.0.0", "linux-amd64", "web-1", "192.0.2.1", 0.0, 0.0)
        await api.plane.fleet.hosts.note_reports({host.id: report})
        await api.plane.fleet.jobs.mark_sent(job["id"], 0.0)
        problem = await api.problem("POST", f"{V1}/jobs/{job['id']}/cancel", 409, "conflict")
        assert "v1" in problem["detail"]

    async def test_output_is_text_in_which_nothing_acts(self, api: Api, host: Host) -> None:
        job = await api.post(f"{BLOG}/stop", 202)
        printed = b"\x1b[31mred\x07\n\xe2\x82" + b"\xac\ttab\r\n\xff\x9b31m\x00"
        await api.plane.hear(
            host.id,
            accept(1, job["id"]),
            chunk(job["id"], printed[:12]),
            chunk(job["id"], printed[12:], 12),
        )
        path = f"{V1}/jobs/{job['id']}/output"
        response = await api.client.get(path)
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert response.text == "\\x1b[31mred\\x07\n€\ttab\\x0d\n��31m\\x00"
        raw = await api.client.get(f"{path}?raw=true")
        assert raw.headers["content-type"] == "application/octet-stream"
        assert raw.content == printed

    async def test_output_is_empty_where_nothing_was_printed(self, api: Api, host: Host) -> None:
        job = await api.post(f"{BLOG}/stop", 202)
        response = await api.client.get(f"{V1}/jobs/{job['id']}/output")
        assert (response.status_code, response.content) == (200, b"")
