"""One case: a control plane that dies where it is told to, one agent, and afterwards the ledgers."""

from __future__ import annotations

import asyncio
import time
import traceback
from dataclasses import dataclass, field
from typing import Final

from tests.fleet.fleet import Fleet
from tests.fleet.kill_sweep.actors import ACTORS
from tests.fleet.kill_sweep.asking import Asking
from tests.fleet.kill_sweep.comparing import Hosts, Told, differences
from tests.fleet.kill_sweep.following import END, Lost
from tests.fleet.kill_sweep.lives import Lives
from tests.fleet.kill_sweep.nursery import Nursery
from tests.fleet.kill_sweep.scenario import Scenario
from tests.fleet.kill_sweep.strikes import Fault
from tests.fleet.kill_sweep.template import PACE, Template
from tests.fleet.memory import KeptJob, Memory
from tests.fleet.plane_api import PlaneApi
from tests.fleet.plane_frames import Message
from tests.fleet.plane_process import PlaneFailed, PlaneProcess
from tests.fleet.upgrade import BOTH
from tests.support.ports import reserved_port

PATIENCE_S: Final = 60.0
READING_S: Final = 60.0


@dataclass
class Report:
    """What became of a case. `struck` has the strikes that have befallen."""

    fault: Fault
    database: str
    struck: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    """Those of the last life, which of a case without strikes is the only one."""
    violations: list[str] = field(default_factory=list)
    log: str = ""
    """The control plane's last words, where something was violated."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Breakage:
    """What is done wrong on purpose, and has to be noticed."""

    late: tuple[str, ...] = ()
    """See `Commits`."""
    is_careless: bool = False
    """See `Asking`."""


SOUND: Final = Breakage()


async def run_case(
    fault: Fault, template: Template, nursery: Nursery, breakage: Breakage = SOUND
) -> Report:
    """Play the scenario of a fault."""
    report = Report(fault, template.kind)
    started = time.monotonic()
    with template.copied() as (home, settings), reserved_port() as port:
        plane = PlaneProcess(
            home, port, begin=nursery.begin, settings=settings, token=template.token
        )
        lives = Lives(plane, fault.strikes, home.parent / "points", late=breakage.late)
        async with plane.api() as api, Fleet(plane.agents_url, pace=PACE, sources=1) as fleet:
            case = _Case(fault.scenario, template, api, lives, fleet, breakage)
            try:
                async with asyncio.TaskGroup() as tasks:
                    living = tasks.create_task(lives.run(), name="the control plane's lives")
                    report.violations += await case.run()
                    report.points = lives.points()
                    living.cancel()
            except* (PlaneFailed, TimeoutError) as failed:
                report.violations += [f"the control plane: {one}" for one in failed.exceptions]
            finally:
                case.end()
        report.struck = lives.struck
        if report.violations:
            report.log = plane.log[-4000:]
    report.seconds = time.monotonic() - started
    return report


class _Case:
    """Its agent's final responses are noted as they are written down."""

    def __init__(
        self,
        scenario: str,
        template: Template,
        api: PlaneApi,
        lives: Lives,
        fleet: Fleet,
        breakage: Breakage,
    ) -> None:
        self._breakage = breakage
        self._api = api
        self._lives = lives
        self._fleet = fleet
        self._name = scenario
        self._said: dict[str, Message] = {}
        self._actor = ACTORS[scenario]
        self._agent = fleet.add(
            Memory.from_json(template.memories[scenario]),
            name=scenario,
            script=self._actor.plan,
            manners=self._actor.manners,
            offer=self._actor.offer,
        )
        self._tell = self._agent.host.told
        self._agent.host.told = self._told

    async def run(self) -> list[str]:
        """What does not hold, a sentence each."""
        violations: list[str] = []
        asking, scenario = None, None
        try:
            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
                asking = Asking(
                    self._api, self._lives, tasks, is_careless=self._breakage.is_careless
                )
                scenario = Scenario(self._name, asking, self._fleet, self._agent)
                await scenario.play()
        except* Lost as lost:
            violations += [str(one) for one in lost.exceptions]
        except* TimeoutError:
            phase = "" if scenario is None else scenario.phase
            violations.append(f"stuck at {phase}; {dict(self._fleet.counts)}")
        except* Exception:  # noqa: BLE001 - it is in the report
            violations.append(f"the case itself is broken: {traceback.format_exc()}")
        assert asking is not None
        return [*violations, *await self._differences(asking)]

    def end(self) -> None:
        """There is nobody to speak to any more."""
        self._agent.kill()

    async def _differences(self, asking: Asking) -> list[str]:
        try:
            async with asyncio.timeout(READING_S):
                await self._lives.rest()
                told = await self._all_told()
        except TimeoutError:
            return ["it does not come to rest"]
        followed = {job_id: one.events for job_id, one in asking.followers.items()}
        hosts = Hosts(self._fleet.ledgers, self._said, is_naive=self._actor.manners.is_naive)
        return [
            *differences(asking.asked, told, followed, hosts),
            *(f"the protocol: {one}" for one in [*self._fleet.blames, *self._fleet.complaints]),
        ]

    async def _all_told(self) -> dict[str, Told]:
        told = {}
        async for one in self._api.jobs():
            job = await self._api.get(f"/jobs/{one['id']}")
            # The feed of one that is not over has no end.
            events = self._api.events(f"/jobs/{one['id']}/feed") if job["over"] else None
            feed = [] if events is None else [event async for event in events if event.name != END]
            # Over v1, it comes with the result.
            output = await self._api.output(one["id"]) if self._actor.offer == BOTH else None
            told[one["id"]] = Told(job, feed, output)
        return told

    def _told(self, job: KeptJob) -> None:
        if job.is_over and job.result is not None:
            self._said[job.job_id] = dict(job.result)
        self._tell(job)
