"""A control plane, a host with an agent, and what becomes of the jobs that the one gives the other.

Whatever a test does to them, in the end `Rig.check` says whether each job came to its one end, and the
host is as the last command of each project wanted it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from unittest.mock import patch

import psutil

from tests.faults.agents import QUESTIONS, AgentHost
from tests.faults.counting import Verdict
from tests.faults.effects import SERVICES, Effects, compose_file
from tests.faults.networks import Network
from tests.support import reference_peer
from tests.support.agent_frames import Message
from tests.support.control_plane import deploy_payload
from tests.support.peer_database import PeerDatabase
from tests.support.peer_terms import Faults, Terms
from tests.support.ports import bound, reserved_port
from tests.support.reference_peer import V2, ReferencePeer

END_S: Final = 240.0
LOG_TAIL: Final = 12_000
SUCCEEDED: Final = frozenset({"succeeded"})


@dataclass
class Project:
    """`wanted` is the revision that the last command wants, 0 for none at all."""

    name: str
    wanted: int = 0
    revisions: int = 0


class Gate:
    """What a deployment waits for."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.directory = directory

    def open(self) -> None:
        (self.directory / "open").touch()


@dataclass
class Given:
    """A command that was given, and the states in which it may end."""

    job_id: str
    project: str
    revision: int
    ends: frozenset[str]


@dataclass
class Allowed:
    """What a fault excuses."""

    repeats: bool = False
    """Executors are killed: steps are tried again, and make containers again."""
    unknown_effect: set[str] = field(default_factory=set)
    """Projects whose containers may be in any state, as where a job is canceled."""
    no_output: set[str] = field(default_factory=set)
    """Jobs whose output was delivered, and is not there to be delivered once more."""


