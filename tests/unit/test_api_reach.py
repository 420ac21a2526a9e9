"""Every route, for every role, with what is somebody else's: what is refused reaches no handler."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from domain.fleet.access import FLEET_WIDE, PERMISSIONS, Grant, Permission, Role
from domain.fleet.host import HostName
from domain.fleet.labels import Labels, Selector
from entrypoints.control_plane.rest.guard import GuardedRoute
from tests.builders import deploy
from tests.support.asgi import client_of
from tests.support.control_plane_parts import BY, ControlPlane, terms
from tests.unit.api import Api, problem_in, serving
from tests.unit.test_api_access import guarded_routes, with_spied_handlers

PROD, STAGING = Labels.of({"env": "prod"}), Labels.of({"env": "staging"})
OF_HOSTS: Final = {"host", "job_id", "deployment_id", "enrolment_id"}
SECRET: Final = "hunter2-is-a-secret"


class Fleet:
    """A host, a job, a deployment and an enrolment in each of two environments."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.ids: dict[str, dict[str, str]] = {}

    async def fill(self) -> None:
        await self.plane.with_administrator()
        for env in ("prod", "staging"):
            name = f"{env}-1"
            await self.plane.add_hosts(name, env=env)
            accepted = await self.plane.submitting.deploy(
                Selector(hosts=(name,)), deploy(), terms()
            )
            made = await self.plane.enrolments.create(
                HostName(f"{env}-2"), Labels.of({"env": env}), BY
            )
            self.ids[env] = {
                "host": name,
                "job_id": accepted.jobs[0].id,
                "deployment_id": accepted.deployment.id,
                "enrolment_id": made.enrolment.id,
                "project": "blog",
                "user": "ann",
                "token_id": "tok_none",
            }

    def path(self, route: GuardedRoute, env: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: self.ids[env][found[1]], route.path)


def names_of(route: GuardedRoute) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", route.path)) & OF_HOSTS


def method_of(route: GuardedRoute) -> str:
    assert route.methods
    (method,) = route.methods
    return method


@pytest.mark.parametrize("role", Role)
async def test_every_route_for_every_role_with_what_is_ones_own_and_what_is_not(
    role: Role,
) -> None:
    fleet = Fleet(ControlPlane())
    await fleet.fill()
    token = await fleet.plane.add_user("bob", Grant(role, PROD))
    app, reached = with_spied_handlers(fleet.plane)
    walked = 0
    async with client_of(app, token) as client:
        for route in guarded_routes():
            permission = route.permission
            if permission in (Permission.PUBLIC, Permission.SELF):
                continue
            may = permission in PERMISSIONS[role] and permission not in FLEET_WIDE
            for env in ("prod", "staging"):
                reached.clear()
                response = await client.request(method_of(route), fleet.path(route, env), json={})
                walked += 1
                is_foreign = env == "staging" and bool(names_of(route))
                if not may:
                    problem_in(response, 403, "forbidden")
                elif is_foreign:
                    problem_in(response, 404, "not_found")
                else:
                    assert response.status_code not in (401, 403, 404), route.path
                    continue
                assert reached == [], f"{role}: {method_of(route)} {route.path} was reached"
    assert walked > 70


async def test_what_is_foreign_is_answered_in_the_words_of_what_is_not_there() -> None:
    fleet = Fleet(ControlPlane())
    await fleet.fill()
    token = await fleet.plane.add_user("bob", Grant(Role.VIEWER, PROD))
    app, _ = with_spied_handlers(fleet.plane)
    async with client_of(app, token) as client:
        for name, template in (
            ("host", "/api/v1/hosts/{}"),
            ("job_id", "/api/v1/jobs/{}"),
            ("deployment_id", "/api/v1/deployments/{}"),
        ):
            foreign = fleet.ids["staging"][name]
            unknown = "x" * len(foreign)
            answers = [await client.get(template.format(one)) for one in (foreign, unknown)]
            texts = [
                answer.text.replace(one, "?")
                for answer, one in zip(answers, (foreign, unknown), strict=True)
            ]
            assert texts[0] == texts[1]
            assert answers[0].headers.keys() == answers[1].headers.keys()


