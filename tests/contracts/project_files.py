"""What every `ProjectFiles` must do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from application.ports.project_files import ProjectFiles
from domain.errors import Conflict, InvalidInput, NoSpace, NotFound, StorageUnavailable
from domain.project import ProjectName
from tests.contracts.project_contents import (
    BLOG,
    NEW,
    OLD,
    content_of,
    key_of,
    leave_staged,
    publish,
)
from tests.contracts.project_lives import ProjectLivesContract
from tests.contracts.whole_contents import WholeContentsContract


class ProjectFilesContract(WholeContentsContract, ProjectLivesContract):
    """See `GivenProjects`."""

    async def test_a_project_that_was_never_published_is_not_found(
        self, files: ProjectFiles
    ) -> None:
        with pytest.raises(NotFound, match=r"^project 'blog' does not exist on this host$"):
            await files.locate(BLOG)

    async def test_what_is_published_is_located_with_its_content(
        self, files: ProjectFiles, read: Callable[[str], bytes]
    ) -> None:
        published = await publish(files, BLOG, NEW)
        assert (await files.locate(BLOG)).compose_file == published
        assert read(published) == NEW.content

    async def test_paths_are_absolute_and_the_file_lies_in_the_projects_directory(
        self, files: ProjectFiles
    ) -> None:
        async with files.stage(BLOG, content_of(NEW), key_of(NEW)) as staged:
            for project in (staged.candidate, await staged.publish(None)):
                assert project.name == BLOG
                assert project.directory.startswith("/")
                assert project.directory.endswith("/blog")
                assert project.compose_file.startswith(f"{project.directory}/")

    async def test_publishing_again_replaces_the_content_at_the_same_path(
        self, files: ProjectFiles, read: Callable[[str], bytes]
    ) -> None:
        first = await publish(files, BLOG, OLD)
        second = await publish(files, BLOG, NEW)
        assert first == second
        assert read(second) == NEW.content

    async def test_a_staged_file_can_be_read_and_the_current_one_is_still_the_old(
        self, files: ProjectFiles, read: Callable[[str], bytes]
    ) -> None:
        current = await publish(files, BLOG, OLD)
        async with files.stage(BLOG, content_of(NEW), key_of(NEW)) as staged:
            assert staged.candidate.compose_file != current
            assert read(staged.candidate.compose_file) == NEW.content
            assert read(current) == OLD.content

    async def test_leaving_without_publishing_leaves_no_trace(
        self, files: ProjectFiles, everything: Callable[[], set[str]]
    ) -> None:
        before = everything()
        async with files.stage(BLOG, content_of(NEW), key_of(NEW)):
            assert everything() > before
        assert everything() == before
        with pytest.raises(NotFound):
            await files.locate(BLOG)

    async def test_leaving_without_publishing_keeps_the_old_file_and_nothing_else(
        self,
        files: ProjectFiles,
        read: Callable[[str], bytes],
        everything: Callable[[], set[str]],
    ) -> None:
        current = await publish(files, BLOG, OLD)
        before = everything()
        async with files.stage(BLOG, content_of(NEW), key_of(NEW)):
            pass
        assert everything() == before
        assert read(current) == OLD.content

    async def test_publishing_leaves_the_compose_file_and_nothing_beside_it(
        self, files: ProjectFiles, everything: Callable[[], set[str]]
    ) -> None:
        await publish(files, BLOG, OLD)
        before = everything()
        await publish(files, BLOG, NEW)
        assert everything() == before

    async def test_a_failure_inside_passes_through_and_leaves_no_trace(
        self, files: ProjectFiles, everything: Callable[[], set[str]]
    ) -> None:
        before = everything()
        with pytest.raises(StorageUnavailable, match="inside"):
            async with files.stage(BLOG, content_of(NEW), key_of(NEW)):
                raise StorageUnavailable("inside")
        assert everything() == before

    async def test_a_bug_inside_passes_through_and_leaves_the_staged_file(
        self, files: ProjectFiles, read: Callable[[str], bytes]
    ) -> None:
        with pytest.raises(LookupError, match="inside"):
            async with files.stage(BLOG, content_of(NEW), key_of(NEW)) as staged:
                raise LookupError("inside")
        assert read(staged.candidate.compose_file) == NEW.content

    async def test_a_cancellation_inside_passes_through_and_leaves_the_staged_file_and_no_project(
        self, files: ProjectFiles, read: Callable[[str], bytes]
    ) -> None:
        left = await leave_staged(files, BLOG, NEW)
        assert read(left) == NEW.content
        with pytest.raises(NotFound):
            await files.locate(BLOG)

    async def test_what_was_left_staged_is_staged_again_at_the_same_path_and_can_be_published(
        self,
        files: ProjectFiles,
        read: Callable[[str], bytes],
        everything: Callable[[], set[str]],
    ) -> None:
        current = await publish(files, BLOG, OLD)
        before = everything()
        left = await leave_staged(files, BLOG, NEW)
        async with files.stage(BLOG, content_of(NEW), key_of(NEW)) as staged:
            assert staged.candidate.compose_file == left
            assert read(left) == NEW.content
            assert read(current) == OLD.content
            await staged.publish(None)
        assert read(current) == NEW.content
        assert everything() == before

    async def test_what_was_left_staged_can_be_given_up(
        self,
        files: ProjectFiles,
        read: Callable[[str], bytes],
        everything: Callable[[], set[str]],
    ) -> None:
        current = await publish(files, BLOG, OLD)
        before = everything()
        await leave_staged(files, BLOG, NEW)
        async with files.stage(BLOG, content_of(NEW), key_of(NEW)):
            pass
        assert everything() == before
        assert read(current) == OLD.content

    async def test_two_contents_have_two_paths(self, files: ProjectFiles) -> None:
        paths = set()
        for file in (OLD, NEW):
            async with files.stage(BLOG, content_of(file), key_of(file)) as staged:
                paths.add(staged.candidate.compose_file)
        assert len(paths) == 2

    @pytest.mark.parametrize("turns", range(12))
    async def test_cancelled_at_any_moment_the_old_file_or_the_new_one_is_there_whole(
        self,
        files: ProjectFiles,
        read: Callable[[str], bytes],
        everything: Callable[[], set[str]],
        turns: int,
    ) -> None:
        current = await publish(files, BLOG, OLD)
        before = everything()
        publishing = asyncio.create_task(publish(files, BLOG, NEW))
        for _ in range(turns):
            await asyncio.sleep(0)
        publishing.cancel()
        outcome = (await asyncio.gather(publishing, return_exceptions=True))[0]
        left = everything() - before
        assert len(left) <= 1
        assert read(current) in (OLD.content, NEW.content)
        assert isinstance(outcome, asyncio.CancelledError) or read(current) == NEW.content
        assert not left or read(current) == OLD.content
        await publish(files, BLOG, NEW)
        assert everything() == before

    async def test_projects_do_not_see_each_other(
        self, files: ProjectFiles, read: Callable[[str], bytes]
    ) -> None:
        shop = await publish(files, ProjectName("shop"), OLD)
        blog = await publish(files, BLOG, NEW)
        assert (read(shop), read(blog)) == (OLD.content, NEW.content)

    async def test_a_name_keeps_its_capitals_on_disk(self, files: ProjectFiles) -> None:
        published = await publish(files, ProjectName("MyApp"), NEW)
        assert published.endswith("/MyApp/docker-compose.yml")

    @pytest.mark.parametrize("other", ["myapp", "MYAPP"])
    async def test_a_second_project_that_is_the_same_to_compose_is_a_conflict(
        self, files: ProjectFiles, everything: Callable[[], set[str]], other: str
    ) -> None:
        await publish(files, ProjectName("MyApp"), OLD)
        before = everything()
        with pytest.raises(Conflict, match=r"project_name: .*'MyApp'"):
            await publish(files, ProjectName(other), NEW)
        with pytest.raises(Conflict, match=r"project_name: .*'MyApp'"):
            await files.locate(ProjectName(other))
        assert everything() == before

    async def test_a_full_disk_is_said_and_the_old_file_stays(
        self,
        files: ProjectFiles,
        read: Callable[[str], bytes],
        everything: Callable[[], set[str]],
        fill_disk: Callable[[], None],
    ) -> None:
        current = await publish(files, BLOG, OLD)
        before = everything()
        fill_disk()
        with pytest.raises(NoSpace, match="no space left"):
            await publish(files, BLOG, NEW)
        with pytest.raises(StorageUnavailable):
            await publish(files, ProjectName("shop"), NEW)
        assert everything() == before
        assert read(current) == OLD.content

    async def test_a_linked_directory_is_refused(
        self, files: ProjectFiles, link_directory: Callable[[str], None]
    ) -> None:
        link_directory("blog")
        with pytest.raises(InvalidInput, match="symbolic link"):
            await publish(files, BLOG, NEW)
        with pytest.raises(InvalidInput, match="symbolic link"):
            await files.locate(BLOG)

    async def test_a_linked_compose_file_is_refused(
        self, files: ProjectFiles, link_file: Callable[[str], None]
    ) -> None:
        link_file("blog")
        with pytest.raises(InvalidInput, match="symbolic link"):
            await publish(files, BLOG, NEW)
        with pytest.raises(InvalidInput, match="symbolic link"):
            await files.locate(BLOG)
