"""A fleet in a process of its own: what it is told, it does, and it comes back when it was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.checking import compare
from tests.fleet.crew import FleetFailed, FleetProcess
from tests.fleet.memory import Memory
from tests.fleet.orders import add_order
from tests.fleet.reading import jobs_of
from tests.support.control_plane import deploy_payload
from tests.support.peer_database import PeerDatabase
from tests.support.reference_peer import ReferencePeer

QUICK = {"first_s": 0.01}


async def test_a_fleet_in_a_process_of_its_own_does_what_it_is_told() -> None:
    database = PeerDatabase()
    async with (
        ReferencePeer(database) as peer,
        FleetProcess(peer.url, pace=QUICK) as fleet,
    ):
        await fleet.carry_out(add_order(["one"], [Memory(bearer_token="t")], script="wait"))
        online = await fleet.ask("online")
        assert online["online"] == 1
        payload = deploy_payload("blog", "services: {}")
        job_id = await peer.submit("DEPLOY_COMPOSE", payload)
        await peer.accepted(job_id)
        await fleet.ask("release")
        await peer.final(job_id)
        await fleet.ask("settled", jobs=1)
        assert list((await fleet.ask("accepted"))["at"]) == [job_id]
        report = await fleet.ask("report")
        assert (report["blames"], report["complaints"], report["running"]) == ([], [], 1)
        assert compare(jobs_of(database), await fleet.ledgers()) == []
        with pytest.raises(FleetFailed, match="no such script"):
            await fleet.ask("script", script="no such script")


async def test_a_fleet_whose_process_is_killed_comes_back_as_it_was(tmp_path: Path) -> None:
    database = PeerDatabase()
    payload = deploy_payload("blog", "services: {}")
    async with ReferencePeer(database) as peer:
        order = add_order(["one"], [Memory(bearer_token="t")], script="wait")
        async with FleetProcess(peer.url, keeping=str(tmp_path)) as first:
            await first.carry_out(order)
            job_id = await peer.submit("DEPLOY_COMPOSE", payload)
            await peer.accepted(job_id)
            await first.kill()
        async with FleetProcess(peer.url, keeping=str(tmp_path)) as second:
            await second.carry_out(order)
            await second.ask("online")
            await second.ask("release")
            await peer.final(job_id)
            assert compare(jobs_of(database), await second.ledgers()) == []
            assert (await second.ask("report"))["blames"] == []
