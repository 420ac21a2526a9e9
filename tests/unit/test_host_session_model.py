"""The control plane's end of links against the agent's, in any order of all that can happen to both.

The control plane is all of it but sockets and the API, on a database in memory; the agent is its
session and its journal. Between them are messages as the wire has them, on one link at a time, which
loses, repeats, swaps and cuts. R1 to R8 are docs/reliability.md's.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections import Counter
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adapters.wire.codec_v2 import decode_said, decode_v2, encode_heard, encode_v2
from adapters.wire.command_frames import encode_command
from application.ports.agent_link import CommandFrame, LetIn, LinkOwner, UpgradeRequest
from domain.commands import (
    CHANGING_KINDS,
    Command,
    DeployCompose,
    RestartCompose,
    StopCompose,
    project_of,
)
from domain.fleet.host import Host as FleetHost
from domain.fleet.host_effects import LinkEnd
from domain.fleet.job import FeedKind, FleetJob, FleetJobState, is_over
from domain.link_messages import (
    Accept,
    Acknowledge,
    CancelMessage,
    CommandMessage,
    Heard,
    Heartbeat,
    Reject,
    Result,
    Said,
)
from domain.project import ComposeFile, ProjectName
from tests.builders import status
from tests.fakes.clock import FakeClock
from tests.fakes.fleet_state import FleetState
from tests.fakes.fleet_store import FakeFleet
from tests.support.fleet_program import TOKEN, FleetProgram
from tests.unit.pure_agent import ATTEMPTS, Host, PureAgent

T = TypeVar("T")

PROJECTS = [ProjectName("blog"), ProjectName("Shop")]
MAY_GO_ASTRAY = (
    CommandMessage,
    CancelMessage,
    Accept,
    Reject,
    Result,
    Acknowledge,
    Heartbeat,
)
SETTLING_ROUNDS = 300
FAULTS = ["link", "link", "control plane", "agent", "journal", "database"]
LONG = 10_000
TURNS = [0, 0, 1, 2, 3, 5, 8, LONG]
"""How far the control plane comes with what it is at, before something else happens."""

places = st.integers(0, 3)


class ModelLink:
    """An `AgentLink` whose other end is a list; what went over the wire is what is in it."""

    def __init__(self, clock: FakeClock) -> None:
        self.down: list[Heard] = []
        self.closed: LinkEnd | None = None
        self.is_writable = True
        self.heard_at = clock.monotonic()
        self._clock = clock

    @property
    def silence_s(self) -> float:
        return self._clock.monotonic() - self.heard_at

    def say(self, message: Heard) -> None:
        if self.closed is None:
            again = decode_v2(encode_heard(message))
            assert again == message
            self.down.append(again)

    def command(self, frame: CommandFrame) -> int:
        text = encode_command(frame, 2)
        if self.closed is None:
            self.down.append(decode_v2(text))
        return len(text)

    def ping(self) -> None: ...

    def hold_pongs(self) -> None: ...

    def release_pongs(self) -> None: ...

    def pause_hearing(self) -> None: ...

    def resume_hearing(self) -> None: ...

    def close(self, end: LinkEnd, reason: str) -> None:
        self.closed = self.closed or end


class LinkModel(RuleBasedStateMachine):
    """`down` and `up` are what is under way on the one link that is up at a time."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.state = FleetState()
        self.host = Host()
        self.agent = PureAgent(self.host)
        self.link: ModelLink | None = None
        self.owner: LinkOwner | None = None
        self.up: list[Said] = []
        self.heard_at = 0.0
        self.backups: list[FleetState] = []
        self.ends: dict[str, FleetJobState] = {}
        self.submitted = 0
        self.epochs = 1
        self._start()
        self.fleet_host: FleetHost = self.do(self.program.add_host())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @contextlib.contextmanager
    def _within_the_loop(self) -> Iterator[None]:
        """What is called is called as by the loop, which goes no turn further for it."""
        asyncio._set_running_loop(self.loop)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def _start(self) -> None:
        """The control plane starts, on the database that is there."""
        self.program = FleetProgram(self.clock, FakeFleet(self.state))
        self.running = self.program.running()
        self.do(self.running.__aenter__())

    def _stop(self) -> None:
        """It is killed: what is not written by now never is."""
        self._cut()
        self.do(self.running.__aexit__(None, None, None))

    # What operators do.

    @rule(
        kinds=st.lists(
            st.tuples(st.sampled_from(PROJECTS), st.integers(0, 4)), min_size=1, max_size=4
        )
    )
    def submit(self, kinds: list[tuple[ProjectName, int]]) -> None:
        for project, kind in kinds:
            self._submit(project, kind)

    def _submit(self, project: ProjectName, kind: int) -> None:
        kinds: list[Command] = [
            DeployCompose(project, ComposeFile(b"#")),
            DeployCompose(project, ComposeFile(b"##")),
            StopCompose(project),
            RestartCompose(project),
            status(project.value),
        ]
        self.submitted += 1
        # Ids are never used again, whatever backup is restored.
        self.program.randomness.new_id = lambda prefix: f"{prefix}-{self.submitted}"  # type: ignore[method-assign]
        self.do(self.program.submit(self.fleet_host, kinds[kind]))

    @precondition(lambda self: self._sent())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(self._sent()))
        self.do(self.program.cancel(self.state.jobs[job_id].job))

    def _sent(self) -> list[str]:
        jobs = [kept.job for kept in self.state.jobs.values()]
        return [job.id for job in jobs if job.sent_at is not None]

    # What the link does.

    @precondition(lambda self: self.link is None)
    @rule(completely=st.booleans())
    def connect(self, completely: bool) -> None:
        self.agent.connect(self.clock.monotonic())
        self.heard_at = self.clock.monotonic()
        self.link = ModelLink(self.clock)
        request = UpgradeRequest(2, "192.0.2.1", TOKEN)
        let_in = self.do(self.program.reception.admit(request))
        assert isinstance(let_in, LetIn)
        with self._within_the_loop():
            self.owner = self.program.reception.attend(self.link, request, let_in)
        for _ in range(3 if completely else 0):
            self.deliver_down(9)
            self.agent_says_what_it_has_to_say()
            self.deliver_up(9)
            self.control_plane_works(LONG)

    @precondition(lambda self: self.link is not None and self.link.down)
    @rule(count=places)
    def deliver_down(self, count: int) -> None:
        for _ in range(count + 1):
            if self.link is not None and self.link.down and self.agent.session is not None:
                self.heard_at = self.clock.monotonic()
                self.agent.hear(self.link.down.pop(0), self.clock.monotonic())

    @precondition(lambda self: self.up)
    @rule(count=places)
    def deliver_up(self, count: int) -> None:
        for _ in range(count + 1):
            if self.owner is not None and self.link is not None and self.up:
                self.link.heard_at = self.clock.monotonic()
                text = encode_v2(self.up.pop(0))
                with self._within_the_loop():
                    self.owner.heard(decode_said(text), len(text))

    @precondition(lambda self: self.up or (self.link is not None and self.link.down))
    @rule(what=st.sampled_from(["repeat", "swap", "lose"]), down=st.booleans(), place=places)
    def frames_go_astray(self, what: str, down: bool, place: int) -> None:
        assert self.link is not None
        frames: list[Any] = self.link.down if down else self.up
        some = frames[place : place + (2 if what == "swap" else 1)]
        if not some or not all(isinstance(each, MAY_GO_ASTRAY) for each in some):
            return
        match what:
            case "repeat":
                frames.insert(place, some[0])
            case "swap":
                frames[place : place + 2] = reversed(some)
            case "lose":
                del frames[place]

    @precondition(lambda self: self.link is not None)
    @rule(is_writable=st.booleans())
    def agent_reads_slowly(self, is_writable: bool) -> None:
        assert self.link is not None
        assert self.owner is not None
        self.link.is_writable = is_writable
        if is_writable:
            with self._within_the_loop():
                self.owner.writable()

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 15.0, 41.0]))
    def let_time_pass(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.ring_next(end):
            self.control_plane_works(LONG)
        now = self.clock.monotonic()
        self.agent.tick(now, now - self.heard_at)

    @rule(rounds=st.integers(1, 3), place=places, turns=st.sampled_from(TURNS))
    def all_goes_well_for_a_while(self, rounds: int, place: int, turns: int) -> None:
        """But one side may be slower than the other, and be in the middle of something afterwards."""
        self._exchange(rounds, place, turns)

    @precondition(lambda self: self.agent.projects())
    @rule(code=st.sampled_from([0, 1, None]), turns=st.sampled_from(TURNS))
    def jobs_go_on_and_are_told_of(self, code: int | None, turns: int) -> None:
        for project in self.agent.projects():
            self.agent.begin(project)
            self.agent.exit(project, code)
        self._exchange(1, 0, turns)

    def _exchange(self, rounds: int, place: int, turns: int) -> None:
        if self.link is None:
            self.connect(completely=True)
        for _ in range(rounds):
            self.deliver_down(3)
            for _ in range(3):
                self.agent.write(place)
            self.agent_says_what_it_has_to_say()
            self.deliver_up(3)
            self.control_plane_works(turns)

    # What the two sides do.

    @rule(turns=st.integers(1, 12))
    def control_plane_works(self, turns: int) -> None:
        """Go round the event loop so often, or until nothing is left that can be done at once."""
        for _ in range(turns):
            if not self.loop._ready:  # type: ignore[attr-defined]
                break
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        else:
            assert turns < LONG, asyncio.all_tasks(self.loop)

    @rule(place=places)
    def agent_writes(self, place: int) -> None:
        self.agent.write(place)

    @rule(what=st.sampled_from(["compact", "back up"]))
    def one_side_tidies_up(self, what: str) -> None:
        if what == "compact":
            self.agent.compact(self.clock.monotonic())
        else:
            self.backups.append(copy.deepcopy(self.state))

    @rule(kind=st.sampled_from(FAULTS), data=st.data())
    def something_breaks(self, kind: str, data: st.DataObject) -> None:
        match kind:
            case "link":
                self._cut()
            case "agent":
                self._cut()
                self.agent.crash()
            case "journal":
                self._cut()
                self.agent.lose_memory()
            case "control plane":
                self._stop()
                self._start()
            case "database" if self.backups:
                self.restore(data.draw(st.sampled_from(self.backups)))

    def restore(self, backup: FleetState) -> None:
        self._stop()
        # What changes nothing is answered afresh, where it is asked again: how that ended is no promise.
        for job_id in self.ends.keys() & self.state.jobs.keys():
            if self.state.jobs[job_id].job.kind not in CHANGING_KINDS:
                del self.ends[job_id]
        self.state = copy.deepcopy(backup)
        self.epochs += 1
        self.state.renew_epoch(f"epoch-{self.epochs}", self.clock.now().timestamp())
        self._start()

    def _cut(self) -> None:
        """The link is gone; the control plane may notice while it is at something."""
        self.agent.disconnect()
        owner, self.owner, self.link, self.up = self.owner, None, None, []
        if owner is not None:
            with self._within_the_loop():
                owner.ended("the connection was cut", answered=False)

    @precondition(lambda self: self.agent.projects())
    @rule(data=st.data(), code=st.sampled_from([0, 0, 1, None]))
    def job_goes_on(self, data: st.DataObject, code: int | None) -> None:
        """The oldest of a project begins, or what runs there ends."""
        project = data.draw(st.sampled_from(self.agent.projects()))
        if project in self.host.running:
            self.agent.exit(project, code)
        else:
            self.agent.begin(project)

    # What must hold.

    @invariant()
    def agent_says_what_it_has_to_say(self) -> None:
        """Not a promise: nothing that can be said waits for a step of its own."""
        if not hasattr(self, "agent"):
            return
        if self.link is not None and self.link.closed is not None:
            assert self.link.closed is not LinkEnd.BROKEN
            self._cut()
        if self.agent.session is None and self.link is not None:
            self._cut()
        self.up.extend(self.agent.said(self.clock.monotonic()))

    @invariant()
    def nothing_is_acknowledged_before_it_is_durable(self) -> None:
        if not hasattr(self, "fleet_host"):
            return
        ours = self.state.links.get(self.fleet_host.id)
        theirs = self.agent.ledger
        if (
            ours is None
            or ours.agent_epoch != theirs.epoch
            or theirs.peer_epoch != self.state.epoch
        ):
            return
        assert theirs.confirmed <= ours.heard < theirs.next_seq
        assert ours.confirmed <= theirs.heard < ours.next_seq

    @invariant()
    def r3_r6_a_job_ends_once(self) -> None:
        if not hasattr(self, "state"):
            return
        ends = Counter(
            entry.job_id
            for entry in self.state.feed
            if entry.kind is FeedKind.STATE and entry.state is not None and is_over(entry.state)
        )
        assert max(ends.values(), default=0) <= 1
        for kept in self.state.jobs.values():
            # A backup knows of no end that came later; the agent, and nobody else, tells it again.
            if kept.job.is_over and kept.job.accepted_at is not None:
                assert self.ends.setdefault(kept.job.id, kept.job.state) is kept.job.state, (
                    f"{self.ends[kept.job.id]}, and now {kept.job}"
                )

    @invariant()
    def r4_r5_nothing_starts_twice(self) -> None:
        if not hasattr(self, "agent"):
            return
        reads = {job.job_id for job in self.agent.accepted if _is_read(job.command)}
        starts = Counter(start for start in self.host.starts if start[0] not in reads)
        assert max(starts.values(), default=0) <= 1
        assert all(attempt <= ATTEMPTS for _, attempt in self.host.starts)
        taken = [job.job_id for job in self.agent.accepted if not _is_read(job.command)]
        assert len(taken) == len(set(taken))

    @invariant()
    def r8_generations_rise(self) -> None:
        if not hasattr(self, "agent"):
            return
        highest: dict[str, int] = {}
        for job in self.agent.accepted:
            project = project_of(job.command) if job.command is not None else None
            if job.generation is not None and project is not None:
                assert job.generation > highest.get(project.compose_name, 0)
                highest[project.compose_name] = job.generation

    @invariant()
    def r8_no_command_is_carried_out_over_a_newer_one(self) -> None:
        """Also where a backup was restored that knows of the older one only: generations are for that."""
        if not hasattr(self, "agent"):
            return
        newest: dict[str, int] = {}
        for job in self.agent.accepted:
            project = project_of(job.command) if job.command is not None else None
            if job.generation is not None and project is not None:
                assert _order(job.job_id) > newest.get(project.compose_name, 0)
                newest[project.compose_name] = _order(job.job_id)

    def teardown(self) -> None:
        """R1, R2: once nothing goes wrong any more, everything comes to its end, and both know it."""
        if not hasattr(self, "fleet_host"):
            return
        try:
            for _ in range(SETTLING_ROUNDS):
                if self._is_settled():
                    break
                self._go_on()
            else:
                raise AssertionError("it does not come to rest")
            self._compare_ledgers()
        finally:
            self._stop()
            self.loop.close()

    def _compare_ledgers(self) -> None:
        assert not list(self.agent.ledger.undelivered())
        for kept in self.state.jobs.values():
            self._compare(kept.job)
        told = {kept.job.id for kept in self.state.jobs.values() if kept.result is not None}
        for job_id in told:
            assert is_over(self.state.jobs[job_id].job.state)

    def _compare(self, job: FleetJob) -> None:
        assert job.is_over, job
        if job.reason == "stale_generation":
            assert self._was_overtaken(job), job
        known = self.agent.ledger.jobs.get(job.id)
        tombstone = self.agent.tombstones.get(job.id)
        if known is not None and known.changes:
            assert FleetJobState.of(known.state) is job.state
            assert self.state.jobs[job.id].result is not None
        elif tombstone is not None:
            assert FleetJobState.of(tombstone.state) is job.state

    def _was_overtaken(self, job: FleetJob) -> bool:
        """R8 has a command refused where its agent has a newer one, and only there.

        So it is where one waits in a backup that was superseded, or canceled, after that was made: its
        agent never got it, and has accepted later ones by the time that it is restored.
        """
        newest = 0
        for other in self.agent.accepted:
            assert other.job_id != job.id
            project = project_of(other.command) if other.command is not None else None
            if project is not None and project.compose_name == (job.project or "").lower():
                newest = max(newest, _order(other.job_id) if other.generation is not None else 0)
        return newest > _order(job.id)

    def _go_on(self) -> None:
        if self.link is None:
            self.connect(completely=False)
        assert self.owner is not None
        assert self.link is not None
        if not self.link.is_writable:
            self.agent_reads_slowly(is_writable=True)
        self.control_plane_works(LONG)
        self.deliver_down(99)
        self.agent_says_what_it_has_to_say()
        for _ in range(len(self.agent.queue) + 1):
            self.agent.write()
        for project in self.agent.projects():
            self.agent.begin(project)
        for project in list(self.host.running):
            self.agent.exit(project, 0)
        self.agent_says_what_it_has_to_say()
        self.deliver_up(99)
        self.control_plane_works(LONG)
        self.let_time_pass(5.0)
        self.agent_says_what_it_has_to_say()

    def _is_settled(self) -> bool:
        return (
            self.link is not None
            and self.program.live.is_online(self.fleet_host.id)
            and not self.up
            and not self.link.down
            and not self.agent.ledger.notices
            and self.agent.is_settled
            and not self.agent.projects()
            and all(kept.job.is_over for kept in self.state.jobs.values())
            and not self.state.outgoing.get(self.fleet_host.id)
        )


def _order(job_id: str) -> int:
    """Where a job stands among all that were asked for, whatever backup was restored in between."""
    return int(job_id.removeprefix("job-"))


def _is_read(command: Command | None) -> bool:
    return command is not None and not isinstance(
        command, DeployCompose | StopCompose | RestartCompose
    )


TestLinkModel = LinkModel.TestCase
TestLinkModel.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None, database=None, print_blob=True
)


