"""What is asked of a control plane while it dies: everything that a job can go through.

It knows nothing of deaths: it waits until what it asked for has become true.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from tests.fleet.agent import Agent
from tests.fleet.fleet import Fleet
from tests.fleet.kill_sweep.actors import ACTORS, PRINTED
from tests.fleet.kill_sweep.asking import Asking
from tests.fleet.kill_sweep.following import Follower

PROJECT: Final = "blog"


class Scenario:
    """For one host, which is called as the scenario is."""

    def __init__(self, name: str, asking: Asking, fleet: Fleet, agent: Agent) -> None:
        self._host = name
        self._asking = asking
        self._fleet = fleet
        self._agent = agent
        self._parts: dict[str, Callable[[], Awaitable[None]]] = {
            "deploy": self._deploy,
            "restart": self._cancel if ACTORS[name].can_cancel else self._restart,
            "fail": self._fail,
            "refuse": self._refuse,
            "ask": self._ask,
            "offline": self._while_it_is_away,
        }
        self.phase = "the beginning"

    async def play(self) -> None:
        """From the first request until both sides have nothing to say any more."""
        await self._fleet.all_online()
        for phase, part in self._parts.items():
            self.phase = phase
            await part()
        self.phase = "the same again"
        await self._asking.ask_all_again()
        self.phase = "the rest"
        await self._fleet.until(self._is_at_rest, "the agent to have told everything")

    async def _deploy(self) -> None:
        await self._carried_out(await self._asking.deploy(PROJECT, self._host, ends="succeeded"))

    async def _carried_out(self, job: Follower) -> None:
        """Where it can wait, it ends once the control plane has heard of it, and all is printed."""
        if ACTORS[self._host].waits:
            await job.taken()
            await self._fleet.until(lambda: self._has_printed(job), "the job to print")
            self._fleet.release()
        await job.over()

    async def _cancel(self) -> None:
        job = await self._command(f"projects/{PROJECT}/restart", "canceled")
        await job.taken()
        await self._asking.cancel(job)
        await job.over()

    async def _restart(self) -> None:
        await (await self._command(f"projects/{PROJECT}/restart", "succeeded")).over()

    async def _fail(self) -> None:
        await (await self._command(f"projects/{PROJECT}/stop", "failed")).over()

    async def _refuse(self) -> None:
        await (await self._command(f"projects/{PROJECT}/remove", "failed")).over()

    async def _ask(self) -> None:
        await (await self._command("health", "succeeded")).over()

    async def _while_it_is_away(self) -> None:
        """What waits for a host is superseded, canceled, and carried out when it comes."""
        self._agent.kill()
        await self._asking.gone(self._host)
        older = await self._asking.deploy(PROJECT, self._host, ends="superseded")
        newer = await self._asking.deploy(PROJECT, self._host, ends="succeeded")
        unwanted = await self._asking.deploy("shop", self._host, ends="canceled")
        await self._asking.cancel(unwanted)
        await older.over()
        await unwanted.over()
        self._agent.start()
        await self._carried_out(newer)

    async def _command(self, what: str, ends: str) -> Follower:
        return await self._asking.command(self._host, what, ends={ends})

    def _has_printed(self, job: Follower) -> bool | None:
        kept = self._agent.memory.jobs.get(job.job_id)
        return (kept is not None and kept.printed == PRINTED) or None

    def _is_at_rest(self) -> bool | None:
        memory = self._agent.memory
        is_told = not (memory.notices or memory.undelivered())
        return (is_told and self._agent.is_online) or None
