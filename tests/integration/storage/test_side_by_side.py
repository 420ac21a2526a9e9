"""Whatever is done to the stores in memory and to those on SQLite, they say the same."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from adapters.storage.database import Database
from application.ports.job_store import JobQuery
from domain.errors import InstaDeployError
from domain.fleet.host import Host
from domain.fleet.job import DeploymentId, FleetJobState, is_over
from domain.fleet.link_state import Heard
from domain.fleet.page import MAX_PAGE, PageRequest
from domain.job import JobState
from domain.link_messages import OutputChunk, Reject, SequencedSaid
from tests.contracts.fleet import (
    NOW,
    Fleet,
    a_deployment,
    a_host,
    a_job,
    a_request,
    a_submission,
    accept,
    chunk,
    hashed,
    result,
)
from tests.fakes.fleet_store import FakeFleet

HOSTS = [a_host("a"), a_host("b")]
JOBS = [f"job-{n}" for n in range(6)]
EVERYTHING = PageRequest(MAX_PAGE)

hosts = st.sampled_from(HOSTS)
job_numbers = st.integers(0, len(JOBS) - 1)
job_ids = st.sampled_from([*JOBS, "job-unknown"])
times = st.integers(0, 50).map(lambda n: NOW + n)
ends = st.sampled_from([state for state in FleetJobState if is_over(state)])
message_states = st.sampled_from(JobState)


@st.composite
def messages(draw: st.DrawFn) -> Callable[[int], SequencedSaid | OutputChunk]:
    """A message, once its number is known."""
    job_id, state = draw(job_ids), draw(message_states)
    match draw(st.integers(0, 3)):
        case 0:
            return lambda seq: accept(seq, job_id, state)
        case 1:
            end = (
                state
                if state.value not in ("accepted", "running", "canceling")
                else JobState.FAILED
            )
            return lambda seq: result(seq, job_id, end, reason="why")
        case 2:
            return lambda seq: Reject(seq, job_id, "busy", "it is busy")
        case _:
            content = b"0123456789"[: draw(st.integers(0, 10))]
            offset, attempt = draw(st.integers(0, 12)), draw(st.integers(1, 2))
            return lambda _: chunk(job_id, content, offset, attempt=attempt)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without rows, to be copied."""
    path = tmp_path_factory.mktemp("template") / "fleet.db"

    async def make() -> None:
        async with Database.opened(f"sqlite:///{path}"):
            pass

    asyncio.run(make())
    return path


