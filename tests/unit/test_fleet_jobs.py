"""Reading and cancelling jobs and deployments."""

from __future__ import annotations

import pytest

from application.control_plane.deployments import DeploymentView
from application.control_plane.jobs import JobFilter
from application.control_plane.submitting import AcceptedDeployment
from domain.commands import CHANGING_KINDS, CheckHealth, DeployCompose, StopCompose
from domain.errors import Conflict, NotFound, StorageUnavailable
from domain.fleet.deployment import DeploymentState
from domain.fleet.host import AgentReport
from domain.fleet.job import FleetJobState
from domain.fleet.labels import Selector
from domain.fleet.link_state import OutgoingKind
from domain.fleet.page import PageRequest
from domain.job import JobState
from domain.project import ComposeFile, ProjectName
from tests.contracts.fleet import NOW, accept, result
from tests.support.control_plane_parts import BY, ControlPlane, terms

BLOG = ProjectName("blog")
DEPLOY = DeployCompose(BLOG, ComposeFile(b"services: {}\n"), env=b"A=s3cr3t\n")
PAGE = PageRequest()
S = FleetJobState


@pytest.fixture
def plane() -> ControlPlane:
    return ControlPlane()


def a_report(protocol: int) -> AgentReport:
    """Of an agent that speaks this version."""
    return AgentReport(protocol, "1.0.0", "linux-amd64", "web", "192.0.2.1", NOW, NOW)


async def deployed(plane: ControlPlane, *names: str) -> AcceptedDeployment:
    """The blog, to new hosts of these names."""
    await plane.add_hosts(*names)
    return await plane.submitting.deploy(Selector.naming(names), DEPLOY, terms())


class TestReadingJobs:
    async def test_they_are_filtered_by_host_project_state_and_kind(
        self, plane: ControlPlane
    ) -> None:
        deployment = await deployed(plane, "web-1", "web-2")
        stop = (await plane.submitting.command("web-1", StopCompose(BLOG), terms())).job
        health = (await plane.submitting.command("web-1", CheckHealth(), terms())).job
        first, second = deployment.jobs

        async def found(**wanted: object) -> list[str]:
            page = await plane.jobs.list(JobFilter(**wanted), PAGE)  # type: ignore[arg-type]
            return [job.id for job in page.items]

        assert await found() == [health.id, stop.id, second.id, first.id]
        assert await found(host="WEB-1") == [health.id, stop.id, first.id]
        assert await found(host="web-1", project="Blog") == [stop.id, first.id]
        assert await found(deployment_id=deployment.deployment.id) == [second.id, first.id]
        assert await found(kinds={"HEALTH_CHECK"}) == [health.id]
        assert await found(states={S.RUNNING}) == []

    async def test_a_filter_that_names_nothing_is_an_error_and_not_an_empty_list(
        self, plane: ControlPlane
    ) -> None:
        with pytest.raises(NotFound):
            await plane.jobs.list(JobFilter(host="web-9"), PAGE)
        with pytest.raises(NotFound):
            await plane.jobs.list(JobFilter(deployment_id="dep_0"), PAGE)

    async def test_the_history_of_a_project_is_what_was_to_change_it(
        self, plane: ControlPlane
    ) -> None:
        deployment = await deployed(plane, "web-1")
        stop = (await plane.submitting.command("web-1", StopCompose(BLOG), terms())).job
        await plane.submitting.command("web-1", CheckHealth(), terms())
        history = await plane.jobs.history("web-1", "blog", PAGE)
        assert [job.id for job in history.items] == [stop.id, deployment.jobs[0].id]
        # The host has no other spelling of it: what was asked for under one was refused.
        assert (await plane.jobs.history("web-1", "BLOG", PAGE)).items == []
        assert "STATUS" not in CHANGING_KINDS

    async def test_a_result_is_there_once_its_agent_has_told_it(self, plane: ControlPlane) -> None:
        (host,) = await plane.add_hosts("web-1")
        job = (await plane.submitting.command("web-1", StopCompose(BLOG), terms())).job
        assert await plane.jobs.result(job.id) is None
        await plane.hear(host.id, accept(1, job.id), result(2, job.id))
        told = await plane.jobs.result(job.id)
        assert told is not None
        assert told.logs == "what it printed"
        with pytest.raises(NotFound):
            await plane.jobs.result("job_0")


