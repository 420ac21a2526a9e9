"""One case: a host, an agent that is killed on it, a control plane, and afterwards the ledgers."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.crash_sweep.ambush import Ambush, Seen
from tests.crash_sweep.faults import Fault, How, Who
from tests.crash_sweep.host import Host, send, until
from tests.crash_sweep.ledgers import contradictions
from tests.crash_sweep.scenario import Scenario
from tests.support.peer_database import PeerDatabase
from tests.support.ports import reserved_port

PATIENCE_S: Final = 45.0
GONE_S: Final = 5.0
DEATHS: Final = 5
"""An agent that ends more often than that does not get up again."""


@dataclass
class Report:
    """What became of a case. `struck` has nothing where the fault did not befall."""

    fault: Fault | None
    struck: list[Seen] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    """The calls of the first life that were counted."""
    violations: list[str] = field(default_factory=list)
    log: str = ""
    """The agent's, where something was violated."""
    deaths: int = 0
    seconds: float = 0.0


class _Keeper:
    """Starts the agent, and again whenever it has died, as a service manager does."""

    def __init__(self, host: Host, port: int, ambushes: list[Ambush]) -> None:
        self._host = host
        self._url = f"ws://127.0.0.1:{port}/ws"
        self._ambushes = list(ambushes)
        self._process: asyncio.subprocess.Process | None = None
        self.deaths = 0

    def process(self) -> asyncio.subprocess.Process:
        """The one that lives, or has died last."""
        assert self._process is not None
        return self._process

    async def run(self) -> None:
        """Until it has ended in good order."""
        while self.deaths <= DEATHS:
            process = self._process = await self._host.start_agent(self._url)
            try:
                if await self._life(process) == 0:
                    return
            finally:
                send(process, signal.SIGKILL)
            self.deaths += 1
        raise AssertionError(f"the agent has ended {self.deaths} times")

    async def _life(self, process: asyncio.subprocess.Process) -> int:
        if not self._ambushes:
            return await process.wait()
        ambush = self._ambushes.pop(0)
        send(process, signal.SIGSTOP)
        await ambush.lie_in_wait(process.pid)
        code = await process.wait()
        await ambush.over()
        return code


async def run_case(
    fault: Fault | None, *, counting: tuple[Who, bool] = (Who.AGENT, False)
) -> Report:
    """Play the scenario with a fault; without one, count whose calls, and which, as told."""
    directory = Path(tempfile.mkdtemp(prefix="crash-"))
    report = Report(fault)
    started = time.monotonic()
    host = Host(directory)
    try:
        ambushes = [_ambush(host, fault, counting)]
        if fault is not None and fault.next is not None:
            ambushes.append(_ambush(host, fault.next, counting))
        try:
            await _play(host, report, ambushes)
        except Exception:  # noqa: BLE001
            report.violations.append(f"the case itself is broken: {traceback.format_exc()}")
        report.seen = ambushes[0].seen
        report.struck = [ambush.struck for ambush in ambushes if ambush.struck is not None]
        if report.violations:
            report.log = host.log.read_text(encoding="utf-8")
    finally:
        shutil.rmtree(directory)
    report.seconds = time.monotonic() - started
    return report


def _ambush(host: Host, fault: Fault | None, counting: tuple[Who, bool]) -> Ambush:
    who, counts_opens = counting if fault is None else (fault.who, fault.how is How.OPENED)
    return Ambush(host, fault, who=who, counts_opens=counts_opens)


async def _play(host: Host, report: Report, ambushes: list[Ambush]) -> None:
    database = PeerDatabase()
    async with host.open():
        with reserved_port() as port:
            keeper = _Keeper(host, port, ambushes)
            scenario = Scenario(host, database, port, keeper.process)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    report.violations += await _together(keeper, scenario)
            except TimeoutError:
                states = {job.job_id: job.state for job in database.jobs.values()}
                report.violations.append(
                    f"stuck at {host.phase}: {states}; {len(database.hellos)} HELLOs; "
                    f"the host runs {[(one.pid, one.status()) for one in host.everything()]}"
                )
            report.deaths = keeper.deaths
        try:
            async with asyncio.timeout(GONE_S):
                await until(lambda: not host.processes())
        except TimeoutError:
            report.violations.append(f"still run: {host.processes()}")
        if not report.violations:
            report.violations += await contradictions(database, host, scenario.asked, report.fault)


async def _together(keeper: _Keeper, scenario: Scenario) -> list[str]:
    """What either of them found wrong."""
    wrong: list[str] = []
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keeper.run(), name="keeper")
            tasks.create_task(scenario.play(), name="scenario")
    except* AssertionError as group:
        wrong = [str(one) for one in group.exceptions]
    return wrong
