"""One project's directory: what may stand there, and what is the agent's own in it. Blocking."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path, PurePosixPath
from typing import Final

from adapters.filesystem.directories import (
    PRIVATE,
    PUBLIC,
    descended,
    entries,
    is_directory,
    is_file,
    is_link,
    lstat,
    opened,
    read_file,
    refuse_links_on_the_way,
    write_all,
)
from domain.content import COMPOSE_FILE_NAME, OURS
from domain.errors import Conflict, InvalidInput, NotFound
from domain.project import ProjectName
from domain.validation import MAX_COMPOSE_FILE_BYTES, has_control_characters

COMPOSE_FILE: Final = COMPOSE_FILE_NAME
PINS_FILE: Final = f"{OURS}.pins.yml"
STAGED_PREFIX: Final = f".{COMPOSE_FILE}."
STAGED_SUFFIX: Final = ".staged"
STAGED_ENV_SUFFIX: Final = ".staged.env"
STAGED_TREE_SUFFIX: Final = ".staged.d"

_STAGED_SUFFIXES: Final = (STAGED_SUFFIX, STAGED_ENV_SUFFIX, STAGED_TREE_SUFFIX)
_SOURCE_FIELD: Final = "compose_file_base64"
_CREATE_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def refuse_namesakes(projects_fd: int, name: ProjectName) -> None:
    """Raise `Conflict` where another directory is the same project to Compose.

    What a killed agent left of a project that never came to be is none.
    """
    for entry in _namesakes(projects_fd, name):
        found = _entries_of(projects_fd, entry)
        if found is None or not all(map(is_staged, found)):
            raise Conflict(
                f"project_name: '{name}' and the existing project '{entry}' are one project to "
                "Docker Compose, which knows no capitals; use another name"
            )


def sweep_unborn_namesakes(projects_fd: int, name: ProjectName) -> None:
    """Remove directories in which a killed agent left what it had staged, and nothing else is."""
    for entry in _namesakes(projects_fd, name):
        with contextlib.suppress(OSError):
            if is_unborn(projects_fd, entry):
                with opened(entry, dir_fd=projects_fd, nofollow=True) as directory_fd:
                    sweep_staged(directory_fd)
                os.rmdir(entry, dir_fd=projects_fd)


def is_unborn(projects_fd: int, entry: str) -> bool:
    """Whether a directory holds what an agent staged for a new project, and nothing else.

    An empty one may be anybody's.
    """
    found = _entries_of(projects_fd, entry)
    return bool(found) and all(map(is_staged, found or ()))


def refuse_links(projects_fd: int, name: ProjectName) -> None:
    """Raise where a symbolic link stands in the place of the project's directory."""
    found = lstat(name.value, projects_fd)
    if found is None:
        return
    if is_link(found):
        raise InvalidInput("project_name", f"the directory of project '{name}' is a symbolic link")
    if not is_directory(found):
        raise Conflict(f"project_name: '{name}' is a file in the projects directory")


def has_compose_file(directory_fd: int, name: ProjectName) -> bool:
    """Whether the project has a compose file; raises where it is a link or no regular file."""
    found = lstat(COMPOSE_FILE, directory_fd)
    if found is None:
        return False
    if is_link(found):
        raise InvalidInput("project_name", f"the compose file of '{name}' is a symbolic link")
    if not is_file(found):
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


def project_names(projects_fd: int) -> list[ProjectName]:
    """The projects that have a compose file, sorted."""
    found = []
    for entry in sorted(entries(projects_fd)):
        with contextlib.suppress(InvalidInput, FileNotFoundError, NotADirectoryError):
            name = ProjectName(entry)
            with opened(entry, dir_fd=projects_fd, nofollow=True) as directory_fd:
                if is_file(lstat(COMPOSE_FILE, directory_fd)):
                    found.append(name)
    return found


def read_source(projects_fd: int, name: ProjectName, path: str) -> bytes | None:
    """A file of the project that Compose is going to read; see `ProjectFiles.read`."""
    way = PurePosixPath(path)
    if way.is_absolute() or ".." in way.parts or not way.name or has_control_characters(path):
        raise InvalidInput(_SOURCE_FIELD, f"{path[:80]!r} is no path in the project's directory")
    refuse_namesakes(projects_fd, name)
    refuse_links(projects_fd, name)
    try:
        with opened(name.value, dir_fd=projects_fd, nofollow=True) as directory_fd:
            refuse_links_on_the_way(directory_fd, way, _SOURCE_FIELD)
            with descended(directory_fd, way.parent.parts) as parent_fd:
                return _read_small_file(parent_fd, way)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        if exc.errno == errno.ENAMETOOLONG:
            return None
        raise


def make_projects_directory(path: Path) -> None:
    """Create it, whatever the umask, with all above it; one that is there keeps its mode."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return
    path.chmod(PUBLIC.directory)


def staged_name(key: str, suffix: str = STAGED_SUFFIX) -> str:
    """What a file, the env or the whole content is called while it is staged."""
    return f"{STAGED_PREFIX}{key}{suffix}"


def is_staged(entry: str) -> bool:
    """Whether this is the name of what is staged, or was by an agent that was killed."""
    return entry.startswith(STAGED_PREFIX) and entry.endswith(_STAGED_SUFFIXES)


def write_staged(directory_fd: int, staged: str, content: bytes, mode: int) -> None:
    """Write a file durably; one that is there already is replaced atomically.

    A failure leaves what was there.
    """
    name = new_staged_name()
    # Private from its first byte; what is to be public is opened up, never the other way round.
    fd = os.open(name, _CREATE_FILE, mode=PRIVATE.file, dir_fd=directory_fd)
    try:
        try:
            write_all(fd, content)
            os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(name, staged, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
    except BaseException:
        remove_staged(directory_fd, name)
        raise


def new_staged_name() -> str:
    """A name that nothing has, and that is swept should this process die."""
    return staged_name(secrets.token_hex(8))


def remove_staged(directory_fd: int, name: str) -> None:
    """Remove a staged file, or directory with all that is in it, if it is still there."""
    if is_directory(lstat(name, directory_fd)):
        shutil.rmtree(name, dir_fd=directory_fd)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory_fd)


def sweep_staged(directory_fd: int, *, but: frozenset[str] = frozenset()) -> None:
    """Remove what an agent that was killed left staged, but for these."""
    for entry in entries(directory_fd):
        if is_staged(entry) and entry not in but:
            remove_staged(directory_fd, entry)


def _namesakes(projects_fd: int, name: ProjectName) -> list[str]:
    return [
        entry
        for entry in entries(projects_fd)
        if entry != name.value and entry.lower() == name.compose_name
    ]


def _entries_of(projects_fd: int, entry: str) -> list[str] | None:
    """What is in a directory; None where that cannot be known."""
    try:
        with opened(entry, dir_fd=projects_fd, nofollow=True) as directory_fd:
            return entries(directory_fd)
    except OSError:
        return None


def _read_small_file(parent_fd: int, way: PurePosixPath) -> bytes | None:
    found = lstat(way.name, parent_fd)
    if found is None:
        return None
    if not is_file(found):
        raise InvalidInput(_SOURCE_FIELD, f"'{way}' in the project's directory is no regular file")
    content = read_file(parent_fd, way.name, limit=MAX_COMPOSE_FILE_BYTES + 1)
    if len(content) > MAX_COMPOSE_FILE_BYTES:
        raise InvalidInput(
            _SOURCE_FIELD,
            f"'{way}' in the project's directory is larger than {MAX_COMPOSE_FILE_BYTES} bytes (1 MiB)",
        )
    return content