class TestCancelling:
    async def test_one_that_was_never_sent_ends_at_once(self, plane: ControlPlane) -> None:
        (host,) = await plane.add_hosts("web-1")
        job = (await plane.submitting.command("web-1", StopCompose(BLOG), terms())).job
        with plane.happenings.watching([job.id]) as watch:
            assert (await plane.jobs.cancel(job.id, BY)).state is S.CANCELED
            await watch.news()
        assert plane.links.woken == [host.id, host.id]

    async def test_one_that_runs_is_asked_to_end_and_its_host_is_woken(
        self, plane: ControlPlane
    ) -> None:
        (host,) = await plane.add_hosts("web-1")
        job = (await plane.submitting.command("web-1", StopCompose(BLOG), terms())).job
        await plane.hear(host.id, accept(1, job.id, JobState.RUNNING))
        plane.links.woken.clear()
        assert (await plane.jobs.cancel(job.id, BY)).state is S.CANCELING
        assert plane.links.woken == [host.id]

    async def test_one_that_is_over_stays_as_it_is(self, plane: ControlPlane) -> None:
        (host,) = await plane.add_hosts("web-1")
        job = (await plane.submitting.command("web-1", StopCompose(BLOG), terms())).job
        await plane.hear(host.id, accept(1, job.id), result(2, job.id))
        plane.links.woken.clear()
        assert (await plane.jobs.cancel(job.id, BY)).state is S.SUCCEEDED
        assert plane.links.woken == []

    async def test_what_an_agent_of_v1_has_cannot_be_canceled(self, plane: ControlPlane) -> None:
        (host,) = await plane.add_hosts("old-1")
        plane.links.reports[host.id] = a_report(1)
        job = (await plane.submitting.command("old-1", StopCompose(BLOG), terms())).job
        await plane.fleet.jobs.mark_sent(job.id, NOW)
        with pytest.raises(Conflict, match="cannot cancel"):
            await plane.jobs.cancel(job.id, BY)
        assert (await plane.jobs.show(job.id)).state is S.QUEUED

    async def test_what_an_agent_of_v2_has_can_be_also_while_it_has_no_number(
        self, plane: ControlPlane
    ) -> None:
        (host,) = await plane.add_hosts("web-1")
        plane.links.reports[host.id] = a_report(2)
        job = (await plane.submitting.command("web-1", StopCompose(BLOG), terms())).job
        await plane.fleet.jobs.number(host.id, NOW)
        await plane.fleet.jobs.begin_epoch(host.id, "another", {})
        assert (await plane.jobs.cancel(job.id, BY)).state is S.CANCELING
        said = (await plane.fleet.jobs.number(host.id, NOW)).said
        assert [one.kind for one in said] == [OutgoingKind.COMMAND, OutgoingKind.CANCEL]

    async def test_one_that_is_none_is_not_found(self, plane: ControlPlane) -> None:
        with pytest.raises(NotFound):
            await plane.jobs.cancel("job_0", BY)


class TestDeployments:
    async def test_its_state_is_what_its_jobs_amount_to(self, plane: ControlPlane) -> None:
        accepted = await deployed(plane, "web-1", "web-2")
        one, other = accepted.jobs

        async def state() -> DeploymentState:
            view, _ = await plane.deployments.show(accepted.deployment.id)
            (listed,) = (await plane.deployments.list(None, PAGE)).items
            assert listed == view
            return view.state

        assert await state() is DeploymentState.RUNNING
        await plane.hear(one.host_id, accept(1, one.id), result(2, one.id))
        assert await state() is DeploymentState.RUNNING
        await plane.hear(other.host_id, accept(1, other.id), result(2, other.id, JobState.FAILED))
        assert await state() is DeploymentState.PARTIAL

    async def test_they_are_listed_by_project(self, plane: ControlPlane) -> None:
        accepted = await deployed(plane, "web-1")
        views = (await plane.deployments.list("blog", PAGE)).items
        assert views == [DeploymentView(accepted.deployment, {S.QUEUED: 1})]
        assert (await plane.deployments.list("shop", PAGE)).items == []

    async def test_the_same_content_is_deployed_again_under_its_own_name(
        self, plane: ControlPlane
    ) -> None:
        first = await deployed(plane, "web-1")
        again = await plane.deployments.redeploy(first.deployment.id, None, terms())
        assert again.deployment.redeploy_of == first.deployment.id
        assert again.deployment.digest == first.deployment.digest
        assert again.deployment.selector == first.deployment.selector
        command = await plane.payloads.command_of(again.jobs[0])
        assert isinstance(command, DeployCompose)
        assert command.env == b"A=s3cr3t\n"

    async def test_it_may_be_deployed_again_to_other_hosts(self, plane: ControlPlane) -> None:
        first = await deployed(plane, "web-1")
        (other,) = await plane.add_hosts("web-2")
        again = await plane.deployments.redeploy(
            first.deployment.id, Selector.naming(["web-2"]), terms()
        )
        assert [job.host_id for job in again.jobs] == [other.id]

    async def test_what_is_not_kept_any_more_cannot_be_deployed_again(
        self, plane: ControlPlane
    ) -> None:
        first = await deployed(plane, "web-1")
        (job,) = first.jobs
        await plane.hear(job.host_id, accept(1, job.id), result(2, job.id))
        plane.fleet.state.jobs[job.id].payload = None
        with pytest.raises(Conflict, match="not kept"):
            await plane.deployments.redeploy(first.deployment.id, None, terms())
        with pytest.raises(NotFound):
            await plane.deployments.redeploy("dep_0", None, terms())

    async def test_cancelling_ends_what_can_be_ended(self, plane: ControlPlane) -> None:
        accepted = await deployed(plane, "web-1", "web-2", "old-1", "web-3")
        queued, running, plain, over = accepted.jobs
        plane.links.reports[plain.host_id] = a_report(1)
        await plane.hear(running.host_id, accept(1, running.id, JobState.RUNNING))
        await plane.fleet.jobs.mark_sent(plain.id, NOW)
        await plane.hear(over.host_id, accept(1, over.id), result(2, over.id))
        view, jobs = await plane.deployments.cancel(accepted.deployment.id, BY)
        states = [job.state for job in jobs.items]
        assert states == [S.SUCCEEDED, S.QUEUED, S.CANCELING, S.CANCELED]
        assert queued.id == jobs.items[-1].id
        assert view.state is DeploymentState.RUNNING

    async def test_a_database_that_fails_while_cancelling_is_said_as_it_is(
        self, plane: ControlPlane
    ) -> None:
        accepted = await deployed(plane, "web-1", "web-2")
        calls = plane.fleet.reach.calls

        async def failing() -> None:
            plane.fleet.reach.calls += 1
            if plane.fleet.reach.calls > calls + 2:
                raise StorageUnavailable("the disk is gone")

        plane.fleet.jobs._reach = failing  # type: ignore[assignment]
        with pytest.raises(StorageUnavailable):
            await plane.deployments.cancel(accepted.deployment.id, BY)
