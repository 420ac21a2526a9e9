"""Compose files on a real disk: the contract, modes, and what is durable when."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import pytest

from adapters.filesystem.project_directory import staged_name
from adapters.filesystem.project_files import LocalProjectFiles
from application.ports.project_files import ProjectFiles
from domain.errors import NotFound
from domain.project import ComposeFile
from tests.contracts.project_contents import (
    BLOG,
    NEW,
    OLD,
    content_of,
    key_of,
    leave_staged,
    publish,
)
from tests.contracts.project_files import ProjectFilesContract
from tests.integration.project_files.disk import COMPOSE_FILE, entries, failing_with, mode


class TestLocalProjectFiles(ProjectFilesContract):
    @pytest.fixture
    def files(self, projects: Path, executor: Executor) -> ProjectFiles:
        projects.mkdir()
        return LocalProjectFiles(str(projects), private=False, executor=executor)

    @pytest.fixture
    def read(self) -> Callable[[str], bytes]:
        return lambda path: Path(path).read_bytes()

    @pytest.fixture
    def everything(self, projects: Path) -> Callable[[], set[str]]:
        return lambda: entries(projects)

    @pytest.fixture
    def fill_disk(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        return lambda: monkeypatch.setattr(os, "fsync", failing_with(errno.ENOSPC))

    @pytest.fixture
    def link_directory(self, projects: Path, tmp_path: Path) -> Callable[[str], None]:
        def link(name: str) -> None:
            (tmp_path / "elsewhere").mkdir()
            (tmp_path / "elsewhere" / COMPOSE_FILE).write_bytes(OLD.content)
            (projects / name).symlink_to(tmp_path / "elsewhere")

        return link

    @pytest.fixture
    def link_file(self, projects: Path, tmp_path: Path) -> Callable[[str], None]:
        def link(name: str) -> None:
            (tmp_path / "passwd").write_bytes(OLD.content)
            (projects / name).mkdir()
            (projects / name / COMPOSE_FILE).symlink_to(tmp_path / "passwd")

        return link

    @pytest.fixture
    def link(self, projects: Path, tmp_path: Path) -> Callable[[str], None]:
        def link(path: str) -> None:
            (tmp_path / "outside" / "nginx").mkdir(parents=True)
            (projects / path).parent.mkdir(parents=True, exist_ok=True)
            (projects / path).symlink_to(tmp_path / "outside")

        return link

    @pytest.fixture
    def put(self, projects: Path) -> Callable[[str, bytes], None]:
        def put(path: str, content: bytes) -> None:
            (projects / path).parent.mkdir(parents=True, exist_ok=True)
            (projects / path).write_bytes(content)

        return put


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
async def test_modes_are_exactly_those_promised_under_any_umask(
    files: ProjectFiles, projects: Path, umask: Callable[[int], None], mask: int
) -> None:
    umask(mask)
    async with files.stage(BLOG, content_of(NEW), key_of(NEW)) as staged:
        assert mode(Path(staged.candidate.compose_file)) == "0o644"
        await staged.publish(None)
    assert mode(projects) == "0o755"
    assert mode(projects / "blog") == "0o755"
    assert mode(projects / "blog" / COMPOSE_FILE) == "0o644"


async def test_a_projects_directory_that_is_there_keeps_its_mode(
    files: ProjectFiles, projects: Path
) -> None:
    projects.mkdir(0o750)
    await publish(files, BLOG, NEW)
    assert mode(projects) == "0o750"


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
async def test_private_projects_are_for_the_agents_user_alone_under_any_umask(
    private_files: ProjectFiles, projects: Path, umask: Callable[[int], None], mask: int
) -> None:
    projects.mkdir()
    umask(mask)
    async with private_files.stage(BLOG, content_of(NEW), key_of(NEW)) as staged:
        assert mode(Path(staged.candidate.compose_file)) == "0o600"
        await staged.publish(None)
    assert mode(projects / "blog") == "0o700"
    assert mode(projects / "blog" / COMPOSE_FILE) == "0o600"


async def test_projects_that_were_public_become_private_and_back(
    files: ProjectFiles, private_files: ProjectFiles, projects: Path
) -> None:
    await publish(files, BLOG, OLD)
    await publish(private_files, BLOG, NEW)
    assert (mode(projects / "blog"), mode(projects / "blog" / COMPOSE_FILE)) == ("0o700", "0o600")
    await publish(files, BLOG, NEW)
    assert (mode(projects / "blog"), mode(projects / "blog" / COMPOSE_FILE)) == ("0o755", "0o644")


async def test_a_private_file_is_private_from_its_first_byte(
    private_files: ProjectFiles,
    projects: Path,
    umask: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    umask(0)
    modes: list[str] = []
    fsync = os.fsync

    def look(fd: int) -> None:
        modes.extend(mode(path) for path in projects.rglob("*.staged"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", look)
    monkeypatch.setattr(os, "fchmod", look_before(os.fchmod, projects, modes))
    await publish(private_files, BLOG, NEW)
    assert set(modes) == {"0o600"}


def look_before(
    fchmod: Callable[[int, int], None], projects: Path, modes: list[str]
) -> Callable[[int, int], None]:
    def fchmod_after_a_look(fd: int, bits: int) -> None:
        modes.extend(mode(path) for path in projects.rglob("*.staged"))
        fchmod(fd, bits)

    return fchmod_after_a_look


async def test_the_projects_directory_is_made_with_its_parents(
    executor: Executor, tmp_path: Path
) -> None:
    files = LocalProjectFiles(str(tmp_path / "a" / "b"), private=True, executor=executor)
    with pytest.raises(NotFound):
        await files.locate(BLOG)
    await publish(files, BLOG, NEW)
    assert (tmp_path / "a" / "b" / "blog" / COMPOSE_FILE).read_bytes() == NEW.content


async def test_what_stands_beside_the_compose_file_stays(
    files: ProjectFiles, projects: Path
) -> None:
    (projects / "blog" / "data").mkdir(parents=True)
    (projects / "blog" / ".env").write_text("A=1")
    async with files.stage(BLOG, content_of(NEW), key_of(NEW)):
        pass
    assert entries(projects) == {"blog", "blog/data", "blog/.env"}
    await publish(files, BLOG, NEW)
    assert entries(projects) == {"blog", "blog/data", "blog/.env", f"blog/{COMPOSE_FILE}"}


async def test_a_directory_without_a_compose_file_is_no_project(
    files: ProjectFiles, projects: Path
) -> None:
    (projects / "blog").mkdir(parents=True)
    with pytest.raises(NotFound, match="project 'blog' does not exist on this host"):
        await files.locate(BLOG)


async def test_a_reader_sees_the_old_file_or_the_new_one_and_never_a_part(
    files: ProjectFiles,
) -> None:
    contents = [bytes([65 + number]) * 200_000 for number in range(8)]
    path = Path(await publish(files, BLOG, ComposeFile(contents[0])))
    seen: set[bytes] = set()
    is_over = threading.Event()

    def read_on() -> None:
        while not is_over.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        for content in contents:
            await publish(files, BLOG, ComposeFile(content))
    finally:
        is_over.set()
        reader.join()
    assert seen <= set(contents)


async def test_a_reader_of_a_staged_file_finds_it_whole_while_it_is_staged_again(
    files: ProjectFiles,
) -> None:
    large = ComposeFile(b"x" * 200_000)
    path = Path(await leave_staged(files, BLOG, large))
    seen: set[bytes] = set()
    is_over = threading.Event()

    def read_on() -> None:
        while not is_over.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        for _ in range(8):
            assert await leave_staged(files, BLOG, large) == str(path)
    finally:
        is_over.set()
        reader.join()
    assert seen == {large.content}


async def test_the_file_is_durable_before_it_is_current_and_so_is_its_name_after(
    files: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def fsync_noted(fd: int) -> None:
        steps.append("fsync directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "fsync file")
        fsync(fd)

    def rename_noted(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        steps.append(f"rename to {target}")
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", fsync_noted)
    monkeypatch.setattr(os, "rename", rename_noted)
    await publish(files, BLOG, NEW)
    assert steps == [
        "fsync directory",  # The project's own directory is new.
        "fsync file",
        f"rename to {staged_name(key_of(NEW))}",
        f"rename to {COMPOSE_FILE}",
        "fsync directory",
    ]
