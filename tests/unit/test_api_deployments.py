"""Deployments over the API: what they bring, what is shown of them, and what comes of them."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest

from domain.commands import DeployCompose
from domain.fleet.host import Host
from domain.fleet.page import USUAL_PAGE
from tests.contracts.fleet import accept, result
from tests.unit.api import BLOG, COMPOSE, SECRET, V1, Api, payload_of, serving


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving() as api:
        yield api


@pytest.fixture
async def host(api: Api) -> Host:
    (host,) = await api.plane.add_hosts("web-1", env="prod")
    return host


class TestDeployments:
    async def test_everything_that_it_brings_is_in_the_command_and_nothing_in_the_answer(
        self, api: Api, host: Host
    ) -> None:
        made = await api.deploy(
            "web-1",
            env={"PASSWORD": SECRET},
            files={
                "app.ini": {"content": SECRET, "mode": "0600"},
                "logo.png": {
                    "content_base64": base64.b64encode(b"\x89" + SECRET.encode()).decode()
                },
            },
            options={"pull": "always", "wait_timeout_s": 60, "labels": {"commit": "abc"}},
            registry_auth={"r.example": {"username": "robot", "password": SECRET}},
            ttl_s=3600,
            deadline_s=600,
        )
        (job,) = made["jobs"]
        command = await api.plane.payloads.command_of(await api.plane.fleet.jobs.job(job["id"]))
        assert isinstance(command, DeployCompose)
        assert command.file.content == COMPOSE.encode()
        assert command.env == f"PASSWORD={SECRET}\n".encode()
        assert {one.path: one.mode for one in command.files} == {
            "app.ini": 0o600,
            "logo.png": 0o644,
        }
        assert command.options.pull.value == "always"
        assert command.options.requested_by == "administrator"
        assert command.registry_auth[0].password == SECRET
        assert made["content"] == {
            "compose_bytes": len(COMPOSE),
            "env_bytes": len(SECRET) + 10,
            "variables": ["PASSWORD"],
            "files": [
                {"path": "app.ini", "bytes": len(SECRET), "mode": "0600"},
                {"path": "logo.png", "bytes": len(SECRET) + 1, "mode": "0644"},
            ],
            "registries": ["r.example"],
            "options": {"pull": "always", "wait_timeout_s": 60, "labels": {"commit": "abc"}},
        }
        seen = [made, await api.get(f"{V1}/deployments/{made['id']}"), await api.get(f"{V1}/jobs")]
        seen.append(await api.get(f"{V1}/jobs/{job['id']}"))
        assert SECRET not in str(seen)
        assert "nginx" not in str(seen)
        assert job["deadline_s"] == 600

    async def test_env_may_be_the_text_of_a_file(self, api: Api, host: Host) -> None:
        made = await api.deploy("web-1", env="# mine\nA=1\n")
        assert (await payload_of(api, made["jobs"][0]))["env"] == "# mine\nA=1\n"

    async def test_it_is_for_labels_too(self, api: Api, host: Host) -> None:
        body = {"project": "blog", "compose": COMPOSE, "host_labels": {"env": "prod"}}
        made = await api.post(f"{V1}/deployments", 202, body)
        assert [job["host"] for job in made["jobs"]] == ["web-1"]
        assert (made["hosts"], made["host_labels"]) == ([], {"env": "prod"})

    async def test_hosts_that_are_none_are_named(self, api: Api, host: Host) -> None:
        body = {"project": "blog", "compose": COMPOSE, "hosts": ["web-1", "web-8", "web-9"]}
        problem = await api.problem("POST", f"{V1}/deployments", 404, "not_found", json=body)
        assert "web-8" in problem["detail"]
        assert "web-9" in problem["detail"]

    async def test_where_it_is_found_is_said(self, api: Api, host: Host) -> None:
        body = {"project": "blog", "compose": COMPOSE, "hosts": ["web-1"]}
        response = await api.client.post(f"{V1}/deployments", json=body)
        assert response.headers["location"] == f"{V1}/deployments/{response.json()['id']}"
        assert await api.get(response.headers["location"]) == response.json()

    async def test_its_outcome_and_jobs_are_shown_as_they_come(self, api: Api, host: Host) -> None:
        made = await api.deploy("web-1")
        assert (made["state"], made["jobs_by_state"]) == ("running", {"queued": 1})
        assert made["jobs"][0]["delivery"] == "waiting"
        job_id = made["jobs"][0]["id"]
        await api.plane.hear(host.id, accept(1, job_id), result(2, job_id))
        shown = await api.get(f"{V1}/deployments/{made['id']}")
        assert (shown["state"], shown["jobs_by_state"]) == ("succeeded", {"succeeded": 1})
        assert shown["jobs"][0]["delivery"] == "arrived"
        (listed,) = (await api.get(f"{V1}/deployments?project=Blog"))["items"]
        assert shown == listed | {"jobs": shown["jobs"], "jobs_next": None}

    async def test_of_many_jobs_the_first_are_shown_and_the_others_listed(self, api: Api) -> None:
        names = [f"web-{n}" for n in range(USUAL_PAGE + 2)]
        await api.plane.add_hosts(*names)
        made = await api.deploy(*names)
        assert [job["host"] for job in made["jobs"]] == names
        assert made["jobs_next"] is None
        shown = await api.get(f"{V1}/deployments/{made['id']}")
        assert shown["jobs_by_state"] == {"queued": USUAL_PAGE + 2}
        rest = await api.get(
            f"{V1}/jobs", params={"deployment": made["id"], "after": shown["jobs_next"]}
        )
        assert shown["jobs"] + rest["items"] == made["jobs"][::-1]
        assert len(shown["jobs"]) == USUAL_PAGE
        canceled = await api.post(f"{V1}/deployments/{made['id']}/cancel", 202)
        assert canceled["jobs_by_state"] == {"canceled": USUAL_PAGE + 2}
        assert len(canceled["jobs"]) == USUAL_PAGE
        assert canceled["jobs_next"] == shown["jobs_next"]

    async def test_it_is_deployed_again_as_it_was_or_elsewhere(self, api: Api, host: Host) -> None:
        await api.plane.add_hosts("web-2")
        made = await api.deploy("web-1", env={"A": SECRET})
        redeploy = f"{V1}/deployments/{made['id']}/redeploy"
        again = await api.post(redeploy, 202)
        assert (again["redeploy_of"], again["digest"]) == (made["id"], made["digest"])
        there = await api.post(redeploy, 202, {"hosts": ["web-2"], "ttl_s": 60})
        assert [job["host"] for job in there["jobs"]] == ["web-2"]

    async def test_it_is_canceled(self, api: Api, host: Host) -> None:
        made = await api.deploy("web-1")
        ended = await api.post(f"{V1}/deployments/{made['id']}/cancel", 202)
        assert (ended["state"], ended["jobs_by_state"]) == ("failed", {"canceled": 1})

    async def test_under_a_key_it_is_made_once(self, api: Api, host: Host) -> None:
        body = {"project": "blog", "compose": COMPOSE, "hosts": ["web-1"]}
        headers = {"Idempotency-Key": "7f3c"}
        first, again = [
            await api.client.post(f"{V1}/deployments", json=body, headers=headers) for _ in range(2)
        ]
        assert first.json() == again.json()
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        other = body | {"hosts": ["web-1"], "env": {"A": "1"}}
        await api.problem("POST", f"{V1}/deployments", 409, "conflict", json=other, headers=headers)

    @pytest.mark.parametrize("key", ["", "k" * 256, "é"])
    async def test_a_key_that_is_none_is_refused(self, api: Api, host: Host, key: str) -> None:
        headers = {"Idempotency-Key": key.encode()}
        await api.problem("POST", f"{BLOG}/stop", 422, "invalid_input", headers=headers)