async def test_what_one_sees_and_may_not_change_is_forbidden_and_not_unknown() -> None:
    fleet = Fleet(ControlPlane())
    await fleet.fill()
    token = await fleet.plane.add_user("bob", Grant(Role.DEPLOYER, PROD), Grant(Role.VIEWER))
    app, reached = with_spied_handlers(fleet.plane)
    async with client_of(app, token) as client:
        for path in (
            "/api/v1/hosts/staging-1/projects/blog/stop",
            f"/api/v1/jobs/{fleet.ids['staging']['job_id']}/cancel",
            f"/api/v1/deployments/{fleet.ids['staging']['deployment_id']}/redeploy",
        ):
            problem_in(await client.post(path, json={}), 403, "forbidden")
    assert reached == []
    refused = [one.noted for one in fleet.plane.fleet.state.trail if one.noted.outcome == "refused"]
    assert [one.user for one in refused] == ["bob"] * 3


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving() as api:
        await Fleet(api.plane).fill()
        yield api


async def as_user(api: Api, *grants: Grant) -> Any:
    return client_of(api.app, await api.plane.add_user("bob", *grants))


class TestLists:
    async def test_have_what_is_in_reach_alone(self, api: Api) -> None:
        async with await as_user(api, Grant(Role.ADMIN, PROD)) as client:
            for path in ("hosts", "jobs", "deployments", "enrolments"):
                found = (await client.get(f"/api/v1/{path}")).json()["items"]
                assert len(found) == 1, path
                assert "staging" not in str(found)

    async def test_of_several_grants_have_all(self, api: Api) -> None:
        grants = (Grant(Role.VIEWER, PROD), Grant(Role.VIEWER, STAGING))
        async with await as_user(api, *grants) as client:
            for path in ("hosts", "jobs", "deployments"):
                assert len((await client.get(f"/api/v1/{path}")).json()["items"]) == 2, path

    async def test_cannot_be_asked_for_what_is_foreign(self, api: Api) -> None:
        async with await as_user(api, Grant(Role.VIEWER, PROD)) as client:
            problem_in(await client.get("/api/v1/jobs?host=staging-1"), 404, "not_found")
            deployments = await api.client.get("/api/v1/deployments")
            for one in deployments.json()["items"]:
                response = await client.get(f"/api/v1/jobs?deployment={one['id']}")
                assert response.status_code == (200 if one["hosts"] == ["prod-1"] else 404)


class TestDeploying:
    async def test_to_foreign_hosts_makes_nothing(self, api: Api) -> None:
        before = len(api.plane.fleet.state.jobs)
        body = {"project": "blog", "compose": "services: {a: {image: b}}\n"}
        async with await as_user(api, Grant(Role.DEPLOYER, PROD)) as client:
            for hosts in (["staging-1"], ["prod-1", "staging-1"], ["nowhere"]):
                response = await client.post("/api/v1/deployments", json=body | {"hosts": hosts})
                problem_in(response, 404, "not_found")
                assert "prod-1" not in response.text
        assert len(api.plane.fleet.state.jobs) == before

    async def test_by_labels_means_hosts_in_reach(self, api: Api) -> None:
        await api.plane.add_hosts("prod-2", env="prod", team="a")
        await api.plane.add_hosts("staging-2", env="staging", team="a")
        body = {"project": "blog", "compose": "services: {a: {image: b}}\n"}
        async with await as_user(api, Grant(Role.DEPLOYER, PROD)) as client:
            response = await client.post(
                "/api/v1/deployments", json=body | {"host_labels": {"team": "a"}}
            )
            assert [job["host"] for job in response.json()["jobs"]] == ["prod-2"]

    async def test_to_hosts_that_one_only_sees_is_forbidden_and_names_them(self, api: Api) -> None:
        body = {"project": "blog", "compose": "services: {a: {image: b}}\n"}
        grants = (Grant(Role.DEPLOYER, PROD), Grant(Role.VIEWER))
        async with await as_user(api, *grants) as client:
            response = await client.post(
                "/api/v1/deployments", json=body | {"hosts": ["prod-1", "staging-1"]}
            )
            problem = problem_in(response, 403, "forbidden")
            assert "staging-1" in problem["detail"]
            assert "prod-1" not in problem["detail"]


