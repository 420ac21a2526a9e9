"""How those fare who are not let in, and that they keep nobody else out."""

from __future__ import annotations

import asyncio

import pytest

from application.control_plane import openings, presence
from application.control_plane.doorkeeper import FAILURES, FAILURES_PER_S, REFUSAL_S
from domain.errors import InvalidInput, StorageUnavailable
from domain.fleet.host_effects import LinkEnd
from domain.job import JobState
from domain.link_messages import Accept, Challenge, Enrolled, PeerError, Unusable
from tests.fakes.clock import settle
from tests.fakes.identity import FakeKeys
from tests.support.fleet_program import FleetProgram
from tests.unit.connected_agents import (
    ENROLMENT,
    ConnectedAgent,
    enrolled,
    enrolling,
    pass_time,
)


async def wrong(program: FleetProgram, address: str) -> LinkEnd | None:
    agent = ConnectedAgent(program)
    await agent.dial(token="wrong", address=address)
    await agent.hear(agent.hello())
    return agent.closed()


async def test_who_fails_again_and_again_is_told_to_stay_away_and_locks_nobody_out(
    program: FleetProgram,
) -> None:
    host = await program.add_host()
    for _ in range(FAILURES):
        assert await wrong(program, "2001:db8::1") is None
    assert await wrong(program, "2001:db8::2") is LinkEnd.TOO_MUCH, "its neighbour is itself"
    assert await wrong(program, "2001:db8:0:1::1") is None
    assert await wrong(program, "192.0.2.1") is None
    good = ConnectedAgent(program)
    await good.dial(address="2001:db8::1")
    await good.hear(good.hello())
    assert program.live.is_online(host.id), "who proves who it is gets in"
    await pass_time(program, 1 / FAILURES_PER_S)
    assert await wrong(program, "2001:db8::1") is None


async def test_whoever_has_a_good_enrolment_gets_in_whatever_fails_at_its_address(
    program: FleetProgram,
) -> None:
    for _ in range(FAILURES + 1):
        await wrong(program, "192.0.2.1")
        await enrolling(program, "a guess", "192.0.2.1")
    await program.add_enrolment(ENROLMENT)
    agent = await enrolling(program, ENROLMENT, "192.0.2.1")
    assert agent.link.said(Enrolled)


async def test_enrolments_that_fail_are_counted_by_themselves(program: FleetProgram) -> None:
    for _ in range(FAILURES + 1):
        await wrong(program, "192.0.2.1")
    for _ in range(FAILURES):
        assert (await enrolling(program, "a guess", "192.0.2.1")).closed() is None
    assert (await enrolling(program, "a guess", "192.0.2.1")).closed() is LinkEnd.TOO_MUCH


async def test_an_enrolment_that_is_not_good_costs_no_signature_and_no_write(
    program: FleetProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enrolled(program)
    monkeypatch.setattr(program.signer, "is_signed", None)
    monkeypatch.setattr(program.fleet.hosts, "redeem", None)
    agent = ConnectedAgent(program)
    await agent.dial(token="")
    await agent.hear(agent.enroll(FakeKeys("another"), ENROLMENT))
    await pass_time(program, REFUSAL_S)
    assert agent.closed() is LinkEnd.UNPROVEN
    agent = await enrolling(program, "a guess", "192.0.2.1")
    await pass_time(program, REFUSAL_S)
    assert agent.closed() is LinkEnd.UNPROVEN


async def test_a_database_that_cannot_be_asked_is_no_refusal(program: FleetProgram) -> None:
    await program.add_host()
    agent = ConnectedAgent(program)
    await agent.dial()
    program.fleet.reach.failure = StorageUnavailable("the disk is on fire")
    await agent.hear(agent.hello())
    assert agent.closed() is LinkEnd.GOING_AWAY
    plain = ConnectedAgent(program)
    await plain.dial(1)
    assert plain.turned_away is not None
    assert plain.turned_away.end is LinkEnd.GOING_AWAY
    assert plain.turned_away.retry_after_s > 0


async def test_who_says_nothing_is_put_out_in_time(program: FleetProgram) -> None:
    agent = ConnectedAgent(program)
    await agent.dial()
    await pass_time(program, 9.0)
    assert agent.closed() is None
    await pass_time(program, 2.0)
    assert agent.closed() is LinkEnd.VIOLATION


async def test_a_database_that_hangs_does_not_hold_links_open(program: FleetProgram) -> None:
    await program.add_host()
    agent = ConnectedAgent(program)
    await agent.dial()
    program.fleet.reach.hold()
    await agent.hear(agent.hello())
    await pass_time(program, 11.0)
    assert agent.closed() is LinkEnd.GOING_AWAY
    program.fleet.reach.release()
    await settle()
    assert agent.welcome is None


async def test_garbage_in_an_opening_is_answered(program: FleetProgram) -> None:
    agent = ConnectedAgent(program)
    await agent.dial()
    await agent.hear(Unusable(InvalidInput("type", "is missing")))
    assert agent.link.said(PeerError) == [PeerError("invalid_input", "type: is missing")]
    await agent.hear(Accept(1, "job-1", JobState.ACCEPTED))
    assert agent.closed() is LinkEnd.VIOLATION


async def test_connections_that_are_only_held_open_lock_nobody_out(
    program: FleetProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openings, "MOST_OPENING", 3)
    held = [ConnectedAgent(program) for _ in range(3)]
    for agent in held:
        await agent.dial()
    later = ConnectedAgent(program)
    dialing = asyncio.create_task(later.dial())
    await settle()
    assert not later.link.said(Challenge)
    await pass_time(program, 2.5)
    await dialing
    assert later.link.said(Challenge)
    assert [agent.closed() for agent in held] == [LinkEnd.TOO_MUCH, None, None]


async def test_a_host_that_connects_again_and_again_is_put_out(program: FleetProgram) -> None:
    await program.add_host()
    other = await program.add_host("other", token="other")
    for _ in range(presence.COMINGS):
        agent = ConnectedAgent(program)
        await agent.opened(peer_epoch=program.fleet.jobs.epoch)
        await agent.gone()
    late = ConnectedAgent(program)
    await late.dial()
    await late.hear(late.hello())
    assert late.closed() is LinkEnd.TOO_MUCH
    bystander = ConnectedAgent(program)
    await bystander.dial(token="other")
    await bystander.hear(bystander.hello())
    assert program.live.is_online(other.id)
    await pass_time(program, 3.0)
    again = ConnectedAgent(program)
    await again.opened(peer_epoch=program.fleet.jobs.epoch)
