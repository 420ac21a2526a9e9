"""Session and journal against a small control plane, in any order of all that can happen to both.

Between them are messages as the wire would carry them. R1 to R8 are docs/reliability.md's.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from domain.commands import Command, DeployCompose, StopCompose, project_of
from domain.job import JobState
from domain.link_messages import (
    Accept,
    Acknowledge,
    CommandMessage,
    Heard,
    Heartbeat,
    Reject,
    Result,
    Said,
)
from domain.project import ComposeFile, ProjectName
from tests.builders import status
from tests.simulation.database import Database
from tests.simulation.orders import Submission
from tests.simulation.peer_link import PeerLink
from tests.unit.pure_agent import ATTEMPTS, Host, PureAgent

PROJECTS = [ProjectName("blog"), ProjectName("Shop")]
WISHES = ["cancel", "the same again", "another under its id", "what is stale"]
MAY_GO_ASTRAY = (CommandMessage, Accept, Reject, Result, Acknowledge, Heartbeat)
SETTLING_ROUNDS = 200
FAULTS = ["link", "control plane", "agent", "journal", "database"]

places = st.integers(0, 3)


class SessionModel(RuleBasedStateMachine):
    """`down` and `up` are what is under way on the one link that is up at a time."""

    @initialize()
    def begin(self) -> None:
        self.now = 1000.0
        self.host = Host()
        self.agent = PureAgent(self.host)
        self.database = Database("peer-0")
        self.peer: PeerLink | None = None
        self.down: list[Heard] = []
        self.up: list[Said] = []
        self.heard_at = {"agent": self.now, "peer": self.now}
        self.backups: list[Database] = []
        self.submitted: list[Submission] = []
        self.ends: dict[str, JobState] = {}
        self.epochs = 0
        self.generation = 0

    # What operators do.

    @rule(project=st.sampled_from(PROJECTS), kind=st.integers(0, 4), ordered=st.booleans())
    def submit(self, project: ProjectName, kind: int, ordered: bool) -> None:
        kinds: list[Command] = [
            DeployCompose(project, ComposeFile(b"#")),
            DeployCompose(project, ComposeFile(b"##")),
            DeployCompose(project, ComposeFile(b"###")),
            StopCompose(project),
            status(project.value),
        ]
        self.generation += ordered
        job_id = f"job-{len(self.submitted) + 1}"
        self._submit(job_id, kinds[kind], self.generation if ordered else None)

    @precondition(lambda self: self.submitted)
    @rule(what=st.sampled_from(WISHES), data=st.data())
    def want_something_about_a_job(self, what: str, data: st.DataObject) -> None:
        first = data.draw(st.sampled_from(self.submitted))
        project = project_of(first.command)
        assert project is not None
        match what:
            case "cancel":
                self.database.cancel(first.job_id)
            case "the same again":
                self._submit(first.job_id, first.command, first.generation)
            case "another under its id":
                other: Command = DeployCompose(project, ComposeFile(b"# another"))
                if _is_read(first.command):  # Its id is free again once it is answered.
                    other = status("another")
                self._submit(first.job_id, other, first.generation)
            case "what is stale":
                job_id = f"job-{len(self.submitted) + 1}"
                self._submit(job_id, StopCompose(project), max(self.generation, 1))

    def _submit(self, job_id: str, command: Command, generation: int | None) -> None:
        wish = Submission(len(self.submitted) + 1, job_id, command, generation)
        self.submitted.append(wish)
        self.database.submit(wish)

    # What the link does.

    @precondition(lambda self: self.peer is None)
    @rule(completely=st.booleans())
    def connect(self, completely: bool) -> None:
        self.agent.connect(self.now)
        self.peer = PeerLink(self.database, self.now)
        self.heard_at = dict.fromkeys(self.heard_at, self.now)
        for _ in range(3 if completely else 0):
            self.both_say_what_they_have_to_say()
            self.deliver_down(0)
            self.both_say_what_they_have_to_say()
            self.deliver_up(0)

    @precondition(lambda self: self.down)
    @rule(count=places)
    def deliver_down(self, count: int) -> None:
        for _ in range(min(count + 1, len(self.down))):
            if self.agent.session is not None:
                self.heard_at["agent"] = self.now
                self.agent.hear(self.down.pop(0), self.now)

    @precondition(lambda self: self.up)
    @rule(count=places)
    def deliver_up(self, count: int) -> None:
        for _ in range(min(count + 1, len(self.up))):
            if self.peer is not None:
                self.heard_at["peer"] = self.now
                self.peer.hear(self.up.pop(0), self.now)

    @precondition(lambda self: self.up or self.down)
    @rule(what=st.sampled_from(["duplicate", "swap", "lose"]), down=st.booleans(), place=places)
    def frames_go_astray(self, what: str, down: bool, place: int) -> None:
        frames: list[Any] = self.down if down else self.up
        some = frames[place : place + (2 if what == "swap" else 1)]
        if not some or not all(isinstance(each, MAY_GO_ASTRAY) for each in some):
            return
        match what:
            case "duplicate":
                frames.insert(place, some[0])
            case "swap":
                frames[place : place + 2] = reversed(some)
            case "lose":
                del frames[place]

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 15.0, 15.0, 41.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds
        self.agent.tick(self.now, self.now - self.heard_at["agent"])
        if self.peer is not None:
            self.peer.tick(self.now, self.now - self.heard_at["peer"])

    @rule(rounds=st.integers(1, 3), place=places)
    def all_goes_well_for_a_while(self, rounds: int, place: int) -> None:
        if self.peer is None:
            self.connect(completely=True)
        for _ in range(rounds):
            self.deliver_down(3)
            self.agent.write(place)
            self.both_say_what_they_have_to_say()
            self.deliver_up(3)
            if self.peer is not None:
                self.peer.commit()
            self.both_say_what_they_have_to_say()

    # What the two sides do.

    @rule(place=places)
    def agent_writes(self, place: int) -> None:
        self.agent.write(place)

    @precondition(lambda self: self.peer is not None)
    @rule()
    def control_plane_commits(self) -> None:
        if self.peer is not None:
            self.peer.commit()

    @rule(what=st.sampled_from(["compact", "prune", "back up"]))
    def one_side_tidies_up(self, what: str) -> None:
        match what:
            case "compact":
                self.agent.compact(self.now)
            case "prune":
                self.database.prune_below = self.database.seen + 1
            case "back up":
                self.backups.append(self.database.copy())

    @rule(kind=st.sampled_from(FAULTS), data=st.data())
    def something_breaks(self, kind: str, data: st.DataObject) -> None:
        match kind:
            case "link":
                self.agent.disconnect()
            case "agent":
                self.agent.crash()
            case "journal":
                self.agent.lose_memory()
            case "database" if self.backups:
                self.epochs += 1
                backup = data.draw(st.sampled_from(self.backups))
                self.database = backup.restored(f"peer-{self.epochs}")
        self.peer = None  # A control plane that crashes loses this, and nothing else.

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
    def both_say_what_they_have_to_say(self) -> None:
        """Not a promise: nothing that can be said waits for a step of its own."""
        if self.peer is not None and self.peer.is_over:
            self.peer = None
        if self.peer is None or self.agent.session is None:
            self.agent.disconnect()
            self.peer, self.down, self.up = None, [], []
            return
        self.up.extend(self.agent.said(self.now))
        while (message := self.peer.next_message(self.now)) is not None:
            self.down.append(message)

    @invariant()
    def r3_r6_a_result_is_the_only_one(self) -> None:
        for job_id, order in self.database.orders.items():
            if order.changes and order.end is not None:
                assert self.ends.setdefault(job_id, order.end) is order.end

    @invariant()
    def r4_r5_nothing_starts_twice(self) -> None:
        reads = {job.job_id for job in self.agent.accepted if _is_read(job.command)}
        starts = Counter(start for start in self.host.starts if start[0] not in reads)
        assert max(starts.values(), default=0) <= 1
        assert all(attempt <= ATTEMPTS for _, attempt in self.host.starts)
        taken = [job.job_id for job in self.agent.accepted if not _is_read(job.command)]
        assert len(taken) == len(set(taken))

    @invariant()
    def r7_one_at_a_time_in_the_order_accepted(self) -> None:
        assert self.host.overlaps == 0
        order = [job.job_id for job in self.agent.accepted]
        for project in PROJECTS:
            mine = {
                job.job_id
                for job in self.agent.accepted
                if job.command is not None
                and project_of(job.command) == project
                and not _is_read(job.command)
            }
            begun = [order.index(job_id) for job_id, _ in self.host.starts if job_id in mine]
            assert begun == sorted(begun)

    @invariant()
    def r8_generations_rise(self) -> None:
        highest: dict[str, int] = {}
        for job in self.agent.accepted:
            project = project_of(job.command) if job.command is not None else None
            if job.generation is not None and project is not None:
                assert job.generation > highest.get(project.compose_name, 0)
                highest[project.compose_name] = job.generation

    def teardown(self) -> None:
        """R1, R2: once nothing goes wrong any more, everything comes to its end, and is known."""
        if not hasattr(self, "agent"):
            return
        for _ in range(SETTLING_ROUNDS):
            if self._is_settled():
                break
            self._go_on()
        else:
            raise AssertionError("it does not come to rest")
        assert not list(self.agent.ledger.undelivered())
        for order in self.database.orders.values():
            assert order.is_settled
            if order.accepted is None or not order.changes:
                continue
            known = self.agent.ledger.jobs.get(order.job_id)
            if known is None:
                assert self.agent.tombstones[order.job_id].state is order.end
            else:
                assert known.state is order.end
                assert order.results

    def _go_on(self) -> None:
        if self.peer is None:
            self.connect(completely=False)
        self.both_say_what_they_have_to_say()
        self.deliver_down(99)
        self.both_say_what_they_have_to_say()
        for _ in range(len(self.agent.queue) + 1):
            self.agent.write()
        for project in self.agent.projects():
            self.agent.begin(project)
        for project in list(self.host.running):
            self.agent.exit(project, 0)
        self.both_say_what_they_have_to_say()
        self.deliver_up(99)
        if self.peer is not None:
            self.peer.commit()
        self.let_time_pass(5.0)
        self.both_say_what_they_have_to_say()

    def _is_settled(self) -> bool:
        return (
            self.peer is not None
            and self.peer.is_open
            and not self.peer.has_uncommitted
            and not (self.up or self.down or self.agent.ledger.notices)
            and self.agent.is_settled
            and not self.agent.projects()
            and self.database.taken == len(self.database.outgoing)
        )


def _is_read(command: Command | None) -> bool:
    return command is not None and not isinstance(command, DeployCompose | StopCompose)


TestSessionModel = SessionModel.TestCase
TestSessionModel.settings = settings(
    max_examples=100, stateful_step_count=60, deadline=None, database=None
)
