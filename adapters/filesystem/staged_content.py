"""A project's content as it lies staged in the project's directory. Blocking.

Three forms, all of them swept by their names when an agent was killed:

    .docker-compose.yml.<key>.staged        the compose file alone
    .docker-compose.yml.<key>.staged.env    beside it, the env
    .docker-compose.yml.<key>.staged.d      a directory with all files that the content brings, and for
                                            everything else in the project's directory a link to it

The last is for what Compose reads by its path in the project's directory: what it would find there
once all is published, it finds here. Directories on the way to a file of the content are made anew,
and what else is in them is linked one by one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from adapters.filesystem import project_directory as on_disk
from adapters.filesystem.directories import (
    PRIVATE,
    Modes,
    descended,
    entries,
    is_directory,
    is_link,
    lstat,
    refuse_links_on_the_way,
)
from domain.content import ENV_FILE_NAME, ProjectContent

COMPOSE_PATH: Final = PurePosixPath(on_disk.COMPOSE_FILE)
ENV_PATH: Final = PurePosixPath(ENV_FILE_NAME)
_HERE: Final = PurePosixPath()


@dataclass(frozen=True, slots=True)
class StagedContent:
    """Where a content lies while it is staged; paths are relative to the project's directory."""

    content: ProjectContent
    file: PurePosixPath
    env: PurePosixPath
    tree: PurePosixPath | None

    @classmethod
    def under(cls, key: str, content: ProjectContent) -> StagedContent:
        """The same for the same content and key."""
        if _is_read_by_path(content):
            tree = PurePosixPath(on_disk.staged_name(key, on_disk.STAGED_TREE_SUFFIX))
            return cls(content, tree / COMPOSE_PATH, tree / ENV_PATH, tree)
        file = PurePosixPath(on_disk.staged_name(key))
        env = PurePosixPath(on_disk.staged_name(key, on_disk.STAGED_ENV_SUFFIX))
        return cls(content, file, env, None)

    @property
    def names(self) -> frozenset[str]:
        """What is in the project's directory while it is staged."""
        used = [self.file] if self.content.env is None else [self.file, self.env]
        return frozenset(path.parts[0] for path in used)

    def refuse_links(self, directory_fd: int) -> None:
        """Raise `InvalidInput` where a symbolic link is on the way to a file of the content."""
        for extra in self.content.files:
            refuse_links_on_the_way(
                directory_fd, PurePosixPath(extra.path), f"files.{extra.path[:80]}"
            )
        if self.content.env is not None:
            refuse_links_on_the_way(directory_fd, ENV_PATH, "env")

    def write(self, directory_fd: int, modes: Modes) -> None:
        """Write it durably; what lies there already is replaced file by file, each atomically."""
        if self.tree is not None:
            _Tree(directory_fd, self.tree, self.content, modes).write()
            return
        on_disk.write_staged(directory_fd, self.file.name, self.content.file.content, modes.file)
        if self.content.env is not None:
            on_disk.write_staged(directory_fd, self.env.name, self.content.env, PRIVATE.file)

    def remove(self, directory_fd: int) -> None:
        """Remove what is still there of it."""
        for name in self.names:
            on_disk.remove_staged(directory_fd, name)


def _is_read_by_path(content: ProjectContent) -> bool:
    """Whether Compose reads more than the compose file from the directory.

    A compose file that names its `.env` (`env_file: .env`) has it read there, whatever is given as
    `--env-file`.
    """
    names_env = content.env is not None and ENV_FILE_NAME.encode() in content.file.content
    return bool(content.files) or names_env


class _Tree:
    """The third form."""

    def __init__(
        self, directory_fd: int, root: PurePosixPath, content: ProjectContent, modes: Modes
    ) -> None:
        self._directory_fd = directory_fd
        self._root = root
        self._files: dict[PurePosixPath, tuple[bytes, int]] = {
            PurePosixPath(extra.path): (extra.content, extra.mode) for extra in content.files
        }
        self._files[COMPOSE_PATH] = (content.file.content, modes.file)
        if content.env is not None:
            self._files[ENV_PATH] = (content.env, PRIVATE.file)
        self._directories = {parent for path in self._files for parent in path.parents}

    def write(self) -> None:
        for path in sorted(self._directories):  # A directory comes before those in it.
            _make_directory(self._directory_fd, self._root / path)
            with descended(self._directory_fd, (self._root / path).parts) as made_fd:
                self._fill(made_fd, path)

    def _fill(self, made_fd: int, path: PurePosixPath) -> None:
        links = self._links(path)
        files = {one.name: of for one, of in self._files.items() if one.parent == path}
        directories = {one.name for one in self._directories if one.parent == path and one != path}
        for entry in entries(made_fd):
            if entry not in links and entry not in files and entry not in directories:
                on_disk.remove_staged(made_fd, entry)
        for name, (content, mode) in files.items():
            on_disk.write_staged(made_fd, name, content, mode)
        _link(made_fd, links)

    def _links(self, path: PurePosixPath) -> Mapping[str, str]:
        """Where links lead that stand for what is in the project's directory and not brought."""
        up = "../" * (len(path.parts) + 1)
        brought = self._files.keys() | self._directories
        try:
            with descended(self._directory_fd, path.parts) as directory_fd:
                found = entries(directory_fd)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        return {
            entry: f"{up}{path / entry}"
            for entry in found
            if path / entry not in brought and not (path == _HERE and on_disk.is_staged(entry))
        }


def _make_directory(directory_fd: int, path: PurePosixPath) -> None:
    with descended(directory_fd, path.parent.parts) as parent_fd:
        if not is_directory(lstat(path.name, parent_fd)):
            on_disk.remove_staged(parent_fd, path.name)
            os.mkdir(path.name, PRIVATE.directory, dir_fd=parent_fd)


def _link(directory_fd: int, links: Mapping[str, str]) -> None:
    for name, target in links.items():
        is_there = is_link(lstat(name, directory_fd))
        if is_there and os.readlink(name, dir_fd=directory_fd) == target:
            continue
        new = on_disk.new_staged_name()
        os.symlink(target, new, dir_fd=directory_fd)
        os.rename(new, name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
