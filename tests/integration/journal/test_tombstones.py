"""`TombstoneFile` on real disks: merged, cut, flipped, full, failing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from adapters.journal import tombstone_format as form
from adapters.journal.replacing import DAMAGED_KEPT
from adapters.journal.tombstone_format import HEADER_BYTES, SLOT_BYTES
from adapters.journal.tombstones import TombstoneFile
from domain.errors import NoSpace, StorageUnavailable
from domain.job import JobState, is_terminal
from domain.records import Tombstone
from tests.integration.project_files.disk import entries, failing_with, mode

OVER = [state for state in JobState if is_terminal(state)]


def tombstone(number: int) -> Tombstone:
    job_id = f"job-{number}"
    return Tombstone(job_id, sha256(job_id.encode()).hexdigest(), OVER[number % len(OVER)])


FEW = [tombstone(number) for number in range(5)]
SIZE = HEADER_BYTES + len(FEW) * SLOT_BYTES


@pytest.fixture
def file(tmp_path: Path) -> Iterator[TombstoneFile]:
    file = TombstoneFile(tmp_path)
    assert file.open(is_expected=False) == ""
    yield file
    file.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tombstones"


_opened: list[TombstoneFile] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


def reopened(directory: Path) -> tuple[TombstoneFile, str]:
    file = TombstoneFile(directory)
    _opened.append(file)
    return file, file.open(is_expected=True)


def known(file: TombstoneFile, among: list[Tombstone]) -> list[Tombstone]:
    """Those that are found; never is anything else said of a job than what was kept of it."""
    found = [(kept, file.find(kept.job_id)) for kept in among]
    assert all(said in (kept, None) for kept, said in found)
    return [kept for kept, said in found if said is not None]


def test_what_was_added_is_found_also_after_opening_again(
    file: TombstoneFile, path: Path, tmp_path: Path
) -> None:
    many = [tombstone(number) for number in range(300)]
    for start in range(0, 300, 50):
        file.add(many[start : start + 50])
    again, lost = reopened(tmp_path)
    assert lost == ""
    for opened in (file, again):
        assert known(opened, many) == many
        assert opened.find("job-300") is None
        assert opened.find("\ud800") is None
    assert path.stat().st_size == HEADER_BYTES + 300 * SLOT_BYTES
    assert mode(path) == "0o600"
    assert entries(tmp_path) == {"tombstones"}
    again.close()


def test_what_is_there_already_is_not_written_again(file: TombstoneFile, path: Path) -> None:
    file.add(FEW)
    before = path.stat().st_ino
    file.add([])
    file.add(FEW[1:3])
    file.add([Tombstone(FEW[0].job_id, "0" * 64, JobState.FAILED)])
    assert path.stat().st_ino == before
    file.add([*FEW, tombstone(7), tombstone(7)])
    assert known(file, [*FEW, tombstone(7)]) == [*FEW, tombstone(7)]
    assert path.stat().st_size == SIZE + SLOT_BYTES


def sorted_few() -> list[Tombstone]:
    return sorted(FEW, key=lambda kept: form.key_of(kept.job_id))


@pytest.mark.parametrize("length", range(SIZE))
def test_a_file_cut_at_any_byte_keeps_what_is_intact_and_is_set_aside(
    file: TombstoneFile, path: Path, tmp_path: Path, length: int
) -> None:
    file.add(FEW)
    os.truncate(path, length)
    again, lost = reopened(tmp_path)
    intact = sorted_few()[: max(0, length - HEADER_BYTES) // SLOT_BYTES]
    assert f"{path} is damaged" in lost
    if length >= HEADER_BYTES:
        assert f"at least {len(FEW) - len(intact)} of its entries are lost" in lost
    assert path.stat().st_size == length
    assert known(again, sorted_few()) == intact
    assert again.put_right() == "the damaged file is kept as tombstones.damaged-1"
    assert known(again, sorted_few()) == intact
    assert reopened(tmp_path)[1] == ""
    assert (tmp_path / "tombstones.damaged-1").stat().st_size == length


@pytest.mark.parametrize("bit", [0, 7])
@pytest.mark.parametrize("place", range(SIZE))
def test_a_flipped_bit_costs_its_own_slot_and_is_known(
    file: TombstoneFile, path: Path, tmp_path: Path, place: int, bit: int
) -> None:
    file.add(FEW)
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)
    again, lost = reopened(tmp_path)
    intact = sorted_few()
    if place >= HEADER_BYTES:
        del intact[(place - HEADER_BYTES) // SLOT_BYTES]
    assert f"at least {len(FEW) - len(intact)} of its entries are lost" in lost
    assert known(again, FEW) == [kept for kept in FEW if kept in intact]
    again.add([tombstone(9)])
    assert known(again, [tombstone(9)]) == [tombstone(9)]
    again.close()


@pytest.mark.parametrize("content", [b"", b"garbage", bytes(4096), b"idtombs\n" * 100])
def test_a_file_that_is_none_is_set_aside(path: Path, tmp_path: Path, content: bytes) -> None:
    path.write_bytes(content)
    file, lost = reopened(tmp_path)
    assert lost
    assert file.put_right() == "the damaged file is kept as tombstones.damaged-1"
    file.add(FEW)
    assert known(file, FEW) == FEW
    assert reopened(tmp_path)[1] == ""


def test_more_behind_the_slots_is_damage(file: TombstoneFile, path: Path, tmp_path: Path) -> None:
    file.add(FEW)
    path.write_bytes(path.read_bytes() + bytes(SLOT_BYTES))
    again, lost = reopened(tmp_path)
    assert lost
    assert known(again, FEW) == FEW


def test_few_damaged_files_are_kept(path: Path, tmp_path: Path) -> None:
    for _ in range(DAMAGED_KEPT + 2):
        path.write_bytes(b"garbage")
        file, _ = reopened(tmp_path)
        file.put_right()
        file.close()
    kept = {f"tombstones.damaged-{number}" for number in (3, 4, 5)}
    assert entries(tmp_path) == {"tombstones", *kept}


def test_a_file_that_should_be_there_and_is_not_is_missed(path: Path, tmp_path: Path) -> None:
    file, lost = reopened(tmp_path)
    assert lost == f"{path} is missing"
    assert file.find("job-1") is None
    assert not path.exists()
    assert file.put_right() == "it was made anew"
    assert reopened(tmp_path)[1] == ""


def test_a_damaged_file_on_a_full_disk_stays_and_what_is_intact_is_used(
    file: TombstoneFile, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.add(FEW)
    os.truncate(path, SIZE - 1)
    again, _ = reopened(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing_with(errno.ENOSPC))
        assert again.put_right() == "it could not be set aside: No space left on device"
        with pytest.raises(NoSpace):
            again.add([tombstone(9)])
    assert known(again, sorted_few()) == sorted_few()[:-1]
    assert entries(tmp_path) == {"tombstones"}
    again.add([tombstone(9)])
    assert known(again, sorted_few()) == sorted_few()[:-1]
    assert known(reopened(tmp_path)[0], [tombstone(9)]) == [tombstone(9)]


def test_a_missing_file_on_a_full_disk_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _ = reopened(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing_with(errno.ENOSPC))
        assert file.put_right() == "it could not be made: No space left on device"
    assert file.find("job-1") is None
    assert entries(tmp_path) == set()


@pytest.mark.parametrize("call", ["pwrite", "fsync", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_an_addition_that_fails_changes_nothing(
    file: TombstoneFile,
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
) -> None:
    file.add(FEW)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path if call == "rename" else os, call, failing_with(number))
        with pytest.raises(NoSpace if number == errno.ENOSPC else StorageUnavailable):
            file.add([tombstone(9)])
    assert path.read_bytes() == before
    assert entries(tmp_path) == {"tombstones"}
    assert known(file, [*FEW, tombstone(9)]) == FEW


def test_a_file_of_a_newer_agent_is_refused_and_not_touched(
    file: TombstoneFile, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(form, "VERSION", 2)
        file.add(FEW)
    before = path.read_bytes()
    again = TombstoneFile(tmp_path)
    with pytest.raises(StorageUnavailable, match=r"was written by a newer agent \(version 2"):
        again.refuse_newer()
    with pytest.raises(StorageUnavailable, match=r"was written by a newer agent \(version 2"):
        again.open(is_expected=True)
    assert path.read_bytes() == before
    assert entries(tmp_path) == {"tombstones"}


def test_what_an_agent_left_that_was_killed_while_it_added_is_removed(
    file: TombstoneFile, tmp_path: Path
) -> None:
    file.add(FEW)
    (tmp_path / "tombstones.new").write_bytes(b"half")
    again, lost = reopened(tmp_path)
    assert lost == ""
    assert known(again, FEW) == FEW
    assert entries(tmp_path) == {"tombstones"}


def test_what_is_spoilt_after_it_was_opened_is_not_believed(
    file: TombstoneFile, path: Path
) -> None:
    file.add(FEW)
    with path.open("r+b") as spoiling:
        spoiling.seek(HEADER_BYTES + 2 * SLOT_BYTES)
        spoiling.write(b"\0")
    middle = sorted_few()[2]
    with pytest.raises(StorageUnavailable, match="was spoilt after it was opened"):
        file.find(middle.job_id)
    before = path.read_bytes()
    with pytest.raises(StorageUnavailable, match="was spoilt after it was opened"):
        file.add([tombstone(9)])
    assert path.read_bytes() == before


def test_a_disk_that_cannot_be_read_is_said(
    file: TombstoneFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.add(FEW)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", failing_with(errno.EIO))
        with pytest.raises(StorageUnavailable, match="Input/output error"):
            file.find("job-1")
    assert known(file, FEW) == FEW


def test_more_than_one_read_holds(tmp_path: Path, file: TombstoneFile) -> None:
    many = [tombstone(number) for number in range(40_000)]
    file.add(many[::2])
    file.add(many[1::2])
    again, lost = reopened(tmp_path)
    assert lost == ""
    assert known(again, many[::1000]) == many[::1000]
    assert again.find("job-40000") is None


def test_no_descriptor_is_left_open(path: Path, tmp_path: Path, file: TombstoneFile) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    for number in range(3):
        again, _ = reopened(tmp_path)
        again.add([tombstone(number)])
        again.open(is_expected=True)
        again.close()
        again.close()
    path.write_bytes(b"garbage")
    again, _ = reopened(tmp_path)
    again.put_right()
    again.close()
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_link_in_its_place_is_not_followed(tmp_path: Path, path: Path) -> None:
    (tmp_path / "passwd").write_bytes(b"root")
    path.symlink_to(tmp_path / "passwd")
    with pytest.raises(StorageUnavailable):
        reopened(tmp_path)
    assert (tmp_path / "passwd").read_bytes() == b"root"
