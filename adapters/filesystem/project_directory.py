"""One project's directory, through file descriptors: a path that is swapped under us leads nowhere.

Blocking. Every name is opened relative to the directory that was opened before it, and never through
a symbolic link (Portainer's CVE-2026-44881 is what happens otherwise).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from domain.errors import Conflict, InvalidInput, NotFound
from domain.project import ProjectName

COMPOSE_FILE: Final = "docker-compose.yml"
STAGED_PREFIX: Final = f".{COMPOSE_FILE}."
STAGED_SUFFIX: Final = ".staged"

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK})
"""A second name for a file cannot be had: on FAT, or for a file of another user."""
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CREATE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Modes:
    """Permission bits of what is created."""

    directory: int
    file: int


PUBLIC: Final = Modes(directory=0o755, file=0o644)
PRIVATE: Final = Modes(directory=0o700, file=0o600)


@contextlib.contextmanager
def opened(path: str, *, dir_fd: int | None = None, nofollow: bool = False) -> Iterator[int]:
    """A directory's descriptor for as long as the context lasts."""
    flags = _OPEN_DIRECTORY | (os.O_NOFOLLOW if nofollow else 0)
    fd = os.open(path, flags, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def refuse_namesakes(projects_fd: int, name: ProjectName) -> None:
    """Raise `Conflict` where another directory is the same project to Compose."""
    for entry in os.listdir(projects_fd):
        if entry != name.value and entry.lower() == name.compose_name:
            raise Conflict(
                f"project_name: '{name}' and the existing project '{entry}' are one project to "
                "Docker Compose, which knows no capitals; use another name"
            )


def refuse_links(projects_fd: int, name: ProjectName) -> None:
    """Raise where a symbolic link stands in the place of the project's directory."""
    found = _lstat(name.value, projects_fd)
    if found is None:
        return
    if stat.S_ISLNK(found.st_mode):
        raise InvalidInput("project_name", f"the directory of project '{name}' is a symbolic link")
    if not stat.S_ISDIR(found.st_mode):
        raise Conflict(f"project_name: '{name}' is a file in the projects directory")


def has_compose_file(directory_fd: int, name: ProjectName) -> bool:
    """Whether the project has a compose file; raises where it is a link or no regular file."""
    found = _lstat(COMPOSE_FILE, directory_fd)
    if found is None:
        return False
    if stat.S_ISLNK(found.st_mode):
        raise InvalidInput("project_name", f"the compose file of '{name}' is a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise Conflict(f"project_name: {COMPOSE_FILE} of '{name}' is not a regular file")
    return True


def require_compose_file(projects_fd: int, name: ProjectName) -> None:
    """Raise `NotFound` where the project has no compose file."""
    refuse_namesakes(projects_fd, name)
    refuse_links(projects_fd, name)
    unknown = NotFound(f"project '{name}' does not exist on this host")
    try:
        with opened(name.value, dir_fd=projects_fd, nofollow=True) as directory_fd:
            if not has_compose_file(directory_fd, name):
                raise unknown
    except FileNotFoundError:
        raise unknown from None


def make_projects_directory(path: Path) -> None:
    """Create it, whatever the umask, with all above it; one that is there keeps its mode."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return
    path.chmod(PUBLIC.directory)


def make_directory(parent_fd: int, name: str, mode: int) -> bool:
    """Create a directory durably; returns whether it was not there before. A failure leaves nothing."""
    try:
        os.mkdir(name, mode, dir_fd=parent_fd)
    except FileExistsError:
        return False
    try:
        os.fsync(parent_fd)
    except BaseException:
        os.rmdir(name, dir_fd=parent_fd)
        raise
    return True


def staged_name(key: str) -> str:
    """What a file is called while it is staged."""
    return f"{STAGED_PREFIX}{key}{STAGED_SUFFIX}"


def write_staged(directory_fd: int, staged: str, content: bytes, mode: int) -> None:
    """Write a file durably; one that is there already is replaced atomically.

    A failure leaves what was there.
    """
    name = staged_name(secrets.token_hex(8))
    # Private from its first byte; what is to be public is opened up, never the other way round.
    fd = os.open(name, _CREATE_FILE, mode=PRIVATE.file, dir_fd=directory_fd)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.rename(name, staged, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
    except BaseException:
        remove_staged(directory_fd, name)
        raise


def remove_staged(directory_fd: int, name: str) -> None:
    """Remove a staged file, if it is still there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory_fd)


def sweep_staged(directory_fd: int, *, but: str) -> None:
    """Remove what an agent that was killed left staged, but for this one."""
    for entry in os.listdir(directory_fd):
        if entry.startswith(STAGED_PREFIX) and entry.endswith(STAGED_SUFFIX) and entry != but:
            remove_staged(directory_fd, entry)


def publish_staged(directory_fd: int, name: str) -> None:
    """Make the staged file the compose file, atomically and durably; a failure leaves the old one."""
    with _old_one_back_on_failure(directory_fd):
        os.rename(name, COMPOSE_FILE, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
        os.fsync(directory_fd)


@contextlib.contextmanager
def _old_one_back_on_failure(directory_fd: int) -> Iterator[None]:
    old = staged_name(
        secrets.token_hex(8)
    )  # Swept as a staged file is, should this process die meanwhile.
    put_back: Callable[[], None] | None = partial(
        os.rename, old, COMPOSE_FILE, src_dir_fd=directory_fd, dst_dir_fd=directory_fd
    )
    try:
        os.link(COMPOSE_FILE, old, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
    except FileNotFoundError:
        put_back = partial(os.unlink, COMPOSE_FILE, dir_fd=directory_fd)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        put_back = None
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            if put_back is not None:
                put_back()
        raise
    finally:
        with contextlib.suppress(OSError):
            remove_staged(directory_fd, old)


def _lstat(name: str, dir_fd: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
