"""What is asked again and again is answered from indexes that hold little, however much ever was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event

from adapters.storage import job_queries, numbering, pruning, standing, submitting
from adapters.storage.database import Database
from adapters.storage.transaction import Numbers, Transaction
from application.ports.job_store import JobQuery
from domain.fleet.access import EVERYWHERE
from domain.fleet.job import DeploymentId, FleetJobState
from domain.fleet.page import PageRequest
from tests.contracts.fleet import NOW, a_host, a_job, a_submission

Ask = Callable[[Transaction], object]

A, B = a_host("a"), a_host("b")
PAGE = PageRequest(5, "9")


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Of a database without statistics, as all of ours are."""
    path = tmp_path_factory.mktemp("plans") / "fleet.db"

    async def make() -> None:
        async with Database.opened(f"sqlite:///{path}"):
            pass

    asyncio.run(make())
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def _plans(connection: Connection, ask: Ask) -> str:
    """How SQLite would answer all that is asked."""
    steps: list[str] = []

    def explain(
        connection: Connection, _: object, statement: str, parameters: Any, *__: object
    ) -> None:
        cursor = connection.connection.cursor()
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        steps.extend(str(row[3]) for row in cursor.fetchall())
        cursor.close()

    event.listen(connection, "before_cursor_execute", explain)
    try:
        ask(Transaction(connection, Numbers(1)))
    finally:
        event.remove(connection, "before_cursor_execute", explain)
        connection.rollback()
    return "\n".join(steps)


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda tx: numbering.number_all(tx, [(A.id, NOW, 9), (B.id, NOW, 9)]), "open_jobs"),
        (lambda tx: job_queries.queued(tx.connection, A.id, 5), "open_jobs"),
        (lambda tx: job_queries.unfinished(tx.connection, A.id), "open_jobs"),
        (lambda tx: submitting.end_all_of(tx, A.id, NOW), "open_jobs"),
        (lambda tx: submitting._supersede(tx, [a_job(1, A)]), "open_jobs"),
        (lambda tx: standing.standings(tx.connection, [A.id, B.id]), "open_jobs"),
        (lambda tx: standing.standings(tx.connection, [A.id, B.id]), "awaited_jobs"),
        (lambda tx: submitting.expire(tx, NOW), "expiring_jobs"),
        (lambda tx: job_queries.oldest_waiting(tx.connection), "waiting_jobs"),
        (lambda tx: pruning.prune(tx, NOW, 10), "prunable_jobs"),
        (lambda tx: job_queries.counts(tx.connection), "COVERING INDEX jobs_by_state"),
        (
            lambda tx: job_queries.feed(tx.connection, "job-1", None, 0, 5, EVERYWHERE),
            "feed_by_job (job=? AND number>?)",
        ),
        (
            lambda tx: job_queries.feed(tx.connection, None, DeploymentId("d"), 0, 5, EVERYWHERE),
            "feed_by_deployment (deployment=? AND number>?)",
        ),
        (
            lambda tx: job_queries.jobs(tx.connection, JobQuery(host_id=A.id), PAGE),
            "jobs_by_host (host_id=? AND place<?)",
        ),
        (
            lambda tx: job_queries.jobs(tx.connection, JobQuery(project="blog"), PAGE),
            "jobs_by_project (project_key=? AND place<?)",
        ),
        (
            lambda tx: job_queries.jobs(
                tx.connection,
                JobQuery(states=frozenset({FleetJobState.FAILED, FleetJobState.CANCELED})),
                PAGE,
            ),
            "jobs_by_state (state=? AND place<?)",
        ),
    ],
)
def test_the_index_that_was_made_for_it_is_used(
    connection: Connection, ask: Ask, index: str
) -> None:
    plan = _plans(connection, ask)
    assert index in plan
    assert "TEMP B-TREE FOR ORDER BY" not in plan or index == "expiring_jobs"
    assert "SCAN jobs\n" not in f"{plan}\n"


def test_no_operation_reads_all_jobs(connection: Connection) -> None:
    def ask(tx: Transaction) -> None:
        submission = a_submission(a_job(1, A))
        with pytest.raises(Exception, match="no host"):
            submitting.submit(tx, submission)

    assert "SCAN" not in _plans(connection, ask)
