"""Accepting requests: what is kept, who is woken, and what a repeated request gets."""

from __future__ import annotations

import json

import pytest

from application.control_plane.submitting import UsualTtls
from domain.commands import (
    DeployCompose,
    GetStatus,
    PlanCompose,
    RegistryLogin,
    RollbackCompose,
    StopCompose,
)
from domain.content import ExtraFile
from domain.deploy_options import DeployOptions
from domain.errors import Conflict, InvalidInput, NotFound, StorageUnavailable
from domain.fleet.job import FleetJob, FleetJobState
from domain.fleet.labels import Labels, Selector
from domain.job import JobState
from domain.project import ComposeFile, ProjectName
from tests.contracts.fleet import accept
from tests.fakes.clock import EPOCH
from tests.support.control_plane_parts import BY, ControlPlane, terms

BLOG = ProjectName("Blog")
COMPOSE = ComposeFile(b"services: {web: {image: nginx}}\n")
DEPLOY = DeployCompose(
    BLOG,
    COMPOSE,
    env=b"PASSWORD=s3cr3t\n",
    files=(ExtraFile("conf/app.ini", b"key=s3cr3t"),),
    options=DeployOptions(wait_timeout_s=60),
    registry_auth=(RegistryLogin("registry.example", "robot", "s3cr3t"),),
)
NOW = EPOCH.timestamp()


@pytest.fixture
def plane() -> ControlPlane:
    return ControlPlane(ttls=UsualTtls(change_s=1000, read_s=10))


async def payload_of(plane: ControlPlane, job: FleetJob) -> dict[str, object]:
    payload: dict[str, object] = json.loads(await plane.payloads.opened(job))
    return payload


async def test_a_command_is_kept_as_the_wire_has_it_and_its_host_is_woken(
    plane: ControlPlane,
) -> None:
    (host,) = await plane.add_hosts("web-1")
    accepted = await plane.submitting.command(
        "WEB-1", RollbackCompose(BLOG, 3), terms(deadline_s=30.0)
    )
    job = await plane.fleet.jobs.job(accepted.job.id)
    assert job == accepted.job
    assert (job.host_id, job.kind, job.project) == (host.id, "ROLLBACK_COMPOSE", "Blog")
    assert (job.state, job.requested_by) == (FleetJobState.QUEUED, "ann")
    assert (job.created_at, job.expires_at, job.deadline_s) == (NOW, NOW + 1000, 30.0)
    assert await payload_of(plane, job) == {
        "project_name": "Blog",
        "revision": 3,
        "requested_by": "ann",
    }
    assert plane.links.woken == [host.id]


async def test_questions_expire_sooner_and_a_request_may_say_when(plane: ControlPlane) -> None:
    await plane.add_hosts("web-1")
    status = GetStatus(BLOG)
    usual = await plane.submitting.command("web-1", status, terms())
    told = await plane.submitting.command("web-1", status, terms(ttl_s=3.0))
    assert (usual.job.expires_at, told.job.expires_at) == (NOW + 10, NOW + 3)


@pytest.mark.parametrize("field", ["ttl_s", "deadline_s"])
@pytest.mark.parametrize("seconds", [0.0, -1.0, 90 * 24 * 3600 + 1, float("nan")])
def test_a_time_that_makes_no_sense_is_refused(field: str, seconds: float) -> None:
    with pytest.raises(InvalidInput) as refused:
        terms(**{field: seconds})
    assert refused.value.field == field


async def test_who_asks_stands_in_what_is_planned_too(plane: ControlPlane) -> None:
    await plane.add_hosts("web-1")
    accepted = await plane.submitting.command("web-1", PlanCompose(DEPLOY), terms())
    assert (await payload_of(plane, accepted.job))["requested_by"] == "ann"


async def test_nothing_is_kept_for_a_host_that_is_none_or_revoked(plane: ControlPlane) -> None:
    (host,) = await plane.add_hosts("web-1")
    await plane.hosts.revoke("web-1", BY)
    for name in ("web-1", host.id, "web-2"):
        with pytest.raises(NotFound):
            await plane.submitting.command(name, StopCompose(BLOG), terms())
    assert plane.fleet.state.jobs == {}
    assert plane.links.woken == []


