"""Private parts of commands on a real disk: the contract, modes, and disks that fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import pytest

from adapters.filesystem.private_directory import name_for
from adapters.filesystem.private_parts import LocalPrivateParts
from adapters.filesystem.sealed import seal
from application.ports.private_parts import PrivateParts
from domain.commands import DeployCompose
from domain.content import ExtraFile
from domain.errors import NoSpace, StorageUnavailable
from domain.project import ComposeFile, ProjectName
from tests.contracts.private_parts import DEPLOYMENT, PASSWORD, PrivatePartsContract
from tests.integration.filesystem.test_revision_store import flip
from tests.integration.project_files.disk import entries, failing_with, mode
from tests.integration.project_files.test_failing_disks import small_disk


@pytest.fixture
def parts(state: Path, executor: Executor) -> PrivateParts:
    return LocalPrivateParts(state, executor)


class TestLocalPrivateParts(PrivatePartsContract):
    @pytest.fixture
    def parts(self, state: Path, executor: Executor) -> PrivateParts:
        return LocalPrivateParts(state, executor)

    @pytest.fixture
    def held(self, state: Path) -> Callable[[], int]:
        return lambda: len(entries(state / "private"))

    @pytest.fixture
    def fill_disk(self, filling: Callable[[], None]) -> Callable[[], None]:
        return filling

    @pytest.fixture
    def spoil(self, state: Path) -> Callable[[str], None]:
        return lambda job_id: flip(state / "private" / name_for(job_id), -20)


async def test_all_is_for_the_agents_user_alone_from_the_first_byte(
    parts: PrivateParts, state: Path, umask: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[str] = []
    write = os.write

    def look(fd: int, data: bytes) -> int:
        modes.extend(mode(path) for path in (state / "private").iterdir())
        return write(fd, data)

    monkeypatch.setattr(os, "write", look)
    await parts.keep("job-1", DEPLOYMENT)
    assert modes == ["0o600"]
    assert mode(state / "private") == "0o700"
    assert entries(state) == {"private", f"private/{name_for('job-1')}"}


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_a_disk_that_fails_is_said(
    parts: PrivateParts, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    await parts.keep("job-1", DEPLOYMENT)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing_with(number))
        with pytest.raises(NoSpace if number == errno.ENOSPC else StorageUnavailable):
            await parts.keep("job-1", DEPLOYMENT)
    assert await parts.restore("job-1") == DEPLOYMENT


async def test_a_small_disk_that_is_really_full_keeps_what_is_there_and_nothing_more(
    executor: Executor, tmp_path: Path
) -> None:
    large = DeployCompose(
        ProjectName("blog"), ComposeFile(b"x"), files=(ExtraFile("a", b"x" * 200_000),)
    )
    with small_disk(tmp_path / "small") as disk:
        parts = LocalPrivateParts(disk, executor)
        await parts.keep("job-1", DEPLOYMENT)
        before = entries(disk)
        for job_id in ("job-1", "job-2"):
            with pytest.raises(NoSpace):
                await parts.keep(job_id, large)
        assert entries(disk) == before
        assert await parts.restore("job-1") == DEPLOYMENT


async def test_what_an_agent_left_unfinished_is_wiped(parts: PrivateParts, state: Path) -> None:
    await parts.keep("job-1", DEPLOYMENT)
    for job_id in ("job-1", "job-2"):
        (state / "private" / f"{name_for(job_id)}.new").write_text(PASSWORD)
    await parts.wipe("job-1")
    assert entries(state / "private") == {f"{name_for('job-2')}.new"}
    await parts.wipe_all_but(["job-1"])
    assert entries(state / "private") == set()


async def test_what_a_newer_agent_kept_is_refused(parts: PrivateParts, state: Path) -> None:
    await parts.keep("job-1", DEPLOYMENT)
    (state / "private" / name_for("job-1")).write_bytes(seal(2, b"{}"))
    with pytest.raises(StorageUnavailable, match="newer agent"):
        await parts.restore("job-1")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"type": "NO", "payload": {}}', b'{"type": "STATUS"}', b"{" * 99999],
)
async def test_what_is_whole_and_no_command_is_not_given_back(
    parts: PrivateParts, state: Path, body: bytes
) -> None:
    await parts.keep("job-1", DEPLOYMENT)
    (state / "private" / name_for("job-1")).write_bytes(seal(1, body))
    with pytest.raises(StorageUnavailable, match="is damaged"):
        await parts.restore("job-1")
