"""Who is let in, and as what: by a bearer token, by a key, and by an enrolment."""

from __future__ import annotations

import pytest

from application.control_plane.doorkeeper import REFUSAL_S
from application.ports.agent_link import TurnedAway
from domain.fleet.host import Credential
from domain.fleet.host_effects import LinkEnd
from domain.identity import enrolled_text, welcome_text
from domain.link_messages import Enrolled, Heartbeat, Welcome
from tests.fakes.identity import FakeKeys
from tests.support.fleet_program import TOKEN, FleetProgram
from tests.unit.connected_agents import (
    AGENT_NONCE,
    ENROLMENT,
    KEYS,
    ConnectedAgent,
    enrolled,
    enrolling,
    pass_time,
)

# Bearer tokens.


async def test_a_token_in_the_upgrade_request_proves_a_host_of_v2(program: FleetProgram) -> None:
    host = await program.add_host()
    agent = ConnectedAgent(program)
    welcome = await agent.opened()
    assert agent.challenge.public_key == program.signer.public_key
    assert agent.challenge.server_time == "2026-01-31T12:00:00+00:00"
    assert welcome.epoch == program.fleet.jobs.epoch
    assert welcome.heartbeat_s == 30.0
    assert welcome.signature == ""
    assert program.live.is_online(host.id)
    assert program.live.online() == {2: 1}


async def test_a_wrong_token_is_answered_slowly(program: FleetProgram) -> None:
    await program.add_host()
    agent = ConnectedAgent(program)
    await agent.dial(token="wrong")
    await agent.hear(agent.hello())
    assert agent.closed() is None
    await pass_time(program, REFUSAL_S)
    assert agent.closed() is LinkEnd.UNPROVEN
    assert agent.welcome is None


async def test_no_token_proves_nobody(program: FleetProgram) -> None:
    await program.add_host(token="")
    agent = ConnectedAgent(program)
    await agent.dial(token="")
    await agent.hear(agent.hello())
    await pass_time(program, REFUSAL_S)
    assert agent.closed() is LinkEnd.UNPROVEN


async def test_a_revoked_host_is_told_so(program: FleetProgram) -> None:
    host = await program.add_host()
    await program.fleet.hosts.revoke(host.id, 1.0)
    agent = ConnectedAgent(program)
    await agent.dial()
    await agent.hear(agent.hello())
    await pass_time(program, REFUSAL_S)
    assert agent.closed() is LinkEnd.REVOKED


async def test_v1_proves_itself_before_it_is_let_in(program: FleetProgram) -> None:
    host = await program.add_host()
    agent = ConnectedAgent(program)
    await agent.dial(1)
    assert agent.turned_away is None
    assert agent.link.sent == []
    assert program.live.online() == {1: 1}
    report = program.live.report_of(host.id)
    assert report is not None
    assert (report.protocol, report.hostname) == (1, "web-1")


async def test_v1_with_a_wrong_token_is_turned_away(program: FleetProgram) -> None:
    await program.add_host()
    dialling = ConnectedAgent(program)
    task = program.tools.crew.start(
        lambda: dialling.dial(1, token="wrong"), "dialling", lambda: None
    )
    await pass_time(program, REFUSAL_S)
    assert task is not None
    assert task.done()
    assert dialling.turned_away == TurnedAway(LinkEnd.UNPROVEN)


# Keys.


async def test_a_host_enrols_and_is_welcomed_on_the_same_link(program: FleetProgram) -> None:
    agent, host_id = await enrolled(program)
    host = await program.fleet.hosts.host(host_id)
    assert (host.name.value, host.credential) == ("web-2", Credential.KEY)
    assert host.public_key == KEYS.public_key
    (answer,) = agent.link.said(Enrolled)
    text = enrolled_text(agent.challenge.nonce, AGENT_NONCE, host_id, KEYS.public_key)
    assert KEYS.is_signed(text, answer.signature, program.signer.public_key)
    await agent.hear(agent.signed_hello(KEYS, host_id))
    welcome = agent.welcome
    assert welcome is not None
    text = welcome_text(agent.challenge.nonce, AGENT_NONCE, host_id, welcome.session, welcome.epoch)
    assert KEYS.is_signed(text, welcome.signature, program.signer.public_key)
    assert program.live.is_online(host_id)


async def test_an_enrolment_is_answered_the_same_to_the_same_key_and_to_no_other(
    program: FleetProgram,
) -> None:
    _, host_id = await enrolled(program)
    again = ConnectedAgent(program)
    await again.dial(token="")
    await again.hear(again.enroll(KEYS, ENROLMENT))
    assert again.link.said(Enrolled)[0].host_id == host_id
    other = ConnectedAgent(program)
    await other.dial(token="")
    await other.hear(other.enroll(FakeKeys("another"), ENROLMENT))
    await pass_time(program, REFUSAL_S)
    assert other.closed() is LinkEnd.UNPROVEN


