"""The opening of a link of v2: how an agent says who it is, and sees whom it has to do with."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from tests.fleet import identity
from tests.fleet.identity import HostKey, is_signed, signed_text, token_hash
from tests.fleet.memory import Memory
from tests.fleet.plane_frames import Message, excerpt
from tests.fleet.printing import STEP
from tests.fleet.served import Served

VERSION: Final = "1.0.0"
ARCHITECTURE: Final = "linux-amd64"


class Violation(Exception):
    """The control plane has broken a rule, so that the link has to be closed with 4400."""


class Opening:
    """Hears what comes before the link is open; `hear` gives what is to be said."""

    __slots__ = ("_agent", "_awaits", "_challenge", "_nonce")

    def __init__(self, agent: Served) -> None:
        self._agent = agent
        self._awaits = "CHALLENGE"
        self._challenge: Message = {}
        self._nonce = secrets.token_hex(16)

    def hear(self, kind: str, message: Message) -> Message | None:
        """What is to be said now; nothing where it was WELCOME. Raises `Violation`."""
        if kind != self._awaits:
            raise Violation(f"{kind} before WELCOME: {excerpt(message)}")
        agent, memory = self._agent, self._agent.memory
        if kind == "CHALLENGE":
            self._challenge = message
            if agent.manners.is_mute:
                return None
            if not memory.has_key or memory.host_id:
                return self._greeting()
            self._awaits = "ENROLLED"
            return enroll_message(agent, message, self._nonce)
        if kind == "ENROLLED":
            if fault := fault_in_enrolled(memory, self._challenge, self._nonce, message):
                raise Violation(fault)
            memory.host_id, memory.pinned_key = message["host_id"], self._challenge["public_key"]
            agent.keep()
            agent.count("enrolled")
            return self._greeting()
        if fault := fault_in_welcome(memory, self._challenge, self._nonce, message):
            raise Violation(fault)
        self._awaits = ""
        return None

    def _greeting(self) -> Message:
        self._awaits = "WELCOME"
        positions = {job.job_id: job.printed for job in self._agent.memory.open_jobs()}
        return hello_message(self._agent, self._challenge, self._nonce, positions)


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
