"""An agent that says nothing any more is noticed within 45 s, and nobody else is disturbed."""

from __future__ import annotations

from pathlib import Path

from tests.fleet.fleet import Fleet
from tests.fleet.pace import Pace
from tests.fleet.plane_process import PlaneProcess
from tests.fleet.scripts import Manners
from tests.support.ports import reserved_port

NOTICED_S = 45.0
MARGIN_S = 15.0
"""A machine that is busy may be late."""


async def test_a_silent_agent_is_put_out_in_time(tmp_path: Path) -> None:
    with reserved_port() as port:
        plane = PlaneProcess(tmp_path, port)
        await plane.start()
        try:
            async with (
                plane.api() as api,
                Fleet(plane.agents_url, pace=Pace(first_s=300, is_spread=False)) as fleet,
            ):
                silent = fleet.add(
                    await api.enrolled("silent"), name="silent", manners=Manners(is_silent=True)
                )
                good = fleet.add(await api.enrolled("good"), name="good")
                await fleet.all_online()
                await fleet.until(
                    lambda: silent.ends or None, "the silent one's end", NOTICED_S + MARGIN_S
                )
                assert not (await api.get("/hosts/silent"))["online"]
                assert good.is_online
                assert not good.ends
                fleet.check()
        finally:
            plane.kill()