async def test_a_database_that_fails_accepts_nothing(plane: ControlPlane) -> None:
    await plane.add_hosts("web-1")
    plane.fleet.reach.failure = StorageUnavailable("the disk is gone")
    with pytest.raises(StorageUnavailable):
        await plane.submitting.command("web-1", StopCompose(BLOG), terms())
    assert plane.links.woken == []


async def test_a_deployment_is_one_job_a_host_of_one_payload(plane: ControlPlane) -> None:
    hosts = await plane.add_hosts("web-1", "web-2", env="prod")
    await plane.add_hosts("web-3", env="test")
    selector = Selector(labels=Labels.of({"env": "prod"}))
    accepted = await plane.submitting.deploy(selector, DEPLOY, terms())
    deployment = await plane.fleet.jobs.deployment(accepted.deployment.id)
    assert deployment == accepted.deployment
    assert (deployment.project, deployment.digest) == ("Blog", DEPLOY.content.digest)
    assert (deployment.selector, deployment.requested_by) == (selector, "ann")
    assert [job.host_id for job in accepted.jobs] == [host.id for host in hosts]
    assert plane.links.woken == [host.id for host in hosts]
    for job in await plane.fleet.jobs.jobs_of(deployment.id):
        assert job.deployment_id == deployment.id
        document = await payload_of(plane, job)
        assert document["env"] == "PASSWORD=s3cr3t\n"
        assert document["requested_by"] == "ann"


async def test_what_is_shown_of_a_deployment_has_no_content(plane: ControlPlane) -> None:
    await plane.add_hosts("web-1")
    accepted = await plane.submitting.deploy(Selector.naming(["web-1"]), DEPLOY, terms())
    assert accepted.deployment.summary == {
        "compose_bytes": len(COMPOSE.content),
        "env_bytes": 16,
        "variables": ["PASSWORD"],
        "files": [{"path": "conf/app.ini", "bytes": 10, "mode": "0644"}],
        "registries": ["registry.example"],
        "options": {"wait_timeout_s": 60},
    }
    kept = plane.fleet.state.jobs[accepted.jobs[0].id]
    assert kept.payload is not None
    assert b"s3cr3t" not in kept.payload
    assert "s3cr3t" not in repr((accepted, kept.job))


async def test_a_deployment_to_a_host_that_is_none_is_refused_whole(plane: ControlPlane) -> None:
    await plane.add_hosts("web-1")
    with pytest.raises(NotFound, match="web-9"):
        await plane.submitting.deploy(Selector.naming(["web-1", "web-9"]), DEPLOY, terms())
    assert plane.fleet.state.jobs == {}


async def test_who_follows_a_deployment_is_told_that_a_newer_one_supersedes_it(
    plane: ControlPlane,
) -> None:
    await plane.add_hosts("web-1")
    here = Selector.naming(["web-1"])
    first = await plane.submitting.deploy(here, DEPLOY, terms())
    with plane.happenings.watching([first.jobs[0].id]) as watch:
        await plane.submitting.deploy(here, DEPLOY, terms())
        await watch.news()
    assert (await plane.jobs.show(first.jobs[0].id)).state is FleetJobState.SUPERSEDED


