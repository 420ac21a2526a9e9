"""A process that is killed at any of its calls leaves a journal that says what is true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.journal.durable_journal import DurableJobJournal
from domain.records import Record
from tests.contracts.job_journal import EPOCH, JOBS
from tests.integration.journal.conftest import RealDisk
from tests.integration.journal.dying import APPENDED, COMPACTED
from tests.integration.project_files.disk import entries
from tests.support.dying import killed_at_every_call

BEFORE: list[Record] = [EPOCH, *JOBS]
BURIED = list(COMPACTED.tombstones)
LEAST_CALLS = 8

OnDisk = Callable[..., DurableJobJournal]


@pytest.fixture
async def start(tmp_path: Path, on_disk: OnDisk) -> Path:
    """A journal with some records, from which each process goes on."""
    journal = on_disk(tmp_path / "start")
    await journal.open(lambda _record: None)
    for record in BEFORE:
        await journal.append(record)
    await journal.close()
    return tmp_path / "start"


def killed(scenario: str, root: Path) -> list[Path]:
    """What each process left that was killed one call later than the one before."""
    left = killed_at_every_call("tests.integration.journal.dying", scenario, root)
    # Before and after each call, and in the middle of those that write.
    assert len(left) > 2 * LEAST_CALLS
    return left


async def opened(journal: DurableJobJournal) -> list[Record]:
    found: list[Record] = []
    await journal.open(found.append)
    return found


async def test_a_compaction_is_done_or_not_done_and_nothing_is_damaged(
    start: Path, tmp_path: Path, on_disk: OnDisk
) -> None:
    outcomes = set[bool]()
    for directory in killed("compact", tmp_path):
        journal = on_disk(directory)
        found = await opened(journal)
        is_done = found == COMPACTED.records
        outcomes.add(is_done)
        assert is_done or found == BEFORE, directory.name
        assert journal.damage == ""
        for kept in BURIED:
            said = journal.tombstone(kept.job_id)
            assert said == kept or (said is None and not is_done), directory.name
        assert entries(directory) == {"journal", "tombstones"}
        await journal.compact(lambda: COMPACTED)
        assert [journal.tombstone(kept.job_id) for kept in BURIED] == BURIED
        await journal.close()
        assert await opened(journal) == COMPACTED.records
    assert outcomes == {True, False}


async def test_what_was_appended_is_there_up_to_some_fact(
    start: Path, tmp_path: Path, on_disk: OnDisk
) -> None:
    for directory in killed("append", tmp_path):
        journal = on_disk(directory)
        found = await opened(journal)
        appended = len(found) - len(BEFORE)
        assert found == [*BEFORE, *APPENDED[:appended]], directory.name
        assert journal.damage == "" or directory.name.endswith("torn")
        await journal.append(JOBS[0])
        await journal.close()
        assert (await opened(journal))[-1] == JOBS[0]


async def test_damage_is_not_forgotten(start: Path, tmp_path: Path, on_disk: OnDisk) -> None:
    RealDisk(start).spoil(2)
    (start / "tombstones").write_bytes(b"garbage")
    for directory in killed("start", tmp_path):
        journal = on_disk(directory)
        assert await opened(journal) == [*BEFORE[:2], *BEFORE[3:]], directory.name
        assert f"{directory.name}/journal: " in journal.damage.replace(f"{tmp_path}/", "")
        await journal.close()
        await opened(journal)
        assert "bytes are damaged" in journal.damage
        assert "tombstones is damaged" in journal.damage
        aside = [path.name for path in directory.glob("*.damaged-*")]
        assert {name.split(".")[0] for name in aside} == {"journal", "tombstones"}


async def test_a_first_start_that_was_killed_is_no_damage(tmp_path: Path, on_disk: OnDisk) -> None:
    for directory in killed("start", tmp_path):
        journal = on_disk(directory)
        assert await opened(journal) == []
        assert journal.damage == "", directory.name
        assert journal.tombstone("job-0") is None
        await journal.append(EPOCH)
        assert entries(directory) == {"journal", "tombstones"}
