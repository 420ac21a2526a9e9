"""A database that the first version made and filled is brought up to date, and nothing in it is lost.

What stands here is what the first version wrote: it is never changed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.storage.database import Database
from application.ports.job_store import JobQuery
from domain.fleet.deployment import Deployment
from domain.fleet.host import (
    AgentReport,
    Credential,
    Enrolment,
    EnrolmentId,
    Host,
    HostId,
    HostName,
)
from domain.fleet.job import (
    DeploymentId,
    FeedEntry,
    FeedKind,
    FleetJob,
    FleetJobState,
    JobResult,
)
from domain.fleet.labels import Labels, Selector
from domain.fleet.link_state import Heard, LinkState, Outgoing, OutgoingKind
from domain.fleet.page import PageRequest
from domain.link_messages import OutputChunk, OutputPosition, StepOutput
from tests.integration.storage.migrating import migrated_to

FIRST = "0001"

HOSTS = [
    {
        "id": "host_1",
        "name": "Web-1",
        "name_key": "web-1",
        "labels": '{"role": "web"}',
        "credential": "key",
        "created_at": 1000.5,
        "public_key": "a2V5",
        "token_hash": None,
        "revoked_at": None,
        "clone_suspected_at": 1007.0,
        "report": '{"protocol": 2, "version": "1.0", "architecture": "x86_64", "hostname": "h\\u0000", '
        '"address": "192.0.2.1", "connected_at": 1001.0, "last_seen_at": 1002.5, '
        '"facts": {"load": 0.5}}',
    },
    {
        "id": "host_2",
        "name": "old",
        "name_key": "old",
        "labels": "{}",
        "credential": "token",
        "created_at": 1001.0,
        "public_key": "",
        "token_hash": "b" * 64,
        "revoked_at": 1005.0,
        "clone_suspected_at": None,
        "report": None,
    },
]
JOB = {
    "place": 5,
    "id": "job_1",
    "host_id": "host_1",
    "kind": "DEPLOY_COMPOSE",
    "project": "Blog",
    "project_key": "blog",
    "state": "failed",
    "created_at": 1010.0,
    "requested_by": "Jos\\u00e9",
    "deployment_id": "dep_1",
    "deployment": 3,
    "expires_at": 2000.0,
    "deadline_s": 60.5,
    "generation": 4,
    "seq": 7,
    "sent_at": 1011.0,
    "accepted_at": 1012.0,
    "started_at": 1013.0,
    "finished_at": 1014.0,
    "cancel_requested_at": None,
    "reason": "unhealthy",
    "error": "it said \\u0000",
    "superseded_by": "",
    "payload": 4,
    "awaits_result": False,
    "seen_step": "up",
    "seen_attempt": 1,
    "seen_offset": 6,
}
RUNNING = JOB | {
    "place": 6,
    "id": "job_2",
    "state": "running",
    "seq": 8,
    "finished_at": None,
    "reason": "",
    "error": "",
}
NO_OUTPUT = {"step": "", "attempt": 0, "begins_at": 0, "content": b""}
ROWS: list[tuple[str, dict[str, object]]] = [
    ("book", {"one": 1, "epoch": "first-epoch", "next_number": 50, "commits": 9}),
    *(("hosts", host) for host in HOSTS),
    ("host_labels", {"host_id": "host_1", "key": "role", "value": "web"}),
    (
        "enrolments",
        {
            "place": 2,
            "id": "enr_1",
            "name": "Web-1",
            "name_key": "web-1",
            "labels": '{"role": "web"}',
            "token_hash": "c" * 64,
            "created_at": 999.0,
            "expires_at": 1599.0,
            "created_by": "administrator",
            "used_at": 1000.5,
            "host_id": "host_1",
            "is_withdrawn": False,
        },
    ),
    (
        "deployments",
        {
            "place": 3,
            "id": "dep_1",
            "project": "Blog",
            "project_key": "blog",
            "selector": '{"hosts": [], "labels": {"role": "web"}}',
            "digest": "d" * 64,
            "created_at": 1010.0,
            "requested_by": "Jos\\u00e9",
            "redeploy_of": None,
            "summary": '{"compose_bytes": 12}',
        },
    ),
    ("payloads", {"place": 4, "sealed": b"\x00sealed"}),
    ("jobs", JOB),
    ("jobs", RUNNING),
    (
        "results",
        {
            "job": 5,
            "logs": "printed\\n",
            "error": "it said \\u0000",
            "data": '{"reason": "unhealthy"}',
            "output": '[["up", 1, 3, 6, "'
            + "e" * 64
            + '", false], ["wait", 1, null, 0, "", true]]',
        },
    ),
    ("printed", {"job": 6, "step": "up", "attempt": 1, "ends_at": 6}),
    (
        "feed",
        {"number": 7, "job": 5, "deployment": 3, "at": 1014.0, "kind": "state", "state": "failed"}
        | NO_OUTPUT,
    ),
    (
        "feed",
        {
            "number": 8,
            "job": 5,
            "deployment": 3,
            "at": 1013.5,
            "kind": "output",
            "state": None,
            "step": "up",
            "attempt": 1,
            "begins_at": 0,
            "content": b"\xff12345",
        },
    ),
    (
        "links",
        {
            "host_id": "host_1",
            "agent_epoch": "agent-epoch",
            "heard": 3,
            "next_seq": 10,
            "confirmed": 7,
        },
    ),
    ("outgoing", {"host_id": "host_1", "seq": 8, "kind": "command", "job": 6}),
    ("outgoing", {"host_id": "host_1", "seq": 9, "kind": "cancel", "job": 6}),
    ("generations", {"host_id": "host_1", "project_key": "blog", "highest": 4}),
    (
        "remembered",
        {"principal": "tok_1", "key": "k", "digest": "f" * 64, "answer": "{}", "at": 1010.0},
    ),
    (
        "access_tokens",
        {"id": "tok_1", "name": "administrator", "token_hash": "9" * 64, "created_at": 990.0},
    ),
]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/fleet.db"
    return str(request.getfixturevalue("bare_postgres_url"))


async def test_what_the_first_version_wrote_is_read_and_gone_on_with(url: str) -> None:
    await migrated_to(url, FIRST, ROWS)
    async with Database.opened(url) as fleet:
        await _hosts_are_there(fleet)
        await _jobs_are_there(fleet)
        await _numbers_go_on(fleet)
    async with Database.opened(url) as fleet:
        await _hosts_are_there(fleet)


async def _hosts_are_there(fleet: Database) -> None:
    report = AgentReport(2, "1.0", "x86_64", "h\0", "192.0.2.1", 1001.0, 1002.5, {"load": 0.5})
    labels = Labels.of({"role": "web"})
    host = Host(
        HostId("host_1"),
        HostName("Web-1"),
        labels,
        Credential.KEY,
        1000.5,
        "a2V5",
        None,
        1007.0,
        report,
    )
    assert await fleet.hosts.named("WEB-1") == host
    assert (await fleet.hosts.hosts(PageRequest(), labels)).items == [host]
    revoked = await fleet.hosts.with_token("b" * 64)
    assert revoked is not None
    assert (revoked.id, revoked.revoked_at) == ("host_2", 1005.0)
    assert (await fleet.hosts.enrolments(PageRequest())).items == [
        Enrolment(
            EnrolmentId("enr_1"),
            HostName("Web-1"),
            labels,
            999.0,
            1599.0,
            "administrator",
            1000.5,
            HostId("host_1"),
        )
    ]
    known = await fleet.people.token_with("9" * 64)
    assert known is not None
    assert (known.token.id, known.token.name, known.token.created_at) == (
        "tok_1",
        "administrator",
        990.0,
    )
    assert known.user.is_administrator
    assert known.user.name.value == "administrator"
    assert await fleet.people.is_set_up()


async def _jobs_are_there(fleet: Database) -> None:
    job = FleetJob(
        id="job_1",
        host_id=HostId("host_1"),
        kind="DEPLOY_COMPOSE",
        project="Blog",
        state=FleetJobState.FAILED,
        created_at=1010.0,
        requested_by="José",
        deployment_id=DeploymentId("dep_1"),
        expires_at=2000.0,
        deadline_s=60.5,
        generation=4,
        seq=7,
        sent_at=1011.0,
        accepted_at=1012.0,
        started_at=1013.0,
        finished_at=1014.0,
        reason="unhealthy",
        error="it said \0",
    )
    assert await fleet.jobs.job("job_1") == job
    assert (await fleet.jobs.jobs(JobQuery(project="blog"), PageRequest(1))).next == "6"
    assert await fleet.jobs.result("job_1") == JobResult(
        "printed\n",
        "it said \0",
        {"reason": "unhealthy"},
        (
            StepOutput("up", 1, 3, 6, "e" * 64, truncated=False),
            StepOutput("wait", 1, None, 0, "", truncated=True),
        ),
    )
    assert await fleet.jobs.payload("job_1") == b"\x00sealed"
    assert await fleet.jobs.deployment(DeploymentId("dep_1")) == Deployment(
        id=DeploymentId("dep_1"),
        project="Blog",
        selector=Selector(labels=Labels.of({"role": "web"})),
        digest="d" * 64,
        created_at=1010.0,
        requested_by="José",
        summary={"compose_bytes": 12},
    )
    assert list(await fleet.jobs.feed(deployment_id=DeploymentId("dep_1"))) == [
        FeedEntry(7, "job_1", 1014.0, FeedKind.STATE, FleetJobState.FAILED),
        FeedEntry(8, "job_1", 1013.5, FeedKind.OUTPUT, None, "up", 1, 0, b"\xff12345"),
    ]


async def _numbers_go_on(fleet: Database) -> None:
    host = HostId("host_1")
    assert fleet.jobs.epoch == "first-epoch"
    assert (await fleet.jobs.standing(host)).link == LinkState(host, "agent-epoch", 3, 10, 7)
    assert list(await fleet.jobs.outgoing(host, 0, 9)) == [
        Outgoing(8, OutgoingKind.COMMAND, "job_2", 4, 60.5, "DEPLOY_COMPOSE", "dep_1"),
        Outgoing(9, OutgoingKind.CANCEL, "job_2"),
    ]
    more = OutputChunk("job_2", OutputPosition("up", 1, 4), b"4567")
    recorded = await fleet.jobs.record(Heard(host, 1020.0, (more,)))
    assert recorded.output_seen == {"job_2": OutputPosition("up", 1, 8)}
    (entry,) = await fleet.jobs.feed(job_id="job_2")
    assert (entry.offset, entry.content) == (6, b"67")
    assert entry.number >= 50
