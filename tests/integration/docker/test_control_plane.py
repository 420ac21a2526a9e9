"""The real control plane, the real agent and a real engine: from an empty machine to a removed project."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.docker.conftest import IMAGE
from tests.support.agent_process import AgentProcess, running_agent
from tests.support.control_plane_process import ControlPlaneProcess, running_control_plane

Document = dict[str, Any]
SECRET = "s3cr3t-value"


def compose(command: str = '["sleep", "3600"]', pause: str = "") -> str:
    return (
        "services:\n"
        "  web:\n"
        f"    image: {IMAGE}\n"
        f"    command: {command}\n"
        "    init: true\n"
        "    stop_grace_period: 0s\n"
        "    network_mode: none\n"
        f"{pause}"
    )


NEVER_HEALTHY = (
    "    healthcheck:\n"
    '      test: ["CMD", "false"]\n'
    "      interval: 1s\n"
    "      retries: 1000\n"
    "      start_period: 1000s\n"
)


class Fleet:
    """A control plane with one host, and how tests drive it."""

    def __init__(
        self, plane: ControlPlaneProcess, client: httpx.AsyncClient, home: Path, name: str
    ) -> None:
        self.plane = plane
        self.client = client
        self.project = name
        self._home = home

    @contextlib.asynccontextmanager
    async def agent(self, **settings: str) -> AsyncIterator[AgentProcess]:
        """The host's agent, online."""
        async with running_agent(
            self._home, server_url=self.plane.agents_url, token=None, settings=settings
        ) as agent:
            await self.until_online()
            yield agent

    async def enrolment(self) -> dict[str, str]:
        """Settings for the agent of a new host `web-1`."""
        made = self.ok(await self.client.post("/enrolments", json={"name": "web-1"}), 201)
        return {
            "AGENT_ENROLL_TOKEN": made["token"],
            "AGENT_CONTROL_PLANE_KEY": made["control_plane_key"],
        }

    async def until_online(self) -> Document:
        async with asyncio.timeout(60):
            while True:
                response = await self.client.get("/hosts/web-1")
                document: Document = response.json()
                # Who it is is known a moment before what it says of itself.
                if response.status_code == 200 and document["online"] and document["version"]:
                    return document
                await asyncio.sleep(0.05)

    async def deploy(self, content: str, **more: object) -> Document:
        body = {"project": self.project, "compose": content, "hosts": ["web-1"], **more}
        return self.ok(await self.client.post("/deployments", json=body), 202)

    async def followed(self, path: str) -> list[tuple[str, Document]]:
        """All events of a feed, to its end."""
        events: list[tuple[str, Document]] = []
        async with self.client.stream("GET", f"{path}/feed") as stream:
            assert stream.status_code == 200
            name = ""
            async for line in stream.aiter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    events.append((name, json.loads(value)))
        return events

    async def ask(self, path: str, body: object = None, wait_s: int = 60) -> Document:
        """A command to the host, and the finished job."""
        response = await self.client.post(
            f"/hosts/web-1/{path}", json=body, headers={"Prefer": f"wait={wait_s}"}
        )
        return self.ok(response, 200)

    def of_project(self, verb: str) -> str:
        return f"projects/{self.project}/{verb}"

    @staticmethod
    def ok(response: httpx.Response, status: int) -> Document:
        assert response.status_code == status, response.text
        document: Document = response.json()
        return document


@pytest.fixture
async def fleet(tmp_path: Path, project_name: str) -> AsyncIterator[Fleet]:
    for name in ("plane", "host"):
        (tmp_path / name).mkdir()
    async with running_control_plane(tmp_path / "plane") as plane, plane.client() as client:
        yield Fleet(plane, client, tmp_path / "host", project_name)


def states(events: list[tuple[str, Document]]) -> list[str]:
    return [data["state"] for name, data in events if name == "state"]


async def test_a_project_from_enrolment_to_removal(fleet: Fleet) -> None:
    async with fleet.agent(**await fleet.enrolment()):
        host = await fleet.until_online()
        assert (host["protocol"], host["delivery"], host["cancel"]) == (2, "exactly_once", True)
        assert host["version"]
        assert host["address"] == "127.0.0.1"

        first = await fleet.deploy(compose(), env={"PASSWORD": SECRET})
        events = await fleet.followed(f"/deployments/{first['id']}")
        assert states(events) == ["queued", "accepted", "running", "succeeded"]
        steps = {data["step"] for name, data in events if name == "output"}
        assert {"validate", "policy", "apply", "wait"} <= steps
        assert events[-1][1]["state"] == "succeeded"

        second = await fleet.deploy(compose('["sleep", "7200"]'))
        await fleet.followed(f"/deployments/{second['id']}")
        revisions = (await fleet.ask(fleet.of_project("revisions")))["result"]["data"]
        assert revisions["current"] == 2
        back = await fleet.ask(fleet.of_project("rollback"))
        assert (back["state"], back["result"]["data"]["revision"]) == ("succeeded", 1)
        status = (await fleet.ask(fleet.of_project("status")))["result"]["data"]
        assert status["wanted"]["revision"] == 1

        projects = (await fleet.ask("projects"))["result"]["data"]["projects"]
        assert fleet.project in [one["project_name"] for one in projects]
        assert (await fleet.ask("health"))["state"] == "succeeded"
        assert (await fleet.ask(fleet.of_project("restart")))["state"] == "succeeded"
        plan = await fleet.ask(fleet.of_project("plan"), {"compose": compose()})
        assert plan["state"] == "succeeded"
        assert (await fleet.ask(fleet.of_project("stop")))["state"] == "succeeded"
        assert (await fleet.ask(fleet.of_project("remove"), {}))["state"] == "succeeded"

        history = fleet.ok(
            await fleet.client.get(f"/hosts/web-1/projects/{fleet.project}/history"), 200
        )
        kinds = [job["kind"] for job in history["items"]]
        assert kinds == [
            "REMOVE_COMPOSE",
            "STOP_COMPOSE",
            "RESTART_COMPOSE",
            "ROLLBACK_COMPOSE",
            "DEPLOY_COMPOSE",
            "DEPLOY_COMPOSE",
        ]
        output = await fleet.client.get(f"/jobs/{first['jobs'][0]['id']}/output")
        assert f"Container {fleet.project}-web-1  Started" in output.text
    assert SECRET not in fleet.plane.log()


