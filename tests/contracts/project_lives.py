"""What every `ProjectFiles` must do with a project between its deployments, and at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from application.ports.project_files import ProjectFiles
from domain.errors import InvalidInput, NotFound
from domain.project import ProjectName
from domain.validation import MAX_COMPOSE_FILE_BYTES
from tests.contracts.project_contents import (
    BLOG,
    NEW,
    OLD,
    PLAIN,
    RICH,
    GivenProjects,
    current,
    leave_staged,
    publish,
    whole,
)


class ProjectLivesContract(GivenProjects):
    """See `GivenProjects`."""

    async def test_what_compose_reads_is_read_and_what_is_not_there_is_none(
        self, files: ProjectFiles, put: Callable[[str, bytes], None]
    ) -> None:
        assert await files.read(BLOG, "a") is None
        put("blog/a", b"1")
        put("blog/b/c", b"2")
        assert await files.read(BLOG, "a") == b"1"
        assert await files.read(BLOG, "b/c") == b"2"
        assert await files.read(BLOG, "b/d") is None
        assert await files.read(BLOG, "a/d") is None

    @pytest.mark.parametrize("path", ["/etc/passwd", "../shop/a", "b/../../shop/a", "b"])
    async def test_what_is_no_file_of_the_project_is_not_read(
        self, files: ProjectFiles, put: Callable[[str, bytes], None], path: str
    ) -> None:
        put("blog/b/c", b"2")
        put("shop/a", b"3")
        with pytest.raises(InvalidInput):
            await files.read(BLOG, path)

    @pytest.mark.parametrize("path", ["blog/a", "blog/a/b"])
    async def test_nothing_is_read_through_a_link(
        self, files: ProjectFiles, link: Callable[[str], None], path: str
    ) -> None:
        link(path)
        with pytest.raises(InvalidInput, match="symbolic link"):
            await files.read(BLOG, "a/b")

    async def test_a_file_larger_than_a_compose_file_may_be_is_not_read(
        self, files: ProjectFiles, put: Callable[[str, bytes], None]
    ) -> None:
        put("blog/a", b"x" * MAX_COMPOSE_FILE_BYTES)
        put("blog/b", b"x" * (MAX_COMPOSE_FILE_BYTES + 1))
        assert await files.read(BLOG, "a") == b"x" * MAX_COMPOSE_FILE_BYTES
        with pytest.raises(InvalidInput, match="1 MiB"):
            await files.read(BLOG, "b")

    async def test_pins_stand_above_the_projects_file_until_the_next_call(
        self, files: ProjectFiles, read: Callable[[str], bytes], everything: Callable[[], set[str]]
    ) -> None:
        await publish(files, BLOG, NEW)
        before = everything()
        project = await files.locate(BLOG)
        pinned = await files.pin(project, b"services: {new: {image: a}}\n")
        (path,) = pinned.overrides
        assert pinned == replace(project, overrides=(path,))
        assert path.startswith(f"{project.directory}/.instadeploy")
        for given in (project, pinned):
            assert await files.pin(given, b"services: {new: {image: b}}\n") == pinned
            assert read(path) == b"services: {new: {image: b}}\n"
        await publish(files, BLOG, RICH, PLAIN)
        await publish(files, BLOG, NEW, RICH)
        assert read(path) == b"services: {new: {image: b}}\n"
        for _ in range(2):
            assert await files.pin(pinned, b"") == project
            assert everything() == before

    async def test_a_project_that_is_not_there_cannot_be_pinned(
        self, files: ProjectFiles, everything: Callable[[], set[str]]
    ) -> None:
        await publish(files, BLOG, NEW)
        project = await files.locate(BLOG)
        await files.remove(BLOG, PLAIN)
        before = everything()
        for pins in (b"x", b""):
            with pytest.raises(NotFound):
                await files.pin(project, pins)
        assert everything() == before

    async def test_pins_are_not_written_through_a_link(
        self, files: ProjectFiles, link: Callable[[str], None]
    ) -> None:
        await publish(files, BLOG, NEW)
        link("blog/.instadeploy.pins.yml")
        with pytest.raises(InvalidInput, match="symbolic link"):
            await files.pin(await files.locate(BLOG), b"x")

    async def test_what_is_removed_is_gone_and_again_is_harmless(
        self, files: ProjectFiles, everything: Callable[[], set[str]]
    ) -> None:
        before = everything()
        await publish(files, BLOG, RICH)
        await files.pin(await files.locate(BLOG), b"services: {}\n")
        await leave_staged(files, BLOG, OLD)
        await files.remove(BLOG, RICH)
        assert everything() == before
        await files.remove(BLOG, RICH)
        await files.remove(ProjectName("shop"), None)
        assert everything() == before

    async def test_removing_leaves_what_is_somebody_elses(
        self, files: ProjectFiles, put: Callable[[str, bytes], None]
    ) -> None:
        await publish(files, BLOG, RICH)
        put("blog/conf/secret", b"changed")
        put("blog/data/rows", b"rows")
        await files.remove(BLOG, RICH)
        with pytest.raises(NotFound):
            await files.locate(BLOG)
        assert await files.read(BLOG, "conf/secret") == b"changed"
        assert await files.read(BLOG, "data/rows") == b"rows"
        assert await files.read(BLOG, ".env") is None
        assert await files.read(BLOG, "run.sh") is None

    async def test_without_its_content_only_the_compose_file_is_removed(
        self, files: ProjectFiles
    ) -> None:
        await publish(files, BLOG, RICH)
        await files.remove(BLOG, None)
        assert await current(files) == {**whole(RICH), "docker-compose.yml": None}

    async def test_what_was_left_of_a_project_that_never_came_to_be_is_no_namesake(
        self, files: ProjectFiles, everything: Callable[[], set[str]]
    ) -> None:
        await leave_staged(files, ProjectName("Blog"), RICH)
        with pytest.raises(NotFound):
            await files.locate(BLOG)
        await publish(files, BLOG, NEW)
        assert not [path for path in everything() if "Blog" in path]
