"""Agents that a test speaks for, connected to a control plane without sockets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from application.ports.agent_link import (
    CommandFrame,
    LetIn,
    LinkOwner,
    Spoken,
    TurnedAway,
    UpgradeRequest,
)
from domain.fleet.host import HostId
from domain.fleet.host_effects import LinkEnd
from domain.identity import enroll_text, hello_text, token_hash_of
from domain.job import JobState
from domain.link_messages import (
    Accept,
    Challenge,
    Enroll,
    Enrolled,
    Hello,
    Result,
    SequencedSaid,
    Welcome,
)
from tests.fakes.agent_link import FakeAgentLink
from tests.fakes.clock import FakeClock, settle
from tests.fakes.identity import FakeKeys
from tests.support.fleet_program import TOKEN, FleetProgram

AGENT_NONCE = "n" * 16
ADDRESS = "192.0.2.7"
ENROLMENT = "an-enrolments-token"
KEYS = FakeKeys("a host")


class ConnectedAgent:
    """One link of an agent. `seq` is the number of its last durable message."""

    def __init__(self, program: FleetProgram, *, epoch: str = "agent-1") -> None:
        self.program = program
        self.epoch = epoch
        self.link = FakeAgentLink()
        self.turned_away: TurnedAway | None = None
        self.seq = 0
        self._owner: LinkOwner | None = None

    async def dial(self, protocol: int = 2, *, token: str = TOKEN, address: str = ADDRESS) -> None:
        request = UpgradeRequest(
            1 if protocol == 1 else 2, address, token, "1.0.0", "linux-amd64", "web-1"
        )
        answer = await self.program.reception.admit(request)
        if isinstance(answer, LetIn):
            self._owner = self.program.reception.attend(self.link, request, answer)
        else:
            self.turned_away = answer

    async def opened(self, **hello: Any) -> Welcome:
        """Dial, and go through the opening; gives what it is welcomed with."""
        await self.dial()
        await self.hear(self.hello(**hello))
        welcome = self.welcome
        assert welcome is not None, self.link.closed
        self.seq = welcome.last_seq_seen
        return welcome

    @property
    def challenge(self) -> Challenge:
        return self.link.said(Challenge)[0]

    @property
    def welcome(self) -> Welcome | None:
        found = self.link.said(Welcome)
        return found[-1] if found else None

    def closed(self) -> LinkEnd | None:
        """Why the link has ended; None while it has not."""
        return None if self.link.closed is None else self.link.closed[0]

    def is_deaf(self) -> bool:
        return self.link.is_deaf

    def holds_pongs(self) -> bool:
        return self.link.holds_pongs

    def hello(self, **fields: Any) -> Hello:
        known: dict[str, Any] = {
            "nonce": AGENT_NONCE,
            "epoch": self.epoch,
            "peer_epoch": "",
            "last_seq_seen": 0,
            "version": "1.2.3",
            "architecture": "linux-arm64",
            "hostname": "web-1",
        }
        return Hello(**known | fields)

    def signed_hello(self, keys: FakeKeys, host_id: str, **fields: Any) -> Hello:
        plane = self.program.signer.public_key
        text = hello_text(self.challenge.nonce, AGENT_NONCE, host_id, self.epoch, plane)
        return self.hello(host_id=host_id, signature=keys.sign(text), **fields)

    def enroll(self, keys: FakeKeys, token: str) -> Enroll:
        plane, key = self.program.signer.public_key, keys.public_key
        text = enroll_text(self.challenge.nonce, AGENT_NONCE, token_hash_of(token), key, plane)
        return Enroll(AGENT_NONCE, token, key, keys.sign(text), "1.2.3", "linux-arm64", "web-1")

    async def hear(self, *messages: Spoken, size: int = 100) -> None:
        """Have the control plane hear this, and do what it can do at once."""
        for message in messages:
            assert self._owner is not None
            self._owner.heard(message, size)
        await settle()

    async def accept(self, job_id: str, *, ack: int | None = None) -> None:
        self.seq += 1
        await self.hear(Accept(self.seq, job_id, JobState.ACCEPTED, ack=ack))

    async def finish(
        self, job_id: str, state: JobState = JobState.SUCCEEDED, **fields: Any
    ) -> None:
        self.seq += 1
        await self.hear(Result(self.seq, job_id, state, "out", "", **fields))

    async def durable(self, *messages: SequencedSaid) -> None:
        self.seq = messages[-1].seq
        await self.hear(*messages)

    def commands(self) -> list[CommandFrame]:
        """All that were ever sent."""
        return self.link.said(CommandFrame)

    def job_ids(self) -> list[str]:
        return [frame.job_id for frame in self.commands()]

    async def becomes_writable(self) -> None:
        self.link.is_writable = True
        assert self._owner is not None
        self._owner.writable()
        await settle()

    async def gone(self, *, answered: bool = False) -> None:
        """The connection is lost, or closed."""
        assert self._owner is not None
        self._owner.ended("the connection was cut", answered=answered)
        await settle()


async def pass_time(program: FleetProgram, seconds: float) -> None:
    assert isinstance(program.clock, FakeClock)
    await program.clock.advance(seconds)


async def enrolling(
    program: FleetProgram, token: str = ENROLMENT, address: str = ADDRESS
) -> ConnectedAgent:
    """An agent that has said ENROLL with `KEYS`, whatever came of it."""
    agent = ConnectedAgent(program)
    await agent.dial(token="", address=address)
    await agent.hear(agent.enroll(KEYS, token))
    return agent


async def enrolled(program: FleetProgram) -> tuple[ConnectedAgent, HostId]:
    """An agent that has enrolled with `KEYS` and not said HELLO, and the host that it became."""
    await program.add_enrolment(ENROLMENT)
    agent = await enrolling(program)
    (answer,) = agent.link.said(Enrolled)
    return agent, HostId(answer.host_id)


def data(**fields: object) -> Mapping[str, object]:
    return fields
