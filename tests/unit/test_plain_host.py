"""A link of v1 on a database in memory: what can be promised without numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from application.control_plane.plain_delivery import MOST_UNDER_WAY, OUTCOME_S, OUTCOME_UNKNOWN
from application.control_plane.plain_host import USELESS
from domain.commands import RestartCompose
from domain.errors import InvalidInput, StorageUnavailable
from domain.events import UNKNOWN_JOB, JobCompleted, JobFailed, JobReceived
from domain.fleet.host import Host, HostId
from domain.fleet.host_effects import LinkEnd
from domain.fleet.job import FleetJob, FleetJobState
from domain.link_messages import Unusable
from domain.project import ProjectName
from tests.builders import deploy, status, stop
from tests.fakes.clock import settle
from tests.support.fleet_program import FleetProgram
from tests.unit.connected_agents import ConnectedAgent, pass_time

RESTART = RestartCompose(ProjectName("blog"))


@pytest.fixture
async def host(program: FleetProgram) -> Host:
    return await program.add_host()


async def connected(program: FleetProgram) -> ConnectedAgent:
    agent = ConnectedAgent(program)
    await agent.dial(1)
    await settle()
    return agent


@pytest.fixture
async def agent(program: FleetProgram, host: Host) -> ConnectedAgent:
    return await connected(program)


async def test_a_command_is_sent_without_what_v1_does_not_know(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host, deadline_s=60.0)
    await settle()
    (frame,) = agent.commands()
    assert (frame.job_id, frame.kind, frame.deadline_s) == (job.id, "STOP_COMPOSE", 60.0)
    assert (frame.seq, frame.generation, frame.ack) == (0, None, None)


async def test_answers_are_kept(program: FleetProgram, host: Host, agent: ConnectedAgent) -> None:
    job = await program.submit(host)
    await settle()
    assert (await program.job(job)).sent_at is not None
    await agent.hear(JobReceived(job.id))
    assert (await program.job(job)).state is FleetJobState.ACCEPTED
    assert program.arrived == [job.id]
    await agent.hear(JobCompleted(job.id, "done", {"services": []}))
    assert (await program.job(job)).state is FleetJobState.SUCCEEDED
    result = await program.fleet.jobs.result(job.id)
    assert result is not None
    assert (result.logs, result.data) == ("done", {"services": []})
    assert program.told.count(job.id) == 2


@pytest.mark.parametrize(
    ("data", "state", "reason"),
    [
        ({"reason": "compose_failed"}, FleetJobState.FAILED, "compose_failed"),
        ({"reason": "canceled"}, FleetJobState.CANCELED, "canceled"),
        ({"reason": "expired"}, FleetJobState.EXPIRED, "expired"),
        ({"reason": "superseded"}, FleetJobState.SUPERSEDED, "superseded"),
        ({"reason": ["nonsense"]}, FleetJobState.FAILED, ""),
        ({}, FleetJobState.FAILED, ""),
    ],
)
async def test_how_it_failed_is_in_the_reason(
    program: FleetProgram,
    host: Host,
    agent: ConnectedAgent,
    data: dict[str, object],
    state: FleetJobState,
    reason: str,
) -> None:
    job = await program.submit(host)
    await settle()
    await agent.hear(JobFailed(job.id, "no", "out", data))
    now = await program.job(job)
    assert (now.state, now.reason, now.error) == (state, reason, "no")


async def test_a_final_response_that_comes_again_changes_nothing(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host)
    await settle()
    await agent.hear(JobCompleted(job.id, "done"))
    await agent.hear(JobFailed(job.id, "no"))
    assert (await program.job(job)).state is FleetJobState.SUCCEEDED
    assert agent.closed() is None


async def test_only_so_many_are_under_way_and_the_rest_follows_in_order(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    jobs = [await program.submit(host, stop(f"p{n}")) for n in range(MOST_UNDER_WAY + 3)]
    await settle(500)
    assert agent.job_ids() == [job.id for job in jobs[:MOST_UNDER_WAY]]
    await agent.hear(JobCompleted(jobs[4].id, ""), JobCompleted(jobs[2].id, ""))
    assert agent.job_ids() == [job.id for job in jobs[: MOST_UNDER_WAY + 2]]


async def test_however_many_have_lost_their_payload_what_comes_behind_is_sent(
    program: FleetProgram, host: Host
) -> None:
    lost = [await program.submit(host) for _ in range(2 * MOST_UNDER_WAY)]
    for job in lost:
        program.fleet.state.jobs[job.id].payload = None
    last = await program.submit(host)
    agent = await connected(program)
    await settle(200)
    assert [frame.job_id for frame in agent.commands()] == [last.id]
    assert (await program.job(lost[-1])).reason == "payload_lost"


async def test_an_agent_that_does_not_keep_up_is_sent_nothing(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    agent.link.is_writable = False
    job = await program.submit(host)
    await settle()
    assert agent.commands() == []
    assert (await program.job(job)).sent_at is None, "so it can still be canceled"
    await agent.becomes_writable()
    assert agent.job_ids() == [job.id]


async def test_pings_are_not_answered_before_a_result_is_safe(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    first, second = [await program.submit(host, stop(name)) for name in ("a", "b")]
    await settle()
    program.fleet.reach.hold()
    await agent.hear(JobCompleted(first.id, ""))
    assert agent.holds_pongs()
    await agent.hear(JobCompleted(second.id, ""))
    program.fleet.reach.release()
    await settle()
    assert not agent.holds_pongs()
    assert (await program.job(second)).state is FleetJobState.SUCCEEDED


async def test_a_database_that_fails_keeps_pings_waiting(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host)
    await settle()
    program.fleet.reach.failure = StorageUnavailable("the disk is on fire")
    await agent.hear(JobCompleted(job.id, ""))
    await pass_time(program, 3.0)
    assert agent.holds_pongs()
    program.fleet.reach.failure = None
    await pass_time(program, 5.0)
    assert not agent.holds_pongs()
    assert (await program.job(job)).state is FleetJobState.SUCCEEDED


# Links that end.


async def test_what_converges_is_sent_again_under_its_id(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    jobs = [await program.submit(host, command) for command in (deploy(), stop(), status())]
    await settle()
    await agent.hear(JobReceived(jobs[0].id))
    await agent.gone()
    later = await program.submit(host, stop("later"))
    again = await connected(program)
    assert again.job_ids() == [job.id for job in (*jobs, later)]


async def test_what_must_not_be_repeated_is_not_and_its_outcome_is_waited_for(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    told, untold = [await program.submit(host, RESTART) for _ in range(2)]
    await settle()
    await agent.hear(JobReceived(told.id), JobReceived(untold.id))
    await agent.gone()
    again = await connected(program)
    assert again.commands() == []
    await again.hear(JobCompleted(told.id, "it was running all the while"))
    await pass_time(program, OUTCOME_S - 10.0)
    assert (await program.job(told)).state is FleetJobState.SUCCEEDED
    assert (await program.job(untold)).state is FleetJobState.ACCEPTED
    await pass_time(program, 60.0)
    now = await program.job(untold)
    assert (now.state, now.reason) == (FleetJobState.FAILED, OUTCOME_UNKNOWN)
    assert again.closed() is None


async def test_a_question_that_nobody_waits_for_any_more_is_not_asked_again(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host, status(), expires_at=program.clock.now().timestamp() + 60.0)
    await settle()
    await agent.gone()
    await pass_time(program, 100.0)
    again = await connected(program)
    assert again.commands() == []
    assert (await program.job(job)).state is FleetJobState.EXPIRED


async def test_a_newer_link_begins_once_nothing_of_the_older_is_on_its_way(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host)
    await settle()
    program.fleet.reach.hold()
    await agent.hear(JobCompleted(job.id, ""))
    program.fleet.reach.release()
    again = await connected(program)
    assert agent.closed() is LinkEnd.REPLACED
    assert again.commands() == []
    assert (await program.job(job)).state is FleetJobState.SUCCEEDED


async def test_a_job_that_is_being_marked_as_sent_when_its_link_ends_is_sent_on_the_next(
    program: FleetProgram, host: Host, agent: ConnectedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = program.fleet.jobs
    mark_sent, queued, unfinished = jobs.mark_sent, jobs.queued, jobs.unfinished
    becomes_visible = asyncio.Event()
    commits = []

    async def cancelled_and_carried_out(job_id: str, at: float) -> bool:
        """A transaction goes on when nobody waits for it any more."""

        async def commit() -> bool:
            await becomes_visible.wait()
            return await mark_sent(job_id, at)

        commits.append(asyncio.create_task(commit()))
        return await asyncio.shield(commits[-1])

    asked: list[bool] = []

    async def visible_before_the_second_question() -> None:
        if asked:
            becomes_visible.set()
            await asyncio.gather(*commits)
        asked.append(True)

    async def queued_then(host_id: HostId, limit: int) -> Sequence[FleetJob]:
        await visible_before_the_second_question()
        return await queued(host_id, limit)

    async def unfinished_then(host_id: HostId) -> Sequence[FleetJob]:
        await visible_before_the_second_question()
        return await unfinished(host_id)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "mark_sent", cancelled_and_carried_out)
        job = await program.submit(host)
        await settle()
        await agent.gone()
        await settle()
    assert len(commits) == 1
    monkeypatch.setattr(jobs, "queued", queued_then)
    monkeypatch.setattr(jobs, "unfinished", unfinished_then)
    second = await connected(program)
    assert second.job_ids() == [job.id]
    assert (await program.job(job)).sent_at is not None


async def test_what_does_not_fit_beside_what_was_left_follows_in_order(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    left = [await program.submit(host, RESTART) for _ in range(3)]
    await settle()
    await agent.gone()
    new = [await program.submit(host, stop(f"p{n}")) for n in range(MOST_UNDER_WAY)]
    second = await connected(program)
    await settle(500)
    assert second.job_ids() == [job.id for job in new[: -len(left)]]
    await pass_time(program, OUTCOME_S + 60.0)
    assert second.job_ids() == [job.id for job in new]


async def test_a_host_goes_over_to_v2_with_what_v1_left(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host, RESTART)
    await settle()
    await agent.hear(JobReceived(job.id))
    await agent.gone()
    upgraded = ConnectedAgent(program)
    await upgraded.opened()
    assert upgraded.job_ids() == [job.id]
    assert program.live.online() == {2: 1}


# What is of no use.


async def test_what_is_about_other_hosts_jobs_changes_nothing(
    program: FleetProgram, agent: ConnectedAgent
) -> None:
    other = await program.add_host("other", token="another")
    job = await program.submit(other)
    await agent.hear(JobCompleted(job.id, ""))
    assert (await program.job(job)).state is FleetJobState.QUEUED
    assert agent.closed() is None


async def test_who_says_only_what_is_of_no_use_is_put_out(
    program: FleetProgram, agent: ConnectedAgent
) -> None:
    for _ in range(USELESS):
        await agent.hear(Unusable(InvalidInput("status", "is missing")))
    await agent.hear(JobReceived(UNKNOWN_JOB))
    assert agent.closed() is None
    await agent.hear(JobFailed(UNKNOWN_JOB, "what was that?"))
    assert agent.closed() is LinkEnd.TOO_MUCH


async def test_it_is_pinged_and_given_up_when_it_is_silent(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    await pass_time(program, 31.0)
    assert agent.link.pings == 1
    agent.link.silence_s = 65.0
    await pass_time(program, 31.0)
    assert agent.link.pings == 2
    agent.link.silence_s = 95.0
    await pass_time(program, 30.0)
    assert agent.closed() is LinkEnd.SILENT
    assert not program.live.is_online(host.id)


async def test_that_it_is_there_is_kept(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    await pass_time(program, 100.0)
    kept = (await program.fleet.hosts.host(host.id)).report
    assert kept is not None
    assert kept.last_seen_at - kept.connected_at >= 60.0


async def test_revoking_puts_it_out(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    program.live.dismiss(host.id, LinkEnd.UNPROVEN)
    assert agent.closed() is LinkEnd.UNPROVEN
