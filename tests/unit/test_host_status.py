"""What status says, whatever of the host is down or may not be read."""

from __future__ import annotations

import asyncio
import json

import pytest

from application.inspecting.status import HostStatus, StatusReport
from application.ports.machine import Kept
from domain.deploy_options import PLAINLY
from domain.engine_state import FoundContainer
from domain.errors import InvalidInput
from domain.installation import Layout, UnitActivity, UnitState
from domain.job import JobState
from domain.policy import STRICT, Policy
from domain.project import ProjectName
from domain.records import JobAccepted, JobFinished, Moment, StepStarting
from domain.revision import ProjectHistory, Revision, RevisionState
from entrypoints.agent.commands.status import document_of, lines_of
from tests.builders import deploy, status, stop
from tests.fakes.clock import FakeClock
from tests.fakes.inspection import FakeAgentRecords, FakeMachineFacts, at_once
from tests.fakes.local_machine import FakeLocalMachine
from tests.fakes.machine import FakeMachine

AT = Layout()
BLOG, SHOP = ProjectName("Blog"), ProjectName("shop")
GOOD = Revision(3, "digest", "job-1", 0.0, PLAINLY, RevisionState.GOOD)


class Bench:
    def __init__(self) -> None:
        self.host = FakeMachine()
        self.machine = FakeLocalMachine()
        self.machine.paths[AT.unit] = Kept(0o644, "root", b"[Unit]\n")
        release = f"{AT.releases}/1.0.0-abc"
        self.machine.paths[AT.current] = Kept(0o777, "root", target=release)
        self.machine.running = UnitState(UnitActivity.ACTIVE, main_pid=4711, restarts=1)
        self.machine.statuses = ["Connected: since 2026-01-31T12:00:00Z, over protocol v2"]
        self.records = FakeAgentRecords()
        self.clock = FakeClock()
        self.policy: Policy | InvalidInput = STRICT

    def deployed(self) -> None:
        """Two projects: one that runs and one that was stopped, and their jobs."""
        self.records.names = [BLOG, SHOP]
        self.records.kept = {
            "blog": ProjectHistory(BLOG, (GOOD,), 3),
            "shop": ProjectHistory(SHOP, (GOOD,), None),
        }
        for record in (
            JobAccepted("job-1", deploy("Blog"), "d", Moment("boot-1", 900.0), project="blog"),
            JobFinished("job-1", JobState.SUCCEEDED, "", "", {}, 1_769_860_800.0),
            JobAccepted("job-2", status(), "d", Moment("boot-1", 950.0)),
            JobAccepted("job-4", status(), "d", Moment("boot-1", 950.0)),
            JobFinished("job-4", JobState.SUCCEEDED, "", "", {}, 1_769_860_800.0),
            JobAccepted("job-3", stop("shop"), "d", Moment("boot-1", 990.0), project="shop"),
            StepStarting("job-3", "stop", 1, "token", "boot-1"),
        ):
            self.records.book.apply(record)
        self.records.commands = {"job-1": "DEPLOY_COMPOSE", "job-3": "STOP_COMPOSE"}
        self.host.state.put(
            "blog",
            FoundContainer(id="1", name="blog-web-1", service="web", state="running"),
            FoundContainer(id="2", name="blog-job-1", service="job", state="exited"),
        )

    def _load(self) -> Policy:
        if isinstance(self.policy, InvalidInput):
            raise self.policy
        return self.policy

    async def report(self) -> HostStatus:
        return await StatusReport(
            version="1.0.0",
            control_plane="wss://cp.example/ws",
            machine=self.machine,
            records=self.records,
            facts=FakeMachineFacts(),
            engine=self.host.engine,
            engine_state=self.host.state,
            runtime=self.host.runtime,
            policy=self._load,
            disks={"state": "/state"},
            clock=self.clock,
            aside=at_once,
        )()


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_host_that_is_well_says_everything(bench: Bench) -> None:
    bench.deployed()
    found = await bench.report()
    assert found.unsaid == {}
    assert lines_of(found) == [
        "agent           active, restarts: 1, not started at boot",
        "link            Connected: since 2026-01-31T12:00:00Z, over protocol v2",
        "version         1.0.0 in /opt/instadeploy/releases/1.0.0-abc",
        "control plane   wss://cp.example/ws",
        "host id         host_1",
        "policy          strict",
        f"engine          20.10.24, Compose {found.compose}",
        "disk: state     100 GB free of 200 GB",
        "",
        "PROJECT  REVISION  STATE    CONTAINERS",
        "Blog     3         good     1 of 2 running",
        "shop     -         stopped  0 of 0 running",
        "",
        "RUNNING JOB  COMMAND       PROJECT  STATE    FOR",
        "job-3        STOP_COMPOSE  shop     running  10 s",
        "",
        "LAST JOB  COMMAND         PROJECT  STATE      WHEN                  WHY",
        "job-1     DEPLOY_COMPOSE  blog     succeeded  2026-01-31 12:00:00Z",
    ]


