"""An agent with a key, on links of memory, as its control plane sees it."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from adapters.in_memory.transport import (
    InMemorySequencedLink,
    InMemorySequencedTransport,
    InMemoryTransport,
)
from adapters.wire.codec_v2 import encode_heard
from application.agent.connection import REFUSED_DELAY_S
from application.agent.credential import WHAT_TO_CHECK, BearerToken, HostKey
from domain.commands import CheckHealth
from domain.errors import NoSpace
from domain.identity import (
    Membership,
    enrolled_text,
    fingerprint_of,
    hello_text,
    welcome_text,
)
from domain.link_messages import Challenge, CommandMessage, Ending, Enrolled, Heard, Welcome
from tests.fakes.agent import FakeAgent
from tests.fakes.clock import settle
from tests.fakes.handler import FakeHandler
from tests.fakes.identity import FakeHostIdentity, FakeKeys
from tests.fakes.machine import FakeMachine

PLANE: Final = FakeKeys("control plane")
MEMBER: Final = Membership("host_1", PLANE.public_key)
ASKED: Final = "c" * 16


class Bench:
    """An agent of a host that has a key; give it a membership to be one that is enrolled."""

    def __init__(self, membership: Membership | None = None) -> None:
        self.machine = FakeMachine()
        self.clock = self.machine.clock
        self.transport = InMemorySequencedTransport()
        self.identity = FakeHostIdentity(membership=membership)
        self.credential = HostKey(self.identity, token="the-token")
        handlers = {CheckHealth: FakeHandler()}
        self.parts = FakeAgent(
            self.machine, handlers, transport=self.transport, credential=self.credential
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Bench]:
        async with self.parts.running():
            yield self

    async def challenged(self) -> tuple[InMemorySequencedLink, dict[str, Any]]:
        """The next link, and what the agent says first on it."""
        link = await self.transport.links.get()
        return link, await told(link, Challenge(ASKED, public_key=PLANE.public_key))

    def enrolled(self, enroll: dict[str, Any], keys: FakeKeys = PLANE) -> Enrolled:
        text = enrolled_text(ASKED, enroll["nonce"], "host_1", self.identity.public_key)
        return Enrolled("host_1", keys.sign(text))

    def welcome(self, hello: dict[str, Any], keys: FakeKeys = PLANE) -> Welcome:
        text = welcome_text(ASKED, hello["nonce"], "host_1", "s", "peer")
        return Welcome("s", "peer", 0, signature=keys.sign(text))


async def told(link: InMemorySequencedLink, message: Heard) -> dict[str, Any]:
    """Tell the agent something, and return the one thing that it says then, if any."""
    link.to_agent.put_nowait(encode_heard(message))
    await settle()
    if link.to_control_plane.empty():
        return {}
    said = json.loads(link.to_control_plane.get_nowait())
    assert link.to_control_plane.empty()
    assert isinstance(said, dict)
    return said


@pytest.fixture
async def newcomer() -> AsyncIterator[Bench]:
    async with Bench().running() as running:
        yield running


@pytest.fixture
async def host() -> AsyncIterator[Bench]:
    async with Bench(MEMBER).running() as running:
        yield running


async def test_a_newcomer_enrols_and_is_welcome_on_one_link(
    newcomer: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    link, enroll = await newcomer.challenged()
    assert (enroll["type"], enroll["token"]) == ("ENROLL", "the-token")
    hello = await told(link, newcomer.enrolled(enroll))
    assert (hello["type"], hello["host_id"]) == ("HELLO", "host_1")
    assert newcomer.identity.pinned == [MEMBER]
    assert (await told(link, newcomer.welcome(hello)))["type"] == "ACK"
    assert "this host is enrolled as host_1" in caplog.text
    assert "the-token" not in caplog.text


async def test_a_host_goes_on_with_hello(host: Bench) -> None:
    link, hello = await host.challenged()
    assert hello["type"] == "HELLO"
    text = hello_text(ASKED, hello["nonce"], "host_1", hello["epoch"], PLANE.public_key)
    assert host.identity.is_signed(text, hello["signature"], host.identity.public_key)
    assert (await told(link, host.welcome(hello)))["type"] == "ACK"
    assert host.identity.pinned == []


async def test_what_was_pinned_counts_on_the_next_link(newcomer: Bench) -> None:
    link, enroll = await newcomer.challenged()
    await told(link, newcomer.enrolled(enroll))
    link.lost.set()
    await newcomer.clock.advance_to_next()
    _, hello = await newcomer.challenged()
    assert hello["type"] == "HELLO"
    assert hello["nonce"] != enroll["nonce"]


async def test_an_answer_that_was_lost_is_asked_for_with_the_same_token_and_key(
    newcomer: Bench,
) -> None:
    link, enroll = await newcomer.challenged()
    link.lost.set()
    await newcomer.clock.advance_to_next()
    _, again = await newcomer.challenged()
    assert again["type"] == "ENROLL"
    assert (again["token"], again["public_key"]) == (enroll["token"], enroll["public_key"])
    assert again["nonce"] != enroll["nonce"]


async def test_what_cannot_be_written_down_is_not_gone_on_with(newcomer: Bench) -> None:
    newcomer.identity.failures.append(NoSpace("no space left"))
    link, enroll = await newcomer.challenged()
    assert await told(link, newcomer.enrolled(enroll)) == {}
    assert (link.ending, link.close_reason) == (
        Ending.GOING_AWAY,
        "the enrolment cannot be written down",
    )
    await newcomer.clock.advance_to_next()
    link, again = await newcomer.challenged()
    assert again["type"] == "ENROLL"
    assert (await told(link, newcomer.enrolled(again)))["type"] == "HELLO"
    assert newcomer.identity.pinned == [MEMBER]


@pytest.mark.parametrize("stranger", [Challenge(ASKED), Challenge(ASKED, public_key="x")])
async def test_who_is_not_trusted_is_left_loudly_and_for_long(
    host: Bench, stranger: Challenge, caplog: pytest.LogCaptureFixture
) -> None:
    link = await host.transport.links.get()
    assert await told(link, stranger) == {}
    assert link.ending is Ending.DISTRUST
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "shows no key" in record.getMessage()
    assert WHAT_TO_CHECK in record.getMessage()
    await host.clock.advance(REFUSED_DELAY_S - 1)
    assert host.transport.attempts == 1
    await host.clock.advance(1)
    assert host.transport.attempts == 2


async def test_a_welcome_of_somebody_else_ends_the_link_before_anything_is_heard(
    host: Bench,
) -> None:
    link, hello = await host.challenged()
    link.to_agent.put_nowait(encode_heard(host.welcome(hello, FakeKeys("stranger"))))
    link.to_agent.put_nowait(encode_heard(CommandMessage(1, "job-1", CheckHealth())))
    await settle()
    assert link.ending is Ending.DISTRUST
    assert link.to_control_plane.empty()
    assert host.parts.book.ledger.jobs == {}
    assert host.parts.book.ledger.peer_epoch == ""


async def test_protocol_v1_is_refused_by_a_host_with_a_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine, transport = FakeMachine(), InMemoryTransport()
    credential = HostKey(FakeHostIdentity(membership=MEMBER))
    agent = FakeAgent(machine, {}, transport=transport, credential=credential)
    async with agent.running():
        link = await transport.links.get()
        await settle()
        assert link.lost.is_set()
        assert "the control plane speaks protocol v1" in caplog.text
        await machine.clock.advance(REFUSED_DELAY_S - 1)
        assert transport.attempts == 1
        await machine.clock.advance(1)
        assert transport.attempts == 2


# What is told of it.


def test_a_host_says_who_it_is_and_nothing_secret() -> None:
    identity = FakeHostIdentity(membership=MEMBER)
    assert HostKey(identity, token="the-token").facts() == {
        "proof": "key",
        "fingerprint": fingerprint_of(identity.public_key),
        "host_id": "host_1",
        "control_plane": fingerprint_of(PLANE.public_key),
    }


def test_who_is_not_enrolled_yet_says_so() -> None:
    identity = FakeHostIdentity()
    assert HostKey(identity, token="the-token").facts() == {
        "proof": "key",
        "fingerprint": fingerprint_of(identity.public_key),
    }


def test_who_uses_a_token_says_that_and_no_more() -> None:
    assert BearerToken().facts() == {"proof": "token"}
