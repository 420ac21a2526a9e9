"""How a simulated agent says who it is, and how it sees whom it has to do with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.fleet import identity
from tests.fleet.identity import HostKey, is_signed, signed_text, token_hash
from tests.fleet.memory import Memory
from tests.fleet.plane_frames import Message
from tests.fleet.printing import STEP
from tests.fleet.served import Served

VERSION: Final = "1.0.0"
ARCHITECTURE: Final = "linux-amd64"


def enroll_message(agent: Served, challenge: Message, nonce: str) -> Message:
    """ENROLL."""
    memory = agent.memory
    key = HostKey(bytes.fromhex(memory.secret_key))
    return {
        "type": "ENROLL",
        "token": memory.enrolment_token,
        "public_key": key.public_key,
        "nonce": nonce,
        "signature": key.sign(
            identity.ENROLL,
            challenge["nonce"],
            nonce,
            token_hash(memory.enrolment_token),
            key.public_key,
            challenge.get("public_key", ""),
        ),
        "version": VERSION,
        "architecture": ARCHITECTURE,
        "hostname": agent.hostname,
    }


def hello_message(
    agent: Served, challenge: Message, nonce: str, positions: Mapping[str, int]
) -> Message:
    """HELLO; `positions` says how much the open jobs have printed."""
    memory = agent.memory
    running = []
    for job in memory.open_jobs():
        entry: Message = {"job_id": job.job_id, "state": job.state}
        if positions.get(job.job_id):
            entry["output"] = {"step": STEP, "attempt": 1, "offset": positions[job.job_id]}
        running.append(entry)
    hello: Message = {
        "type": "HELLO",
        "nonce": nonce,
        "epoch": memory.epoch,
        "peer_epoch": memory.peer_epoch,
        "last_seq_seen": memory.heard,
        "version": VERSION,
        "architecture": ARCHITECTURE,
        "hostname": agent.hostname,
        "capabilities": ["output", "cancel"],
        "running": running[:1024],
        "generations": dict(list(memory.generations.items())[-1000:]),
    }
    if memory.host_id and memory.has_key:
        key = HostKey(bytes.fromhex(memory.secret_key))
        hello["host_id"] = memory.host_id
        hello["signature"] = key.sign(
            identity.HELLO,
            challenge["nonce"],
            nonce,
            memory.host_id,
            memory.epoch,
            memory.pinned_key,
        )
    return hello


def fault_in_enrolled(memory: Memory, challenge: Message, nonce: str, enrolled: Message) -> str:
    """What is wrong with an ENROLLED; empty where nothing is."""
    key = HostKey(bytes.fromhex(memory.secret_key))
    text = signed_text(
        identity.ENROLLED, challenge["nonce"], nonce, enrolled["host_id"], key.public_key
    )
    if not is_signed(text, enrolled["signature"], challenge.get("public_key", "")):
        return "ENROLLED is not signed with the key of the CHALLENGE"
    return ""


def fault_in_welcome(memory: Memory, challenge: Message, nonce: str, welcome: Message) -> str:
    """What is wrong with a WELCOME; empty where nothing is."""
    if not memory.has_key:
        return "WELCOME is signed, and nobody asked" if "signature" in welcome else ""
    text = signed_text(
        identity.WELCOME,
        challenge["nonce"],
        nonce,
        memory.host_id,
        welcome["session"],
        welcome["epoch"],
    )
    if not is_signed(text, welcome.get("signature", ""), memory.pinned_key):
        return "WELCOME is not signed with the key that was pinned"
    return ""