class TestRedeploying:
    async def test_goes_to_the_same_hosts_whatever_has_their_names_now(self, api: Api) -> None:
        (job,) = (await api.client.get("/api/v1/jobs?host=prod-1")).json()["items"]
        await api.client.patch("/api/v1/hosts/prod-1", json={"name": "prod-old"})
        await api.plane.add_hosts("prod-new", env="prod")
        await api.client.patch("/api/v1/hosts/prod-new", json={"name": "prod-1"})
        path = f"/api/v1/deployments/{job['deployment_id']}/redeploy"
        again = (await api.client.post(path, json={})).json()
        assert [one["host_id"] for one in again["jobs"]] == [job["host_id"]]
        await api.client.post("/api/v1/hosts/prod-old/revoke")
        problem_in(await api.client.post(path, json={}), 404, "not_found")

    async def test_tells_no_foreign_name(self, api: Api) -> None:
        accepted = await api.plane.submitting.deploy(
            Selector(hosts=("prod-1", "staging-1")), deploy(), terms()
        )
        path = f"/api/v1/deployments/{accepted.deployment.id}/redeploy"
        async with await as_user(api, Grant(Role.DEPLOYER, PROD)) as client:
            response = await client.post(path, json={})
            problem_in(response, 404, "not_found")
            assert "staging" not in response.text
            chosen = await client.post(path, json={"hosts": ["prod-1"]})
            assert chosen.status_code == 202

    async def test_a_repeated_request_is_answered_with_what_is_in_reach_now(self, api: Api) -> None:
        await api.plane.add_hosts("prod-2", env="prod")
        body = {
            "project": "blog",
            "compose": "services: {a: {image: b}}\n",
            "host_labels": {"env": "prod"},
        }
        key = {"Idempotency-Key": "k"}
        async with await as_user(api, Grant(Role.DEPLOYER, PROD)) as client:
            first = await client.post("/api/v1/deployments", json=body, headers=key)
            assert len(first.json()["jobs"]) == 2
            moved = {"labels": {"env": "staging"}, "name": "hidden"}
            await api.client.patch("/api/v1/hosts/prod-2", json=moved)
            again = await client.post("/api/v1/deployments", json=body, headers=key)
            assert again.headers["idempotent-replayed"] == "true"
            assert [job["host"] for job in again.json()["jobs"]] == ["prod-1"]
            assert "hidden" not in again.text


class TestSharedDeployment:
    async def test_shows_only_what_is_in_reach(self, api: Api) -> None:
        accepted = await api.plane.submitting.deploy(
            Selector(hosts=("prod-1", "staging-1")), deploy(), terms()
        )
        path = f"/api/v1/deployments/{accepted.deployment.id}"
        async with await as_user(api, Grant(Role.DEPLOYER, PROD)) as client:
            shown = (await client.get(path)).json()
            assert [job["host"] for job in shown["jobs"]] == ["prod-1"]
            assert shown["jobs_by_state"] == {"queued": 1}
            assert "staging" not in str(shown)
            await client.post(f"{path}/cancel")
        states = {
            job.host_id: (await api.plane.jobs.show(job.id)).state.value for job in accepted.jobs
        }
        assert states == {"host_prod-1": "canceled", "host_staging-1": "queued"}


class TestContent:
    async def test_is_for_deployers_and_has_neither_values_nor_files(self, api: Api) -> None:
        body = {
            "project": "blog",
            "hosts": ["prod-1"],
            "compose": "services: {a: {image: b}}\n",
            "env": {"PASSWORD": SECRET, "OTHER": SECRET},
            "files": {"key.pem": {"content": SECRET, "mode": "0600"}},
        }
        made = (await api.client.post("/api/v1/deployments", json=body)).json()
        path = f"/api/v1/deployments/{made['id']}"
        async with await as_user(api, Grant(Role.VIEWER)) as client:
            problem_in(await client.get(f"{path}/content"), 403, "forbidden")
            shown = await client.get(path)
            assert "image: b" not in shown.text
            assert SECRET not in shown.text
        content = (await api.client.get(f"{path}/content")).json()
        assert content["compose"] == body["compose"]
        assert SECRET not in str(content)
        names = {one["name"]: one["fingerprint"] for one in content["variables"]}
        assert set(names) == {"PASSWORD", "OTHER"}
        assert names["PASSWORD"] != names["OTHER"], "it does not tell that two values are the same"
        assert [one["path"] for one in content["files"]] == ["key.pem"]


