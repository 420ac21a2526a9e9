"""What the benchmarks compare the control plane with: a bare server, and clients that it echoes to."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.front import links_a_process
from benchmarks.plane_stage import PlaneEffort, PlaneStage, fleets
from benchmarks.probing import ApiProbe
from benchmarks.serving import Found, of_agents, of_api, of_storms
from tests.fleet.crew import ECHO
from tests.fleet.plane_api import PlaneApi

CLIENTS = 20


async def test_clients_hear_what_they_say_and_come_back_to_a_server_that_was_killed(
    tmp_path: Path,
) -> None:
    stage = PlaneStage(Path(sys.executable), tmp_path, PlaneEffort())
    async with (
        stage.bare_server() as server,
        fleets([server.agents_url], module=ECHO, each_s=0.05, pace={"first_s": 0.05}) as (clients,),
    ):
        await clients.ask("add", count=CLIENTS)
        assert (await clients.ask("online"))["online"] == CLIENTS
        server.kill()
        await server.start()
        assert (await clients.ask("online"))["online"] == CLIENTS
        seconds: list[float] = []
        while not seconds:
            seconds = (await clients.ask("latencies"))["seconds"]
        assert all(one > 0 for one in seconds)


def test_open_files_are_enough_for_some_links() -> None:
    assert links_a_process() > 100


def found(**fields: float) -> Found:
    one = Found(bytes_each=16 * 1024, cpu=5.0, storms_s=[10.0], storm_cpu_s=[5.0])
    one.beside_cpu_s, one.starts_s = [1.0], [1.0]
    for name, value in fields.items():
        setattr(one, name, value)
    return one


def test_a_fleet_is_judged_by_its_aims_and_beside_a_bare_server() -> None:
    good = {f.name: f for f in of_agents(10_000, found(), found(cpu=2.5, bytes_each=8 * 1024))}
    assert good["processor, agents at rest"].verdict == "met"
    assert good["memory of an agent"].verdict == "met"
    assert good["processor: ratio"].sample.median == 2.0
    assert good["memory: ratio"].sample.median == 2.0
    bad = {f.name: f for f in of_agents(10_000, found(cpu=26.0, bytes_each=33 * 1024), found())}
    assert bad["processor, agents at rest"].verdict == "not met"
    assert bad["memory of an agent"].verdict == "not met"


def test_a_storm_is_judged_by_its_median() -> None:
    ours = found()
    ours.storms_s = [20.0, 35.0, 29.0]
    figures = {f.name: f for f in of_storms(10_000, ours, found())}
    assert figures["storm: 10,000 agents come back"].verdict == "met"
    assert figures["storm: ratio"].sample.median == 2.9


def test_an_api_that_does_not_answer_is_counted() -> None:
    api = PlaneApi("http://127.0.0.1:1", "a-token")
    calm, stormy = ApiProbe(api, ["one"]), ApiProbe(api, ["one"])
    calm.seconds, stormy.seconds, stormy.failures = [0.01], [0.02, 0.6], ["TimeoutError: no"]
    figures = {f.name: f for f in of_api(calm, [stormy])}
    assert figures["API meanwhile, p99"].verdict == "not met"
    assert figures["API: requests without an answer"].verdict == "not met"