async def test_a_deployment_that_does_not_come_up_is_canceled_and_taken_back(fleet: Fleet) -> None:
    async with fleet.agent(**await fleet.enrolment()):
        good = await fleet.deploy(compose())
        await fleet.followed(f"/deployments/{good['id']}")
        bad = await fleet.deploy(compose('["sleep", "1800"]', NEVER_HEALTHY))
        job_id = bad["jobs"][0]["id"]
        async with fleet.client.stream("GET", f"/jobs/{job_id}/feed") as stream:
            lines = stream.aiter_lines()
            async for line in lines:
                if '"step": "wait"' in line:
                    break
        canceling = fleet.ok(await fleet.client.post(f"/deployments/{bad['id']}/cancel"), 202)
        assert canceling["jobs"][0]["state"] == "canceling"
        events = await fleet.followed(f"/jobs/{job_id}")
        assert states(events)[-1] == "canceled"
        job = fleet.ok(await fleet.client.get(f"/jobs/{job_id}"), 200)
        assert job["reason"] == "canceled"
        assert job["result"]["data"]["rolled_back_to"] == 1


async def test_what_is_asked_while_the_host_is_away_is_done_when_it_comes(fleet: Fleet) -> None:
    async with fleet.agent(**await fleet.enrolment()):
        pass
    older = await fleet.deploy(compose('["sleep", "1800"]'))
    newer = await fleet.deploy(compose())
    (waiting,) = newer["jobs"]
    assert (waiting["state"], waiting["delivery"]) == ("queued", "waiting")
    async with fleet.agent():
        events = await fleet.followed(f"/deployments/{newer['id']}")
        assert events[-1][1]["state"] == "succeeded"
    superseded = fleet.ok(await fleet.client.get(f"/deployments/{older['id']}"), 200)
    assert superseded["jobs"][0]["state"] == "superseded"
    assert superseded["jobs"][0]["superseded_by"] == waiting["id"]


async def test_a_control_plane_that_is_killed_in_the_middle_loses_nothing(
    fleet: Fleet, tmp_path: Path
) -> None:
    settings = {"CONTROL_PLANE_LISTEN": f"127.0.0.1:{fleet.plane.port}"}
    async with fleet.agent(**await fleet.enrolment()):
        slow = "    healthcheck:\n      test: ['CMD', 'test', '-e', '/bin/sh']\n"
        made = await fleet.deploy(compose(pause=slow + "      start_period: 3s\n"))
        job_id = made["jobs"][0]["id"]
        fleet.plane.process.send_signal(signal.SIGKILL)
        await fleet.plane.process.wait()
        async with (
            running_control_plane(
                tmp_path / "plane", token=fleet.plane.token, settings=settings
            ) as again,
            again.client() as client,
        ):
            fleet.client = client
            events = await fleet.followed(f"/jobs/{job_id}")
            assert states(events)[-1] == "succeeded"
            revisions = (await fleet.ask(fleet.of_project("revisions")))["result"]["data"]
            assert revisions["current"] == 1


async def test_a_revoked_host_is_put_out_at_once_and_stays_out(fleet: Fleet) -> None:
    async with fleet.agent(**await fleet.enrolment()) as agent:
        host = await fleet.until_online()
        revoked = fleet.ok(await fleet.client.post("/hosts/web-1/revoke"), 200)
        assert revoked["online"] is False
        async with asyncio.timeout(5):
            while True:
                if "4403" in agent.log():
                    break
                await asyncio.sleep(0.05)
        shown = fleet.ok(await fleet.client.get(f"/hosts/{host['id']}"), 200)
        assert shown["online"] is False


async def test_an_agent_of_v1_is_driven_with_what_v1_can_give(fleet: Fleet, tmp_path: Path) -> None:
    made = fleet.ok(await fleet.client.post("/hosts", json={"name": "web-1"}), 201)
    async with running_agent(
        tmp_path / "host", server_url=fleet.plane.agents_url, token=made["token"]
    ):
        host = await fleet.until_online()
        assert host["credential"] == "token"
        deployed = await fleet.deploy(compose())
        events = await fleet.followed(f"/deployments/{deployed['id']}")
        assert events[-1][1]["state"] == "succeeded"
        assert (await fleet.ask(fleet.of_project("remove"), {}))["state"] == "succeeded"