class TestHosts:
    async def test_cannot_be_moved_out_of_reach_nor_made_there(self, api: Api) -> None:
        async with await as_user(api, Grant(Role.ADMIN, PROD)) as client:
            for labels in ({}, {"env": "staging"}, {"env": "prod", "team": "payments"}):
                change = await client.patch("/api/v1/hosts/prod-1", json={"labels": labels})
                problem_in(change, 403, "forbidden")
                for path in ("enrolments", "hosts"):
                    made = await client.post(
                        f"/api/v1/{path}", json={"name": "new", "labels": labels}
                    )
                    problem_in(made, 403, "forbidden")
            labels = {"env": "prod"}
            change = await client.patch("/api/v1/hosts/prod-1", json={"labels": labels})
            assert change.status_code == 200
            made = await client.post("/api/v1/enrolments", json={"name": "new", "labels": labels})
            assert made.status_code == 201

    async def test_get_no_label_that_would_make_others_deploy_to_them(self, api: Api) -> None:
        """Labels decide who deploys where, and what a host gets to see of it."""
        await api.client.patch("/api/v1/hosts/prod-1", json={"labels": {"env": "prod", "x": "y"}})
        grants = (Grant(Role.ADMIN, PROD), Grant(Role.VIEWER, Labels.of({"team": "payments"})))
        async with await as_user(api, *grants) as client:
            for labels, status in (
                ({"env": "prod", "x": "y"}, 200),
                ({"env": "prod", "x": "z"}, 403),
                ({"env": "prod", "team": "payments"}, 403),
                ({"env": "prod"}, 200),
            ):
                change = await client.patch("/api/v1/hosts/prod-1", json={"labels": labels})
                assert change.status_code == status, labels

    async def test_what_is_judged_is_what_is_changed_whatever_is_renamed_meanwhile(
        self, api: Api
    ) -> None:
        seen: list[str] = []
        revoke = api.plane.hosts.revoke

        async def revoking(name_or_id: str, by: Any) -> Any:
            seen.append(name_or_id)
            return await revoke(name_or_id, by)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(api.plane.hosts, "revoke", revoking)
            async with await as_user(api, Grant(Role.ADMIN, PROD)) as client:
                assert (await client.post("/api/v1/hosts/prod-1/revoke")).status_code == 200
        assert seen == ["host_prod-1"]


class TestTokens:
    async def test_ones_own_are_listed_and_revoked_and_no_others(self, api: Api) -> None:
        eve = await api.plane.add_user("eve", Grant(Role.VIEWER))
        who = await api.plane.access.principal(eve)
        assert who is not None
        async with await as_user(api, Grant(Role.VIEWER)) as client:
            found = (await client.get("/api/v1/tokens")).json()["items"]
            assert [one["user"] for one in found] == ["bob"]
            problem_in(await client.get("/api/v1/tokens?user=eve"), 404, "not_found")
            problem_in(await client.delete(f"/api/v1/tokens/{who.token_id}"), 404, "not_found")
            body = {"name": "x", "user": "eve"}
            problem_in(await client.post("/api/v1/tokens", json=body), 404, "not_found")
            made = (await client.post("/api/v1/tokens", json={"name": "x"})).json()
            path = f"/api/v1/tokens/{made['access_token']['id']}"
            assert (await client.delete(path)).status_code == 204
        everybody = (await api.client.get("/api/v1/tokens")).json()["items"]
        assert {one["user"] for one in everybody} == {"administrator", "eve", "bob"}

    async def test_one_that_is_for_less_makes_none_that_is_for_more_or_for_longer(
        self, api: Api
    ) -> None:
        bob = await api.plane.add_user("bob", Grant(Role.ADMIN))
        async with client_of(api.app, bob) as client:
            body = {"name": "ci", "role": "viewer", "labels": {"env": "prod"}, "expires_in_s": 600}
            weak = (await client.post("/api/v1/tokens", json=body)).json()
        async with client_of(api.app, weak["token"]) as client:
            more = {"name": "x", "role": "admin", "expires_in_s": 86400}
            made = (await client.post("/api/v1/tokens", json=more)).json()["access_token"]
            assert (made["role"], made["labels"]) == ("viewer", {"env": "prod"})
            assert made["expires_at"] <= weak["access_token"]["expires_at"]
            other = {"name": "y", "labels": {"env": "staging"}}
            problem_in(await client.post("/api/v1/tokens", json=other), 403, "forbidden")
            problem_in(await client.get("/api/v1/users"), 403, "forbidden")
            listed = (await client.get("/api/v1/tokens")).json()["items"]
            assert [one["name"] for one in listed] == ["ci"]
            who = await api.plane.access.principal(bob)
            assert who is not None
            problem_in(await client.delete(f"/api/v1/tokens/{who.token_id}"), 404, "not_found")
            own = f"/api/v1/tokens/{weak['access_token']['id']}"
            assert (await client.delete(own)).status_code == 204