class Rig:
    """Enter it, do harm, `check`, and leave: what it has counted is recorded then.

    `port` is the control plane's, for as long as the rig lives.
    """

    def __init__(
        self,
        home: Path,
        row: str,
        *,
        settings: Mapping[str, str] | None = None,
        network: Network | None = None,
        terms: Terms | None = None,
        faults: Faults | None = None,
        subprotocol: str = V2,
        engine: str | None = None,
        owner: str | None = None,
    ) -> None:
        self.owner = owner or secrets.token_hex(4)
        self.verdict = Verdict(row)
        self.allowed = Allowed()
        self.database = PeerDatabase()
        self.effects = Effects(self.owner, engine)
        self.projects: dict[str, Project] = {}
        self.given: list[Given] = []
        self._faults = faults
        self._terms = terms
        self._subprotocol = subprotocol
        self._network = network
        self._exits = contextlib.AsyncExitStack()
        self._peer: ReferencePeer | None = None
        own = {} if engine is None else {"AGENT_DOCKER_HOST": engine}
        self.port = 0
        prefix = () if network is None else network.prefix
        self.agent = AgentHost(home, "", settings={**own, **(settings or {})}, prefix=prefix)

    async def __aenter__(self) -> Self:
        if self._network is None:
            self.port = self._exits.enter_context(reserved_port())
            self.agent.url = f"ws://127.0.0.1:{self.port}/ws"
        else:
            self.agent.url = self._network.url
        await self._exits.enter_async_context(self.effects)
        await self.start_peer()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None and not self.verdict.problems:
                self.verdict.wrong.append(f"{kind.__name__} in the test")
            if self.agent.is_running:
                await self.agent.kill()
            await self._end_executors()
            await self.stop_peer(check=kind is None)
        finally:
            self.verdict.jobs += len(self.given)
            self.verdict.record()
            if kind is not None:
                print(f"---- the agent's log ({self.agent.home})\n{self.agent.log()[-LOG_TAIL:]}")
            await self._exits.aclose()

    @property
    def peer(self) -> ReferencePeer:
        assert self._peer is not None
        return self._peer

    async def start_peer(self) -> None:
        """Start the control plane, on what its database holds."""
        peer = ReferencePeer(
            self.database,
            self.port,
            faults=self._faults,
            terms=self._terms,
            subprotocol=self._subprotocol,
        )
        listener = bound if self._network is None else self._network.listener
        with patch.object(reference_peer, "bound", listener):
            await peer.__aenter__()
        self._peer = peer

    async def stop_peer(self, *, check: bool = True) -> None:
        """Stop it in good order, where it runs."""
        peer, self._peer = self._peer, None
        if peer is not None:
            await peer.__aexit__(None if check else BaseException, None, None)

    async def crash_peer(self) -> None:
        """`kill -9` of the control plane."""
        peer, self._peer = self._peer, None
        assert peer is not None
        await peer.crash()

    # Commands.

    def project(self, number: int | str = 0) -> Project:
        name = f"idfault-{self.owner}-{number}"
        return self.projects.setdefault(name, Project(name))

    def deploy(
        self,
        project: Project,
        *,
        ends: Iterable[str] = SUCCEEDED,
        deadline_s: float | None = None,
        gate: Gate | None = None,
    ) -> str:
        """Give the command to deploy the next revision; it is delivered when it can be.

        With a gate, the deployment waits until that is opened.
        """
        project.revisions += 1
        project.wanted = project.revisions
        directory = None if gate is None else gate.directory
        content = compose_file(self.owner, project.revisions, directory)
        job_id = self.database.issue(
            "DEPLOY_COMPOSE", deploy_payload(project.name, content), deadline_s=deadline_s
        )
        self.given.append(Given(job_id, project.name, project.revisions, frozenset(ends)))
        return job_id

    def stop(self, project: Project, *, ends: Iterable[str] = SUCCEEDED) -> str:
        """Give the command to stop."""
        project.wanted = 0
        job_id = self.database.issue("STOP_COMPOSE", {"project_name": project.name})
        self.given.append(Given(job_id, project.name, 0, frozenset(ends)))
        return job_id

    async def final(self, job_id: str) -> Message:
        """The final response; on a machine that is busy with other tests it takes its time."""
        await self.until(lambda: bool(self.database.jobs[job_id].finals), f"result of {job_id}")
        return await self.database.final(job_id)

    async def done(self, job_id: str) -> Message:
        """The final response, which must be COMPLETED."""
        final = await self.final(job_id)
        assert final["status"] == "COMPLETED", final
        return final

    def gate(self) -> Gate:
        """A gate that is closed."""
        return Gate(self.agent.home / f"gate-{secrets.token_hex(4)}")

    async def executor(self, action: str, *, within_s: float = END_S) -> list[psutil.Process]:
        """Wait until `docker compose <action>` runs under its job runner; gives its processes."""
        found: list[psutil.Process] = []

        def runs() -> bool:
            found[:] = self.agent.executors()
            return any(is_compose(process, action) for process in found)

        await self.until(runs, f"docker compose {action}", within_s=within_s)
        return found

    async def until(self, condition: object, what: str, *, within_s: float = END_S) -> None:
        """Wait for what nobody tells of."""
        assert callable(condition)
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + within_s
        while not condition():
            self.database.check()
            assert loop.time() < give_up_at, f"waited in vain for {what}"
            await asyncio.sleep(0.02)

    def injected(self, fault: str, times: int = 1) -> None:
        """Count a fault."""
        self.verdict.injected[fault] += times

    def count_if_open(self, job_id: str | None, fault: str) -> None:
        """Count a fault that is made now, where the job, or any, has no result yet."""
        jobs = [given.job_id for given in self.given] if job_id is None else [job_id]
        if any(not self.database.jobs[one].finals for one in jobs):
            self.injected(fault)
        else:
            self.injected(f"{fault}, with nothing to do")

    # The end.

    async def settled(self) -> None:
        """Wait until every job has its result, with all output."""
        for given in self.given:
            await self.final(given.job_id)
            if self._subprotocol == V2 and given.job_id not in self.allowed.no_output:
                await self.database.output(given.job_id)

    async def check(self) -> None:
        """Wait for the end of all jobs, and judge; raises where anything is not as it must be."""
        try:
            await self.settled()
        except AssertionError as vain:
            self._judge_jobs()
            self.verdict.wrong.append(str(vain))
            self._raise()
        await self._processes_gone()
        self._judge_jobs()
        self._judge_starts()
        await self.effects.caught_up()
        self._judge_effects()
        await self._judge_containers()
        self._raise()

    def _raise(self) -> None:
        assert not self.verdict.problems, "\n  ".join(["", *self.verdict.problems])

    async def _processes_gone(self) -> None:
        try:
            await self.until(lambda: not self.agent.executors(), "executors' end", within_s=20)
        except AssertionError:
            left = [" ".join(one.cmdline()) for one in self.agent.executors()]
            self.verdict.wrong.append(f"processes are left: {left}")

    def _judge_jobs(self) -> None:
        for given in self.given:
            job = self.database.jobs[given.job_id]
            if not job.finals:
                self.verdict.lost.append(f"{given} is {job.state}: {job.answers}")
                continue
            if len(job.finals) > 1 and not job.is_inherited:
                self.verdict.doubled.append(f"{given} has {len(job.finals)} results")
            if job.state not in given.ends and not self._is_superseded(given):
                self.verdict.wrong.append(f"{given} is {job.state}: {job.finals[-1]}")

    def _is_superseded(self, given: Given) -> bool:
        """Whether it gave way to a later deployment of its project, as a queued one does."""
        final = self.database.jobs[given.job_id].finals[-1]
        by = [one.job_id for one in self.given].index
        return (
            final["state"] == "superseded"
            and by(final["data"]["superseded_by"]) > by(given.job_id)
            and self.given[by(final["data"]["superseded_by"])].project == given.project
        )

    def _judge_starts(self) -> None:
        """R4: at most one start a run; where no executor was killed, one run a step of a job."""
        starts = self.agent.docker_starts()
        runs = Counter(start.run for start in starts if start.action not in QUESTIONS)
        for run, times in runs.items():
            if times > 1:
                self.verdict.doubled.append(f"the run {run} was started {times} times")
        if self.allowed.repeats:
            return
        for project in self.projects.values():
            given = [one for one in self.given if one.project == project.name]
            back = self._taken_back(project)
            for action, is_deployment in (("up", True), ("down", False)):
                most = back + sum(bool(one.revision) is is_deployment for one in given)
                found = sum((one.action, one.project) == (action, project.name) for one in starts)
                if found > most:
                    self.verdict.doubled.append(f"{found} starts of {action} for {most} jobs")

    def _taken_back(self, project: Project) -> int:
        """How many deployments may have been taken back, each by one more run."""
        return sum(
            bool(one.revision) and self.database.jobs[one.job_id].state in ("failed", "canceled")
            for one in self.given
            if one.project == project.name
        )

    def _wanted(self, project: Project) -> int:
        """R11: what did not succeed has left what was there before, unless it was forgotten."""
        wanted = 0
        for one in self.given:
            if one.project != project.name:
                continue
            job = self.database.jobs[one.job_id]
            if job.finals[-1].get("data", {}).get("reason") == "journal_damaged":
                return project.wanted
            if job.state == "succeeded":
                wanted = one.revision
        return wanted

    def _judge_effects(self) -> None:
        if self.allowed.repeats:
            return
        for given in self.given:
            state = self.database.jobs[given.job_id].state
            if not given.revision or given.project in self.allowed.unknown_effect:
                continue
            most = int(state not in ("superseded", "expired"))
            most += self._taken_back(self.projects[given.project])
            for service in SERVICES:
                made = self.effects.times("create", given.project, service, given.revision)
                if made > most:
                    self.verdict.doubled.append(f"{given}: {service} was created {made} times")
                elif made == 0 and state == "succeeded":
                    self.verdict.wrong.append(f"{given}: {service} was never created")
        for project in self.projects.values():
            order = [
                one.revision
                for one in self.effects.happened
                if one.action == "create" and one.project == project.name
            ]
            if order != sorted(order) and not self._taken_back(project):
                self.verdict.wrong.append(f"{project.name} was made in the order {order}")

    async def _judge_containers(self) -> None:
        found = await self.effects.containers()
        for project in self.projects.values():
            if project.name in self.allowed.unknown_effect:
                continue
            own = [one for one in found if one.project == project.name]
            wanted = self._wanted(project)
            is_as_wanted = (
                {one.name for one in own} == {f"{project.name}-{name}-1" for name in SERVICES}
                and len(own) == len(SERVICES)
                and all(one.state == "running" for one in own)
                and all(one.revision == wanted for one in own)
            )
            if not (is_as_wanted if wanted else not own):
                self.verdict.wrong.append(f"{project} has {own}, and revision {wanted} is wanted")

    async def _end_executors(self) -> None:
        while left := self.agent.executors():
            for process in left:
                with contextlib.suppress(Exception):
                    process.kill()
            await asyncio.sleep(0.01)


def is_compose(process: psutil.Process, action: str) -> bool:
    """Whether it is the docker program, or its plugin, and does this; the job runner is neither."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        command = process.cmdline()
        return bool(command) and "docker" in Path(command[0]).name and action in command
    return False


async def keep_busy(rig: Rig, project: Project, until: asyncio.Event, dice: random.Random) -> None:
    """Deploy one revision after another, and now and then stop, until it is enough."""
    while not until.is_set():
        if project.wanted and dice.random() < 0.15:
            await rig.final(rig.stop(project))
        else:
            await rig.final(rig.deploy(project))
