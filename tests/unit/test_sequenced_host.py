"""A link of v2 on a database in memory: what becomes durable, what is sent, and how links end."""

from __future__ import annotations

import pytest

from application.control_plane.delivery import NO_JOB, PAGE
from application.control_plane.link_tools import PAYLOAD_LOST
from application.control_plane.recording import BURST_BYTES, BYTES_PER_S, MOST_WAITING_BYTES
from domain.errors import InvalidInput, StorageUnavailable
from domain.fleet.host import Host
from domain.fleet.host_effects import LinkEnd
from domain.fleet.job import Delivery, FleetJobState
from domain.fleet.meeting import MORE_THAN_EVER_SENT
from domain.job import JobState
from domain.link_messages import (
    Accept,
    Acknowledge,
    Bye,
    CancelMessage,
    GoAway,
    Heartbeat,
    MissedMessage,
    OutputChunk,
    OutputPosition,
    PeerError,
    RunningJob,
    Unusable,
)
from tests.builders import deploy, status, stop
from tests.fakes.clock import FakeClock, settle
from tests.support.fleet_program import FleetProgram
from tests.unit.connected_agents import ConnectedAgent

FAILURE = StorageUnavailable("the disk is on fire")


@pytest.fixture
async def host(program: FleetProgram) -> Host:
    return await program.add_host()


@pytest.fixture
async def agent(program: FleetProgram, host: Host) -> ConnectedAgent:
    one = ConnectedAgent(program)
    await one.opened()
    one.link.news()
    return one


def clock_of(program: FleetProgram) -> FakeClock:
    assert isinstance(program.clock, FakeClock)
    return program.clock


# Commands.


async def test_a_command_is_sent_at_once_and_its_answers_are_kept(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host, deadline_s=90.0)
    await settle()
    (frame,) = agent.commands()
    assert (frame.job_id, frame.kind, frame.seq) == (job.id, "STOP_COMPOSE", 1)
    assert (frame.generation, frame.deadline_s, frame.ack) == (1, 90.0, 0)
    assert frame.payload == b'{"project_name": "blog"}'
    await agent.accept(job.id, ack=1)
    assert (await program.job(job)).state is FleetJobState.ACCEPTED
    await agent.finish(job.id)
    assert (await program.job(job)).state is FleetJobState.SUCCEEDED
    assert agent.link.said(Acknowledge)[-1] == Acknowledge(2)
    assert program.told.count(job.id) == 2
    assert program.arrived == [job.id]


async def test_what_waited_for_the_host_is_sent_in_order_once_it_comes(
    program: FleetProgram, host: Host
) -> None:
    jobs = [await program.submit(host, stop(name)) for name in ("a", "b", "c")]
    agent = ConnectedAgent(program)
    await agent.opened()
    assert agent.job_ids() == [job.id for job in jobs]
    assert [frame.seq for frame in agent.commands()] == [1, 2, 3]


async def test_more_than_a_page_is_sent_in_order(program: FleetProgram, host: Host) -> None:
    jobs = [await program.submit(host, status()) for _ in range(150)]
    agent = ConnectedAgent(program)
    await agent.opened()
    await settle(1000)
    assert agent.job_ids() == [job.id for job in jobs]


async def test_the_window_holds_commands_back_until_some_are_acknowledged(
    program: FleetProgram, host: Host
) -> None:
    for _ in range(300):
        await program.submit(host, status())
    agent = ConnectedAgent(program)
    await agent.opened()
    await settle(2000)
    assert len(agent.commands()) == 256
    await agent.hear(Acknowledge(40))
    await settle(1000)
    assert len(agent.commands()) == 296


async def test_what_the_window_holds_back_has_not_left(program: FleetProgram, host: Host) -> None:
    jobs = [await program.submit(host, status(), expires_at=5.0) for _ in range(400)]
    agent = ConnectedAgent(program)
    await agent.opened()
    await settle(2000)
    assert len(agent.commands()) == 256
    waiting = [job for job in jobs if (await program.job(job)).delivery is Delivery.WAITING]
    assert waiting == jobs[-len(waiting) :]
    assert 400 - 256 - PAGE <= len(waiting) <= 400 - 256
    await program.cancel(jobs[-1])
    assert (await program.job(jobs[-1])).state is FleetJobState.CANCELED
    assert len(await program.fleet.jobs.expire(6.0)) == len(waiting) - 1


