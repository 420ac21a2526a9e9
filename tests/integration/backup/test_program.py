"""The program: through pipes, and beside a control plane that runs and that agents go on working for."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrypoints.control_plane.backup import VARIABLE
from tests.fleet.agent import Agent
from tests.fleet.checking import compare
from tests.fleet.fleet import Fleet
from tests.fleet.pace import Pace
from tests.fleet.plane_api import PlaneApi, Refused
from tests.fleet.plane_process import PlaneProcess
from tests.fleet.scripts import JobPlan, Outcome
from tests.integration.backup.conftest import KINDS, NewUrl
from tests.integration.backup.content import rows_of, without_book
from tests.integration.backup.home import Home
from tests.support.control_plane_process import MODULE, run_control_plane
from tests.support.ports import reserved_port

PATIENCE_S = 60.0
QUICK = Pace(first_s=0.05, longest_s=0.5, refused_s=0.05)


async def _run(home: Home, *arguments: str, read: Path | None = None, write: Path) -> int:
    with write.open("wb") as out, (read or Path(os.devnull)).open("rb") as given:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *MODULE,
            *arguments,
            cwd=home.directory,
            env=home.environment | {"PATH": os.environ["PATH"]},
            stdin=given,
            stdout=out,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        async with asyncio.timeout(PATIENCE_S):
            return await process.wait()


async def test_a_backup_goes_through_pipes(tmp_path: Path, new_url: NewUrl) -> None:
    home, other = (
        Home(tmp_path / "home", new_url("sqlite")),
        Home(tmp_path / "o", new_url("sqlite")),
    )
    await home.begin()
    file, said = tmp_path / "backup", tmp_path / "said"
    assert await _run(home, "backup", "-", write=file) == 0
    assert await _run(other, "restore", "-", read=file, write=said) == 0
    assert "Restored: 2 hosts" in said.read_text()
    assert without_book(await rows_of(other.url)) == without_book(await rows_of(home.url))
    assert other.keys == home.keys


async def test_without_a_passphrase_and_a_terminal_it_says_what_is_missing(tmp_path: Path) -> None:
    code, _, said = await run_control_plane(tmp_path, ["backup", "file"])
    assert code == 1
    assert VARIABLE in said or "passphrase" in said
    assert "Traceback" not in said


class _Rig:
    """A control plane, and two hosts of a fleet in this process, whose jobs end as `plan` says."""

    def __init__(self, home: Home, plane: PlaneProcess, fleet: Fleet) -> None:
        self.home = home
        self.plane = plane
        self.fleet = fleet
        self.plan = JobPlan(output_bytes=5000)
        self.agents: list[Agent] = []
        self.file = home.directory / "backup"
        self._plans: dict[str, JobPlan] = {}
        self._projects = itertools.count(1)

    async def begin(self, api: PlaneApi) -> None:
        for name in ("one", "two"):
            memory = await api.enrolled(name, {"env": "test"})
            self.agents.append(self.fleet.add(memory, name=name, script=self._script))
        await self.fleet.all_online()

    async def deploy(self, api: PlaneApi, *hosts: str) -> list[str]:
        made = await api.deploy(f"p{next(self._projects)}", hosts=hosts or ("one", "two"))
        return [job["id"] for job in made["jobs"]]

    async def over(self, api: PlaneApi, *job_ids: str) -> None:
        for job_id in job_ids:
            async with asyncio.timeout(PATIENCE_S):
                async for name, _ in api.follow(f"/jobs/{job_id}/feed"):
                    if name == "end":
                        break
            job = await api.get(f"/jobs/{job_id}")
            assert job["state"] == "succeeded", job

    def begun(self, job_ids: list[str]) -> int:
        deeds = [deed for agent in self.agents for deed in agent.ledger.deeds.values()]
        return sum(deed.begun for deed in deeds if deed.job_id in job_ids)

    async def program(self, *arguments: str) -> tuple[int, str]:
        code, printed, said = await run_control_plane(
            self.home.directory, arguments, self.home.environment
        )
        return code, printed + said

    def _script(self, job_id: str, _kind: str) -> JobPlan:
        return self._plans.setdefault(job_id, self.plan)


@pytest.fixture(params=KINDS)
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, new_url: NewUrl
) -> AsyncIterator[_Rig]:
    home = Home(tmp_path / "home", new_url(request.param))
    with reserved_port() as port:
        settings = {"DATABASE_URL": home.url}
        plane = PlaneProcess(home.directory, port, settings=settings)
        await plane.start()
        try:
            async with Fleet(plane.agents_url, pace=QUICK) as fleet:
                yield _Rig(home, plane, fleet)
        finally:
            plane.kill()


async def test_after_an_old_backup_was_restored_nothing_is_lost_or_done_twice(rig: _Rig) -> None:
    async with rig.plane.api() as api:
        await rig.begin(api)
        two = rig.agents[1]
        ended = await rig.deploy(api)
        await rig.over(api, *ended)
        rig.plan = JobPlan(Outcome.WAIT, output_bytes=3000)
        running = await rig.deploy(api)
        await rig.fleet.until(lambda: rig.begun(running) == 2 or None, "both to be begun")
        rig.plan = JobPlan(output_bytes=2000)
        two.kill()
        waiting = await rig.deploy(api, "two")
        code, said = await rig.program("backup", str(rig.file))
        assert code == 0, said
        two.start()
        rig.fleet.release()
        await rig.over(api, *running, *waiting)
        later = await rig.deploy(api)
        await rig.over(api, *later)
        code, said = await rig.program("restore", str(rig.file), "--replace")
        assert code == 1, said
        assert "another control plane" in said
    rig.plane.kill()
    code, said = await rig.program("restore", str(rig.file), "--replace")
    assert code == 0, said
    await rig.plane.start()
    async with rig.plane.api() as api:
        await rig.fleet.all_online()
        await rig.over(api, *ended, *running, *waiting)
        for job_id in later:
            with pytest.raises(Refused) as refused:
                await api.get(f"/jobs/{job_id}")
            assert refused.value.status == 404
        last = await rig.deploy(api)
        await rig.over(api, *last)
        jobs = await api.plane_jobs(with_output=True)
    assert rig.fleet.blames == []
    # Of what came after the backup, only the hosts know: each tells its end, and hears just that.
    assert all(any(job_id in said for job_id in later) for said in rig.fleet.complaints)
    known = {*ended, *running, *waiting, *last}
    assert {job.job_id for job in jobs} == known
    deeds = [deed for agent in rig.agents for deed in agent.ledger.deeds.values()]
    assert len(deeds) == len(known | set(later))
    once = dict.fromkeys(known | set(later), (1, "succeeded"))
    assert {deed.job_id: (deed.begun, deed.state) for deed in deeds} == once
    faults = compare(jobs, rig.fleet.ledgers)
    assert len(faults) == len(later)
    assert all(any(job_id in fault for job_id in later) for fault in faults)
