"""How the control plane of the simulation tells who its agent is, and proves who it is itself."""

from __future__ import annotations

import dataclasses
from typing import Final

from domain.identity import enroll_text, enrolled_text, hello_text, token_hash_of, welcome_text
from domain.link_messages import Enroll, Enrolled, Hello, Welcome
from tests.simulation.database import Database
from tests.simulation.orders import AgentBroke

CHALLENGE_NONCE: Final = "challenge".ljust(16, "-")
TOKEN: Final = "a-token-that-is-good-once"


def enrolled(database: Database, enroll: Enroll) -> Enrolled:
    """Make a host of the agent, once; raises `AgentBroke`."""
    keys = database.keys
    assert keys is not None
    token_hash = token_hash_of(TOKEN)
    text = enroll_text(
        CHALLENGE_NONCE, enroll.nonce, token_hash, enroll.public_key, keys.public_key
    )
    if enroll.token != TOKEN or not keys.is_signed(text, enroll.signature, enroll.public_key):
        raise AgentBroke(f"it enrols with what proves nothing: {enroll}")
    if database.hosts and enroll.public_key not in database.hosts:
        raise AgentBroke("it enrols with another key than before")
    host_id = database.hosts.setdefault(enroll.public_key, "host-1")
    answer = enrolled_text(CHALLENGE_NONCE, enroll.nonce, host_id, enroll.public_key)
    return Enrolled(host_id, keys.sign(answer))


def check_proof(database: Database, hello: Hello) -> None:
    """Raise `AgentBroke` where a HELLO does not prove who says it."""
    keys = database.keys
    if keys is None:
        if hello.host_id or hello.signature:
            raise AgentBroke("it proves what nobody has asked for")
        return
    text = hello_text(CHALLENGE_NONCE, hello.nonce, hello.host_id, hello.epoch, keys.public_key)
    known = [key for key, host_id in database.hosts.items() if host_id == hello.host_id]
    if not any(keys.is_signed(text, hello.signature, key) for key in known):
        raise AgentBroke(f"it does not prove that it is {hello.host_id!r}")


def signed(database: Database, hello: Hello, welcome: Welcome) -> Welcome:
    """The WELCOME, as it proves who says it."""
    if database.keys is None:
        return welcome
    text = welcome_text(CHALLENGE_NONCE, hello.nonce, hello.host_id, welcome.session, welcome.epoch)
    return dataclasses.replace(welcome, signature=database.keys.sign(text))