async def test_what_is_late_by_the_time_that_it_would_be_sent_again_is_not(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    late = await program.submit(host, status(), expires_at=0.0)
    timely = await program.submit(host, status(), expires_at=4e9)
    await settle()
    assert agent.job_ids() == [late.id, timely.id]
    await agent.gone()
    again = ConnectedAgent(program)
    await again.opened(peer_epoch=program.fleet.jobs.epoch)
    assert [(frame.job_id, frame.seq) for frame in again.commands()] == [(timely.id, 2)]
    assert [each.job_id for each in again.link.said(CancelMessage)] == [NO_JOB]
    now = await program.job(late)
    assert (now.state, now.reason) == (FleetJobState.EXPIRED, "expired")
    assert late.id in program.told


@pytest.mark.parametrize("knows", ["it has it", "another epoch"])
async def test_what_an_agent_may_have_is_not_late(
    program: FleetProgram, host: Host, agent: ConnectedAgent, knows: str
) -> None:
    job = await program.submit(host, stop(), expires_at=0.0)
    await settle()
    epoch = "agent-1" if knows == "it has it" else "agent-2"
    if knows == "it has it":
        await agent.accept(job.id)
    await agent.gone()
    again = ConnectedAgent(program, epoch=epoch)
    await again.opened(peer_epoch=program.fleet.jobs.epoch if epoch == "agent-1" else "")
    assert again.job_ids() == [job.id]
    assert not (await program.job(job)).is_over


async def test_an_agent_that_does_not_keep_up_is_sent_nothing_until_it_does(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    agent.link.is_writable = False
    job = await program.submit(host)
    await agent.accept("job-x")
    await settle()
    assert agent.link.news() == []
    await agent.becomes_writable()
    assert agent.job_ids() == [job.id]
    assert agent.link.said(PeerError), "what had to be said before is said too"


async def test_what_is_missed_is_sent_again(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    jobs = [await program.submit(host, stop(name)) for name in ("a", "b")]
    await settle()
    await agent.hear(MissedMessage(2))
    assert agent.job_ids() == [jobs[0].id, jobs[1].id, jobs[1].id]


async def test_after_a_reconnect_what_is_not_acknowledged_is_sent_again(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    jobs = [await program.submit(host, stop(name)) for name in ("a", "b", "c")]
    await settle()
    await agent.hear(Acknowledge(1))
    await agent.gone()
    again = ConnectedAgent(program)
    await again.opened(peer_epoch=program.fleet.jobs.epoch, last_seq_seen=2)
    assert again.job_ids() == [jobs[2].id]
    assert [frame.seq for frame in again.commands()] == [3]


async def test_a_cancel_follows_its_command(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host)
    await settle()
    await program.cancel(job)
    await settle()
    assert agent.link.said(CancelMessage) == [CancelMessage(2, job.id, 0)]


async def test_a_command_whose_payload_is_lost_fails_and_holds_nothing_up(
    program: FleetProgram, host: Host
) -> None:
    lost, spoilt, good = [await program.submit(host, stop(name)) for name in ("a", "b", "c")]
    program.fleet.state.jobs[lost.id].payload = None
    program.fleet.state.jobs[spoilt.id].payload = b'["another", ""]'
    agent = ConnectedAgent(program)
    await agent.opened()
    assert agent.job_ids() == [good.id]
    assert agent.commands()[0].seq == 3
    assert [each.job_id for each in agent.link.said(CancelMessage)] == [NO_JOB, NO_JOB]
    for job in (lost, spoilt):
        now = await program.job(job)
        assert (now.state, now.reason) == (FleetJobState.FAILED, PAYLOAD_LOST)
        assert job.id in program.told


async def test_a_command_that_is_not_wanted_any_more_is_not_sent(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    agent.link.is_writable = False
    job = await program.submit(host)
    await program.fleet.jobs.number(host.id, 1.0)
    await program.fleet.jobs.end(job.id, FleetJobState.FAILED, 1.0, reason="x", error="x")
    await agent.becomes_writable()
    assert agent.commands() == []
    assert agent.link.said(CancelMessage) == [CancelMessage(1, NO_JOB, 0)]


async def test_what_cannot_be_sent_yet_has_no_number_yet(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    agent.link.is_writable = False
    older = await program.submit(host, deploy("blog", b"services: {}"))
    newer = await program.submit(host, deploy("blog", b"services: {} # newer"))
    await settle()
    await agent.becomes_writable()
    assert agent.job_ids() == [newer.id]
    assert (await program.job(older)).state is FleetJobState.SUPERSEDED


async def test_a_database_that_fails_delays_a_delivery(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host)
    program.fleet.reach.failure = FAILURE
    await settle()
    assert agent.commands() == []
    program.fleet.reach.failure = None
    await clock_of(program).advance(1.0)
    assert agent.job_ids() == [job.id]


async def test_what_is_sent_weighs_until_the_agent_has_taken_it(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    content = b"services: {web: {image: x}}\n" + b"#" * 100_000
    await program.submit(host, deploy("big", content))
    agent.link.is_writable = True
    program.tools.sending.total = 1 << 40
    await settle()
    assert agent.commands() == []
    await clock_of(program).advance(0.3)
    assert agent.commands() == []
    program.tools.sending.total = 0
    await clock_of(program).advance(0.3)
    assert len(agent.commands()) == 1
    assert program.tools.sending.total == 0


# What the agent says.


async def test_what_comes_while_something_is_written_is_written_together_afterwards(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    jobs = [await program.submit(host, stop(name)) for name in ("a", "b", "c")]
    await settle()
    program.fleet.reach.hold()
    await agent.accept(jobs[0].id)
    calls = program.fleet.reach.calls
    await agent.accept(jobs[1].id)
    await agent.accept(jobs[2].id)
    assert program.fleet.reach.calls == calls
    assert agent.link.said(Acknowledge) == []
    program.fleet.reach.release()
    await settle()
    assert agent.link.said(Acknowledge) == [Acknowledge(1), Acknowledge(3)]
    assert program.fleet.reach.calls == calls + 1


async def test_an_agent_that_says_more_than_can_be_written_is_not_listened_to(
    program: FleetProgram, agent: ConnectedAgent
) -> None:
    program.fleet.reach.hold()
    await agent.accept("job-x")
    assert not agent.is_deaf()
    chunk = OutputChunk("job-x", OutputPosition("apply", 1, 0), b"x")
    await agent.hear(chunk, size=MOST_WAITING_BYTES)
    assert agent.is_deaf()
    assert program.tools.held.total == MOST_WAITING_BYTES + 100
    program.fleet.reach.release()
    await settle()
    assert not agent.is_deaf()
    assert program.tools.held.total == 0


async def test_where_all_together_say_too_much_each_waits_its_turn(
    program: FleetProgram, agent: ConnectedAgent
) -> None:
    program.tools.held.total = 1 << 40
    program.fleet.reach.hold()
    await agent.accept("job-x")
    assert agent.is_deaf()
    program.fleet.reach.release()


async def test_an_agent_that_says_much_for_long_is_heard_more_slowly(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host)
    await settle()
    await agent.accept(job.id)
    for number in range(BURST_BYTES // MOST_WAITING_BYTES + 1):
        chunk = OutputChunk(job.id, OutputPosition("apply", 1, number), b"x")
        await agent.hear(chunk, size=MOST_WAITING_BYTES)
    assert agent.is_deaf()
    await clock_of(program).advance(MOST_WAITING_BYTES / BYTES_PER_S + 0.1)
    assert not agent.is_deaf()
    assert agent.closed() is None


async def test_a_database_that_fails_delays_acknowledgements_and_loses_nothing(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host)
    await settle()
    program.fleet.reach.failure = FAILURE
    await agent.accept(job.id)
    await agent.finish(job.id)
    await clock_of(program).advance(5.0)
    assert agent.link.said(Acknowledge) == []
    program.fleet.reach.failure = None
    await clock_of(program).advance(5.0)
    assert agent.link.said(Acknowledge)[-1] == Acknowledge(2)
    assert (await program.job(job)).state is FleetJobState.SUCCEEDED


async def test_results_of_somebody_elses_jobs_are_answered_with_an_error(
    program: FleetProgram, agent: ConnectedAgent
) -> None:
    other = await program.add_host("other", token="another")
    job = await program.submit(other)
    await agent.finish(job.id)
    assert agent.link.said(PeerError) == [
        PeerError("not_found", f"job '{job.id}' is none of this host's")
    ]
    assert agent.link.said(Acknowledge) == [Acknowledge(1)]
    assert (await program.job(job)).state is FleetJobState.QUEUED
    assert agent.closed() is None


async def test_output_is_acknowledged_by_its_place(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host)
    await settle()
    await agent.accept(job.id)
    await agent.hear(OutputChunk(job.id, OutputPosition("apply", 1, 0), b"printed"))
    seen = agent.link.said(Acknowledge)[-1].output_seen
    assert seen == {job.id: OutputPosition("apply", 1, 7)}
    assert (await program.job(job)).state is FleetJobState.RUNNING


async def test_after_a_reconnect_output_goes_on_where_it_was(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host)
    await settle()
    await agent.accept(job.id)
    await agent.hear(OutputChunk(job.id, OutputPosition("apply", 1, 0), b"printed"))
    await agent.gone()
    again = ConnectedAgent(program)
    welcome = await again.opened(peer_epoch=program.fleet.jobs.epoch, last_seq_seen=1)
    assert welcome.last_seq_seen == 1
    assert welcome.output_seen == {job.id: OutputPosition("apply", 1, 7)}


async def test_what_runs_by_its_hello_runs(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host)
    await settle()
    await agent.accept(job.id)
    await agent.gone()
    again = ConnectedAgent(program)
    running = RunningJob(job.id, JobState.RUNNING)
    await again.opened(peer_epoch=program.fleet.jobs.epoch, last_seq_seen=1, running=(running,))
    assert (await program.job(job)).state is FleetJobState.RUNNING
    assert (await program.fleet.jobs.standing(host.id)).link.confirmed == 1


async def test_acknowledgements_are_written_down(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    await program.submit(host)
    await settle()
    await agent.hear(Acknowledge(1))
    assert (await program.fleet.jobs.standing(host.id)).link.confirmed == 1
    assert await program.fleet.jobs.outgoing(host.id, 0, 10) == []


# Epochs.


async def test_an_agent_with_a_new_epoch_is_sent_again_what_has_no_result(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    done, open_ = [await program.submit(host, stop(name)) for name in ("a", "b")]
    await settle()
    await agent.accept(done.id)
    await agent.finish(done.id)
    await agent.hear(Acknowledge(2))
    await agent.gone()
    again = ConnectedAgent(program, epoch="agent-2")
    welcome = await again.opened(generations={"b": 7})
    assert welcome.last_seq_seen == 0
    assert [(frame.job_id, frame.seq) for frame in again.commands()] == [(open_.id, 1)]
    later = await program.submit(host, stop("B"))
    await settle()
    assert again.job_ids()[-1] == later.id
    assert again.commands()[-1].generation == 8


async def test_an_agent_that_counts_within_an_old_epoch_of_ours_begins_anew(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host)
    await settle()
    await agent.accept(job.id, ack=1)
    await agent.gone()
    program.fleet.state.epoch = "restored"
    again = ConnectedAgent(program)
    welcome = await again.opened(peer_epoch="epoch-1", last_seq_seen=1)
    assert (welcome.epoch, welcome.last_seq_seen) == ("restored", 0)
    assert again.job_ids() == [job.id]


@pytest.mark.parametrize("seen", [0, 3])
async def test_an_agent_whose_memory_contradicts_ours_is_made_to_begin_anew(
    program: FleetProgram, host: Host, agent: ConnectedAgent, seen: int
) -> None:
    await program.submit(host, stop("a"))
    await program.submit(host, stop("b"))
    await settle()
    await agent.hear(Acknowledge(2))
    await agent.gone()
    again = ConnectedAgent(program)
    welcome = await again.opened(peer_epoch=program.fleet.jobs.epoch, last_seq_seen=seen)
    assert welcome.last_seq_seen == MORE_THAN_EVER_SENT
    assert again.commands() == []
    assert again.closed() is None, "it has to write that down first"
    assert not program.live.is_online(host.id)
    await again.accept("whatever")
    await clock_of(program).advance(11.0)
    assert again.closed() is LinkEnd.VIOLATION
    assert (await program.fleet.jobs.standing(host.id)).link.heard == 0


async def test_an_agent_that_is_to_begin_anew_is_put_out_at_once_when_its_host_is_revoked(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    await agent.gone()
    again = ConnectedAgent(program)
    welcome = await again.opened(peer_epoch=program.fleet.jobs.epoch, last_seq_seen=3)
    assert welcome.last_seq_seen == MORE_THAN_EVER_SENT
    program.live.dismiss(host.id)
    assert again.closed() is LinkEnd.REVOKED


async def test_an_agent_that_reports_thousands_of_jobs_that_a_restored_backup_does_not_know(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    await agent.gone()
    program.fleet.state.epoch = "restored"
    again = ConnectedAgent(program)
    await again.opened(peer_epoch="epoch-1", last_seq_seen=7)
    for _ in range(500):
        await again.finish(f"forgotten-{again.seq}")
    assert again.closed() is None
    assert (await program.fleet.jobs.standing(host.id)).link.heard == 500
    assert again.link.said(PeerError)[0].code == "not_found"


async def test_an_agent_that_speaks_of_other_hosts_jobs_without_end_is_put_out(
    program: FleetProgram, agent: ConnectedAgent
) -> None:
    other = await program.add_host("other", token="other")
    job = await program.submit(other)
    for _ in range(101):
        if agent.closed() is None:
            await agent.finish(job.id)
    assert agent.closed() is LinkEnd.TOO_MUCH


async def test_of_what_an_agent_says_when_it_leaves_the_log_has_so_much(
    agent: ConnectedAgent, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        await agent.hear(Bye("because\n" + "x" * 10_000))
    (line,) = [line for line in caplog.messages if "has ended" in line]
    assert "because\\nxxx" in line
    assert len(line) < 700


# The end of links.


async def test_a_newer_link_replaces_the_older_and_begins_where_that_has_ended(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host)
    await settle()
    program.fleet.reach.hold()
    await agent.accept(job.id)
    newer = ConnectedAgent(program)
    await newer.dial()
    await newer.hear(newer.hello(peer_epoch=program.fleet.jobs.epoch, last_seq_seen=1))
    assert agent.closed() is None, "nothing is proven yet"
    program.fleet.reach.release()
    await settle()
    assert agent.closed() is LinkEnd.REPLACED
    assert newer.welcome is not None
    assert newer.welcome.last_seq_seen == 1
    await agent.finish(job.id)
    await agent.gone()
    assert (await program.job(job)).state is FleetJobState.ACCEPTED, "it is not heard any more"
    assert program.live.is_online(host.id)


async def test_a_link_that_is_replaced_while_it_opens_stays_away(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    job = await program.submit(host)
    await settle()
    program.fleet.reach.hold()
    second, third = ConnectedAgent(program), ConnectedAgent(program)
    for each in (second, third):
        await each.dial()
        await each.hear(each.hello(peer_epoch=program.fleet.jobs.epoch, last_seq_seen=1))
    await agent.accept(job.id)
    program.fleet.reach.release()
    await settle(200)
    assert agent.closed() is LinkEnd.REPLACED
    assert second.closed() is LinkEnd.REPLACED
    assert second.welcome is None
    assert third.welcome is not None
    assert third.welcome.last_seq_seen == 1


async def test_two_machines_with_one_identity_are_noticed(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    previous = agent
    for _ in range(4):
        newer = ConnectedAgent(program)
        await newer.opened(peer_epoch=program.fleet.jobs.epoch)
        assert previous.closed() is LinkEnd.REPLACED
        assert (await program.fleet.hosts.host(host.id)).clone_suspected_at is None
        await previous.gone(answered=True)
        previous = newer
    assert (await program.fleet.hosts.host(host.id)).clone_suspected_at is not None


async def test_an_agent_that_replaces_its_own_dead_links_is_no_clone(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    previous = agent
    for _ in range(8):
        newer = ConnectedAgent(program)
        await newer.opened(peer_epoch=program.fleet.jobs.epoch)
        await previous.gone(answered=False)
        previous = newer
    assert (await program.fleet.hosts.host(host.id)).clone_suspected_at is None


async def test_a_host_that_is_revoked_is_put_out_at_once(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    await program.fleet.hosts.revoke(host.id, 1.0)
    program.live.dismiss(host.id)
    assert agent.closed() is LinkEnd.REVOKED
    assert not program.live.is_online(host.id)


async def test_a_host_that_is_revoked_while_it_proves_who_it_is_is_put_out(
    program: FleetProgram, host: Host
) -> None:
    agent = ConnectedAgent(program)
    await agent.dial()
    program.fleet.reach.hold()
    await agent.hear(agent.hello())
    program.live.dismiss(host.id)
    program.fleet.reach.release()
    await settle()
    assert agent.closed() is LinkEnd.REVOKED
    assert not program.live.is_online(host.id)


async def test_an_agent_that_is_silent_is_given_up(
    program: FleetProgram, agent: ConnectedAgent
) -> None:
    agent.link.silence_s = 30.0
    await clock_of(program).advance(30.0)
    assert agent.link.said(Heartbeat), "we have said that we are here"
    agent.link.silence_s = 45.0
    await clock_of(program).advance(15.0)
    assert agent.closed() is LinkEnd.SILENT


async def test_silence_is_noticed_within_45_s_however_it_falls(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    began = program.clock.monotonic()
    while agent.closed() is None:
        agent.link.silence_s = program.clock.monotonic() - began
        await clock_of(program).advance(0.5)
    assert program.clock.monotonic() - began <= 42.0


async def test_bye_ends_a_link_and_garbage_does_not(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    await agent.hear(Unusable(InvalidInput("type", "is missing")))
    assert agent.closed() is None
    await agent.hear(Bye("stopping"))
    assert agent.closed() is LinkEnd.LEFT
    assert not program.live.is_online(host.id)


async def test_facts_reach_whoever_asks_and_later_the_directory(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    await clock_of(program).advance(10.0)
    kept = (await program.fleet.hosts.host(host.id)).report
    assert kept is not None
    assert (kept.protocol, kept.version, kept.address) == (2, "1.2.3", "192.0.2.7")
    await agent.hear(Heartbeat({"load": 0.5}))
    live = program.live.report_of(host.id)
    assert live is not None
    assert live.facts == {"load": 0.5}
    await clock_of(program).advance(30.0)
    assert (await program.fleet.hosts.host(host.id)).report == kept
    await clock_of(program).advance(30.0)
    await agent.hear(Heartbeat({"load": 0.75}))
    await clock_of(program).advance(10.0)
    kept = (await program.fleet.hosts.host(host.id)).report
    assert kept is not None
    assert kept.facts == {"load": 0.75}


async def test_when_it_was_last_seen_is_kept_once_it_is_gone(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    await clock_of(program).advance(20.0)
    await agent.gone()
    assert program.live.report_of(host.id) is None
    await clock_of(program).advance(10.0)
    kept = (await program.fleet.hosts.host(host.id)).report
    assert kept is not None
    assert kept.last_seen_at - kept.connected_at == pytest.approx(20.0)


async def test_going_down_asks_agents_to_come_again_and_puts_out_who_stays(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    leaving = program.tools.crew.start(lambda: program.live.drain(10.0), "draining", lambda: None)
    await settle()
    assert agent.link.said(GoAway) == [GoAway(10.0, "the control plane goes away")]
    late = ConnectedAgent(program)
    await late.dial()
    assert late.turned_away is not None
    assert late.turned_away.end is LinkEnd.GOING_AWAY
    await clock_of(program).advance(14.0)
    assert agent.closed() is None
    await clock_of(program).advance(2.0)
    assert agent.closed() is LinkEnd.GOING_AWAY
    assert leaving is not None
    assert leaving.done()


async def test_a_bug_ends_its_own_link_and_no_other(
    program: FleetProgram, host: Host, agent: ConnectedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_host = await program.add_host("other", token="another")
    other = ConnectedAgent(program)
    await other.dial(token="another")
    await other.hear(other.hello())
    monkeypatch.setattr(program.fleet.jobs, "number", None)
    await program.submit(host)
    await settle()
    assert agent.closed() is LinkEnd.BROKEN
    assert other.closed() is None
    assert program.live.is_online(other_host.id)


async def test_many_accepts_in_one_burst_are_one_write(
    program: FleetProgram, host: Host, agent: ConnectedAgent
) -> None:
    jobs = [await program.submit(host, status()) for _ in range(100)]
    await settle(1000)
    calls = program.fleet.reach.calls
    await agent.durable(
        *[Accept(n, job.id, JobState.ACCEPTED) for n, job in enumerate(jobs, start=1)]
    )
    await settle()
    assert agent.link.said(Acknowledge)[-1] == Acknowledge(100)
    assert program.fleet.reach.calls == calls + 1