class SideBySide(RuleBasedStateMachine):
    """Every rule is carried out on both; what they return, raise and hold is compared."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(prefix="side-by-side-"))
        shutil.copy(self.template, self.directory / "fleet.db")
        self.stack = contextlib.AsyncExitStack()
        self.fake = FakeFleet()
        self.real = self.runner.run(self._open())

    async def _open(self) -> Database:
        url = f"sqlite:///{self.directory}/fleet.db"
        return await self.stack.enter_async_context(Database.opened(url))

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        shutil.rmtree(self.directory)

    def both(self, call: Callable[[Fleet], Awaitable[Any]]) -> Any:
        """What the call has led to on both; it is the same."""

        async def outcome(fleet: Fleet) -> Any:
            try:
                return await call(fleet)
            except InstaDeployError as exc:
                return type(exc)

        async def outcomes() -> tuple[Any, Any]:
            return await outcome(self.fake), await outcome(self.real)

        fake, real = self.runner.run(outcomes())
        assert _plain(fake) == _plain(real)
        return fake

    @initialize()
    def add_hosts(self) -> None:
        for host in HOSTS:
            self.both(lambda fleet, host=host: fleet.hosts.add(host, hashed(host.id)))  # type: ignore[misc]

    @rule(
        number=job_numbers,
        host=hosts,
        kind=st.sampled_from(["DEPLOY_COMPOSE", "STOP_COMPOSE", "STATUS", "LIST_PROJECTS"]),
        at=times,
        expires=st.booleans(),
        remembered=st.sampled_from([None, a_request(), a_request(digest="another")]),
        deployed=st.booleans(),
    )
    def submit(
        self,
        number: int,
        host: Host,
        kind: str,
        at: float,
        expires: bool,
        remembered: Any,
        deployed: bool,
    ) -> None:
        deployment = a_deployment(number) if deployed else None
        job = a_job(
            number,
            host,
            kind,
            created_at=at,
            expires_at=at + 5 if expires else None,
            deployment_id=None if deployment is None else deployment.id,
        )
        submission = a_submission(job, deployment=deployment, remembered=remembered)
        self.both(lambda fleet: fleet.jobs.submit(submission))

    @rule(job_id=job_ids, at=times)
    def request_cancel(self, job_id: str, at: float) -> None:
        self.both(lambda fleet: fleet.jobs.request_cancel(job_id, at))

    @rule(at=times)
    def expire(self, at: float) -> None:
        self.both(lambda fleet: fleet.jobs.expire(at))

    @rule(host=hosts, at=times)
    def number(self, host: Host, at: float) -> None:
        self.both(lambda fleet: fleet.jobs.number(host.id, at))

    @rule(job_id=job_ids, at=times)
    def mark_sent(self, job_id: str, at: float) -> None:
        self.both(lambda fleet: fleet.jobs.mark_sent(job_id, at))

    @rule(
        host=hosts,
        epoch=st.sampled_from(["x", "y"]),
        generations=st.dictionaries(st.sampled_from(["Blog", "blog", "shop"]), st.integers(0, 20)),
    )
    def begin_epoch(self, host: Host, epoch: str, generations: dict[str, int]) -> None:
        self.both(lambda fleet: fleet.jobs.begin_epoch(host.id, epoch, generations))

    @rule(
        host=hosts,
        at=times,
        said=st.lists(messages(), max_size=4),
        skip=st.sampled_from([0, 0, 0, 1, -1]),
        plain=st.booleans(),
        running=st.lists(job_ids, max_size=2),
        confirmed=st.none() | st.integers(0, 8),
    )
    def record(
        self,
        host: Host,
        at: float,
        said: list[Callable[[int], SequencedSaid | OutputChunk]],
        skip: int,
        plain: bool,
        running: list[str],
        confirmed: int | None,
    ) -> None:
        link = self.both(lambda fleet: fleet.jobs.standing(host.id)).link
        seq = max(1, link.heard + 1 + skip)
        numbered = []
        for make in said:
            message = make(0 if plain else seq)
            numbered.append(message)
            seq += not isinstance(message, OutputChunk)
        heard = Heard(host.id, at, tuple(numbered), tuple(running), confirmed)
        self.both(lambda fleet: fleet.jobs.record(heard))

    @rule(job_id=job_ids, state=ends, at=times)
    def end(self, job_id: str, state: FleetJobState, at: float) -> None:
        self.both(lambda fleet: fleet.jobs.end(job_id, state, at, reason="r", error="e"))

    @rule(before=times, limit=st.integers(1, 3))
    def prune(self, before: float, limit: int) -> None:
        self.both(lambda fleet: fleet.jobs.prune(before, limit))

    @rule(at=times, host=hosts, chance=st.integers(0, 9))
    def revoke(self, host: Host, at: float, chance: int) -> None:
        if chance == 0:  # After it there is little to do.
            self.both(lambda fleet: fleet.hosts.revoke(host.id, at))

    @invariant()
    def they_hold_the_same(self) -> None:
        async def all_of(fleet: Fleet) -> list[Any]:
            jobs = (await fleet.jobs.jobs(JobQuery(), EVERYTHING)).items
            held: list[Any] = [jobs, await fleet.jobs.counts(), await fleet.jobs.oldest_waiting()]
            for job in jobs:
                held.append(await fleet.jobs.result(job.id))
                held.append([replace(e, number=0) for e in await fleet.jobs.feed(job_id=job.id)])
            for host in HOSTS:
                held.append(await fleet.jobs.standing(host.id))
                held.append(await fleet.jobs.outgoing(host.id, 0, 1000))
                held.append(await fleet.jobs.queued(host.id))
                held.append(await fleet.jobs.unfinished(host.id))
            held.append([replace(entry, number=0) for entry in await fleet.jobs.feed()])
            ids = [DeploymentId(f"deployment-{number}") for number in range(len(JOBS))]
            held.append(await fleet.jobs.tallies(ids))
            return held

        self.both(all_of)


def _plain(value: Any) -> Any:
    """Equal where both mean the same, whatever kind of sequence or mapping it is."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


def test_they_say_the_same_whatever_is_done(template: Path) -> None:
    SideBySide.template = template
    run_state_machine_as_test(
        SideBySide,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
