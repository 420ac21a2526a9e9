"""Disks that are full, broken, read-only or hang."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path

import pytest

from adapters.filesystem import project_directory, publishing
from adapters.filesystem.project_directory import staged_name
from adapters.filesystem.project_files import LocalProjectFiles
from application.ports.project_files import ProjectFiles
from domain.errors import Conflict, NoSpace, StorageUnavailable
from domain.project import ComposeFile, ProjectName
from tests.contracts.project_contents import (
    BLOG,
    NEW,
    OLD,
    content_of,
    key_of,
    leave_staged,
    publish,
)
from tests.integration.project_files.disk import entries, failing_with
from tests.support import small_disk as disks


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["mkdir", "open", "fsync", "rename"])
async def test_a_disk_that_is_full_at_any_step_is_said_and_the_old_file_stays(
    files: ProjectFiles,
    projects: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
) -> None:
    path = Path(await publish(files, BLOG, OLD))
    before = entries(projects)
    with monkeypatch.context() as patch:
        if call == "open":
            patch.setattr(project_directory, "write_staged", failing_with(number))
        else:
            patch.setattr(os, call, failing_with(number))
        with pytest.raises(NoSpace, match=rf"no space left on the disk that holds {projects}"):
            await publish(files, ProjectName("shop") if call == "mkdir" else BLOG, NEW)
    assert entries(projects) == before
    assert path.read_bytes() == OLD.content


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call", ["fsync", "fchmod", "link", "rename"])
async def test_a_disk_that_fails_at_any_step_is_said_and_the_old_file_stays(
    files: ProjectFiles,
    projects: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
) -> None:
    path = Path(await publish(files, BLOG, OLD))
    before = entries(projects)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing_with(number))
        with pytest.raises(StorageUnavailable, match=f"cannot be used: {os.strerror(number)}"):
            await publish(files, BLOG, NEW)
    assert entries(projects) == before
    assert path.read_bytes() == OLD.content


def fail_to_sync_directories(patch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def sync_files_only(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(fd)

    patch.setattr(os, "fsync", sync_files_only)


async def test_a_disk_that_fails_after_the_new_file_took_its_place_gets_the_old_one_back(
    files: ProjectFiles, projects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(await publish(files, BLOG, OLD))
    (projects / "shop").mkdir()
    before = entries(projects)
    with monkeypatch.context() as patch:
        fail_to_sync_directories(patch)
        for name in (BLOG, ProjectName("shop")):
            with pytest.raises(StorageUnavailable):
                await publish(files, name, NEW)
    assert entries(projects) == before
    assert path.read_bytes() == OLD.content


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
async def test_a_disk_without_links_takes_a_new_file_all_the_same(
    files: ProjectFiles, projects: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = Path(await publish(files, BLOG, OLD))
    before = entries(projects)
    monkeypatch.setattr(os, "link", failing_with(number))
    await publish(files, BLOG, NEW)
    assert path.read_bytes() == NEW.content
    fail_to_sync_directories(monkeypatch)
    with pytest.raises(StorageUnavailable):
        await publish(files, BLOG, OLD)
    assert entries(projects) == before


async def test_a_small_disk_that_is_really_full_keeps_the_old_file(
    executor: Executor, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small") as disk:
        files = LocalProjectFiles(str(disk), private=False, executor=executor)
        path = Path(await publish(files, BLOG, OLD))
        before = entries(disk)
        for name in ("blog", "shop"):
            with pytest.raises(NoSpace):
                await publish(files, ProjectName(name), ComposeFile(b"x" * 2**20))
        assert entries(disk) == before
        assert path.read_bytes() == OLD.content
        await publish(files, BLOG, NEW)
        assert path.read_bytes() == NEW.content


@contextlib.contextmanager
def small_disk(path: Path, size: str = "64k") -> Iterator[Path]:
    """A file system of this size; where this user may mount none, large writes fail as on one."""
    with contextlib.ExitStack() as exits:
        try:
            exits.enter_context(disks.small_disk(path, size))
        except subprocess.CalledProcessError:
            patch = exits.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(os, "write", refusing_large_files())
        yield path


def refusing_large_files() -> Callable[[int, bytes], int]:
    write = os.write

    def write_small(fd: int, content: bytes) -> int:
        if len(content) > 64 * 1024:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, content)

    return write_small


async def test_a_projects_directory_that_may_not_be_written_is_said_with_a_hint(
    files: ProjectFiles, projects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    projects.mkdir(mode=0o555)
    if os.geteuid() == 0:  # Root may write everywhere: the kernel's answer is played.
        monkeypatch.setattr(os, "mkdir", failing_with(errno.EACCES))
    with pytest.raises(
        StorageUnavailable, match=r"cannot be used: .*denied \(the agent's user may not do that"
    ):
        await publish(files, BLOG, NEW)
    assert entries(projects) == set()


@pytest.mark.parametrize("call", ["write", "publish", "discard", "locate"])
async def test_a_disk_that_hangs_while_a_call_is_cancelled_is_consistent_when_it_goes_on(
    files: ProjectFiles,
    projects: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    path = Path(await publish(files, BLOG, OLD))
    before = entries(projects)
    module, function = {
        "write": (project_directory, "write_staged"),
        "publish": (publishing, "publish_staged"),
        "discard": (project_directory, "remove_staged"),
        "locate": (project_directory, "require_compose_file"),
    }[call]
    hangs, goes_on = threading.Event(), threading.Event()
    original = getattr(module, function)

    def hang(*arguments: object) -> object:
        hangs.set()
        goes_on.wait()
        return original(*arguments)

    async def work() -> None:
        if call == "locate":
            await files.locate(BLOG)
            return
        async with files.stage(BLOG, content_of(NEW), key_of(NEW)) as staged:
            if call != "discard":
                await staged.publish(None)

    monkeypatch.setattr(module, function, hang)
    working = asyncio.create_task(work())
    await asyncio.to_thread(hangs.wait)
    working.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not working.done()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    left = entries(projects) - before
    assert left == ({f"blog/{staged_name(key_of(NEW))}"} if call == "write" else set())
    assert path.read_bytes() == (NEW.content if call == "publish" else OLD.content)


async def test_no_file_descriptor_is_left_open(
    files: ProjectFiles, projects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(files, BLOG, OLD)
    before = set(Path("/proc/self/fd").iterdir())
    await publish(files, BLOG, NEW)
    async with files.stage(BLOG, content_of(NEW), key_of(NEW)):
        pass
    await leave_staged(files, BLOG, NEW)
    await files.locate(BLOG)
    with pytest.raises(Conflict):
        await publish(files, ProjectName("BLOG"), NEW)
    monkeypatch.setattr(os, "fsync", failing_with(errno.ENOSPC))
    with pytest.raises(NoSpace):
        await publish(files, BLOG, NEW)
    assert set(Path("/proc/self/fd").iterdir()) <= before
