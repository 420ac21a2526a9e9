"""What the contracts of `ProjectFiles` share: contents, ways to publish them, and what they are given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from application.ports.project_files import ProjectFiles
from domain.content import ExtraFile, ProjectContent
from domain.errors import InvalidInput
from domain.project import ComposeFile, ProjectName

OLD = ComposeFile(b"services: {old: {image: old}}\n")
NEW = ComposeFile(b"services: {new: {image: new}}\n")
BLOG = ProjectName("blog")
PLAIN = ProjectContent(OLD)
RICH = ProjectContent(
    NEW,
    env=b"A=1\n",
    files=(
        ExtraFile("conf/nginx/site.conf", b"listen 80;\n"),
        ExtraFile("conf/secret", b"hush\n", 0o600),
        ExtraFile("run.sh", b"#!/bin/sh\n", 0o755),
    ),
)
"""A content of everything."""


class GivenProjects:
    """Give the `files`, and ways to look behind them.

    `read` gives the content at a path that a `Project` names; `everything` the paths of all files
    and directories of all projects; `fill_disk` has writes fail from then on; `link_directory` and
    `link_file` put a symbolic link in the place of a project's directory or compose file, `link` at
    any path below the projects, and `put` a file there.
    """

    @pytest.fixture
    def files(self) -> ProjectFiles:
        raise NotImplementedError

    @pytest.fixture
    def read(self) -> Callable[[str], bytes]:
        raise NotImplementedError

    @pytest.fixture
    def everything(self) -> Callable[[], set[str]]:
        raise NotImplementedError

    @pytest.fixture
    def fill_disk(self) -> Callable[[], None]:
        raise NotImplementedError

    @pytest.fixture
    def link_directory(self) -> Callable[[str], None]:
        raise NotImplementedError

    @pytest.fixture
    def link_file(self) -> Callable[[str], None]:
        raise NotImplementedError

    @pytest.fixture
    def link(self) -> Callable[[str], None]:
        raise NotImplementedError

    @pytest.fixture
    def put(self) -> Callable[[str, bytes], None]:
        raise NotImplementedError


def content_of(content: ComposeFile | ProjectContent) -> ProjectContent:
    """All of it, where a compose file is all there is."""
    return content if isinstance(content, ProjectContent) else ProjectContent(content)


def whole(content: ProjectContent) -> dict[str, bytes | None]:
    """What `current` finds where the content, and nothing but it, is published."""
    brought = {extra.path: extra.content for extra in content.files}
    files = {**brought, ".env": content.env, "docker-compose.yml": content.file.content}
    return {path: files.get(path) for path in PATHS}


async def current(files: ProjectFiles) -> dict[str, bytes | None]:
    """What the blog has of what any content here brings."""
    return {path: await there(files, path) for path in PATHS}


async def there(files: ProjectFiles, path: str) -> bytes | None:
    """A file of the blog's, where it is one."""
    try:
        return await files.read(BLOG, path)
    except InvalidInput:  # A directory.
        return None


PATHS = (
    *(extra.path for extra in RICH.files),
    *("a", "a/x", "b", "b/c/d"),
    *(".env", "docker-compose.yml"),
)


def key_of(content: ComposeFile | ProjectContent) -> str:
    """A name for the content."""
    return content_of(content).digest[:16]


async def publish(
    files: ProjectFiles,
    name: ProjectName,
    content: ComposeFile | ProjectContent,
    replaced: ProjectContent | None = None,
) -> str:
    """Make a content a project's current one; returns where its compose file lies."""
    async with files.stage(name, content_of(content), key_of(content)) as staged:
        return (await staged.publish(replaced)).compose_file


async def leave_staged(
    files: ProjectFiles, name: ProjectName, content: ComposeFile | ProjectContent
) -> str:
    """Stage a content, and be cancelled then; returns where its compose file lay."""
    paths: asyncio.Queue[str] = asyncio.Queue()

    async def stage() -> None:
        async with files.stage(name, content_of(content), key_of(content)) as staged:
            paths.put_nowait(staged.candidate.compose_file)
            await asyncio.Event().wait()

    staging = asyncio.create_task(stage())
    path = await paths.get()
    staging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await staging
    return path
