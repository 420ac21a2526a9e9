"""The real agent program against the hub, over a network that does what it is told."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.clock.system import SystemClock
from adapters.identity.ed25519 import KeySigner, find_ed25519
from domain.commands import CheckHealth, GetStatus, ListProjects, RemoveCompose
from domain.fleet.host import Host, HostId
from domain.fleet.host_effects import LinkEnd
from domain.fleet.job import FeedKind, FleetJob, FleetJobState, is_over
from domain.project import ProjectName
from tests.contracts.fleet import hashed
from tests.support.agent_process import TOKEN, running_agent
from tests.support.chaos_plan import DOWN, UP, ChaosPlan, Cut, Duplicate, Reorder, Swallow, of_type
from tests.support.chaos_proxy import ChaosProxy
from tests.support.fleet_program import FleetProgram
from tests.support.hub_server import HubServer, hub_server
from tests.support.ports import reserved_port

QUICK = {"AGENT_RECONNECT_JITTER": "off"}


@pytest.fixture
def program() -> FleetProgram:
    signer = KeySigner(find_ed25519(), bytes(range(32)))
    return FleetProgram(SystemClock(), signer=signer, heartbeat_s=1.0)


@pytest.fixture
async def server(program: FleetProgram) -> AsyncIterator[HubServer]:
    async with hub_server(program=program, heartbeat_s=1.0) as running:
        yield running


def state_of(server: HubServer, job: FleetJob) -> FleetJobState:
    return server.program.fleet.state.jobs[job.id].job.state


async def over(server: HubServer, *jobs: FleetJob) -> list[FleetJobState]:
    """Wait for the ends of jobs; each has one, and its result."""
    await server.until(
        lambda: all(is_over(state_of(server, job)) for job in jobs), "the jobs are over"
    )
    for job in jobs:
        ends = [
            entry
            for entry in server.program.fleet.state.feed
            if entry.job_id == job.id
            and entry.kind is FeedKind.STATE
            and entry.state is not None
            and is_over(entry.state)
        ]
        assert len(ends) == 1
    return [state_of(server, job) for job in jobs]


async def online(server: HubServer, host: Host) -> None:
    await server.until(lambda: server.program.live.is_online(host.id), "the agent is online")


async def test_an_agent_of_v2_does_what_it_is_told(tmp_path: Path, server: HubServer) -> None:
    host = await server.program.add_host(token=TOKEN)
    early = await server.program.submit(host, CheckHealth())
    async with running_agent(tmp_path, server_url=server.url):
        await online(server, host)
        later = [
            await server.program.submit(host, command)
            for command in (
                ListProjects(),
                GetStatus(ProjectName("blog")),
                RemoveCompose(ProjectName("blog")),
            )
        ]
        states = await over(server, early, *later)
        assert states[0] is FleetJobState.SUCCEEDED
        assert states[3] is FleetJobState.FAILED
        await server.until(
            lambda: (
                (report := server.program.live.report_of(host.id)) is not None
                and "load" in report.facts
            ),
            "it tells how its host is",
        )
        removed = server.program.fleet.state.jobs[later[2].id].job
        assert removed.reason == "not_found"
    await server.until(lambda: not server.program.live.is_online(host.id), "it has gone")


async def test_an_agent_enrols_with_a_key_and_comes_again_without_a_token(
    tmp_path: Path, server: HubServer
) -> None:
    await server.program.add_enrolment("an-enrolments-token")
    enrolling = {"AGENT_ENROLL_TOKEN": "an-enrolments-token"}
    async with running_agent(tmp_path, server_url=server.url, token=None, settings=enrolling):
        await server.until(lambda: server.program.live.online() == {2: 1}, "it is a host")
    (host_id,) = server.program.fleet.state.hosts
    async with running_agent(tmp_path, server_url=server.url, token=None):
        await server.until(lambda: server.program.live.is_online(HostId(host_id)), "it is back")
        host = await server.program.fleet.hosts.host(HostId(host_id))
        job = await server.program.submit(host, CheckHealth())
        assert await over(server, job) == [FleetJobState.SUCCEEDED]


async def test_a_host_that_is_revoked_is_put_out_and_stays_out(
    tmp_path: Path, server: HubServer
) -> None:
    host = await server.program.add_host(token=TOKEN)
    async with running_agent(tmp_path, server_url=server.url) as agent:
        await online(server, host)
        await server.program.fleet.hosts.revoke(host.id, 1.0)
        server.program.live.dismiss(host.id)
        await server.until(lambda: "4403" in agent.log(), "the agent says why")
        assert not server.program.live.is_online(host.id)


async def test_a_host_whose_token_is_replaced_is_put_out_and_asks_for_the_new_one(
    tmp_path: Path, server: HubServer
) -> None:
    host = await server.program.add_host(token=TOKEN)
    async with running_agent(tmp_path, server_url=server.url) as agent:
        await online(server, host)
        await server.program.fleet.hosts.set_token(host.id, hashed("another"))
        server.program.live.dismiss(host.id, LinkEnd.UNPROVEN)
        await server.until(lambda: "trying again" in agent.log(), "the agent says why")
        assert not server.program.live.is_online(host.id)
    log = agent.log()
    assert "does not accept who this agent says it is (close code 4401)" in log
    assert "check AGENT_SECRET_TOKEN" in log
    assert "trying again in 120 s" in log
    assert "revoked" not in log


async def test_an_agent_that_stops_says_so(tmp_path: Path, server: HubServer) -> None:
    host = await server.program.add_host(token=TOKEN)
    async with running_agent(tmp_path, server_url=server.url) as agent:
        await online(server, host)
        await agent.stop(signal.SIGTERM)
        await server.until(lambda: not server.program.live.is_online(host.id), "it is gone")


async def test_a_control_plane_that_comes_back_goes_on(tmp_path: Path) -> None:
    with reserved_port() as port:
        program = FleetProgram(SystemClock(), heartbeat_s=1.0)
        async with hub_server(program=program, port=port) as first:
            host = await program.add_host(token=TOKEN)
            async with running_agent(tmp_path, server_url=first.url, settings=QUICK):
                await online(first, host)
                done = await program.submit(host, CheckHealth())
                await over(first, done)
                first.stop()
                await first.until(lambda: not program.live.is_online(host.id), "it has gone")
                again = FleetProgram(SystemClock(), program.fleet, heartbeat_s=1.0)
                again.randomness = program.randomness
                waiting = await again.submit(host, CheckHealth())
                await first.until(lambda: first.connections == 0, "nothing is left")
                async with hub_server(program=again, port=port) as second:
                    await online(second, host)
                    assert await over(second, waiting) == [FleetJobState.SUCCEEDED]
                    assert program.fleet.state.links[host.id].heard >= 4


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_lost_and_nothing_done_twice_on_a_bad_network(
    tmp_path: Path, server: HubServer, seed: int
) -> None:
    host = await server.program.add_host(token=TOKEN)
    plan = ChaosPlan(seed, rates={"cut": 0.03, "duplicate": 0.1, "reorder": 0.1, "swallow": 0.05})
    async with (
        ChaosProxy(server.port, plan) as proxy,
        running_agent(tmp_path, server_url=proxy.url, settings=QUICK),
    ):
        await online(server, host)
        jobs = []
        for number in range(30):
            command = RemoveCompose(ProjectName(f"p{number}")) if number % 2 else CheckHealth()
            jobs.append(await server.program.submit(host, command))
            await asyncio.sleep(0.02)
        proxy.clear()
        states = await over(server, *jobs)
        assert states == [FleetJobState.SUCCEEDED, FleetJobState.FAILED] * 15, plan
        assert {server.program.fleet.state.jobs[job.id].job.reason for job in jobs[1::2]} == {
            "not_found"
        }


@pytest.mark.parametrize(
    ("direction", "message", "action"),
    [
        (DOWN, "HEALTH_CHECK", Cut("before")),
        (DOWN, "HEALTH_CHECK", Cut("middle")),
        (DOWN, "HEALTH_CHECK", Cut("after")),
        (UP, "ACCEPT", Cut("before")),
        (UP, "ACCEPT", Cut("middle")),
        (UP, "ACCEPT", Cut("after")),
        (UP, "ACCEPT", Swallow()),
        (UP, "ACCEPT", Duplicate()),
        (UP, "ACCEPT", Reorder()),
        (UP, "RESPONSE", Cut("after")),
        (DOWN, "ACK", Cut("before")),
        (DOWN, "WELCOME", Cut("before")),
        (UP, "HELLO", Cut("middle")),
    ],
    ids=str,
)
async def test_a_link_that_breaks_at_any_message_loses_nothing(
    tmp_path: Path, server: HubServer, direction: str, message: str, action: Cut
) -> None:
    host = await server.program.add_host(token=TOKEN)
    async with ChaosProxy(server.port) as proxy:
        rule = proxy.on("up" if direction == "up" else "down", of_type(message), action)
        async with running_agent(tmp_path, server_url=proxy.url, settings=QUICK):
            job = await server.program.submit(host, CheckHealth())
            assert await over(server, job) == [FleetJobState.SUCCEEDED]
            await rule.fired()


async def test_an_agent_of_v1_does_what_it_is_told(
    tmp_path: Path, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.websocket.hub_upgrade.V2", "nobody speaks this")
    host = await server.program.add_host(token=TOKEN)
    async with (
        ChaosProxy(server.port) as proxy,
        running_agent(tmp_path, server_url=proxy.url, settings=QUICK),
    ):
        await server.until(lambda: server.program.live.online() == {1: 1}, "it is online")
        first = await server.program.submit(host, CheckHealth())
        assert await over(server, first) == [FleetJobState.SUCCEEDED]
        proxy.on("up", lambda passing: "COMPLETED" in str(passing.json), Cut("before"))
        second = await server.program.submit(host, ListProjects())
        assert await over(server, second) == [FleetJobState.SUCCEEDED]
        result = await server.program.fleet.jobs.result(second.id)
        assert result is not None
        assert "projects" in result.data
