"""What each route does, told from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from domain.errors import StorageUnavailable
from domain.fleet.host import AgentReport, Host
from tests.contracts.fleet import hashed
from tests.support.asgi import client_of
from tests.support.control_plane_parts import ADMIN, KEY, METRICS_TOKEN, ControlPlane
from tests.unit.api import BLOG, V1, WEB, Api, serving


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving() as api:
        yield api


@pytest.fixture
async def host(api: Api) -> Host:
    (host,) = await api.plane.add_hosts("web-1", env="prod")
    return host


class TestEnrolments:
    async def test_the_token_is_shown_once_with_what_to_run(self, api: Api) -> None:
        made = await api.post(f"{V1}/enrolments", 201, {"name": "web-1", "labels": {"env": "prod"}})
        token = made["token"]
        assert f"={token} " in made["command"]
        assert "SERVER_URL=ws://cp.example/ws" in made["command"]
        assert made["control_plane_key"].startswith("sha256:")
        assert made["control_plane_key"] in made["command"]
        assert made["enrolment"]["state"] == "open"
        listed = await api.get(f"{V1}/enrolments")
        assert listed == {"items": [made["enrolment"]], "next": None}
        assert token not in str(listed)

    async def test_agents_are_sent_to_the_public_address_where_one_is_set(self) -> None:
        async with serving(ControlPlane(public_url="https://fleet.example")) as api:
            made = await api.post(f"{V1}/enrolments", 201, {"name": "web-1"})
            assert "SERVER_URL=wss://fleet.example/ws" in made["command"]

    async def test_its_state_tells_whether_it_can_be_used(self, api: Api) -> None:
        made = await api.post(f"{V1}/enrolments", 201, {"name": "web-1"})
        await api.plane.clock.advance(601)
        (late,) = (await api.get(f"{V1}/enrolments"))["items"]
        assert late["state"] == "closed"
        again = await api.post(f"{V1}/enrolments", 201, {"name": "web-1"})
        response = await api.client.delete(f"{V1}/enrolments/{again['enrolment']['id']}")
        assert (response.status_code, response.content) == (204, b"")
        assert made["token"] != again["token"]

    @pytest.mark.parametrize(("ttl_s", "good_s"), [(None, 600), (60, 60), (86_400, 86_400)])
    async def test_its_token_is_good_as_long_as_is_asked_for(
        self, api: Api, ttl_s: float | None, good_s: float
    ) -> None:
        body = {"name": "web-1", "ttl_s": ttl_s}
        shown = (await api.post(f"{V1}/enrolments", 201, body))["enrolment"]
        until, since = (
            datetime.fromisoformat(shown[f"{one}_at"]) for one in ("expires", "created")
        )
        assert (until - since).total_seconds() == good_s

    @pytest.mark.parametrize("ttl_s", [0, 59.9, 86_401, "60", True])
    async def test_no_token_is_good_for_longer_or_for_no_time(
        self, api: Api, ttl_s: object
    ) -> None:
        body = {"name": "web-1", "ttl_s": ttl_s}
        problem = await api.problem("POST", f"{V1}/enrolments", 422, "invalid_input", json=body)
        assert problem["errors"][0]["field"] == "ttl_s"
        assert (await api.get(f"{V1}/enrolments"))["items"] == []

    @pytest.mark.parametrize("path", ["enrolments", "hosts", "hosts/web-1/token"])
    async def test_what_shows_a_secret_takes_no_idempotency_key(self, api: Api, path: str) -> None:
        problem = await api.problem(
            "POST",
            f"{V1}/{path}",
            422,
            "invalid_input",
            json={"name": "web-1"} if path != "hosts/web-1/token" else None,
            headers={"Idempotency-Key": "k"},
        )
        assert problem["errors"][0]["field"] == "Idempotency-Key"


class TestHosts:
    async def test_one_that_never_connected_is_shown_with_what_is_known(
        self, api: Api, host: Host
    ) -> None:
        assert await api.get(WEB) == {
            "id": host.id,
            "name": "web-1",
            "labels": {"env": "prod"},
            "credential": "token",
            "public_key": None,
            "created_at": "2023-11-14T22:13:20.500000Z",
            "revoked_at": None,
            "clone_suspected_at": None,
            "online": False,
            "connected_at": None,
            "last_seen_at": None,
            "version": None,
            "architecture": None,
            "hostname": None,
            "address": None,
            "facts": {},
            "protocol": None,
            "delivery": None,
            "cancel": None,
            "live_output": None,
        }

    @pytest.mark.parametrize(
        ("protocol", "delivery", "cancel"), [(1, "at_least_once", False), (2, "exactly_once", True)]
    )
    async def test_one_that_is_online_tells_how_it_is_and_what_it_can_do(
        self, api: Api, host: Host, protocol: int, delivery: str, cancel: bool
    ) -> None:
        facts = {"load": [0.5, 0.1, 0.0], "engine_reachable": True}
        api.plane.links.connected[host.id] = protocol
        api.plane.links.reports[host.id] = AgentReport(
            protocol, "1.2.0", "linux-arm64", "pi", "192.0.2.9", 1000.0, 2000.0, facts
        )
        shown = await api.get(f"{V1}/hosts/{host.id}")
        assert shown["online"] is True
        assert shown["connected_at"] == "1970-01-01T00:16:40Z"
        assert shown["last_seen_at"] == "1970-01-01T00:33:20Z"
        assert (shown["version"], shown["architecture"]) == ("1.2.0", "linux-arm64")
        assert (shown["hostname"], shown["address"]) == ("pi", "192.0.2.9")
        assert shown["facts"] == facts
        assert (shown["protocol"], shown["delivery"]) == (protocol, delivery)
        assert (shown["cancel"], shown["live_output"]) == (cancel, cancel)

    async def test_they_are_listed_in_pages_by_label(self, api: Api) -> None:
        await api.plane.add_hosts("a", "b", "c", env="prod", tier="web")
        await api.plane.add_hosts("d", env="test")
        names: list[str] = []
        after = ""
        while True:
            page = await api.get(f"{V1}/hosts?label=env=prod&label=tier=web&limit=2&after={after}")
            names += [one["name"] for one in page["items"]]
            if page["next"] is None:
                break
            after = page["next"]
        assert names == ["a", "b", "c"]

    async def test_one_is_renamed_and_labelled(self, api: Api, host: Host) -> None:
        body = {"name": "web-9", "labels": {"env": "test"}}
        response = await api.client.patch(WEB, json=body)
        assert response.status_code == 200
        assert (response.json()["name"], response.json()["labels"]) == ("web-9", {"env": "test"})
        await api.problem("GET", WEB, 404, "not_found")
        await api.plane.add_hosts("web-2")
        again = {"name": "WEB-2"}
        await api.problem("PATCH", f"{V1}/hosts/web-9", 409, "conflict", json=again)

    async def test_one_with_a_token_is_added_and_its_token_replaced(self, api: Api) -> None:
        made = await api.post(f"{V1}/hosts", 201, {"name": "old-1"})
        again = await api.post(f"{V1}/hosts/old-1/token", 201)
        assert made["token"] != again["token"]
        assert made["host"]["id"] == again["host"]["id"]
        found = await api.plane.fleet.hosts.with_token(hashed(again["token"]))
        assert found is not None
        assert made["token"] not in str(await api.get(f"{V1}/hosts"))

    async def test_one_is_revoked_and_listed_only_where_that_is_asked(
        self, api: Api, host: Host
    ) -> None:
        revoked = await api.post(f"{WEB}/revoke", 200)
        assert revoked["revoked_at"] is not None
        assert (await api.get(f"{V1}/hosts"))["items"] == []
        assert (await api.get(f"{V1}/hosts?with_revoked=true"))["items"] == [revoked]

    async def test_a_suspicion_is_shown_and_settled(self, api: Api, host: Host) -> None:
        await api.plane.fleet.hosts.suspect_clone(host.id, 1000.0)
        assert (await api.get(WEB))["clone_suspected_at"] == "1970-01-01T00:16:40Z"
        response = await api.client.delete(f"{WEB}/clone-suspicion")
        assert response.json()["clone_suspected_at"] is None

    async def test_a_key_is_shown_by_its_fingerprint(self, api: Api) -> None:
        await api.plane.add_key_host("web-2")
        shown = await api.get(f"{V1}/hosts/web-2")
        assert shown["public_key"].startswith("sha256:")
        assert KEY not in str(shown)
        assert shown["delivery"] == "exactly_once"


class TestService:
    async def test_it_is_alive_and_of_use(self, api: Api) -> None:
        async with client_of(api.app) as stranger:
            for path in ("/healthz", "/readyz"):
                assert (await stranger.get(path)).json() == {"status": "ok", "version": "1.0.0"}

    async def test_without_its_database_it_is_alive_and_of_no_use(self, api: Api) -> None:
        api.plane.fleet.reach.failure = StorageUnavailable("locked")
        assert (await api.client.get("/healthz")).status_code == 200
        await api.problem("GET", "/readyz", 503, "storage_unavailable")

    async def test_measurements_are_told_to_who_may_have_them(self, api: Api, host: Host) -> None:
        await api.post(f"{BLOG}/stop", 202)
        await api.client.get(f"{V1}/jobs/{'x' * 100}")
        await api.client.request("BREW", f"{V1}/jobs")
        async with client_of(api.app, METRICS_TOKEN) as prometheus:
            response = await prometheus.get("/metrics")
            assert (await prometheus.get(f"{V1}/jobs")).status_code == 403
        assert response.headers["content-type"].startswith("text/plain")
        lines = response.text.splitlines()
        assert 'instadeploy_jobs{state="queued"} 1.0' in lines
        assert 'instadeploy_agents_online{protocol="2"} 0.0' in lines
        assert "instadeploy_jobs_counted_seconds_ago 0.0" in lines
        assert "instadeploy_oldest_waiting_job_seconds" in response.text
        assert any(line.startswith("instadeploy_delivery_seconds_bucket") for line in lines)
        requests = [line for line in lines if line.startswith("instadeploy_http_requests_total")]
        assert any('route="/api/v1/jobs/{job_id}",status="404"' in line for line in requests)
        assert any('method="other"' in line for line in requests)
        assert "xxxx" not in response.text
        assert "web-1" not in response.text
        assert ADMIN not in response.text
