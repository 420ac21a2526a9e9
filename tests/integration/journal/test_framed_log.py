"""`FramedLog` on real disks: written, cut, flipped, full, failing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from adapters.journal import framing
from adapters.journal.framed_log import FramedLog
from adapters.journal.replacing import DAMAGED_KEPT
from domain.errors import NoSpace, StorageUnavailable
from tests.integration.project_files.disk import entries, failing_with, mode
from tests.integration.project_files.test_failing_disks import small_disk

RECORDS = [b'{"n":%d}' % number for number in range(5)]
SMALL = 4096


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def log(state: Path) -> Iterator[FramedLog]:
    log = small_log(state)
    log.open()
    yield log
    log.close()


def small_log(state: Path) -> FramedLog:
    return FramedLog(state, reserve_bytes=SMALL, chunk_bytes=SMALL)


def reopened(state: Path) -> tuple[list[bytes], str]:
    log = small_log(state)
    found = log.open()
    log.close()
    return list(found.payloads), found.damage


def test_what_was_appended_is_there_after_opening_again(log: FramedLog, state: Path) -> None:
    log.append(RECORDS[:2])
    log.append(RECORDS[2:])
    assert reopened(state) == (RECORDS, "")


def test_an_opened_log_goes_on_where_it_ended(log: FramedLog, state: Path) -> None:
    for record in RECORDS:
        log.close()
        log.open()
        log.append([record])
    assert reopened(state) == (RECORDS, "")


def test_a_new_log_is_empty_and_for_the_agents_user_alone(log: FramedLog, state: Path) -> None:
    assert reopened(state) == ([], "")
    assert mode(state) == "0o700"
    assert mode(state / "journal") == "0o600"
    assert entries(state) == {"journal"}


def test_many_records_pass_many_chunks(log: FramedLog, state: Path) -> None:
    records = [b"x" * 1000 + b"%d" % number for number in range(50)]
    for record in records:
        log.append([record])
    assert log.used_bytes > 10 * SMALL
    assert reopened(state) == (records, "")


def test_a_record_larger_than_a_chunk(log: FramedLog, state: Path) -> None:
    log.append([b"x" * (3 * SMALL)])
    assert reopened(state) == ([b"x" * (3 * SMALL)], "")


def test_rewriting_replaces_everything_and_gives_the_space_back(
    log: FramedLog, state: Path
) -> None:
    log.append([b"x" * (10 * SMALL)])
    log.rewrite(RECORDS)
    log.append([b"after"])
    assert reopened(state) == ([*RECORDS, b"after"], "")
    assert (state / "journal").stat().st_size <= 2 * SMALL
    assert entries(state) == {"journal"}


@pytest.mark.parametrize("call", ["pwrite", "posix_fallocate", "fsync"])
def test_a_rewrite_that_fails_leaves_the_old_records_in_use(
    log: FramedLog, state: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    log.append(RECORDS[:1])
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing_with(errno.ENOSPC))
        with pytest.raises(NoSpace):
            log.rewrite([b"new"])
    assert entries(state) == {"journal"}
    log.append(RECORDS[1:])
    assert reopened(state) == (RECORDS, "")


def test_what_an_agent_left_that_was_killed_while_it_rewrote_is_removed(
    log: FramedLog, state: Path
) -> None:
    log.append(RECORDS)
    (state / "journal.new").write_bytes(b"half")
    assert reopened(state) == (RECORDS, "")
    assert entries(state) == {"journal"}


def test_damage_is_said_set_aside_and_not_found_again(log: FramedLog, state: Path) -> None:
    log.append(RECORDS)
    path = state / "journal"
    data = bytearray(path.read_bytes())
    data[data.index(RECORDS[2])] ^= 1
    path.write_bytes(data)

    records, damage = reopened(state)

    assert records == [*RECORDS[:2], *RECORDS[3:]]
    assert damage == (
        f"{path}: {len(framing.frame(3, RECORDS[2]))} bytes are damaged and at least 1 records are "
        "lost; the damaged file is kept as journal.damaged-1"
    )
    assert (state / "journal.damaged-1").read_bytes() == data
    assert reopened(state) == (records, "")


def test_a_cut_file_is_set_aside_and_goes_on(log: FramedLog, state: Path) -> None:
    log.append(RECORDS)
    os.truncate(state / "journal", log.used_bytes)
    records, damage = reopened(state)
    assert records == RECORDS
    assert "the file was cut" in damage
    assert reopened(state) == (RECORDS, "")


@pytest.mark.parametrize("content", [b"", b"\0", b"garbage", b"\xf5jnl" * 1000])
def test_a_file_that_is_none_is_set_aside(state: Path, content: bytes) -> None:
    state.mkdir()
    (state / "journal").write_bytes(content)
    records, damage = reopened(state)
    assert records == []
    assert "kept as journal.damaged-1" in damage
    assert reopened(state) == ([], "")


def test_few_damaged_files_are_kept(state: Path) -> None:
    for _ in range(DAMAGED_KEPT + 2):
        small_log(state).open()
        (state / "journal").write_bytes(b"garbage")
        reopened(state)
    assert entries(state) == {
        "journal",
        "journal.damaged-3",
        "journal.damaged-4",
        "journal.damaged-5",
    }


def test_damage_on_a_full_disk_stays_where_it_is_and_is_written_behind(
    log: FramedLog, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(RECORDS)
    path = state / "journal"
    path.write_bytes(path.read_bytes().replace(RECORDS[1], b"!" * len(RECORDS[1])))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing_with(errno.ENOSPC))
        again = small_log(state)
        found = again.open()
    assert found.payloads == [RECORDS[0], *RECORDS[2:]]
    assert "could not be set aside: No space left" in found.damage
    again.append([b"behind"])
    again.close()
    assert reopened(state)[0] == [RECORDS[0], *RECORDS[2:], b"behind"]
    assert reopened(state)[1] == ""


def test_a_file_of_a_newer_agent_is_refused_and_not_touched(
    log: FramedLog, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(framing, "VERSION", 2)
        log.rewrite(RECORDS)
    before = (state / "journal").read_bytes()
    with pytest.raises(StorageUnavailable, match=r"was written by a newer agent \(version 2"):
        small_log(state).open()
    assert (state / "journal").read_bytes() == before
    assert entries(state) == {"journal"}


def appended_until_full(log: FramedLog) -> list[bytes]:
    written: list[bytes] = []
    with suppress(NoSpace):
        while len(written) < 1000:
            log.append([b"x" * 1000])
            written.append(b"x" * 1000)
    return written


def test_a_full_disk_refuses_what_may_wait_and_takes_what_may_not(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small") as disk:
        (disk / "others").write_bytes(bytes(16384))
        with closing(FramedLog(disk, reserve_bytes=8192, chunk_bytes=SMALL)) as log:
            log.open()
            written = appended_until_full(log)
            for _ in range(7):
                log.append([b"y" * 1000], from_reserve=True)
            with pytest.raises(NoSpace):
                log.append([b"z"])
            (disk / "others").unlink()
            log.append([b"there is room again"])
        expected = [*written, *[b"y" * 1000] * 7, b"there is room again"]
        assert 0 < len(written) < 1000
        with closing(FramedLog(disk)) as again:
            assert again.open().payloads == expected


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_disk_that_fails_is_not_written_to_again_before_it_is_looked_at(
    log: FramedLog, state: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    log.append(RECORDS[:3])
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing_with(errno.EIO))
        with pytest.raises(StorageUnavailable, match="Input/output error"):
            log.append([b"lost, or not"])
    with pytest.raises(StorageUnavailable, match="failed before"):
        log.append(RECORDS[3:])
    log.open()
    log.append(RECORDS[3:])
    assert [r for r in reopened(state)[0] if r != b"lost, or not"] == RECORDS


def test_no_descriptor_is_left_open(state: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    log = small_log(state)
    for _ in range(3):
        log.open()
        log.append(RECORDS)
        log.rewrite(RECORDS)
    (state / "journal").write_bytes(b"garbage")
    log.open()
    log.close()
    log.close()
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_link_in_the_journals_place_is_not_followed(state: Path, tmp_path: Path) -> None:
    state.mkdir()
    (tmp_path / "passwd").write_bytes(b"root")
    (state / "journal").symlink_to(tmp_path / "passwd")
    with pytest.raises(StorageUnavailable):
        small_log(state).open()
    assert (tmp_path / "passwd").read_bytes() == b"root"
