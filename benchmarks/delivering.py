"""From the API to the agent and back: how soon a command is there, and how many results are durable."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.control_plane import BenchmarkFailed
from benchmarks.figures import Figure, Unit, at_least, at_most
from benchmarks.plane_stage import PlaneStage, ask_all, fleets, make_agents
from benchmarks.sample import Sample
from tests.fleet.crew import ECHO, FleetProcess
from tests.fleet.plane_api import PlaneApi

LABELS: Final = {"fleet": "delivery"}
WARM_UP: Final = 20
PAUSE_S: Final = 0.005
PATIENCE_S: Final = 300.0
ECHO_EACH_S: Final = 2.0
ECHO_WATCHED_S: Final = 5.0
ROWS_A_COMMIT: Final = 50
ROW: Final = (
    '{"type":"RESPONSE","status":"COMPLETED","state":"succeeded","logs":"' + "x" * 200 + '"}'
)


async def measure_delivery(stage: PlaneStage) -> Sequence[Figure]:
    """Deployments to one host each, one after another, with some hundred agents connected."""
    count, agents = stage.effort.deliveries, stage.effort.delivery_agents
    async with stage.plane() as plane, fleets([plane.agents_url]) as (fleet,):
        hosts = await make_agents(plane, [fleet], agents, labels=LABELS)
        await fleet.ask("start")
        await fleet.ask("online", patience_s=PATIENCE_S)
        async with plane.api() as api:
            await _deliver(api, hosts, WARM_UP)
            asked = await _deliver(api, hosts, count)
        await fleet.ask("counted", what="accepts", least=WARM_UP + count)
        accepted = (await fleet.ask("accepted"))["at"]
    latencies = Sample(tuple(1000 * (accepted[job] - begun) for job, (begun, _) in asked.items()))
    answers = Sample(tuple(1000 * (ended - begun) for begun, ended in asked.values()))
    echo = await _echo(stage)
    note = f"{count} deployments to one of {agents} agents each, one by one; two commits in between"
    milliseconds = Unit.MILLISECONDS
    return [
        Figure(
            "request to the agent's ACCEPT, p50",
            Sample((latencies.percentile(50),)),
            milliseconds,
            at_most(15),
            note,
        ),
        Figure(
            "request to the agent's ACCEPT, p99", Sample((latencies.percentile(99),)), milliseconds
        ),
        Figure("request to 202, p50", Sample((answers.percentile(50),)), milliseconds),
        Figure("request to 202, p99", Sample((answers.percentile(99),)), milliseconds),
        Figure(
            "bare server: echo, p50",
            Sample((1000 * echo.percentile(50),)),
            milliseconds,
            note=f"{agents} clients, each every {ECHO_EACH_S:g} s",
        ),
        Figure("bare server: echo, p99", Sample((1000 * echo.percentile(99),)), milliseconds),
    ]


async def _deliver(
    api: PlaneApi, hosts: Sequence[str], count: int
) -> dict[str, tuple[float, float]]:
    """When each was asked for, and when it was answered, by job."""
    asked = {}
    for number in range(count):
        begun = time.monotonic()
        made = await api.deploy(f"project-{number}", hosts=[random.choice(hosts)])
        asked[made["jobs"][0]["id"]] = (begun, time.monotonic())
        await asyncio.sleep(PAUSE_S)
    return asked


async def _echo(stage: PlaneStage) -> Sample:
    async with (
        stage.bare_server() as server,
        fleets([server.agents_url], module=ECHO, each_s=ECHO_EACH_S) as (clients,),
    ):
        await clients.ask("add", count=stage.effort.delivery_agents)
        await clients.ask("online")
        await clients.ask("latencies")
        await asyncio.sleep(ECHO_WATCHED_S)
        return Sample(tuple((await clients.ask("latencies"))["seconds"]))


async def measure_results(stage: PlaneStage) -> Sequence[Figure]:
    """Many hosts have jobs that end at the same moment; until the last end is acknowledged."""
    hosts, each = stage.effort.result_hosts, stage.effort.results_each
    rates, accepts, rows = [], [], []
    async with stage.plane() as plane, fleets([plane.agents_url]) as (fleet,):
        await make_agents(plane, [fleet], hosts, labels=LABELS, script="wait")
        await fleet.ask("start")
        await fleet.ask("online", patience_s=PATIENCE_S)
        for number in range(stage.effort.rounds):
            async with plane.api() as api:
                accepts.append(await _hand_out(api, fleet, hosts, each, number))
            rates.append(await _rate_of_results(fleet, hosts * each, number))
            rows.append(_rows_a_second(plane_disk(stage), hosts * each))
    note = (
        f"{each} results of each of {hosts:,} agents at once; each is acknowledged once it is "
        "committed, with synchronous=FULL"
    )
    per_second = Unit.PER_SECOND
    return [
        Figure("durable results", Sample(tuple(rates)), per_second, at_least(5000), note),
        Figure(
            "jobs taken in, numbered, sent and accepted",
            Sample(tuple(accepts)),
            per_second,
            note=f"deployments of {hosts:,} jobs each, one by one",
        ),
        Figure(
            "bare SQLite: rows",
            Sample(tuple(rows)),
            per_second,
            note=f"{ROWS_A_COMMIT} rows of 270 bytes a commit, on the same disk, with synchronous=FULL",
        ),
        Figure(
            "results for each row of bare SQLite",
            Sample(tuple(ours / theirs for ours, theirs in zip(rates, rows, strict=True))),
            Unit.RATIO,
        ),
    ]


async def _hand_out(
    api: PlaneApi, fleet: FleetProcess, hosts: int, each: int, number: int
) -> float:
    begun = time.monotonic()
    for project in range(each):
        made = await api.deploy(f"round-{number}-{project}", labels=LABELS)
        if len(made["jobs"]) != hosts:
            raise BenchmarkFailed(f"{len(made['jobs'])} jobs for {hosts} hosts")
    jobs = hosts * each
    # Of each earlier round there are two of a job: that it is accepted, and that it is over.
    least = jobs * (2 * number + 1)
    done = await fleet.ask("counted", what="acknowledged", least=least, patience_s=PATIENCE_S)
    return float(jobs / (done["at"] - begun))


async def _rate_of_results(fleet: FleetProcess, jobs: int, number: int) -> float:
    begun = (await fleet.ask("release"))["at"]
    least = jobs * (2 * number + 2)
    done = await fleet.ask("counted", what="acknowledged", least=least, patience_s=PATIENCE_S)
    (report,) = await ask_all([fleet], "report")
    if report["blames"] or report["complaints"]:
        raise BenchmarkFailed(str(report["blames"][:3] + report["complaints"][:3]))
    return float(jobs / (done["at"] - begun))


def plane_disk(stage: PlaneStage) -> Path:
    """A new file where the control plane's database is, too."""
    return stage.home / f"bare-{time.monotonic_ns()}.sqlite"


def _rows_a_second(file: Path, rows: int) -> float:
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE results (job_id TEXT PRIMARY KEY, result TEXT)")
        begun = time.perf_counter()
        for first in range(0, rows, ROWS_A_COMMIT):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO results VALUES (?, ?)",
                [(f"job-{number}", ROW) for number in range(first, first + ROWS_A_COMMIT)],
            )
            connection.execute("COMMIT")
        return rows / (time.perf_counter() - begun)
    finally:
        connection.close()