class TestIdempotencyKeys:
    async def test_the_same_command_again_is_the_same_job(self, plane: ControlPlane) -> None:
        await plane.add_hosts("web-1")
        stop = StopCompose(BLOG)
        first = await plane.submitting.command("web-1", stop, terms(key="k"))
        plane.links.woken.clear()
        again = await plane.submitting.command("web-1", stop, terms(key="k"))
        assert (again.job, again.is_repeat, first.is_repeat) == (first.job, True, False)
        assert len(plane.fleet.state.jobs) == 1
        assert plane.links.woken == []

    async def test_the_same_deployment_again_is_the_same_one_with_its_jobs(
        self, plane: ControlPlane
    ) -> None:
        (host,) = await plane.add_hosts("web-1")
        here = Selector.naming(["web-1"])
        first = await plane.submitting.deploy(here, DEPLOY, terms(key="k"))
        await plane.hear(host.id, accept(1, first.jobs[0].id, JobState.RUNNING))
        again = await plane.submitting.deploy(here, DEPLOY, terms(key="k"))
        assert again.deployment == first.deployment
        assert again.is_repeat
        assert [job.state for job in again.jobs] == [FleetJobState.RUNNING]

    async def test_another_request_under_the_key_is_refused(self, plane: ControlPlane) -> None:
        await plane.add_hosts("web-1", "web-2")
        key = terms(key="k")
        await plane.submitting.deploy(Selector.naming(["web-1"]), DEPLOY, key)
        other = DeployCompose(BLOG, COMPOSE)
        for hosts, command, asked in [
            (["web-2"], DEPLOY, key),
            (["web-1"], other, key),
            (["web-1"], DEPLOY, terms(key="k", ttl_s=5.0)),
        ]:
            with pytest.raises(Conflict, match="Idempotency-Key"):
                await plane.submitting.deploy(Selector.naming(hosts), command, asked)
        with pytest.raises(Conflict):
            await plane.submitting.command("web-1", StopCompose(BLOG), key)

    async def test_without_a_key_each_request_is_its_own(self, plane: ControlPlane) -> None:
        await plane.add_hosts("web-1")
        stop = StopCompose(BLOG)
        first = await plane.submitting.command("web-1", stop, terms())
        assert (await plane.submitting.command("web-1", stop, terms())).job.id != first.job.id

    async def test_no_secret_is_in_what_is_remembered(self, plane: ControlPlane) -> None:
        await plane.add_hosts("web-1")
        await plane.submitting.deploy(Selector.naming(["web-1"]), DEPLOY, terms(key="k"))
        ((remembered, _),) = plane.fleet.state.remembered.values()
        assert remembered.principal == BY.id
        assert "s3cr3t" not in repr(remembered)


async def test_a_payload_opens_for_its_own_jobs_alone(plane: ControlPlane) -> None:
    await plane.add_hosts("web-1")
    accepted = await plane.submitting.deploy(Selector.naming(["web-1"]), DEPLOY, terms())
    job = accepted.jobs[0]
    sealed = await plane.fleet.jobs.payload(job.id)
    assert await plane.payloads.command_of(job) is not None
    stranger = await plane.submitting.command("web-1", StopCompose(BLOG), terms())
    with pytest.raises(StorageUnavailable):
        plane.payloads.unsealed(sealed, stranger.job.payload_context)


def test_content_that_would_not_fit_a_frame_is_refused(plane: ControlPlane) -> None:
    # Two bytes that become six in ASCII.
    env = b"A=" + "é".encode() * 1_500_000
    with pytest.raises(InvalidInput, match="on the wire"):
        plane.payloads.sealed(DeployCompose(BLOG, COMPOSE, env=env), "dep-1")


class TestDeliveryTimes:
    async def test_it_is_from_the_request_to_the_agents_word(self, plane: ControlPlane) -> None:
        await plane.add_hosts("web-1")
        accepted = await plane.submitting.command("web-1", StopCompose(BLOG), terms())
        await plane.clock.advance(0.2)
        plane.times.arrived(accepted.job.id)
        plane.times.arrived(accepted.job.id)
        plane.times.arrived("job-of-yesterday")
        text = plane.metrics.exposition(await plane.measuring.figures()).decode()
        assert 'instadeploy_delivery_seconds_bucket{le="0.1"} 0.0' in text
        assert 'instadeploy_delivery_seconds_bucket{le="0.25"} 1.0' in text
        assert "instadeploy_delivery_seconds_count 1.0" in text

    async def test_what_never_arrives_is_given_up(self, plane: ControlPlane) -> None:
        plane.times.submitted((f"job-{n}" for n in range(20_000)), 0.0)
        assert len(vars(plane.times)["_under_way"]) == 16_384
