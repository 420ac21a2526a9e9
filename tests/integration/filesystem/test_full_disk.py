"""A disk that is really full takes how deployments ended, for as long as there is room kept back."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import pytest

from adapters.filesystem.project_revisions import GROWTH_BYTES
from adapters.filesystem.reserve import FILES, STEP_BYTES
from adapters.filesystem.revision_store import LocalRevisionStore
from domain.commands import StopCompose
from domain.errors import NoSpace
from domain.project import ProjectName
from domain.revision import RevisionState
from tests.contracts.revision_store import IMAGES, KEPT, content, draft
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment
from tests.integration.project_files.disk import failing_with
from tests.support.agent_process import running_agent
from tests.support.control_plane import ControlPlane
from tests.support.small_disk import SmallDisk, small_disk
from tests.unit.deploying import BLOG, NEW, OLD, completed, failed, history, revision, wish

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")

SIZE = "2m"
SMALLEST = -(-GROWTH_BYTES // STEP_BYTES) * STEP_BYTES
SHOP = ProjectName("shop")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "state", SIZE) as disk:
        yield disk


@pytest.fixture
def store(disk: SmallDisk, executor: Executor) -> LocalRevisionStore:
    return LocalRevisionStore(disk.directory, executor, kept=KEPT)


@pytest.fixture
def reserved(disk: SmallDisk) -> Path:
    return disk.directory / "revisions" / ".reserve"


@pytest.fixture
def host(store: LocalRevisionStore) -> FakeDeployment:
    """One whose revisions are on the small disk."""
    host = FakeDeployment()
    host.use(store=store)
    return host


def sizes(reserved: Path) -> list[int]:
    return [path.stat().st_size for path in reserved.iterdir()]


async def test_room_is_kept_back_in_real_blocks_and_grows_with_the_largest_history(
    store: LocalRevisionStore, reserved: Path
) -> None:
    await store.reserve()
    assert sizes(reserved) == [SMALLEST] * FILES
    await store.add(BLOG, draft("job-1"))
    for number in range(2, 8):
        await store.settle(BLOG, number - 1, RevisionState.FAILED, error="x" * 8000)
        await store.add(BLOG, draft(f"job-{number}"))
    (size,) = set(sizes(reserved))
    assert 2 * 8000 + GROWTH_BYTES < size < 4 * 8000 + GROWTH_BYTES + STEP_BYTES
    for path in reserved.iterdir():
        assert path.stat().st_blocks * 512 >= path.stat().st_size


async def test_ends_are_written_again_and_again_while_nobody_else_takes_what_they_free(
    store: LocalRevisionStore, disk: SmallDisk, reserved: Path
) -> None:
    for name in (BLOG, SHOP):
        await store.add(name, draft(f"job-{name}", env=b"A=1\n"))
    disk.fill()
    for number in range(5 * FILES):
        for name in (BLOG, SHOP):
            await store.settle(name, 1, RevisionState.FAILED, error=f"{name} {number}")
            await store.want(name, 1 if number % 2 else None)
    for name in (BLOG, SHOP):
        history = await store.history(name)
        assert history.find(1).error == f"{name} {5 * FILES - 1}"
        assert history.current == 1
        assert await store.content(name, 1) == content(env=b"A=1\n")
    disk.empty()
    await store.add(BLOG, draft("job-2"))
    assert len(sizes(reserved)) == FILES


async def test_where_everything_that_is_freed_is_taken_there_is_room_for_so_many_ends(
    store: LocalRevisionStore, disk: SmallDisk
) -> None:
    await store.add(BLOG, draft("job-1"))
    disk.fill()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "posix_fallocate", failing_with(errno.ENOSPC))
        for number in range(FILES):
            await store.settle(BLOG, 1, RevisionState.FAILED, error=str(number))
            disk.fill()
        with pytest.raises(NoSpace, match=r"no space left on the disk that holds .*/blog"):
            await store.settle(BLOG, 1, RevisionState.GOOD)
    assert (await store.history(BLOG)).find(1).error == str(FILES - 1)
    disk.empty()
    await store.settle(BLOG, 1, RevisionState.GOOD)
    assert (await store.history(BLOG)).find(1).state is RevisionState.GOOD


async def test_a_new_revision_is_refused_where_its_end_could_not_be_written(
    store: LocalRevisionStore, disk: SmallDisk
) -> None:
    disk.fill()
    filling = disk.directory / "filling"
    os.truncate(filling, filling.stat().st_size - 2**17)
    with pytest.raises(NoSpace):
        await store.reserve()
    with pytest.raises(NoSpace):
        await store.add(BLOG, draft("job-1"))
    assert (await store.history(BLOG)).revisions == ()
    disk.empty()
    assert (await store.add(BLOG, draft("job-1"))).number == 1


async def test_an_end_is_durable_before_it_is_the_history(
    store: LocalRevisionStore, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add(BLOG, draft("job-1"))
    disk.fill()
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def fsync_noted(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        steps.append(f"sync {path.name if path.is_dir() else 'the file'}")
        fsync(fd)

    def rename_noted(source: str, target: str, **options: int) -> None:
        steps.append(f"rename to {target}")
        rename(source, target, **options)

    monkeypatch.setattr(os, "fsync", fsync_noted)
    monkeypatch.setattr(os, "rename", rename_noted)
    await store.settle(BLOG, 1, RevisionState.GOOD, images=IMAGES)
    assert steps == ["sync the file", "rename to history.json", "sync blog", "sync .reserve"]


async def test_a_deployment_that_comes_up_on_a_disk_that_has_filled_up_is_completed(
    host: FakeDeployment, disk: SmallDisk
) -> None:
    up = host.runtime.hang("up")
    deploying = asyncio.create_task(host.deploy(wish()))
    await up.started.wait()
    disk.fill()
    up.release.set()
    outcome = completed(await deploying)
    assert outcome.data["revision"] == 1
    assert (await history(host)).current == 1
    assert (await revision(host, 1)).state is RevisionState.GOOD


async def test_a_deployment_that_fails_there_is_taken_back_and_all_of_that_is_known(
    host: FakeDeployment, disk: SmallDisk
) -> None:
    completed(await host.deploy(wish(OLD)))
    up = host.runtime.script("up", Scripted(exit_code=1, output=b"port is taken\n", hangs=True))
    deploying = asyncio.create_task(host.deploy(wish(NEW)))
    await up.started.wait()
    disk.fill()
    up.release.set()
    outcome = failed(await deploying)
    assert outcome.data["rolled_back_to"] == 1
    assert (await history(host)).current == 1
    assert (await revision(host, 1)).state is RevisionState.GOOD
    assert "port is taken" in (await revision(host, 2)).error


async def test_a_stop_is_completed_there_too(host: FakeDeployment, disk: SmallDisk) -> None:
    completed(await host.deploy(wish()))
    down = host.runtime.hang("down")
    stopping = asyncio.create_task(host.stop(StopCompose(BLOG)))
    await down.started.wait()
    disk.fill()
    down.release.set()
    completed(await stopping)
    assert (await history(host)).current is None


async def test_an_agent_keeps_room_back_when_it_starts_and_starts_without_it_too(
    tmp_path: Path,
) -> None:
    reserved = tmp_path / "state" / "revisions" / ".reserve"
    with small_disk(tmp_path / "state", "6m") as disk:
        async with ControlPlane() as plane:
            async with running_agent(tmp_path, server_url=plane.url) as agent:
                await plane.agent()
                assert sizes(reserved) == [SMALLEST] * FILES
                assert await agent.stop() == 0
            shutil.rmtree(reserved)
            disk.fill()
            async with running_agent(tmp_path, server_url=plane.url) as agent:
                await plane.agent()
                assert "no room is kept back for the ends of deployments" in agent.log()
                assert await agent.stop() == 0
