"""Contents of more than a compose file on a real disk: modes, what is in the way, disks that fail."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest

from adapters.filesystem import directories, publishing
from adapters.filesystem.project_files import LocalProjectFiles
from application.ports.project_files import ProjectFiles
from domain.content import ExtraFile, ProjectContent
from domain.errors import Conflict, InvalidInput, NoSpace, StorageUnavailable
from domain.project import ComposeFile, Project, ProjectName
from tests.contracts.project_contents import (
    BLOG,
    NEW,
    OLD,
    PLAIN,
    RICH,
    current,
    key_of,
    leave_staged,
    publish,
    whole,
)
from tests.integration.project_files.disk import COMPOSE_FILE, entries, mode
from tests.integration.project_files.test_failing_disks import small_disk

CALLS = ["open", "write", "fsync", "fchmod", "rename", "link", "unlink", "mkdir", "rmdir"]
OTHER = ProjectContent(
    OLD,
    env=b"A=2\n",
    files=(ExtraFile("conf/nginx/site.conf", b"listen 81;\n"), ExtraFile("static/a/b", b"b")),
)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("is_private", [True, False])
async def test_modes_are_those_that_were_asked_for_under_any_umask(
    files: ProjectFiles,
    private_files: ProjectFiles,
    projects: Path,
    umask: Callable[[int], None],
    mask: int,
    is_private: bool,
) -> None:
    umask(mask)
    await publish(private_files if is_private else files, BLOG, RICH)
    directory = "0o700" if is_private else "0o755"
    assert {path.relative_to(projects).as_posix(): mode(path) for path in projects.rglob("*")} == {
        "blog": directory,
        "blog/.env": "0o600",
        f"blog/{COMPOSE_FILE}": "0o600" if is_private else "0o644",
        "blog/conf": directory,
        "blog/conf/nginx": directory,
        "blog/conf/nginx/site.conf": "0o644",
        "blog/conf/secret": "0o600",
        "blog/run.sh": "0o755",
    }


async def test_what_is_staged_is_private_from_its_first_byte(
    files: ProjectFiles,
    projects: Path,
    umask: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    umask(0)
    modes: list[str] = []
    write = os.write

    def look(fd: int, data: bytes) -> int:
        modes.append(oct(os.fstat(fd).st_mode & 0o777))
        return write(fd, data)

    monkeypatch.setattr(os, "write", look)
    path = Path(await leave_staged(files, BLOG, RICH))
    await publish(files, BLOG, ProjectContent(OLD, env=b"A=1\n"))
    assert set(modes) == {"0o600"}
    path = Path(await leave_staged(files, BLOG, RICH))
    assert mode(path.parent) == "0o700"
    assert mode(path.parent / ".env") == "0o600"


async def test_a_directory_that_is_there_keeps_its_mode(
    files: ProjectFiles, projects: Path
) -> None:
    (projects / "blog" / "conf").mkdir(parents=True)
    (projects / "blog" / "conf").chmod(0o750)
    await publish(files, BLOG, RICH)
    assert mode(projects / "blog" / "conf") == "0o750"


async def test_a_staged_directory_links_what_it_does_not_bring_and_its_links_lead_there(
    files: ProjectFiles, projects: Path
) -> None:
    (projects / "blog" / "conf" / "nginx").mkdir(parents=True)
    (projects / "blog" / "conf" / "nginx" / "mime.types").write_text("mime")
    (projects / "blog" / "data").mkdir()
    async with files.stage(BLOG, RICH, "abc") as staged:
        directory = Path(staged.candidate.directory)
        links = {
            path.relative_to(directory).as_posix(): str(path.readlink())
            for path in directory.rglob("*")
            if path.is_symlink()
        }
        assert links == {
            "conf/nginx/mime.types": "../../../conf/nginx/mime.types",
            "data": "../data",
        }
        assert (directory / "data").samefile(projects / "blog" / "data")


async def test_staging_again_follows_what_has_changed_beside_it(
    files: ProjectFiles, projects: Path
) -> None:
    (projects / "blog" / "gone").mkdir(parents=True)
    left = Path(await leave_staged(files, BLOG, RICH)).parent
    (projects / "blog" / "gone").rmdir()
    (projects / "blog" / "come").mkdir()
    (left / "run.sh").unlink()
    (left / "conf" / "stray").write_text("x")
    assert Path(await leave_staged(files, BLOG, RICH)).parent == left
    assert entries(left) == {
        *("come", ".env", COMPOSE_FILE, "run.sh"),
        *("conf", "conf/secret", "conf/nginx", "conf/nginx/site.conf"),
    }


@pytest.mark.parametrize("path", ["conf", "run.sh/x"])
async def test_what_is_in_the_way_of_a_file_is_a_conflict_and_nothing_is_changed(
    files: ProjectFiles, projects: Path, path: str
) -> None:
    await publish(files, BLOG, PLAIN)
    in_the_way = projects / "blog" / path
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.write_text("x")
    before = entries(projects)
    with pytest.raises(Conflict, match="in the project's directory is "):
        await publish(files, BLOG, RICH)
    assert entries(projects) == before
    assert (await current(files))["docker-compose.yml"] == OLD.content


async def test_a_directory_that_is_swapped_for_a_link_after_staging_is_not_written_through(
    files: ProjectFiles, projects: Path, tmp_path: Path
) -> None:
    await publish(files, BLOG, OTHER)
    outside = tmp_path / "outside"
    outside.mkdir()
    async with files.stage(BLOG, RICH, "abc") as staged:
        (projects / "blog" / "conf").rename(tmp_path / "moved")
        (projects / "blog" / "conf").symlink_to(outside)
        with pytest.raises(InvalidInput, match="symbolic link"):
            await staged.publish(OTHER)
    assert entries(outside) == set()


async def test_a_directory_that_is_swapped_for_a_link_after_the_last_look_is_not_followed(
    files: ProjectFiles, projects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(files, BLOG, OTHER)
    outside = tmp_path / "outside"
    (outside / "nginx").mkdir(parents=True)
    look = directories.refuse_obstacles

    def swap_after_the_look(*arguments: Any) -> None:
        look(*arguments)
        if not (projects / "blog" / "conf").is_symlink():
            (projects / "blog" / "conf").rename(tmp_path / "moved")
            (projects / "blog" / "conf").symlink_to(outside)

    monkeypatch.setattr(publishing, "refuse_obstacles", swap_after_the_look)
    with pytest.raises((StorageUnavailable, InvalidInput)):
        await publish(files, BLOG, RICH, OTHER)
    assert entries(outside) == {"nginx"}


async def test_a_file_that_somebody_made_a_link_is_not_removed(
    files: ProjectFiles, projects: Path, tmp_path: Path
) -> None:
    await publish(files, BLOG, RICH)
    (tmp_path / "run.sh").write_bytes(b"#!/bin/sh\n")
    (projects / "blog" / "run.sh").unlink()
    (projects / "blog" / "run.sh").symlink_to(tmp_path / "run.sh")
    await publish(files, BLOG, PLAIN, RICH)
    assert (projects / "blog" / "run.sh").is_symlink()
    assert (tmp_path / "run.sh").exists()


def failing_once(patch: pytest.MonkeyPatch, number: int, error: int) -> Callable[[], bool]:
    """Have the call of this number fail; says whether it came to that."""
    numbers = itertools.count(1)
    failed: list[str] = []

    def failing(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def call_or_fail(*arguments: Any, **options: Any) -> Any:
            is_read = name == "open" and not arguments[1] & os.O_CREAT
            if not is_read and next(numbers) == number:
                failed.append(name)
                raise OSError(error, os.strerror(error))
            return call(*arguments, **options)

        return call_or_fail

    for name in CALLS:
        patch.setattr(os, name, failing(name, getattr(os, name)))
    return lambda: bool(failed)


@pytest.mark.parametrize("before", [OTHER, None])
async def test_a_disk_that_fails_at_any_call_gets_everything_back(
    files: ProjectFiles,
    projects: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: ProjectContent | None,
) -> None:
    projects.mkdir()
    outcomes = set[bool]()
    for number in itertools.count(1):
        if before is not None:
            await publish(files, BLOG, before, RICH)
        at_start = entries(projects)
        with monkeypatch.context() as patch:
            has_failed = failing_once(patch, number, errno.EIO)
            try:
                await publish(files, BLOG, RICH, before)
                is_done = True
            except (StorageUnavailable, Conflict):
                is_done = False
        if not has_failed():
            break
        outcomes.add(is_done)
        found = entries(projects)
        if is_done:
            assert await current(files) == whole(RICH), number
        else:
            left = {name for name in found - at_start if "staged" not in name}
            # A directory that could not be removed is nobody's harm.
            assert left <= {"blog"}, number
            assert at_start <= found, number
            if before is not None:
                assert await current(files) == whole(before), number
        await publish(files, BLOG, RICH, before)
        assert not [name for name in entries(projects) if "staged" in name], number
        await files.remove(BLOG, RICH)
    assert outcomes == {True, False}


async def test_a_small_disk_that_is_really_full_keeps_the_old_content(
    executor: Executor, tmp_path: Path
) -> None:
    large = ProjectContent(
        NEW,
        env=b"A=3\n",
        files=(ExtraFile("conf/nginx/site.conf", b"new"), ExtraFile("large", b"x" * 2**20)),
    )
    with small_disk(tmp_path / "small") as disk:
        files = LocalProjectFiles(str(disk), private=False, executor=executor)
        await publish(files, BLOG, RICH)
        before = entries(disk)
        for name in (BLOG, ProjectName("shop")):
            with pytest.raises(NoSpace):
                await publish(files, name, large, RICH)
        assert entries(disk) == before
        assert await current(files) == whole(RICH)
        await publish(files, BLOG, OTHER, RICH)
        assert (await current(files))[".env"] == b"A=2\n"


async def test_all_else_is_durable_before_the_compose_file_is_replaced(
    files: ProjectFiles, projects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(files, BLOG, OTHER)
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def fsync_noted(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        steps.append(f"sync {path.relative_to(projects)}" if path.is_dir() else "sync a file")
        fsync(fd)

    def rename_noted(source: str, target: str, **options: Any) -> None:
        steps.append(f"rename {target}")
        rename(source, target, **options)

    monkeypatch.setattr(os, "fsync", fsync_noted)
    monkeypatch.setattr(os, "rename", rename_noted)
    async with files.stage(BLOG, RICH, "abc") as staged:
        assert steps.count("sync a file") == 5
        steps.clear()
        await staged.publish(OTHER)
    end = steps.index(f"rename {COMPOSE_FILE}")
    assert steps[end:] == [f"rename {COMPOSE_FILE}", "sync blog"]
    assert steps[end - 3 : end] == ["sync blog", "sync blog/conf", "sync blog/conf/nginx"]
    assert {"rename .env", "rename site.conf", "rename secret", "rename run.sh"} <= set(steps[:end])


async def test_no_file_descriptor_is_left_open(files: ProjectFiles, projects: Path) -> None:
    await publish(files, BLOG, RICH)
    before = set(Path("/proc/self/fd").iterdir())
    await publish(files, BLOG, OTHER, RICH)
    await leave_staged(files, BLOG, RICH)
    await files.names()
    await files.read(BLOG, "conf/nginx/site.conf")
    with pytest.raises(InvalidInput):
        await files.read(BLOG, "conf")
    await files.remove(BLOG, OTHER)
    assert set(Path("/proc/self/fd").iterdir()) <= before


async def test_a_fifo_is_no_file_to_read(files: ProjectFiles, projects: Path) -> None:
    (projects / "blog").mkdir(parents=True)
    os.mkfifo(projects / "blog" / "pipe")
    with pytest.raises(InvalidInput, match="no regular file"):
        await files.read(BLOG, "pipe")


async def test_compose_finds_in_a_staged_directory_what_will_be_there(
    files: ProjectFiles, projects: Path
) -> None:
    (projects / "blog").mkdir(parents=True)
    (projects / "blog" / "by-hand.env").write_text("HAND=1\n")
    file = ComposeFile(
        b"services:\n  web:\n    image: ${IMAGE}\n    env_file: [.env, brought.env, by-hand.env]\n"
    )
    content = ProjectContent(
        file, env=b"IMAGE=nginx\n", files=(ExtraFile("brought.env", b"BROUGHT=1\n"),)
    )
    async with files.stage(BLOG, content, key_of(content)) as staged:
        said = config(staged.candidate)
        for expected in ("image: nginx", 'HAND: "1"', 'BROUGHT: "1"', "IMAGE: nginx"):
            assert expected in said


async def test_compose_finds_an_env_that_is_staged_beside_the_file(files: ProjectFiles) -> None:
    content = ProjectContent(ComposeFile(b"services: {web: {image: $IMAGE}}\n"), env=b"IMAGE=x\n")
    async with files.stage(BLOG, content, key_of(content)) as staged:
        assert "image: x" in config(staged.candidate)
        assert "image: x" in config(await staged.publish(None))


def config(project: Project) -> str:
    """The model that Compose makes of it."""
    command = ["docker", "compose", "-p", "blog", "--project-directory", project.directory]
    if project.env_file:
        command += ["--env-file", project.env_file]
    command += ["-f", project.compose_file, "config"]
    ended = subprocess.run(command, capture_output=True, check=False, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