async def test_an_enrolment_whose_signature_is_wrong_uses_nothing_up(
    program: FleetProgram,
) -> None:
    await program.add_enrolment(ENROLMENT)
    agent = ConnectedAgent(program)
    await agent.dial(token="")
    forged = agent.enroll(FakeKeys("another"), ENROLMENT)
    await agent.hear(
        type(forged)(
            forged.nonce, ENROLMENT, KEYS.public_key, forged.signature, "1", "linux", "web-1"
        )
    )
    await pass_time(program, REFUSAL_S)
    assert agent.closed() is LinkEnd.UNPROVEN
    assert program.fleet.state.hosts == {}
    assert (await enrolling(program)).link.said(Enrolled)


@pytest.mark.parametrize("what", ["another key", "another host", "another epoch", "no signature"])
async def test_a_signature_that_is_not_the_hosts_proves_nothing(
    program: FleetProgram, what: str
) -> None:
    _, host_id = await enrolled(program)
    agent = ConnectedAgent(program)
    await agent.dial(token="")
    hello = agent.signed_hello(
        FakeKeys("another") if what == "another key" else KEYS,
        "host_999999" if what == "another host" else host_id,
    )
    changed = {"another epoch": {"epoch": "agent-2"}, "no signature": {"signature": ""}}
    fields = {"host_id": hello.host_id, "signature": hello.signature} | changed.get(what, {})
    await agent.hear(agent.hello(**fields))
    await pass_time(program, REFUSAL_S)
    assert agent.closed() is LinkEnd.UNPROVEN


async def test_a_signature_of_another_link_proves_nothing(program: FleetProgram) -> None:
    _, host_id = await enrolled(program)
    first, second = ConnectedAgent(program), ConnectedAgent(program)
    await first.dial(token="")
    await second.dial(token="")
    await second.hear(first.signed_hello(KEYS, host_id))
    await pass_time(program, REFUSAL_S)
    assert second.closed() is LinkEnd.UNPROVEN


async def test_a_host_with_a_token_cannot_sign_and_one_with_a_key_has_no_token(
    program: FleetProgram,
) -> None:
    host = await program.add_host()
    agent = ConnectedAgent(program)
    await agent.dial()
    await agent.hear(agent.signed_hello(KEYS, host.id))
    await pass_time(program, REFUSAL_S)
    assert agent.closed() is LinkEnd.UNPROVEN


async def test_a_revoked_host_that_enrols_again_stays_out(program: FleetProgram) -> None:
    _, host_id = await enrolled(program)
    await program.fleet.hosts.revoke(host_id, 1.0)
    agent = ConnectedAgent(program)
    await agent.dial(token="")
    await agent.hear(agent.enroll(KEYS, ENROLMENT))
    await pass_time(program, REFUSAL_S)
    assert agent.closed() is LinkEnd.REVOKED


# What a link begins with.


async def test_every_nonce_is_another_one(program: FleetProgram) -> None:
    agents = [ConnectedAgent(program) for _ in range(3)]
    for agent in agents:
        await agent.dial()
    assert len({agent.challenge.nonce for agent in agents}) == 3


async def test_what_it_was_welcomed_with_belongs_to_one_host(program: FleetProgram) -> None:
    await program.add_host("a", token=TOKEN)
    await program.add_host("b", token="b")
    first, second = ConnectedAgent(program), ConnectedAgent(program)
    await first.opened()
    await second.dial(token="b")
    await second.hear(second.hello())
    assert program.live.online() == {2: 2}
    sessions = {agent.link.said(Welcome)[0].session for agent in (first, second)}
    assert len(sessions) == 2


async def test_what_an_agent_says_of_itself_can_be_printed(program: FleetProgram) -> None:
    host = await program.add_host()
    agent = ConnectedAgent(program)
    await agent.opened(hostname="web-1\n\x1b[2J" + "x" * 1000, version="\u202e1.0")
    report = program.live.report_of(host.id)
    assert report is not None
    assert report.hostname == "web-1??[2J" + "x" * 246
    assert report.version == "?1.0"
    facts = {"load": 0.5, "note": "a\nb", "deep": {"a": []}, "x" * 100: 1, "ok": True, "no": None}
    await agent.hear(Heartbeat(facts | {f"more-{n}": n for n in range(1000)}))
    report = program.live.report_of(host.id)
    assert report is not None
    assert len(report.facts) == 32
    assert {name: report.facts[name] for name in ("load", "note", "ok", "no")} == {
        "load": 0.5,
        "note": "a?b",
        "ok": True,
        "no": None,
    }
    assert "deep" not in report.facts
