"""A control plane, a host with an agent, and what becomes of the jobs that the one gives the other.

Whatever a test does to them, in the end `Rig.check` says whether each job came to its one end, and the
host is as the last command of each project wanted it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Self
from unittest.mock import patch

import psutil

from tests.faults.agents import AgentHost, is_compose
from tests.faults.counting import Verdict
from tests.faults.effects import Effects, compose_file
from tests.faults.judge import Allowed, Given, Judge, Project
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


class Gate:
    """What a deployment waits for."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.directory = directory

    def open(self) -> None:
        (self.directory / "open").touch()


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
        judge = Judge(
            self.database,
            self.agent,
            self.effects,
            given=self.given,
            projects=self.projects,
            allowed=self.allowed,
            verdict=self.verdict,
        )
        try:
            await self.settled()
        except AssertionError as vain:
            judge.jobs()
            self.verdict.wrong.append(str(vain))
            self._raise()
        await self._processes_gone()
        await judge.everything()
        self._raise()

    def _raise(self) -> None:
        assert not self.verdict.problems, "\n  ".join(["", *self.verdict.problems])

    async def _processes_gone(self) -> None:
        try:
            await self.until(lambda: not self.agent.executors(), "executors' end", within_s=20)
        except AssertionError:
            left = [" ".join(one.cmdline()) for one in self.agent.executors()]
            self.verdict.wrong.append(f"processes are left: {left}")

    async def _end_executors(self) -> None:
        while left := self.agent.executors():
            for process in left:
                with contextlib.suppress(Exception):
                    process.kill()
            await asyncio.sleep(0.01)


async def keep_busy(rig: Rig, project: Project, until: asyncio.Event, dice: random.Random) -> None:
    """Deploy one revision after another, and now and then stop, until it is enough."""
    while not until.is_set():
        if project.wanted and dice.random() < 0.15:
            await rig.final(rig.stop(project))
        else:
            await rig.final(rig.deploy(project))
