"""The real agent becomes a host, stays one, and deals with nobody else, whatever happens on the way."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.typing import Subprotocol

from tests.support.agent_process import AgentProcess, running_agent
from tests.support.peer_database import PeerDatabase
from tests.support.peer_keys import PeerKeys
from tests.support.peer_terms import Faults
from tests.support.reference_peer import V1, ReferencePeer
from tests.support.scripted_agent import hello, scripted_agent
from tests.support.small_disk import small_disk

SLOWLY: Final = "trying again in 120 s"
V2_ALONE: Final = (Subprotocol("instadeploy.v2"),)
SECRET: Final = "a-token-that-is-of-no-use"


@pytest.fixture
def keys() -> PeerKeys:
    return PeerKeys()


@pytest.fixture
def database(keys: PeerKeys) -> PeerDatabase:
    return PeerDatabase(keys=keys)


@pytest.fixture
async def peer(database: PeerDatabase) -> AsyncIterator[ReferencePeer]:
    async with ReferencePeer(database) as listening:
        yield listening


@contextlib.asynccontextmanager
async def agent(
    home: Path, peer: ReferencePeer, token: str | None = None, **settings: str
) -> AsyncIterator[AgentProcess]:
    """An agent, with this token to enrol with."""
    more = {"AGENT_ENROLL_TOKEN": token} if token else {}
    async with running_agent(
        home, server_url=peer.url, token=None, settings=more | settings
    ) as running:
        yield running


def identity_in(home: Path) -> dict[str, Any]:
    document = json.loads((home / "state" / "identity.json").read_text(encoding="ascii"))
    assert isinstance(document, dict)
    return document


def keys_of(database: PeerDatabase) -> PeerKeys:
    assert database.keys is not None
    return database.keys


# It becomes a host.


async def test_an_agent_is_enrolled_once_and_needs_no_token_any_more(
    tmp_path: Path, peer: ReferencePeer, database: PeerDatabase, keys: PeerKeys
) -> None:
    token = keys.new_token()
    async with agent(tmp_path, peer, token) as running:
        session = await peer.agent()
        (host_id,) = keys.hosts
        assert session.hello["host_id"] == host_id
        identity = (await peer.health())["data"]["identity"]
        assert identity["proof"] == "key"
        assert identity["host_id"] == host_id
        assert identity["control_plane"] == keys.fingerprint
        await running.logged(f"this host is enrolled as {host_id}")
    pinned = identity_in(tmp_path)
    assert pinned["host_id"] == host_id
    assert pinned["control_plane_key"] == keys.public_key
    assert pinned["public_key"] == keys.hosts[host_id].public_key

    async with agent(tmp_path, peer) as again:
        session = await peer.agent(after=session)
        assert session.hello["host_id"] == host_id
    assert keys.enrolments == [host_id]
    assert len(database.enrolls) == 1
    assert identity_in(tmp_path) == pinned
    for secret in (token, pinned["secret_key"]):
        assert secret not in running.log()
        assert secret not in again.log()


async def test_a_token_that_is_left_in_the_settings_is_not_used(
    tmp_path: Path, peer: ReferencePeer, database: PeerDatabase, keys: PeerKeys
) -> None:
    async with agent(tmp_path, peer, keys.new_token()):
        session = await peer.agent()
    left = {"AGENT_ENROLL_TOKEN": keys.new_token(), "AGENT_SECRET_TOKEN": SECRET}
    async with agent(tmp_path, peer, **left) as again:
        session = await peer.agent(after=session)
        assert "Authorization" not in session.headers
        await again.logged("AGENT_SECRET_TOKEN: is not used: this host is enrolled")
    assert len(database.enrolls) == 1


@pytest.mark.parametrize("by", ["key", "fingerprint"])
async def test_the_control_plane_may_be_named_beforehand(
    tmp_path: Path, peer: ReferencePeer, keys: PeerKeys, by: str
) -> None:
    key = keys.public_key if by == "key" else keys.fingerprint
    async with agent(tmp_path, peer, keys.new_token(), AGENT_CONTROL_PLANE_KEY=key):
        await peer.agent()


async def test_work_goes_on_over_restarts_of_both_sides(
    tmp_path: Path, database: PeerDatabase
) -> None:
    token = keys_of(database).new_token()
    async with ReferencePeer(database) as first, agent(tmp_path, first, token):
        await first.agent()
        await first.ask("LIST_PROJECTS", {})
        await first.crash()
        async with ReferencePeer(database, first.port) as second:
            await second.agent()
            await second.ask("LIST_PROJECTS", {})
            session = await second.agent()
            session.connection.transport.abort()
            await second.agent(after=session)
    assert len(database.enrolls) == 1


# What may happen on the way.


async def test_an_answer_that_is_lost_is_given_again(
    tmp_path: Path, peer: ReferencePeer, database: PeerDatabase, keys: PeerKeys
) -> None:
    peer.faults.lose_enrolled = 2
    async with agent(tmp_path, peer, keys.new_token()):
        await peer.agent()
    (host_id,) = keys.hosts
    assert keys.enrolments == [host_id] * 3
    assert len({message["nonce"] for message in database.enrolls}) == 3


async def test_an_agent_that_is_killed_before_the_answer_is_the_same_host(
    tmp_path: Path, peer: ReferencePeer, database: PeerDatabase, keys: PeerKeys
) -> None:
    token = keys.new_token()
    peer.faults.lose_enrolled = 1_000
    async with agent(tmp_path, peer, token) as running:
        await database.until(lambda: keys.enrolments or None, "an enrolment")
        await running.stop(signal.SIGKILL)
    assert "host_id" not in identity_in(tmp_path)
    peer.heal()
    async with agent(tmp_path, peer, token):
        await peer.agent()
    assert len(keys.hosts) == 1
    assert len(set(keys.enrolments)) == 1


MAKING: Final = [
    *[("openat", number) for number in (1, 3, 4)],
    *[("unlink,unlinkat", number) for number in (1, 2)],
    *[(call, 1) for call in ("write", "fsync", "link,linkat")],
]
"""Calls of the agent that makes its key; the first two times, it only looks whether there is one."""
PINNING: Final = [
    *[("unlink,unlinkat", number) for number in (1, 2)],
    *[(call, 1) for call in ("write", "fsync", "rename,renameat,renameat2")],
]
"""Those of one that has it, and was answered."""


@pytest.mark.parametrize(
    ("has_key", "call", "number"),
    [(False, *one) for one in MAKING] + [(True, *one) for one in PINNING],
)
async def test_an_agent_that_is_killed_at_a_call_on_its_identity_becomes_one_host(
    tmp_path: Path,
    peer: ReferencePeer,
    keys: PeerKeys,
    has_key: bool,
    call: str,
    number: int,
) -> None:
    assert shutil.which("strace"), "strace is missing: run these tests with 'make test'"
    token = keys.new_token()
    if has_key:
        peer.faults.lose_enrolled = 1_000
        async with agent(tmp_path, peer, token):
            await peer.database.until(lambda: keys.enrolments or None, "an enrolment")
        peer.heal()
    paths = [tmp_path / "state" / name for name in ("identity.json", "identity.json.new")]
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", *(f"--trace-path={p}" for p in paths)]
    strace += ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]
    async with running_agent(
        tmp_path,
        server_url=peer.url,
        token=None,
        settings={"AGENT_ENROLL_TOKEN": token},
        under=strace,
    ) as killed:
        await killed.exit_code()
    assert len(peer.database.hellos) == 0
    async with agent(tmp_path, peer, token):
        session = await peer.agent()
        (host_id,) = keys.hosts
        assert session.hello["host_id"] == host_id
        assert identity_in(tmp_path)["host_id"] == host_id


async def test_an_identity_that_cannot_be_written_down_is_asked_for_again(
    tmp_path: Path, peer: ReferencePeer, database: PeerDatabase, keys: PeerKeys
) -> None:
    with small_disk(tmp_path / "state", "16m") as disk:
        token = keys.new_token()
        peer.faults.lose_enrolled = 1_000
        async with agent(tmp_path, peer, token) as running:
            await database.until(lambda: keys.enrolments or None, "an enrolment")
            disk.fill()
            peer.heal()
            await running.logged("who this host is cannot be written down: no space left")
            disk.empty()
            await peer.agent()
        assert len(keys.hosts) == 1
        assert identity_in(tmp_path)["host_id"] in keys.hosts


# Whom it does not deal with.


async def test_a_token_is_of_use_to_one_host(
    tmp_path: Path, peer: ReferencePeer, database: PeerDatabase, keys: PeerKeys
) -> None:
    token = keys.new_token()
    first, second = tmp_path / "first", tmp_path / "second"
    for home in (first, second):
        home.mkdir()
    async with agent(first, peer, token):
        await peer.agent()
    async with agent(second, peer, token) as running:
        await running.logged("does not accept who this agent says it is (close code 4401)")
        await running.logged("set a fresh AGENT_ENROLL_TOKEN; " + SLOWLY)
        assert token not in running.log()
    assert len(keys.hosts) == 1
    assert len(database.hellos) == 1


async def test_a_token_is_not_shown_to_another_control_plane(
    tmp_path: Path, peer: ReferencePeer, database: PeerDatabase, keys: PeerKeys
) -> None:
    wanted = PeerKeys().fingerprint
    async with agent(tmp_path, peer, keys.new_token(), AGENT_CONTROL_PLANE_KEY=wanted) as running:
        await running.logged(f"shows the key {keys.fingerprint}, and this host has to do with")
        await running.logged(SLOWLY)
    assert (database.enrolls, database.hellos) == ([], [])


async def test_a_host_says_nothing_to_another_control_plane(
    tmp_path: Path, database: PeerDatabase
) -> None:
    token = keys_of(database).new_token()
    async with ReferencePeer(database) as peer, agent(tmp_path, peer, token):
        await peer.agent()
    other = PeerDatabase(keys=PeerKeys())
    async with ReferencePeer(other, peer.port) as swapped, agent(tmp_path, swapped) as running:
        await running.logged("shows the key")
        await running.logged("somebody may stand between this host and its control plane")
        await running.logged(SLOWLY)
    assert (other.enrolls, other.hellos) == ([], [])


FORGERIES: Final = {
    "no key": (Faults(hide_key=True), "shows no key"),
    "WELCOME of another": (
        Faults(forge=frozenset({"WELCOME"})),
        "the signature in WELCOME is wrong",
    ),
    "WELCOME of nobody": (Faults(leave_unsigned=True), "the signature in WELCOME is missing"),
    "ENROLLED of another": (Faults(forge=frozenset({"ENROLLED"})), "in ENROLLED is wrong"),
}


@pytest.mark.parametrize(("faults", "said"), FORGERIES.values(), ids=FORGERIES.keys())
async def test_who_cannot_prove_who_it_is_is_given_up(
    tmp_path: Path, database: PeerDatabase, faults: Faults, said: str
) -> None:
    job_id = database.issue("LIST_PROJECTS", {})
    token = keys_of(database).new_token()
    async with (
        ReferencePeer(database, faults=faults) as peer,
        agent(tmp_path, peer, token) as running,
    ):
        await running.logged(said)
        await running.logged(SLOWLY)
    assert database.jobs[job_id].answers == []
    is_pinned = "host_id" in identity_in(tmp_path)
    assert is_pinned is ("WELCOME" in said)


@pytest.mark.parametrize("selected", [None, V1])
async def test_a_control_plane_of_v1_is_refused(
    tmp_path: Path, database: PeerDatabase, selected: str | None
) -> None:
    token = keys_of(database).new_token()
    async with (
        ReferencePeer(database, subprotocol=selected) as peer,
        agent(tmp_path, peer, token) as running,
    ):
        await running.logged("the control plane speaks protocol v1, over which a host's key proves")
        await running.logged(SLOWLY)


async def test_a_host_that_is_enrolled_refuses_v1_too(
    tmp_path: Path, database: PeerDatabase
) -> None:
    token = keys_of(database).new_token()
    async with ReferencePeer(database) as peer, agent(tmp_path, peer, token):
        await peer.agent()
    async with (
        ReferencePeer(database, peer.port, subprotocol=None) as old,
        agent(tmp_path, old, AGENT_SECRET_TOKEN=SECRET) as running,
    ):
        await running.logged("the control plane speaks protocol v1")
        await running.logged(SLOWLY)


async def test_a_host_that_is_revoked_is_told_at_once_and_comes_back_slowly(
    tmp_path: Path, peer: ReferencePeer, database: PeerDatabase, keys: PeerKeys
) -> None:
    async with agent(tmp_path, peer, keys.new_token()) as running:
        session = await peer.agent()
        (host,) = keys.hosts.values()
        host.is_revoked = True
        await session.close(4403, "revoked")
        await running.logged("has revoked this agent (close code 4403)")
        await running.logged(SLOWLY)
    async with agent(tmp_path, peer) as again:
        await again.logged("has revoked this agent (close code 4403)")
        await again.logged(SLOWLY)
    assert len(database.hellos) == 1


# What somebody on the network could try.


async def test_a_hello_of_an_earlier_link_proves_nothing(
    tmp_path: Path, peer: ReferencePeer, keys: PeerKeys
) -> None:
    async with agent(tmp_path, peer, keys.new_token()):
        overheard = (await peer.agent()).hello
    async with scripted_agent(peer.url, offer=V2_ALONE, token=None) as thief:
        await thief.expect("CHALLENGE")
        await thief.say(overheard)
        assert await thief.closed() == 4401


async def test_an_enrolment_of_an_earlier_link_makes_no_host(
    tmp_path: Path, peer: ReferencePeer, database: PeerDatabase, keys: PeerKeys
) -> None:
    peer.faults.lose_enrolled = 1
    async with agent(tmp_path, peer, keys.new_token()):
        await peer.agent()
    overheard = database.enrolls[0]
    async with scripted_agent(peer.url, offer=V2_ALONE, token=None) as thief:
        await thief.expect("CHALLENGE")
        await thief.say(overheard)
        assert await thief.closed() == 4401
    database.violations.remove("a nonce is used twice")
    assert len(keys.hosts) == 1


async def test_a_hello_without_a_key_is_nobodys(peer: ReferencePeer) -> None:
    async with scripted_agent(peer.url, offer=V2_ALONE, token=None) as stranger:
        await stranger.expect("CHALLENGE")
        await stranger.say(hello())
        assert await stranger.closed() == 4401