async def test_every_request_that_changes_something_is_in_the_audit_trail(api: Api) -> None:
    """Each of these is done once; what it says of who, where and what is in its last entry."""
    ids = {one["host"]: one for one in (await api.client.get("/api/v1/jobs")).json()["items"]}
    body = {"project": "shop", "compose": "services: {a: {image: b}}\n", "hosts": ["prod-1"]}
    grant = {"role": "viewer", "labels": {}}
    requests: list[tuple[str, str, Any, str]] = [
        ("POST", "enrolments", {"name": "n-1"}, "enrolment.add"),
        ("POST", "hosts", {"name": "n-2"}, "host.add"),
        ("POST", "hosts/n-2/token", None, "host.token"),
        ("PATCH", "hosts/n-2", {"labels": {"a": "b"}}, "host.change"),
        ("DELETE", "hosts/n-2/clone-suspicion", None, "host.settle_clone"),
        ("POST", "deployments", body, "deploy"),
        ("POST", "hosts/prod-1/projects/shop/stop", {}, "stop"),
        ("POST", "hosts/prod-1/projects/shop/restart", {}, "restart"),
        ("POST", "hosts/prod-1/projects/shop/rollback", {}, "rollback"),
        ("POST", "hosts/prod-1/projects/shop/remove", {"volumes": True}, "remove"),
        ("POST", f"jobs/{ids['prod-1']['id']}/cancel", None, "job.end"),
        ("POST", f"deployments/{ids['prod-1']['deployment_id']}/redeploy", {}, "deploy"),
        ("POST", f"deployments/{ids['staging-1']['deployment_id']}/cancel", None, "job.end"),
        ("POST", "hosts/n-2/revoke", None, "host.revoke"),
        ("POST", "users", {"name": "cyd", "grants": [grant]}, "user.add"),
        ("PATCH", "users/cyd", {"password": "a new one for cyd"}, "user.change"),
        ("POST", "tokens", {"name": "ci"}, "token.add"),
        ("DELETE", "users/cyd", None, "user.remove"),
    ]
    for method, path, document, action in requests:
        if action == "host.settle_clone":
            suspected = await api.plane.fleet.hosts.named("n-2")
            await api.plane.fleet.hosts.suspect_clone(suspected.id, 1000.0)
        before = len(api.plane.fleet.state.trail)
        response = await api.client.request(method, f"/api/v1/{path}", json=document)
        assert response.status_code < 300, (path, response.text)
        new = [entry.noted for entry in api.plane.fleet.state.trail[before:]]
        assert new, f"{path} is not in the trail"
        assert new[-1].action == action, path
        assert new[0].user == "administrator" or action == "job.end"
    assert "a new one for cyd" not in repr(api.plane.fleet.state.trail)
    verification = (await api.client.get("/api/v1/audit/verification")).json()
    assert verification["is_intact"], verification
    exported = (await api.client.get("/api/v1/audit/export")).text.splitlines()
    assert len(exported) == verification["entries"]


async def test_what_a_body_asks_for_and_is_refused_is_in_the_trail_too(api: Api) -> None:
    body = {"project": "blog", "compose": "services: {a: {image: b}}\n", "hosts": ["staging-1"]}
    async with await as_user(api, Grant(Role.ADMIN, PROD), Grant(Role.VIEWER)) as client:
        for method, path, document in (
            ("POST", "deployments", body),
            ("PATCH", "hosts/prod-1", {"labels": {}}),
            ("POST", "enrolments", {"name": "n", "labels": {"env": "staging"}}),
        ):
            before = len(api.plane.fleet.state.trail)
            response = await client.request(method, f"/api/v1/{path}", json=document)
            problem_in(response, 403, "forbidden")
            (entry,) = api.plane.fleet.state.trail[before:]
            assert (entry.noted.user, entry.noted.outcome) == ("bob", "refused")


async def test_what_only_asks_is_not_in_the_trail(api: Api) -> None:
    before = len(api.plane.fleet.state.trail)
    for path in ("projects/blog/status", "projects/blog/revisions", "projects", "health"):
        response = await api.client.post(f"/api/v1/hosts/prod-1/{path}", json={})
        assert response.status_code == 202
    assert len(api.plane.fleet.state.trail) == before
