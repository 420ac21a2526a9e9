"""The control plane that the agent is tested against, as it deals with keys."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.typing import Subprotocol

from tests.support.peer_database import PeerDatabase
from tests.support.peer_keys import PeerKeys, signed_text
from tests.support.reference_peer import ReferencePeer
from tests.support.scripted_agent import ScriptedAgent, hello, scripted_agent

V2_ALONE: Final = (Subprotocol("instadeploy.v2"),)


@pytest.fixture
def keys() -> PeerKeys:
    return PeerKeys()


@pytest.fixture
def database(keys: PeerKeys) -> PeerDatabase:
    return PeerDatabase(strict=False, keys=keys)


@pytest.fixture
async def peer(database: PeerDatabase) -> AsyncIterator[ReferencePeer]:
    async with ReferencePeer(database) as listening:
        yield listening


@pytest.fixture
async def agent(peer: ReferencePeer) -> AsyncIterator[ScriptedAgent]:
    async with scripted_agent(peer.url, offer=V2_ALONE, token=None) as connected:
        yield connected


class Host:
    """A host's key, at work on one link."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public_key = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, purpose: str, *fields: str) -> str:
        return base64.b64encode(self._key.sign(signed_text(purpose, *fields))).decode()

    def enroll(self, challenge: dict[str, Any], token: str) -> dict[str, Any]:
        nonce, token_hash = secrets.token_hex(16), hashlib.sha256(token.encode()).hexdigest()
        fields = (challenge["nonce"], nonce, token_hash, self.public_key, challenge["public_key"])
        return {
            "type": "ENROLL",
            "nonce": nonce,
            "token": token,
            "public_key": self.public_key,
            "signature": self.sign("enroll", *fields),
            "version": "1.0.0",
            "architecture": "linux-amd64",
            "hostname": "host-1",
        }

    def hello(self, challenge: dict[str, Any], host_id: str) -> dict[str, Any]:
        message = hello(host_id=host_id)
        fields = (challenge["nonce"], message["nonce"], host_id, message["epoch"])
        return message | {"signature": self.sign("hello", *fields, challenge["public_key"])}


async def enrolled(agent: ScriptedAgent, host: Host, token: str) -> tuple[dict[str, Any], str]:
    """Become a host; gives the challenge of the link, and the id."""
    challenge = await agent.expect("CHALLENGE")
    await agent.say(host.enroll(challenge, token))
    return challenge, (await agent.expect("ENROLLED"))["host_id"]


async def test_a_host_is_enrolled_and_welcome(
    agent: ScriptedAgent, database: PeerDatabase, keys: PeerKeys
) -> None:
    host = Host()
    challenge, host_id = await enrolled(agent, host, keys.new_token())
    assert challenge["public_key"] == keys.public_key
    await agent.say(host.hello(challenge, host_id))
    welcome = await agent.expect("WELCOME")
    assert len(base64.b64decode(welcome["signature"])) == 64
    assert database.violations == []


async def test_an_unknown_token_is_closed_with_4401(agent: ScriptedAgent) -> None:
    challenge = await agent.expect("CHALLENGE")
    await agent.say(Host().enroll(challenge, "guessed"))
    assert await agent.closed() == 4401


async def test_an_enrolment_that_another_key_signs_is_closed_with_4401(
    agent: ScriptedAgent, keys: PeerKeys
) -> None:
    challenge = await agent.expect("CHALLENGE")
    message = Host().enroll(challenge, keys.new_token())
    await agent.say(message | {"public_key": Host().public_key})
    assert await agent.closed() == 4401
    assert keys.hosts == {}


@pytest.mark.parametrize("change", [{"epoch": "another"}, {"host_id": "host-0"}])
async def test_a_hello_that_was_changed_is_closed_with_4401(
    agent: ScriptedAgent, keys: PeerKeys, change: dict[str, Any]
) -> None:
    host = Host()
    challenge, host_id = await enrolled(agent, host, keys.new_token())
    await agent.say(host.hello(challenge, host_id) | change)
    assert await agent.closed() == 4401


async def test_a_hello_of_another_host_is_closed_with_4401(
    agent: ScriptedAgent, keys: PeerKeys
) -> None:
    challenge, host_id = await enrolled(agent, Host(), keys.new_token())
    await agent.say(Host().hello(challenge, host_id))
    assert await agent.closed() == 4401


async def test_a_revoked_host_is_closed_with_4403(agent: ScriptedAgent, keys: PeerKeys) -> None:
    host = Host()
    challenge, host_id = await enrolled(agent, host, keys.new_token())
    keys.hosts[host_id].is_revoked = True
    await agent.say(host.hello(challenge, host_id))
    assert await agent.closed() == 4403


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"token": ""}, "token is not"),
        ({"public_key": "key"}, "public_key is not 32 bytes in base64"),
        ({"signature": "x" * 88}, "signature is not 64 bytes in base64"),
        ({"nonce": "short"}, "nonce is not"),
        ({"host_id": "host-1"}, "not documented"),
    ],
)
async def test_what_an_enrolment_must_not_say_is_noted(
    agent: ScriptedAgent,
    database: PeerDatabase,
    keys: PeerKeys,
    change: dict[str, Any],
    text: str,
) -> None:
    challenge = await agent.expect("CHALLENGE")
    await agent.say(Host().enroll(challenge, keys.new_token()) | change)
    assert await agent.closed() == 4400
    assert any(text in violation for violation in database.violations)


async def test_a_token_beside_a_key_is_noted(
    peer: ReferencePeer, database: PeerDatabase, keys: PeerKeys
) -> None:
    host = Host()
    async with scripted_agent(peer.url) as agent:
        challenge, host_id = await enrolled(agent, host, keys.new_token())
        await agent.say(host.hello(challenge, host_id))
        await agent.expect("WELCOME")
    assert "sends a token beside its key" in database.violations
    assert "offers 'instadeploy.v2, instadeploy.v1'" in database.violations


async def test_there_is_nothing_to_enrol_at_where_there_are_no_keys() -> None:
    async with ReferencePeer(PeerDatabase()) as peer, scripted_agent(peer.url) as agent:
        challenge = await agent.expect("CHALLENGE")
        assert "public_key" not in challenge
        await agent.say(Host().enroll(challenge | {"public_key": ""}, "token"))
        assert await agent.closed() == 4401
