"""What the log says of jobs, and what it never does."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from application.agent.handling import Failed
from application.log_context import log_fields
from domain.commands import CheckHealth
from domain.errors import InvalidInput, UnknownCommand
from domain.messages import MalformedMessage, RefusedRequest
from tests.builders import deploy, status, stop
from tests.fakes.clock import settle
from tests.unit.dispatching import Bench

SECRET = "hunter2"


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench().running() as running:
        yield running


async def test_changes_are_news_and_reads_are_not(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="application")
    bench.submit("j1", deploy())
    bench.submit("j2", stop())
    bench.submit("j3", status())
    bench.submit("j4", CheckHealth())
    await settle()
    lines = [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name.startswith("application")
    ]
    assert sorted(lines) == [
        ("DEBUG", "job j3: GetStatus starts"),
        ("DEBUG", "job j3: succeeded"),
        ("DEBUG", "job j4: CheckHealth starts"),
        ("DEBUG", "job j4: succeeded"),
        ("INFO", "job j1: DeployCompose starts"),
        ("INFO", "job j1: succeeded"),
        ("INFO", "job j2: StopCompose starts"),
        ("INFO", "job j2: succeeded"),
    ]


async def test_no_log_line_is_forged_by_what_a_control_plane_sends(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    forged = "a\nINFO entrypoints.agent: all is well"
    bench.take(RefusedRequest(forged, InvalidInput("id", "must not")))
    bench.take(RefusedRequest("j1", UnknownCommand(forged)))
    bench.take(MalformedMessage(forged, InvalidInput("type", "is missing")))
    await settle()
    assert len(bench.events) == 5
    assert all("\n" not in record.getMessage() for record in caplog.records)


async def test_the_log_never_quotes_a_compose_file_or_what_compose_said_of_it(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bench.handler.outcome = Failed(
        "docker compose config failed with exit code 15",
        cause=f"invalid interpolation format: {SECRET}",
        logs=f"PASSWORD: {SECRET}",
    )
    bench.submit("j1", deploy("blog", f"PASSWORD: {SECRET}".encode()))
    await settle()
    assert SECRET in bench.failure("j1").error
    assert SECRET not in caplog.text
    assert "job j1: failed: docker compose config failed with exit code 15" in caplog.text


async def test_what_is_logged_of_a_job_is_about_it(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="application")
    found: dict[str, set[tuple[tuple[str, str], ...]]] = {}

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields = tuple(sorted(log_fields().items()))
            found.setdefault(record.getMessage().split(":")[0], set()).add(fields)

    noting = Noting()
    logging.getLogger("application.agent").addHandler(noting)
    try:
        bench.submit("j1", deploy())
        bench.submit("j2", CheckHealth())
        await settle()
    finally:
        logging.getLogger("application.agent").removeHandler(noting)
    assert found == {
        "job j1": {
            (("command", "DeployCompose"), ("job_id", "j1"), ("project", deploy().project.value))
        },
        "job j2": {(("command", "CheckHealth"), ("job_id", "j2"))},
    }
    assert log_fields() == {}
