"""What every `ProjectFiles` must do with an env and more files beside the compose file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from application.ports.project_files import ProjectFiles
from domain.content import ExtraFile, ProjectContent
from domain.errors import InvalidInput
from domain.project import ComposeFile, ProjectName
from tests.contracts.project_contents import (
    BLOG,
    NEW,
    OLD,
    PLAIN,
    RICH,
    GivenProjects,
    current,
    key_of,
    leave_staged,
    publish,
    whole,
)


class WholeContentsContract(GivenProjects):
    """See `GivenProjects`."""

    async def test_projects_are_named_in_order_and_only_those_with_a_compose_file(
        self, files: ProjectFiles, put: Callable[[str, bytes], None]
    ) -> None:
        assert list(await files.names()) == []
        for name in ("shop", "MyApp", "blog"):
            await publish(files, ProjectName(name), NEW)
        put("empty/notes.txt", b"nothing to run")
        await leave_staged(files, ProjectName("unborn"), RICH)
        assert [name.value for name in await files.names()] == ["MyApp", "blog", "shop"]

    async def test_an_env_lies_beside_the_file_and_compose_is_told_of_it(
        self, files: ProjectFiles, read: Callable[[str], bytes], everything: Callable[[], set[str]]
    ) -> None:
        content = ProjectContent(NEW, env=b"A=1\n")
        async with files.stage(BLOG, content, "abc") as staged:
            assert read(staged.candidate.env_file) == b"A=1\n"
            assert read(staged.candidate.compose_file) == NEW.content
            assert staged.candidate.directory.endswith("/blog")
            assert await files.read(BLOG, ".env") is None
            published = await staged.publish(None)
        assert published.env_file == ""
        assert read(f"{published.directory}/.env") == b"A=1\n"
        assert not [path for path in everything() if "staged" in path]

    async def test_a_compose_file_that_names_its_env_finds_the_new_one_in_its_directory(
        self, files: ProjectFiles, read: Callable[[str], bytes], put: Callable[[str, bytes], None]
    ) -> None:
        put("blog/.env", b"A=0\n")
        put("blog/notes.txt", b"note")
        file = ComposeFile(b"services: {web: {image: x, env_file: .env}}\n")
        async with files.stage(BLOG, ProjectContent(file, env=b"A=1\n"), "abc") as staged:
            assert staged.candidate.env_file == ""
            assert read(f"{staged.candidate.directory}/.env") == b"A=1\n"
            assert read(f"{staged.candidate.directory}/notes.txt") == b"note"
            assert await files.read(BLOG, ".env") == b"A=0\n"

    async def test_the_candidates_directory_holds_what_is_brought_and_what_is_there(
        self, files: ProjectFiles, read: Callable[[str], bytes], put: Callable[[str, bytes], None]
    ) -> None:
        there = {
            "blog/conf/nginx/site.conf": b"old",
            "blog/conf/nginx/mime.types": b"mime",
            "blog/conf/other/deep.conf": b"deep",
            "blog/data/rows": b"rows",
        }
        for path, content in there.items():
            put(path, content)
        async with files.stage(BLOG, RICH, "abc") as staged:
            found = {
                path: read(f"{staged.candidate.directory}/{path}")
                for path in (
                    *(one.removeprefix("blog/") for one in there),
                    *(extra.path for extra in RICH.files),
                    ".env",
                )
            }
            assert staged.candidate.compose_file == (
                f"{staged.candidate.directory}/docker-compose.yml"
            )
            assert read(staged.candidate.compose_file) == NEW.content
            assert await files.read(BLOG, "conf/nginx/site.conf") == b"old"
        assert found == {
            "conf/nginx/site.conf": b"listen 80;\n",
            "conf/nginx/mime.types": b"mime",
            "conf/other/deep.conf": b"deep",
            "data/rows": b"rows",
            "conf/secret": b"hush\n",
            "run.sh": b"#!/bin/sh\n",
            ".env": b"A=1\n",
        }

    async def test_everything_is_published_and_nothing_else_is_left(
        self,
        files: ProjectFiles,
        everything: Callable[[], set[str]],
        put: Callable[[str, bytes], None],
    ) -> None:
        put("blog/data/rows", b"rows")
        await publish(files, BLOG, RICH)
        assert await current(files) == whole(RICH)
        assert await files.read(BLOG, "data/rows") == b"rows"
        assert not [path for path in everything() if "staged" in path]

    async def test_everything_leaves_no_trace_where_it_is_not_published(
        self, files: ProjectFiles, everything: Callable[[], set[str]]
    ) -> None:
        before = everything()
        async with files.stage(BLOG, RICH, "abc"):
            assert everything() > before
        assert everything() == before
        await leave_staged(files, BLOG, RICH)
        async with files.stage(BLOG, RICH, key_of(RICH)):
            pass
        assert everything() == before

    async def test_what_the_replaced_content_brought_goes_with_its_directories(
        self,
        files: ProjectFiles,
        everything: Callable[[], set[str]],
        put: Callable[[str, bytes], None],
    ) -> None:
        await publish(files, BLOG, PLAIN)
        before = everything()
        await publish(files, BLOG, RICH, PLAIN)
        await publish(files, BLOG, PLAIN, RICH)
        assert everything() == before
        assert await current(files) == whole(PLAIN)

    async def test_what_somebody_has_changed_or_added_stays(
        self, files: ProjectFiles, put: Callable[[str, bytes], None]
    ) -> None:
        await publish(files, BLOG, RICH)
        put("blog/.env", b"A=2\n")
        put("blog/conf/nginx/site.conf", b"listen 81;\n")
        put("blog/conf/mine", b"mine")
        await publish(files, BLOG, PLAIN, RICH)
        assert await files.read(BLOG, ".env") == b"A=2\n"
        assert await files.read(BLOG, "conf/nginx/site.conf") == b"listen 81;\n"
        assert await files.read(BLOG, "conf/mine") == b"mine"
        assert await files.read(BLOG, "conf/secret") is None
        assert await files.read(BLOG, "run.sh") is None

    async def test_an_env_kept_by_hand_stays_where_no_content_brings_one(
        self, files: ProjectFiles, put: Callable[[str, bytes], None]
    ) -> None:
        put("blog/.env", b"A=by hand\n")
        await publish(files, BLOG, PLAIN)
        await publish(files, BLOG, NEW, PLAIN)
        assert await files.read(BLOG, ".env") == b"A=by hand\n"

    async def test_a_file_may_become_a_directory_and_a_directory_a_file(
        self, files: ProjectFiles
    ) -> None:
        is_file = ProjectContent(OLD, files=(ExtraFile("a", b"1"), ExtraFile("b/c/d", b"2")))
        is_directory = ProjectContent(NEW, files=(ExtraFile("a/x", b"3"), ExtraFile("b", b"4")))
        await publish(files, BLOG, is_file)
        await publish(files, BLOG, is_directory, is_file)
        assert await current(files) == whole(is_directory)
        await publish(files, BLOG, is_file, is_directory)
        assert await current(files) == whole(is_file)

    @pytest.mark.parametrize("path", ["blog/conf", "blog/conf/nginx", "blog/run.sh", "blog/.env"])
    async def test_a_link_on_the_way_to_a_file_is_refused(
        self,
        files: ProjectFiles,
        everything: Callable[[], set[str]],
        link: Callable[[str], None],
        path: str,
    ) -> None:
        await publish(files, BLOG, OLD)
        link(path)
        before = everything()
        with pytest.raises(InvalidInput, match="symbolic link"):
            async with files.stage(BLOG, RICH, "abc"):
                pass
        assert everything() == before

    @pytest.mark.parametrize("turns", range(14))
    async def test_cancelled_at_any_moment_publishing_can_be_completed_or_taken_back(
        self,
        files: ProjectFiles,
        everything: Callable[[], set[str]],
        put: Callable[[str, bytes], None],
        turns: int,
    ) -> None:
        put("blog/data/rows", b"rows")
        await publish(files, BLOG, PLAIN)
        before = everything()
        publishing = asyncio.create_task(publish(files, BLOG, RICH, PLAIN))
        for _ in range(turns):
            await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        assert await current(files) in (whole(PLAIN), whole(RICH))
        await publish(files, BLOG, RICH, PLAIN)
        assert await current(files) == whole(RICH)
        await publish(files, BLOG, PLAIN, RICH)
        assert everything() == before