async def test_what_is_printed_for_programs_is_json_with_the_documented_keys(bench: Bench) -> None:
    bench.deployed()
    document = json.loads(json.dumps(document_of(await bench.report())))
    assert document["link"].startswith("Connected: since")
    assert document["unit"]["activity"] == "active"
    assert document["projects"][0] == {
        "name": "Blog", "revision": 3, "state": "good", "running": 1, "total": 2,
    }  # fmt: skip
    assert [one["id"] for one in document["running"]] == ["job-3"]
    assert [one["id"] for one in document["jobs"]] == ["job-1"]
    assert document["disks"]["state"]["free_bytes"] == 100 * 1000**3
    assert document["unsaid"] == {}


async def test_a_stopped_agent_is_said_and_all_else_too(bench: Bench) -> None:
    bench.deployed()
    bench.machine.running = UnitState(UnitActivity.INACTIVE)
    bench.records.pid = None
    found = await bench.report()
    assert lines_of(found)[0].startswith("agent           inactive")
    assert [one.name for one in found.projects] == ["Blog", "shop"]


async def test_an_agent_without_a_unit_is_known_by_its_lock(bench: Bench) -> None:
    bench.machine.paths.clear()
    assert (await lines(bench))[0] == (
        "agent           runs as process 4711, without a unit of systemd's"
    )
    bench.records.pid = None
    assert (await lines(bench))[0] == "agent           does not run"


async def lines(bench: Bench) -> list[str]:
    return lines_of(await bench.report())


async def test_an_engine_that_is_down_hides_nothing_else(bench: Bench) -> None:
    bench.deployed()
    bench.host.lose_engine()
    found = await bench.report()
    assert found.engine is None
    assert [(one.revision, one.running) for one in found.projects] == [(3, None), (None, None)]
    assert set(found.unsaid) == {"engine", "containers"}
    assert "Blog     3         good     not known" in lines_of(found)


async def test_an_engine_that_hangs_is_left_when_its_time_is_over(bench: Bench) -> None:
    bench.host.engine.answers.clear()
    bench.host.state.answers.clear()
    asking = asyncio.create_task(bench.report())
    await bench.clock.advance(5.1)
    found = await asking
    assert found.unsaid["engine"] == found.unsaid["containers"] == "no answer within 5 s"
    assert found.host_id == "host_1"


async def test_who_may_not_read_the_state_is_told_so(bench: Bench) -> None:
    bench.deployed()
    bench.records.may_read = False
    found = await bench.report()
    assert set(found.unsaid) == {"process", "host id", "revisions", "jobs"}
    printed = lines_of(found)
    assert "host id         not known" in printed
    assert printed[-1].endswith("run it with sudo to see all.")
    assert [(one.name, one.running) for one in found.projects] == [("Blog", 1), ("shop", 0)]


async def test_a_policy_that_is_refused_is_said(bench: Bench) -> None:
    bench.policy = InvalidInput("AGENT_POLICY_FILE", "it can be written by others")
    found = await bench.report()
    assert found.unsaid == {"policy": "AGENT_POLICY_FILE: it can be written by others"}


async def test_a_part_that_breaks_is_said_and_the_others_are_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.deployed()

    def breaks(*_: object) -> None:
        raise ValueError("with a s3cr3t in it")

    async def breaks_later(*_: object) -> None:
        breaks()

    monkeypatch.setattr(bench.machine, "unit", breaks)
    monkeypatch.setattr(bench.records, "histories", breaks)
    monkeypatch.setattr(bench.host.runtime, "version", breaks_later)
    # What comes after the answer can break as well.
    monkeypatch.setattr(StatusReport, "_shown", breaks)
    found = await bench.report()
    why = "looking itself broke: ValueError"
    assert found.unsaid == dict.fromkeys(["unit", "revisions", "Compose", "jobs"], why)
    assert [one.name for one in found.projects] == ["Blog", "shop"]
    assert "s3cr3t" not in "".join(lines_of(found))


async def test_a_history_that_is_damaged_is_said_and_left(bench: Bench) -> None:
    bench.records.names = [BLOG]
    bench.records.kept = {"blog": None}
    (project,) = (await bench.report()).projects
    assert project.state == "history is damaged"


async def test_a_job_of_another_boot_has_no_age(bench: Bench) -> None:
    accepted = JobAccepted("job-9", stop("shop"), "d", Moment("boot-0", 990.0), project="shop")
    bench.records.book.apply(accepted)
    (job,) = (await bench.report()).running
    assert job.open_for_s is None
    assert job.state == "accepted"


async def test_the_last_ten_jobs_are_told_the_newest_first(bench: Bench) -> None:
    for number in range(12):
        job = f"job-{number}"
        bench.records.book.apply(JobAccepted(job, None, "d", Moment("boot-1", 1.0), project="blog"))
        bench.records.book.apply(JobFinished(job, JobState.FAILED, "", "it broke\x1b[2J", {}, 1.0))
    found = await bench.report()
    assert [one.id for one in found.jobs] == [f"job-{one}" for one in range(11, 1, -1)]
    assert found.jobs[0].error == "it broke[2J"
    assert found.jobs[0].project == "blog"
