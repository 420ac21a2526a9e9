"""Revisions on a real disk: the contract, modes, damage, and disks that fail."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import pytest

from adapters.filesystem.private_directory import PrivateDirectory
from adapters.filesystem.reserve import FILES
from adapters.filesystem.revision_store import LocalRevisionStore
from adapters.filesystem.sealed import seal
from application.ports.revision_store import RevisionStore
from domain.errors import NoSpace, StorageUnavailable
from domain.project import ProjectName
from domain.revision import RevisionState
from tests.contracts.revision_store import (
    BLOG,
    IMAGES,
    KEPT,
    RevisionStoreContract,
    content,
    draft,
)
from tests.integration.project_files.disk import entries, failing_with, mode
from tests.integration.project_files.test_failing_disks import small_disk


@pytest.fixture
def store(state: Path, executor: Executor) -> RevisionStore:
    return LocalRevisionStore(state, executor, kept=KEPT)


@pytest.fixture
def blog(state: Path) -> Path:
    return state / "revisions" / "blog"


class TestLocalRevisionStore(RevisionStoreContract):
    @pytest.fixture
    def store(self, state: Path, executor: Executor) -> RevisionStore:
        return LocalRevisionStore(state, executor, kept=KEPT)

    @pytest.fixture
    def contents(self, blog: Path) -> Callable[[], int]:
        return lambda: len(list(blog.glob("contents/*")))

    @pytest.fixture
    def fill_disk(self, filling: Callable[[], None]) -> Callable[[], None]:
        return filling

    @pytest.fixture
    def spoil_content(self, blog: Path) -> Callable[[str], None]:
        return lambda digest: flip(blog / "contents" / digest, -3)

    @pytest.fixture
    def spoil_history(self, state: Path) -> Callable[[str], None]:
        return lambda name: flip(state / "revisions" / name / "history.json", -20)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


async def test_all_is_for_the_agents_user_alone(
    store: RevisionStore, state: Path, umask: None
) -> None:
    await store.add(BLOG, draft("job-1"))
    found = {path.relative_to(state).as_posix(): mode(path) for path in state.rglob("*")}
    digest = content().digest
    assert found == {
        "revisions": "0o700",
        "revisions/.reserve": "0o700",
        **{f"revisions/.reserve/{number}": "0o600" for number in range(FILES)},
        "revisions/blog": "0o700",
        "revisions/blog/history.json": "0o600",
        "revisions/blog/contents": "0o700",
        f"revisions/blog/contents/{digest}": "0o600",
    }
    assert mode(state) == "0o700"


async def test_people_can_read_a_history(store: RevisionStore, blog: Path) -> None:
    await store.add(BLOG, draft("job-1"))
    await store.settle(BLOG, 1, RevisionState.GOOD, images=IMAGES)
    _, _, body = (blog / "history.json").read_text().partition("\n")
    document = json.loads(body)
    assert (document["name"], document["next"]) == ("Blog", 2)
    assert document["revisions"][0]["state"] == "good"
    assert document["revisions"][0]["images"][0]["reference"] == "nginx:latest"


@pytest.mark.parametrize("place", [0, 14, 40, 100, -2, -20])
async def test_a_history_with_any_flipped_byte_is_set_aside_and_said(
    store: RevisionStore, blog: Path, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1, 6):
        await store.add(BLOG, draft(f"job-{number}"))
    flip(blog / "history.json", place)
    damaged = (blog / "history.json").read_bytes()
    with caplog.at_level(logging.ERROR):
        history = await store.history(BLOG)
        assert await store.history(BLOG) == history
    assert history.revisions == ()
    assert (blog / "history.json.damaged-1").read_bytes() == damaged
    said = [record for record in caplog.records if record.name.startswith("adapters.")]
    assert [record.levelno for record in said] == [logging.ERROR]
    assert "'Blog' is damaged" in caplog.text
    assert 5 < (await store.add(BLOG, draft("job-6"))).number <= 7


@pytest.mark.parametrize("left", [b"", b"\0" * 5000, b"{"])
async def test_numbers_leap_where_nothing_of_a_history_can_be_read(
    store: RevisionStore, blog: Path, left: bytes
) -> None:
    for number in range(1, 8):
        await store.add(BLOG, draft(f"job-{number}", f"image-{number}"))
    (blog / "history.json").write_bytes(left)
    assert (await store.add(BLOG, draft("job-8"))).number > 1000


async def test_damage_again_and_again_keeps_numbers_rising_and_few_files(
    store: RevisionStore, blog: Path
) -> None:
    numbers = []
    for round_ in range(6):
        numbers.append((await store.add(BLOG, draft(f"job-{round_}"))).number)
        flip(blog / "history.json", 100)
    await store.history(BLOG)
    assert numbers == sorted(set(numbers))
    assert {path.name for path in blog.glob("*.damaged-*")} == {
        f"history.json.damaged-{number}" for number in (4, 5, 6)
    }


async def test_a_history_of_a_newer_agent_is_refused_and_left_alone(
    store: RevisionStore, blog: Path
) -> None:
    await store.add(BLOG, draft("job-1"))
    newer = seal(2, b"whatever it may be\n")
    (blog / "history.json").write_bytes(newer)
    before = entries(blog)
    for call in (
        store.history(BLOG),
        store.add(BLOG, draft("job-2", "other")),
        store.settle(BLOG, 1, RevisionState.GOOD),
        store.want(BLOG, 1),
        store.content(BLOG, 1),
    ):
        with pytest.raises(StorageUnavailable, match="newer agent"):
            await call
    assert (entries(blog), (blog / "history.json").read_bytes()) == (before, newer)


async def test_content_of_a_newer_agent_is_refused(store: RevisionStore, blog: Path) -> None:
    made = await store.add(BLOG, draft("job-1"))
    path = blog / "contents" / made.digest
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(StorageUnavailable, match="newer agent"):
        await store.content(BLOG, 1)


@pytest.mark.parametrize(
    "left", [b"", b"{}\n", b'{"version": 1}\n', b'{"version": 1, "file": "x"}\n']
)
async def test_content_that_is_no_content_is_not_given_back(
    store: RevisionStore, blog: Path, left: bytes
) -> None:
    made = await store.add(BLOG, draft("job-1"))
    (blog / "contents" / made.digest).write_bytes(left)
    with pytest.raises(StorageUnavailable, match="damaged or gone"):
        await store.content(BLOG, 1)
    (blog / "contents" / made.digest).unlink()
    with pytest.raises(StorageUnavailable, match="damaged or gone"):
        await store.content(BLOG, 1)


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_a_disk_that_fails_is_said_and_the_next_call_is_right(
    store: RevisionStore, blog: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    await store.add(BLOG, draft("job-1"))
    before = entries(blog)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing_with(number))
        with pytest.raises(NoSpace if number == errno.ENOSPC else StorageUnavailable):
            await store.add(BLOG, draft("job-2", "other"))
    assert entries(blog) - before <= {f"contents/{content('other').digest}"}
    assert (await store.add(BLOG, draft("job-2", "other"))).number == 2
    assert await store.content(BLOG, 2) == content("other")


async def test_a_small_disk_that_is_really_full_keeps_what_is_there(
    executor: Executor, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small", "1m") as disk:
        store = LocalRevisionStore(disk, executor)
        await store.add(BLOG, draft("job-1"))
        before = entries(disk)
        with pytest.raises(NoSpace):
            await store.add(BLOG, draft("job-2", "x" * 500_000))
        assert entries(disk) == before
        assert await store.content(BLOG, 1) == content()
        assert (await store.add(BLOG, draft("job-2", "other"))).number == 2


async def test_a_call_that_is_cancelled_while_the_disk_hangs_comes_to_its_end(
    store: RevisionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add(BLOG, draft("job-1"))
    hangs, goes_on = threading.Event(), threading.Event()
    replace = PrivateDirectory.replace

    def hang(directory: PrivateDirectory, name: str, data: bytes) -> None:
        hangs.set()
        assert goes_on.wait(60)
        replace(directory, name, data)

    monkeypatch.setattr(PrivateDirectory, "replace", hang)
    adding = asyncio.create_task(store.add(BLOG, draft("job-2", "other")))
    await asyncio.to_thread(hangs.wait)
    adding.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not adding.done()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert await store.content(BLOG, 2) == content("other")


async def test_what_a_killed_agent_left_of_a_forgotten_history_goes(
    store: RevisionStore, state: Path
) -> None:
    await store.add(BLOG, draft("job-1"))
    (state / "revisions" / "blog").rename(state / "revisions" / ".forgotten.blog")
    await store.forget(BLOG)
    assert {path.name for path in (state / "revisions").iterdir()} == {".reserve"}


async def test_projects_at_once_do_not_disturb_each_other(executor: Executor, state: Path) -> None:
    store = LocalRevisionStore(state, executor)
    names = [ProjectName(f"project-{number}") for number in range(8)]
    await asyncio.gather(*(store.add(name, draft(f"job-{name}", str(name))) for name in names))
    for name in names:
        assert await store.content(name, 1) == content(str(name))


async def test_a_content_is_durable_before_a_history_names_it(
    store: RevisionStore, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add(BLOG, draft("job-1"))
    await store.want(BLOG, 1)
    steps: list[str] = []
    fsync, rename, unlink = os.fsync, os.rename, os.unlink

    def fsync_noted(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        steps.append(f"sync {path.name}" if path.is_dir() else "sync a file")
        fsync(fd)

    def rename_noted(source: str, target: str, **options: int) -> None:
        steps.append(f"rename {'history' if target == 'history.json' else 'content'}")
        rename(source, target, **options)

    def unlink_noted(name: str, **options: int) -> None:
        unlink(name, **options)
        steps.append(f"unlink {name[:1]}")

    monkeypatch.setattr(os, "fsync", fsync_noted)
    monkeypatch.setattr(os, "rename", rename_noted)
    monkeypatch.setattr(os, "unlink", unlink_noted)
    await store.add(BLOG, draft("job-2", "other"))
    content_first = ["sync a file", "rename content", "sync contents"]
    assert steps == [*content_first, "sync a file", "rename history", "sync blog"]
    for number in (3, 4, 5, 6):
        await store.add(BLOG, draft(f"job-{number}", f"image-{number}"))
        await store.settle(BLOG, number, RevisionState.FAILED)
    await store.settle(BLOG, 2, RevisionState.FAILED)
    steps.clear()
    await store.want(BLOG, 6)
    assert steps[:3] == ["sync a file", "rename history", "sync blog"]
    assert steps[3].startswith("unlink")
