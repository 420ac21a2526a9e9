"""The durable journal keeps the contract on a real disk, and what is special about real disks."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from adapters.journal import framing, tombstone_format
from adapters.journal.durable_journal import DurableJobJournal
from application.ports.job_journal import Compaction, JobJournal
from domain.commands import DeployCompose, digest_of
from domain.errors import NoSpace, StorageUnavailable
from domain.project import ComposeFile, ProjectName
from domain.records import CancelRequested, EpochBegun, JobAccepted, Moment, Record
from tests.contracts.job_journal import (
    EPOCH,
    JOBS,
    Another,
    Disk,
    JobJournalContract,
    append_many_and_large,
    finished,
    reopened,
    tombstone,
)
from tests.integration.journal.conftest import RealDisk
from tests.integration.project_files.disk import entries, failing_with, mode
from tests.support.small_disk import SmallDisk, small_disk

OnDisk = Callable[..., DurableJobJournal]


class TestDurableJobJournal(JobJournalContract):
    @pytest.fixture
    def disk(self, real_disk: RealDisk) -> Disk:
        return real_disk

    @pytest.fixture
    def another(self, on_disk: OnDisk) -> Another:
        return on_disk


@pytest.fixture
def another(on_disk: OnDisk) -> OnDisk:
    return on_disk


@pytest.fixture
async def journal(on_disk: OnDisk) -> DurableJobJournal:
    journal = on_disk()
    await journal.open(lambda _record: None)
    return journal


async def filled(journal: DurableJobJournal) -> None:
    """Two tombstones and six records, and closed."""
    await journal.compact(lambda: Compaction([EPOCH, *JOBS], [tombstone(10), tombstone(11)]))
    await journal.close()


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


async def test_its_files_are_for_the_agents_user_alone(
    journal: DurableJobJournal, state: Path
) -> None:
    assert entries(state) == {"journal", "tombstones"}
    assert {mode(path) for path in state.iterdir()} == {"0o600"}
    assert mode(state) == "0o700"


async def test_the_largest_compose_file_is_kept(
    journal: DurableJobJournal, another: OnDisk
) -> None:
    command = DeployCompose(ProjectName("big"), ComposeFile(b"#" * 2**20))
    accepted = JobAccepted("big", command, digest_of(command), Moment("boot", 1.0))
    await journal.append(accepted)
    assert (await reopened(journal, another))[0] == [accepted]


@pytest.mark.parametrize(
    "record",
    [
        finished(1, "x" * framing.MAX_PAYLOAD_BYTES),
        CancelRequested("j1", True),
    ],
)
async def test_a_record_that_cannot_be_kept_fails_nobody_else(
    journal: DurableJobJournal, another: OnDisk, record: Record
) -> None:
    outcomes = await asyncio.gather(
        journal.append(EPOCH),
        journal.append(record),
        journal.append(JOBS[0]),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], ValueError | TypeError)
    assert (await reopened(journal, another))[0] == [EPOCH, JOBS[0]]


@pytest.mark.parametrize("is_damaged", [False, True])
@pytest.mark.parametrize(
    "payload", [b'{"fact":"forecast"}', b'{"fact":"epoch","epoch":"e","by":"me"}', b"text"]
)
async def test_a_record_of_a_newer_agent_is_refused_and_nothing_is_touched(
    journal: DurableJobJournal, on_disk: OnDisk, state: Path, payload: bytes, is_damaged: bool
) -> None:
    await filled(journal)
    path = state / "journal"
    data = path.read_bytes().rstrip(b"\0") + framing.frame(7, payload) + bytes(64)
    path.write_bytes(data.replace(b"job-1", b"job-X") if is_damaged else data)
    (state / "tombstones").write_bytes(b"garbage")
    before = contents(state)
    again = on_disk()
    with pytest.raises(StorageUnavailable, match=rf"^{path} was written by a newer agent \("):
        await again.open(lambda _record: pytest.fail("applied"))
    assert contents(state) == before
    with pytest.raises(StorageUnavailable):
        await again.append(EPOCH)


async def test_tombstones_of_a_newer_agent_are_refused_and_nothing_is_touched(
    journal: DurableJobJournal, on_disk: OnDisk, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tombstone_format, "VERSION", 2)
        await filled(journal)
    RealDisk(state).spoil(1)
    before = contents(state)
    with pytest.raises(StorageUnavailable, match=r"tombstones was written by a newer agent \(v"):
        await on_disk().open(lambda _record: pytest.fail("applied"))
    assert contents(state) == before


async def test_damaged_tombstones_are_said_until_a_new_epoch_follows(
    journal: DurableJobJournal, another: OnDisk, state: Path
) -> None:
    await filled(journal)
    path = state / "tombstones"
    path.write_bytes(path.read_bytes()[:-1])
    found, second = await reopened(journal, another)
    assert found == [EPOCH, *JOBS]
    assert second.damage == (
        f"{path} is damaged, and at least 1 of its entries are lost; the damaged file is kept as "
        "tombstones.damaged-1"
    )
    known = [second.tombstone(f"job-{number}") for number in (10, 11)]
    assert known in ([tombstone(10), None], [None, tombstone(11)])
    found, third = await reopened(second, another)
    assert found == [EPOCH, *JOBS]
    assert third.damage == f"{path} is damaged, and at least 1 of its entries are lost"
    await third.append(EpochBegun("epoch-2"))
    assert (await reopened(third, another))[1].damage == ""


@pytest.mark.parametrize("name", ["journal", "tombstones"])
async def test_a_file_that_is_gone_is_missed(
    journal: DurableJobJournal, another: OnDisk, state: Path, name: str
) -> None:
    await filled(journal)
    (state / name).unlink()
    again: JobJournal = journal
    for _ in range(2):
        found, again = await reopened(again, another)
        assert f"{state / name} is missing" in again.damage
        assert found == ([] if name == "journal" else [EPOCH, *JOBS])
    assert (again.tombstone("job-10") is None) == (name == "tombstones")
    await again.append(EpochBegun("epoch-2"))
    assert (await reopened(again, another))[1].damage == ""


async def test_damage_in_both_files_on_a_full_disk_is_said_and_the_rest_is_used(
    journal: DurableJobJournal,
    another: OnDisk,
    state: Path,
    real_disk: RealDisk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await filled(journal)
    real_disk.spoil(2)
    (state / "tombstones").write_bytes(b"garbage")
    real_disk.fill()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing_for_files(errno.ENOSPC))
        found, second = await reopened(journal, another)
    assert found == [EPOCH, JOBS[0], *JOBS[2:]]
    assert second.damage.count("it could not be set aside: No space left") == 2
    await second.append(finished(0), from_reserve=True)
    real_disk.free()
    found, third = await reopened(second, another)
    assert found == [EPOCH, JOBS[0], *JOBS[2:], finished(0)]
    assert "journal.damaged-1" in third.damage
    assert "tombstones.damaged-1" in third.damage


def failing_for_files(number: int) -> Callable[[int], None]:
    """An `fsync` that fails with this error, but for directories."""
    fsync = os.fsync

    def fail(fd: int) -> None:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(fd)

    return fail


async def test_what_a_killed_agent_left_in_the_cache_is_synced_before_it_is_believed(
    journal: DurableJobJournal, another: OnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the simulation: such a fact was acted upon, and gone after a power failure."""
    await journal.append(EPOCH)
    synced: list[str] = []
    with monkeypatch.context() as patch:
        for call in ("fsync", "fdatasync"):
            patch.setattr(
                os, call, lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
            )
        found, _ = await reopened(journal, another)
    assert found == [EPOCH]
    assert {"journal", "state"} <= set(synced)