# What the model has found, step by step.

BLOG = PROJECTS[0]
DEPLOY, STOP = 0, 2


@contextlib.contextmanager
def both_ends() -> Iterator[LinkModel]:
    """As they are before anything has happened; at the end, everything comes to its end."""
    model = LinkModel()
    model.begin()
    try:
        yield model
    finally:
        model.teardown()


def state_of(model: LinkModel, job_id: str) -> FleetJobState:
    return model.state.jobs[job_id].job.state


def test_a_command_that_was_being_written_when_a_backup_was_restored_makes_no_newer_one_stale() -> (
    None
):
    with both_ends() as model:
        model.all_goes_well_for_a_while(3, 0, LONG)
        model.submit([(BLOG, DEPLOY)])
        model.one_side_tidies_up("back up")
        model.submit([(BLOG, STOP)])
        model.control_plane_works(LONG)
        model.deliver_down(9)
        assert len(model.agent.queue) == 2
        model.restore(model.backups[0])
        model.connect(completely=True)
        model.submit([(BLOG, DEPLOY)])
    assert state_of(model, "job-3") is FleetJobState.SUCCEEDED


def test_what_waits_in_a_backup_and_was_done_since_is_not_superseded() -> None:
    with both_ends() as model:
        model.submit([(BLOG, DEPLOY)])
        model.one_side_tidies_up("back up")
        model.all_goes_well_for_a_while(3, 0, LONG)
        model.jobs_go_on_and_are_told_of(0, LONG)
        assert state_of(model, "job-1") is FleetJobState.SUCCEEDED
        model.restore(model.backups[0])
        model.submit([(BLOG, DEPLOY)])
    assert state_of(model, "job-1") is FleetJobState.SUCCEEDED
    assert model.state.jobs["job-1"].result is not None


def test_what_waits_in_a_backup_and_was_done_since_is_not_canceled() -> None:
    with both_ends() as model:
        model.submit([(BLOG, DEPLOY)])
        model.one_side_tidies_up("back up")
        model.all_goes_well_for_a_while(3, 0, LONG)
        model.jobs_go_on_and_are_told_of(0, LONG)
        model.restore(model.backups[0])
        model.do(model.program.cancel(model.state.jobs["job-1"].job))
    assert state_of(model, "job-1") is FleetJobState.SUCCEEDED


def test_what_waits_in_a_backup_is_not_carried_out_over_what_is_newer() -> None:
    with both_ends() as model:
        model.submit([(BLOG, DEPLOY)])
        model.one_side_tidies_up("back up")
        model.submit([(BLOG, DEPLOY)])
        model.all_goes_well_for_a_while(3, 0, LONG)
        model.jobs_go_on_and_are_told_of(0, LONG)
        assert [job.job_id for job in model.agent.accepted] == ["job-2"]
        model.restore(model.backups[0])
    assert [job.job_id for job in model.agent.accepted] == ["job-2"]
    assert model.state.jobs["job-1"].job.reason == "stale_generation"
