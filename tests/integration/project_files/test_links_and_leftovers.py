"""What others put in a project's place, and what a killed agent leaves there."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import Executor
from pathlib import Path

import pytest

from adapters.filesystem import project_directory
from adapters.filesystem.project_files import LocalProjectFiles
from application.ports.project_files import ProjectFiles
from domain.errors import Conflict, InvalidInput, StorageUnavailable
from domain.project import ProjectName
from tests.contracts.project_contents import BLOG, NEW, OLD, content_of, key_of, publish
from tests.integration.project_files.disk import COMPOSE_FILE, entries

LEFTOVER = f".{COMPOSE_FILE}.0123456789abcdef.staged"


@pytest.mark.parametrize("place", ["projects", "projects/blog", f"projects/blog/{COMPOSE_FILE}"])
async def test_something_else_in_the_way_is_refused_and_left_alone(
    files: ProjectFiles, tmp_path: Path, place: str
) -> None:
    in_the_way = tmp_path / place
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    if place.endswith(COMPOSE_FILE):
        in_the_way.mkdir()
    else:
        in_the_way.write_text("a file")
    for call in (publish(files, BLOG, NEW), files.locate(BLOG)):
        with pytest.raises((Conflict, StorageUnavailable)):
            await call
    assert in_the_way.exists()


async def test_a_linked_directory_and_file_lead_nowhere_and_are_left_alone(
    files: ProjectFiles, projects: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / COMPOSE_FILE).write_bytes(OLD.content)
    projects.mkdir()
    (projects / "blog").symlink_to(outside)
    (projects / "shop").mkdir()
    (projects / "shop" / COMPOSE_FILE).symlink_to(outside / COMPOSE_FILE)
    for name in (BLOG, ProjectName("shop")):
        with pytest.raises(InvalidInput, match="symbolic link"):
            await publish(files, name, NEW)
    assert entries(outside) == {COMPOSE_FILE}
    assert (outside / COMPOSE_FILE).read_bytes() == OLD.content
    assert entries(projects) == {"blog", "shop", f"shop/{COMPOSE_FILE}"}


@pytest.mark.parametrize("target", ["nowhere", "loop"])
async def test_a_link_that_leads_nowhere_is_refused_too(
    files: ProjectFiles, projects: Path, target: str
) -> None:
    projects.mkdir()
    (projects / "blog").symlink_to("blog" if target == "loop" else "/nowhere")
    for call in (publish(files, BLOG, NEW), files.locate(BLOG)):
        with pytest.raises(InvalidInput, match="symbolic link"):
            await call


async def test_a_directory_that_is_swapped_for_a_link_after_the_check_is_not_followed(
    files: ProjectFiles, projects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(files, BLOG, OLD)
    outside = tmp_path / "outside"
    outside.mkdir()
    refuse_links = project_directory.refuse_links

    def swap_after_the_check(projects_fd: int, name: ProjectName) -> None:
        refuse_links(projects_fd, name)
        if not (projects / "blog").is_symlink():
            (projects / "blog").rename(tmp_path / "moved")
            (projects / "blog").symlink_to(outside)

    monkeypatch.setattr(project_directory, "refuse_links", swap_after_the_check)
    for call in (lambda: publish(files, BLOG, NEW), lambda: files.locate(BLOG)):
        with pytest.raises((StorageUnavailable, InvalidInput)):
            await call()
        (projects / "blog").unlink()
        (tmp_path / "moved").rename(projects / "blog")
    assert entries(outside) == set()


async def test_a_directory_that_is_swapped_while_a_file_is_staged_keeps_what_is_written(
    files: ProjectFiles, projects: Path, tmp_path: Path
) -> None:
    await publish(files, BLOG, OLD)
    outside = tmp_path / "outside"
    outside.mkdir()
    async with files.stage(BLOG, content_of(NEW), key_of(NEW)) as staged:
        (projects / "blog").rename(tmp_path / "moved")
        (projects / "blog").symlink_to(outside)
        await staged.publish(None)
    assert entries(outside) == set()
    assert (tmp_path / "moved" / COMPOSE_FILE).read_bytes() == NEW.content


async def test_a_compose_file_that_is_swapped_for_a_link_is_replaced_and_not_written_through(
    files: ProjectFiles, projects: Path, tmp_path: Path
) -> None:
    await publish(files, BLOG, OLD)
    (tmp_path / "passwd").write_bytes(b"root")
    async with files.stage(BLOG, content_of(NEW), key_of(NEW)) as staged:
        (projects / "blog" / COMPOSE_FILE).unlink()
        (projects / "blog" / COMPOSE_FILE).symlink_to(tmp_path / "passwd")
        await staged.publish(None)
    assert (tmp_path / "passwd").read_bytes() == b"root"
    assert not (projects / "blog" / COMPOSE_FILE).is_symlink()
    assert (projects / "blog" / COMPOSE_FILE).read_bytes() == NEW.content


async def test_a_projects_directory_that_is_a_link_is_its_owners_choice(
    executor: Executor, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "projects").symlink_to(tmp_path / "disk")
    files = LocalProjectFiles(str(tmp_path / "projects"), private=False, executor=executor)
    await publish(files, BLOG, NEW)
    assert (tmp_path / "disk" / "blog" / COMPOSE_FILE).read_bytes() == NEW.content


async def test_what_a_killed_agent_left_staged_is_swept_and_nothing_else(
    files: ProjectFiles, projects: Path
) -> None:
    await publish(files, BLOG, OLD)
    lookalikes = ["x.staged", f".{COMPOSE_FILE}.swp", f"{COMPOSE_FILE}.0123.staged"]
    for name in (LEFTOVER, *lookalikes):
        (projects / "blog" / name).write_text("x")
    await publish(files, BLOG, NEW)
    assert entries(projects / "blog") == {COMPOSE_FILE, *lookalikes}


async def test_an_agent_that_is_killed_while_a_file_is_staged_leaves_the_old_one_current(
    files: ProjectFiles, projects: Path
) -> None:
    path = Path(await publish(files, BLOG, OLD))
    dying = (
        "import asyncio, os, sys\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from adapters.filesystem.project_files import LocalProjectFiles\n"
        "from domain.content import ProjectContent\n"
        "from domain.project import ComposeFile, ProjectName\n"
        "async def main() -> None:\n"
        "    files = LocalProjectFiles(sys.argv[1], private=False, executor=ThreadPoolExecutor(1))\n"
        "    async with files.stage(ProjectName('blog'), ProjectContent(ComposeFile(b'new')), 'abc'):\n"
        "        os._exit(9)\n"
        "asyncio.run(main())\n"
    )
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", dying, str(projects))
    assert await ended.wait() == 9
    assert path.read_bytes() == OLD.content
    assert len(entries(projects / "blog")) == 2
    await publish(files, BLOG, NEW)
    assert entries(projects / "blog") == {COMPOSE_FILE}
