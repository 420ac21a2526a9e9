"""Making staged content a project's current one, and taking a project's content away. Blocking.

What fails is taken back. A process that dies leaves some of the files new and some old, and the old
compose file: that is replaced when all else is durable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from adapters.filesystem import project_directory as on_disk
from adapters.filesystem.changes import Changes, taken_back_on_failure
from adapters.filesystem.directories import (
    Modes,
    descended,
    is_file,
    lstat,
    read_file,
    refuse_links_on_the_way,
    refuse_obstacles,
)
from adapters.filesystem.staged_content import COMPOSE_PATH, ENV_PATH, StagedContent
from domain.content import ProjectContent

PINS_PATH: Final = PurePosixPath(on_disk.PINS_FILE)


def publish_staged(
    directory_fd: int, staged: StagedContent, replaced: ProjectContent | None, modes: Modes
) -> None:
    """Put what is staged in its place; see `StagedContent.publish` of the port."""
    brought = _beside_compose_file(staged.content)
    with taken_back_on_failure(directory_fd) as changes:
        if replaced is not None:
            before = _beside_compose_file(replaced)
            gone = {path: before[path] for path in before.keys() - brought.keys()}
            _remove_unchanged(directory_fd, changes, gone, but_directories_of=brought)
        for path in brought:
            _make_way(directory_fd, changes, path, modes)
            source = staged.env if path == ENV_PATH else staged.file.parent / path
            changes.move(source, path)
        changes.sync()
        changes.move(staged.file, COMPOSE_PATH)
        changes.sync()


def pin(directory_fd: int, pins: bytes, modes: Modes) -> None:
    """Put the agent's own compose file in its place, or take it away where it is empty."""
    refuse_links_on_the_way(directory_fd, PINS_PATH, "project_name")
    if pins:
        on_disk.write_staged(directory_fd, PINS_PATH.name, pins, modes.file)
    else:
        on_disk.remove_staged(directory_fd, PINS_PATH.name)
    os.fsync(directory_fd)


def remove_content(directory_fd: int, content: ProjectContent | None) -> None:
    """Remove what is the agent's own, and what the content brought; the compose file last."""
    with taken_back_on_failure(directory_fd) as changes:
        if content is not None:
            _remove_unchanged(
                directory_fd, changes, _beside_compose_file(content), but_directories_of={}
            )
        for path in (PINS_PATH, COMPOSE_PATH):
            changes.sync()
            if lstat(path.name, directory_fd) is not None:
                changes.remove(path)
        changes.sync()


def _beside_compose_file(content: ProjectContent) -> dict[PurePosixPath, bytes]:
    files = {PurePosixPath(extra.path): extra.content for extra in content.files}
    return files if content.env is None else {**files, ENV_PATH: content.env}


def _make_way(directory_fd: int, changes: Changes, path: PurePosixPath, modes: Modes) -> None:
    refuse_obstacles(directory_fd, path, "env" if path == ENV_PATH else f"files.{str(path)[:80]}")
    for parent in reversed(path.parents[:-1]):
        changes.make_directory(parent, modes.directory)


def _remove_unchanged(
    directory_fd: int,
    changes: Changes,
    files: Mapping[PurePosixPath, bytes],
    *,
    but_directories_of: Mapping[PurePosixPath, bytes],
) -> None:
    """Remove these files, but not what somebody has changed; then the directories that are empty."""
    for path, content in files.items():
        if _is_there(directory_fd, path, content):
            changes.remove(path)
    needed = {parent for path in but_directories_of for parent in path.parents}
    emptied = {parent for path in files for parent in path.parents[:-1]} - needed
    for path in sorted(emptied, reverse=True):  # A directory comes after those in it.
        changes.remove_empty_directory(path)


def _is_there(directory_fd: int, path: PurePosixPath, content: bytes) -> bool:
    """Whether a file has just this content."""
    try:
        with descended(directory_fd, path.parent.parts) as parent_fd:
            if not is_file(lstat(path.name, parent_fd)):
                return False
            return read_file(parent_fd, path.name, limit=len(content) + 1) == content
    except (FileNotFoundError, NotADirectoryError):
        return False
