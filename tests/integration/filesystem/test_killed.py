"""A process that is killed at any of its calls leaves what was there, or what was to be, or a way on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.filesystem.private_directory import name_for
from domain.errors import StorageUnavailable
from domain.project import ProjectName
from domain.revision import RevisionState
from tests.contracts.private_parts import DEPLOYMENT
from tests.contracts.project_contents import BLOG, OLD, PLAIN, RICH, current, publish, whole
from tests.contracts.registry_logins import LOGINS
from tests.contracts.revision_store import BLOG as PROJECT
from tests.contracts.revision_store import content, draft
from tests.integration.filesystem.dying import Disk
from tests.integration.filesystem.test_revision_store import flip
from tests.integration.project_files.disk import entries
from tests.support.dying import killed_at_every_call

LEAST_CALLS = 4


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def start(tmp_path: Path, threads: ThreadPoolExecutor) -> Disk:
    """What each process goes on from."""
    (tmp_path / "start").mkdir()
    return Disk(tmp_path / "start", threads)


def killed(scenario: str, root: Path, threads: ThreadPoolExecutor) -> list[tuple[Path, Disk]]:
    """What each process left that was killed one call later than the one before."""
    left = killed_at_every_call("tests.integration.filesystem.dying", scenario, root)
    assert len(left) > LEAST_CALLS
    return [(path, Disk(path, threads)) for path in left]


def put_by_hand(start: Path) -> None:
    (start / "projects" / "blog" / "conf").mkdir(parents=True, exist_ok=True)
    (start / "projects" / "blog" / "conf" / "mine").write_text("mine")


async def test_a_first_publication_is_completed_or_leaves_no_project(
    start: Disk, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    outcomes = set[bool]()
    for path, disk in killed("publish_first", tmp_path, threads):
        names = list(await disk.files.names())
        outcomes.add(names == [BLOG])
        assert names in ([], [BLOG]), path.name
        if names:
            assert await current(disk.files) == whole(RICH), path.name
        await publish(disk.files, BLOG, RICH)
        assert await current(disk.files) == whole(RICH), path.name
        assert not staged_in(path)
    assert outcomes == {True, False}


async def test_what_is_left_of_a_first_staging_is_no_namesake(
    start: Disk, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    unborn = 0
    for path, disk in killed("publish_first", tmp_path, threads):
        directory = path / "projects" / "blog"
        found = [entry.name for entry in directory.glob("*")]
        if not found or any(not name.startswith(".docker-compose.yml.") for name in found):
            continue
        unborn += 1
        await publish(disk.files, ProjectName("Blog"), OLD)
        assert [name.value for name in await disk.files.names()] == ["Blog"]
        assert not directory.exists()
    assert unborn > LEAST_CALLS


@pytest.mark.parametrize("scenario", ["publish_rich", "publish_plain"])
@pytest.mark.parametrize("is_completed", [True, False])
async def test_a_publication_can_be_completed_and_taken_back(
    start: Disk,
    tmp_path: Path,
    threads: ThreadPoolExecutor,
    scenario: str,
    is_completed: bool,
) -> None:
    before, after = (PLAIN, RICH) if scenario == "publish_rich" else (RICH, PLAIN)
    put_by_hand(tmp_path / "start")
    await publish(start.files, BLOG, before)
    at_start = entries(tmp_path / "start")
    for path, disk in killed(scenario, tmp_path, threads):
        found = await current(disk.files)
        for name, was in whole(before).items():
            assert found[name] in (was, whole(after)[name]), (path.name, name)
        if found["docker-compose.yml"] == after.file.content:
            assert found == whole(after), path.name
        if is_completed:
            await publish(disk.files, BLOG, after, before)
            assert await current(disk.files) == whole(after), path.name
        else:
            await publish(disk.files, BLOG, before, after)
            assert entries(path) == at_start, path.name
            assert await current(disk.files) == whole(before), path.name
        assert not staged_in(path)
        assert (path / "projects" / "blog" / "conf" / "mine").read_text() == "mine"


async def test_a_removal_can_be_completed_and_the_project_is_there_until_all_is_gone(
    start: Disk, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    await publish(start.files, BLOG, RICH)
    for path, disk in killed("remove", tmp_path, threads):
        found = await current(disk.files)
        if found["docker-compose.yml"] is None:
            assert set(found.values()) == {None}, path.name
        await disk.files.remove(BLOG, RICH)
        assert entries(path) == {"projects"}, path.name


async def revisions(start: Disk) -> None:
    for number in (1, 2, 3):
        await start.revisions.add(PROJECT, draft(f"job-{number}", str(number)))
        if number < 3:
            await start.revisions.settle(PROJECT, number, RevisionState.GOOD)
            await start.revisions.want(PROJECT, 1)


@pytest.mark.parametrize("scenario", ["add", "settle", "settle_from_reserve", "want", "forget"])
async def test_a_history_is_the_one_before_or_the_one_after_with_all_its_contents(
    start: Disk, tmp_path: Path, threads: ThreadPoolExecutor, scenario: str
) -> None:
    await revisions(start)
    before = await start.revisions.history(PROJECT)
    outcomes = set[bool]()
    seen = []
    for path, disk in killed(scenario, tmp_path, threads):
        history = await disk.revisions.history(PROJECT)
        outcomes.add(history == before)
        if history != before and history not in seen:
            seen.append(history)
        assert not list(path.rglob("*.damaged-*")), path.name
        for one in history.revisions:
            text = "four" if one.number == 4 else str(one.number)
            assert await disk.revisions.content(PROJECT, one.number) == content(text), path.name
        await disk.revisions.forget(PROJECT)
        left = {one for one in entries(path / "state") if ".reserve" not in one}
        assert left == {"revisions"}, path.name
    assert outcomes == {True, False}
    assert len(seen) == 1


async def test_adding_again_after_a_kill_makes_one_revision_and_leaves_nothing_else(
    start: Disk, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    await revisions(start)
    for path, disk in killed("add", tmp_path, threads):
        assert (await disk.revisions.add(PROJECT, draft("job-4", "four"))).number == 4
        await disk.revisions.want(PROJECT, 4)
        history = await disk.revisions.history(PROJECT)
        named = {one.digest for one in history.revisions}
        directory = path / "state" / "revisions" / "blog"
        assert {found.name for found in (directory / "contents").iterdir()} == named, path.name


async def test_numbers_rise_also_when_killed_while_a_history_is_set_aside(
    start: Disk, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    await revisions(start)
    flip(tmp_path / "start" / "state" / "revisions" / "blog" / "history.json", 100)
    for path, disk in killed("begin_anew", tmp_path, threads):
        assert (await disk.revisions.add(PROJECT, draft("job-4", "four"))).number > 3, path.name
        assert list(path.rglob("history.json.damaged-*")), path.name


async def test_private_parts_are_kept_whole_or_not_at_all(
    start: Disk, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    outcomes = set[bool]()
    for path, disk in killed("keep", tmp_path, threads):
        is_kept = (path / "state" / "private" / name_for("job-1")).exists()
        outcomes.add(is_kept)
        if is_kept:
            assert await disk.parts.restore("job-1") == DEPLOYMENT, path.name
        else:
            with pytest.raises(StorageUnavailable, match="is gone"):
                await disk.parts.restore("job-1")
        await disk.parts.wipe_all_but([])
        assert entries(path / "state") <= {"private"}, path.name
    assert outcomes == {True, False}


async def test_logins_are_provided_again_after_a_kill_and_wiped_whatever_is_left(
    start: Disk, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    for path, disk in killed("provide", tmp_path, threads):
        directory = await disk.logins.provide("job-1", LOGINS)
        found = json.loads((Path(directory) / "config.json").read_text())
        assert len(found["auths"]) == len(LOGINS), path.name
        await disk.logins.wipe_all_but([])
        assert entries(path / "state") == {"logins"}, path.name


def staged_in(path: Path) -> list[str]:
    return [name for name in entries(path) if "staged" in name]
