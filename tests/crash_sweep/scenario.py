"""What a control plane asks of an agent while it is killed: everything that there is to lose.

It knows nothing of the faults: it waits until what it asked for has become true.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tests.crash_sweep.host import BREAKS, Host, send, until
from tests.support.control_plane import deploy_payload
from tests.support.peer_database import PeerDatabase
from tests.support.reference_peer import ReferencePeer

COMPOSE: Final = "services:\n  web:\n    image: example\n"
BROKEN: Final = f"{COMPOSE}# {BREAKS}\n"
ENV: Final = "GREETING=hello\n"
ALPHA, BETA = "alpha", "beta"


@dataclass
class Asked:
    """The ids of the jobs: both projects are deployed, and one deployment is cancelled.

    Then the other one is deployed once more, in a way that fails, and is stopped.
    """

    deploy_alpha: str = ""
    deploy_beta: str = ""
    break_alpha: str = ""
    stop_alpha: str = ""
    expected: dict[str, str] = field(default_factory=dict)
    """The state that each has to end in while the disk is sound."""


class Scenario:
    """`agent` gives the process that lives now; it is ended by asking it to."""

    def __init__(
        self,
        host: Host,
        database: PeerDatabase,
        port: int,
        agent: Callable[[], asyncio.subprocess.Process],
    ) -> None:
        self.asked = Asked()
        self._host = host
        self._database = database
        self._port = port
        self._agent = agent

    async def play(self) -> None:
        """From the agent's start to its end in good order."""
        host, asked = self._host, self.asked
        for project in (ALPHA, BETA):
            host.close_gate("up", project)
        async with ReferencePeer(self._database, self._port) as peer:
            await self._deploy(peer)
            await self._cut(peer)
            self._at("deploy what fails")
            asked.break_alpha = await peer.submit("DEPLOY_COMPOSE", deploy_payload(ALPHA, BROKEN))
            await peer.final(asked.break_alpha)
            # Not before: where it was the first that came as far as that, it is taken away.
            host.close_gate("down", ALPHA)
            self._at("stop")
            asked.stop_alpha = await peer.submit("STOP_COMPOSE", {"project_name": ALPHA})
            await self._begun("down", ALPHA, asked.stop_alpha)
            self._at("control plane restart")
            await peer.crash()
        host.open_gate("down", ALPHA)
        async with ReferencePeer(self._database, self._port) as peer:
            await peer.final(asked.stop_alpha)
            self._at("late repeat")
            await self._repeat(peer)
            await self._end(peer)
        asked.expected = {
            asked.deploy_alpha: "succeeded",
            asked.deploy_beta: "canceled",
            asked.break_alpha: "failed",
            asked.stop_alpha: "succeeded",
        }

    async def _deploy(self, peer: ReferencePeer) -> None:
        await peer.agent()
        self._at("deploy")
        asked = self.asked
        asked.deploy_alpha = await peer.submit("DEPLOY_COMPOSE", _private())
        await self._begun("up", ALPHA, asked.deploy_alpha)
        self._at("second deploy")
        asked.deploy_beta = await peer.submit("DEPLOY_COMPOSE", deploy_payload(BETA, COMPOSE))
        await self._begun("up", BETA, asked.deploy_beta)
        self._at("repeat")
        await self._repeat(peer)
        self._at("cancel")
        await peer.cancel(asked.deploy_beta)
        await peer.final(asked.deploy_beta)

    async def _cut(self, peer: ReferencePeer) -> None:
        """The deployment that runs ends while there is no link."""
        self._at("cut and reconnect")
        session = await peer.agent()
        session.connection.transport.abort()
        self._host.open_gate("up", ALPHA)
        await peer.agent(after=session)
        await peer.final(self.asked.deploy_alpha)

    async def _repeat(self, peer: ReferencePeer) -> None:
        job_id = self.asked.deploy_alpha
        await peer.submit("DEPLOY_COMPOSE", _private(), job_id=job_id)
        await peer.accepted(job_id)

    async def _end(self, peer: ReferencePeer) -> None:
        """What was killed while it was ending is started again, and has to end again."""
        session = None
        while True:
            session = await peer.agent(after=session)
            # Not before: one that was killed again before it came is not the one to be asked.
            agent = self._agent()
            await self._settled()
            self._at("end")
            send(agent, signal.SIGTERM)
            if await agent.wait() == 0:
                return
            await until(partial(self._has_another, agent))

    def _has_another(self, agent: asyncio.subprocess.Process) -> bool:
        return self._agent() is not agent

    async def _settled(self) -> None:
        """Both sides have all that the other has to say."""
        ledger = self._database.ledger

        def settled() -> bool | None:
            is_heard = ledger.agent_ack == len(ledger.outgoing)
            is_told = all(job.is_settled and not job.owed for job in ledger.jobs.values())
            is_printed = all(job.has_all_output for job in ledger.jobs.values())
            return (is_heard and is_told and is_printed) or None

        await self._database.until(settled, "both sides to have everything")

    async def _begun(self, action: str, project: str, job_id: str) -> None:
        """Compose runs for the job, or the job is over without that."""
        job = self._database.jobs[job_id]
        await until(lambda: self._host.has_begun(action, project) or job.is_settled)
        self._database.check()

    def _at(self, phase: str) -> None:
        self._host.phase = phase


def _private() -> dict[str, str]:
    """The first project's deployment brings what the journal must not hold."""
    return {**deploy_payload(ALPHA, COMPOSE), "env": ENV}
