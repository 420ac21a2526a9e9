"""What tests of commands rely on: on the fake in memory, and on the client of a real control plane."""

from __future__ import annotations

from typing import Protocol

import pytest

from adapters.api_client.client import ApiClient
from adapters.api_client.documents import Job
from adapters.api_client.errors import Refused
from adapters.api_client.feed import FeedEvent

COMPOSE = "services:\n  web:\n    image: nginx\n"


class Subject(Protocol):
    """A control plane whose user is an administrator."""

    api: ApiClient

    async def add_host(self, name: str, *, fails: bool = False, **labels: str) -> str:
        """A host that is online, and what it is called; its jobs succeed, or fail."""


def body(*hosts: str, **more: object) -> dict[str, object]:
    return {"project": "blog", "compose": COMPOSE, "hosts": list(hosts), **more}


class ApiContract:
    """A subclass has a fixture `subject`."""

    async def test_hosts_are_found_by_name_id_and_label(self, subject: Subject) -> None:
        name = await subject.add_host("web-1", team="a")
        other = await subject.add_host("web-2", team="b")
        found = [host["name"] for host in await subject.api.hosts.listed()]
        assert {name, other} <= set(found)
        assert found == sorted(found)
        assert [one["name"] for one in await subject.api.hosts.listed({"team": "b"})] == [other]
        shown = await subject.api.hosts.show(name)
        assert (shown["online"], shown["labels"]) == (True, {"team": "a"})
        assert (await subject.api.hosts.show(shown["id"]))["name"] == name

    async def test_what_is_not_there(self, subject: Subject) -> None:
        for asked in (
            subject.api.hosts.show("nope"),
            subject.api.jobs.show("job_nope"),
            subject.api.deployments.show("dep_nope"),
            subject.api.users.show("nope"),
            subject.api.deployments.create(body("nope")),
        ):
            with pytest.raises(Refused) as caught:
                await asked
            assert (caught.value.status, caught.value.problem) == (404, "not_found")

    async def test_an_enrolment_is_in_the_way_of_another_one_until_it_is_withdrawn(
        self, subject: Subject
    ) -> None:
        name = "Enrolled-1"
        made = (await subject.api.hosts.enrol(name, {"team": "a"}))["enrolment"]
        with pytest.raises(Refused, match="an enrolment is open for") as caught:
            await subject.api.hosts.enrol(name.lower(), {})
        assert (caught.value.status, caught.value.problem) == (409, "conflict")
        assert (await subject.api.hosts.enrolments())[0]["state"] == "open"
        await subject.api.hosts.withdraw(made["id"])
        newest = (await subject.api.hosts.enrolments())[0]
        assert (newest["id"], newest["name"], newest["state"]) == (made["id"], name, "closed")
        again = (await subject.api.hosts.enrol(name, {}))["enrolment"]
        await subject.api.hosts.withdraw(again["id"])
        with pytest.raises(Refused) as caught:
            await subject.api.hosts.withdraw("enr_none")
        assert (caught.value.status, caught.value.problem) == (404, "not_found")

    async def test_hosts_are_changed(self, subject: Subject) -> None:
        name = await subject.add_host("web-1", team="a")
        changed = await subject.api.hosts.change(name, labels={"zone": "x"})
        assert changed["labels"] == {"zone": "x"}
        renamed = await subject.api.hosts.change(name, name=f"{name}-renamed")
        assert (renamed["name"], renamed["id"]) == (f"{name}-renamed", changed["id"])
        other = await subject.add_host("web-2")
        with pytest.raises(Refused) as caught:
            await subject.api.hosts.change(other, name=f"{name}-renamed")
        assert (caught.value.status, caught.value.problem) == (409, "conflict")

    async def test_a_host_that_is_revoked_is_listed_where_that_is_asked_for(
        self, subject: Subject
    ) -> None:
        name = await subject.add_host("web-1", team="gone")
        assert (await subject.api.hosts.revoke(name))["revoked_at"]
        assert await subject.api.hosts.listed({"team": "gone"}) == []
        found = await subject.api.hosts.listed({"team": "gone"}, with_revoked=True)
        assert [host["online"] for host in found] == [False]

    async def test_a_name_that_is_taken_is_not_enrolled(self, subject: Subject) -> None:
        name = await subject.add_host("web-1")
        with pytest.raises(Refused) as caught:
            await subject.api.hosts.enrol(name, {})
        assert caught.value.status == 409
        made = await subject.api.hosts.enrol(f"{name}-new", {"env": "prod"}, ttl_s=90)
        assert made["token"] in made["command"]
        assert made["enrolment"]["state"] == "open"
        assert made["install_url"] is None
        await subject.api.hosts.withdraw(made["enrolment"]["id"])

    async def test_a_deployment_has_all_of_its_jobs_and_a_feed_to_its_end(
        self, subject: Subject
    ) -> None:
        good, bad = await subject.add_host("good"), await subject.add_host("bad", fails=True)
        made = await subject.api.deployments.create(body(good, bad))
        assert [job["host"] for job in made["jobs"]] == [good, bad]
        events = [event async for event in subject.api.deployments.follow(made["id"])]
        assert events[-1].name == "end"
        assert events[-1].data["state"] == "partial"
        assert events[-1].data["jobs_by_state"] == {"succeeded": 1, "failed": 1}
        assert {event.job_id for event in events[:-1]} == {job["id"] for job in made["jobs"]}
        jobs = {job["host"]: await subject.api.jobs.show(job["id"]) for job in made["jobs"]}
        check_over(jobs[good], "succeeded")
        check_over(jobs[bad], "failed")
        assert jobs[bad]["error"]
        assert (await subject.api.deployments.show(made["id"]))["state"] == "partial"
        listed = await subject.api.jobs.listed([("deployment", made["id"])])
        assert {job["id"] for job in listed} == {job["id"] for job in made["jobs"]}

    async def test_one_key_is_one_deployment(self, subject: Subject) -> None:
        name = await subject.add_host("web-1")
        first = await subject.api.deployments.create(body(name), key=f"key of {name}")
        again = await subject.api.deployments.create(body(name), key=f"key of {name}")
        assert again["id"] == first["id"]

    async def test_a_job_is_followed_from_its_beginning(self, subject: Subject) -> None:
        name = await subject.add_host("web-1")
        job = await subject.api.projects.stop(name, "blog", {})
        events: list[FeedEvent] = [one async for one in subject.api.jobs.follow(job["id"])]
        states = [event.data["state"] for event in events if event.name == "state"]
        assert states[-1] == "succeeded"
        assert events[-1].name == "end"
        check_over(await subject.api.jobs.cancel(job["id"]), "succeeded")

    async def test_what_breaks_a_rule_names_the_field(self, subject: Subject) -> None:
        name = await subject.add_host("web-1")
        with pytest.raises(Refused) as caught:
            await subject.api.deployments.create(body(name, compose=""))
        assert (caught.value.status, caught.value.problem) == (422, "invalid_input")
        assert caught.value.errors[0].field == "compose"

    async def test_a_question_is_answered_in_its_job(self, subject: Subject) -> None:
        name = await subject.add_host("web-1")
        job = await subject.api.projects.ask(name, "health", wait_s=20)
        check_over(job, "succeeded")

    async def test_users_and_their_tokens(self, subject: Subject) -> None:
        grants = [{"role": "deployer", "labels": {"env": "prod"}}]
        user = await subject.api.users.add(
            {"name": "bob", "grants": grants, "password": "correct horse battery"}
        )
        assert (user["grants"], user["is_disabled"]) == (grants, False)
        with pytest.raises(Refused) as caught:
            await subject.api.users.add({"name": "bob", "grants": []})
        assert caught.value.status == 409
        assert (await subject.api.users.change("bob", {"is_disabled": True}))["is_disabled"]
        made = await subject.api.tokens.create({"name": "ci", "user": "bob", "role": "viewer"})
        assert made["access_token"]["role"] == "viewer"
        listed = await subject.api.tokens.listed("bob")
        assert [token["name"] for token in listed] == ["ci"]
        await subject.api.tokens.revoke(made["access_token"]["id"])
        await subject.api.users.remove("bob")
        with pytest.raises(Refused):
            await subject.api.users.show("bob")

    async def test_the_audit_trail(self, subject: Subject) -> None:
        exported = b"".join([piece async for piece in subject.api.audit.export()])
        assert exported.startswith(b'{"number": 1')
        found = await subject.api.audit.verify()
        assert found["is_intact"]
        assert found["findings"] == []


def check_over(job: Job, state: str) -> None:
    assert (job["state"], job["over"]) == (state, True)
    assert job["result"] is not None
    assert job["finished_at"] is not None