@pytest.mark.parametrize("call", ["fsync", "pwrite", "rename"])
async def test_a_disk_that_fails_while_it_is_compacted_is_believed_no_more(
    journal: DurableJobJournal, another: OnDisk, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    await journal.append(EPOCH)
    with monkeypatch.context() as patch:
        patch.setattr(Path if call == "rename" else os, call, failing_with(errno.EIO))
        with pytest.raises(StorageUnavailable, match="Input/output error"):
            await journal.compact(lambda: Compaction(JOBS, [tombstone(1)]))
    with pytest.raises(StorageUnavailable, match="failed before"):
        await journal.append(JOBS[0], from_reserve=True)
    assert (await reopened(journal, another))[0] == [EPOCH]


async def test_tombstones_are_durable_before_what_they_are_of_is_gone(
    journal: DurableJobJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, str]] = []
    replace, sync = Path.rename, os.fsync

    def rename(path: Path, target: Path) -> Path:
        calls.append(("rename", target.name))
        return replace(path, target)

    def fsync(fd: int) -> None:
        calls.append(("sync", Path(f"/proc/self/fd/{fd}").readlink().name))
        sync(fd)

    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(os, "fsync", fsync)
    await journal.compact(lambda: Compaction([EPOCH], [tombstone(1)]))
    assert calls == [
        ("sync", "tombstones.new"),
        ("rename", "tombstones"),
        ("sync", "state"),
        ("sync", "journal.new"),
        ("rename", "journal"),
        ("sync", "state"),
    ]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with contextlib.ExitStack() as exits:
        try:
            yield exits.enter_context(small_disk(tmp_path / "small", "7m"))
        except subprocess.CalledProcessError:
            pytest.skip(
                "this user may mount no file system; the contract has a simulated full disk"
            )


async def test_a_disk_that_is_really_full_takes_ends_and_recovers_without_a_restart(
    disk: SmallDisk, on_disk: OnDisk
) -> None:
    state = disk.directory / "state"
    others = disk.directory / "others"
    others.write_bytes(bytes(7 * 2**19))
    journal, applied = on_disk(state), list[Record]()
    await journal.open(applied.append)
    with pytest.raises(NoSpace):
        await append_many_and_large(journal)
    disk.fill()
    for number in range(40):
        await journal.append(finished(number, "x" * 20_000), from_reserve=True)
        with pytest.raises(NoSpace):
            await journal.append(EPOCH)
    with pytest.raises(NoSpace):
        await journal.compact(lambda: Compaction([], [tombstone(2)]))
    await journal.append(finished(40), from_reserve=True)
    assert RealDisk(state).durable() == applied
    others.unlink()
    disk.empty()
    await journal.append(EPOCH)
    await journal.compact(lambda: Compaction([EPOCH], [tombstone(3)]))
    await journal.append(JOBS[0])
    assert journal.tombstone("job-3") == tombstone(3)
    found, again = await reopened(journal, lambda: on_disk(state))
    assert found == [EPOCH, JOBS[0]]
    await again.close()


async def test_no_descriptor_is_left_open(on_disk: OnDisk, state: Path) -> None:
    journal = on_disk()
    await journal.open(lambda _record: None)
    await journal.close()
    before = set(Path("/proc/self/fd").iterdir())
    for number in range(3):
        await journal.open(lambda _record: None)
        await journal.compact(partial(Compaction, JOBS, [tombstone(number)]))
        await journal.close()
    (state / "journal").write_bytes(framing.header() + framing.frame(1, b"text") + bytes(9))
    with pytest.raises(StorageUnavailable):
        await journal.open(lambda _record: None)
    assert set(Path("/proc/self/fd").iterdir()) == before
