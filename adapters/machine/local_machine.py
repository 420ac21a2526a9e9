"""The machine that this process runs on, changed by root. Blocking."""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import pwd
import secrets
import shutil
import signal
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from adapters.machine.programs import output_of
from adapters.machine.units import SystemdUnits
from adapters.private_file import publish
from adapters.storage_errors import translated
from application.ports.machine import Kept
from domain.errors import Busy, StorageUnavailable

UNPACK_S: Final = 600.0
TAKE_DOWN_S: Final = 300.0
LARGEST_FILE: Final = 1024 * 1024
"""What is looked at is settings and units."""
LOCK: Final = Path("/run/instadeploy-install.lock")
INTERRUPTIONS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LocalMachine(SystemdUnits):
    """See `Machine`."""

    def has_group(self, name: str) -> bool:
        """See `Machine`."""
        with contextlib.suppress(KeyError):
            return bool(grp.getgrnam(name))
        return False

    def add_group(self, name: str) -> None:
        """See `Machine`."""
        if not self.has_group(name):
            output_of("groupadd", "--system", name)

    def remove_group(self, name: str) -> None:
        """See `Machine`."""
        if self.has_group(name):
            output_of("groupdel", name)

    def groups_of(self, user: str) -> frozenset[str] | None:
        """See `Machine`."""
        try:
            found = pwd.getpwnam(user)
        except KeyError:
            return None
        return frozenset(
            group.gr_name
            for group in grp.getgrall()
            if group.gr_gid == found.pw_gid or user in group.gr_mem
        )

    def add_user(self, name: str, home: str, groups: Sequence[str]) -> None:
        """See `Machine`."""
        if self.groups_of(name) is None:
            output_of(
                "useradd", "--system", "--user-group", "--home-dir", home, "--no-create-home",
                "--shell", "/usr/sbin/nologin", "--comment", "InstaDeploy agent", name,
            )  # fmt: skip
        output_of("usermod", "--append", "--groups", ",".join(groups), name)

    def remove_user(self, name: str) -> None:
        """See `Machine`."""
        if self.groups_of(name) is not None:
            output_of("userdel", name)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """See `Machine`."""
        with translated(LOCK):
            fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy("somebody else installs or takes away the agent right now") from None
            yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """See `Machine`."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def look(self, path: str, *, follow: bool = False) -> Kept | None:
        """See `Machine`."""
        at = Path(path)
        with translated(at):
            try:
                found = at.stat() if follow else at.lstat()
            except FileNotFoundError:
                return None
            mode, (owner, group) = stat.S_IMODE(found.st_mode), _names(found.st_uid, found.st_gid)
            if stat.S_ISLNK(found.st_mode):
                return Kept(mode, owner, target=str(at.readlink()), group=group)
            if stat.S_ISDIR(found.st_mode):
                return Kept(mode, owner, group=group)
            if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_FILE:
                raise StorageUnavailable(f"{path} is in the way, and is no file of this program's")
            return Kept(mode, owner, at.read_bytes(), group=group)

    def names_in(self, path: str) -> Sequence[str]:
        """See `Machine`."""
        with translated(Path(path)), contextlib.suppress(FileNotFoundError):
            return sorted(one.name for one in Path(path).iterdir())
        return []

    def write(self, path: str, kept: Kept) -> None:
        """See `Machine`."""
        at = Path(path)
        with _new_name(at) as new:
            fd = os.open(new, _NEW, 0o600)
            with os.fdopen(fd, "wb") as file:
                os.fchown(fd, *_ids(kept))
                os.fchmod(fd, kept.mode)
                file.write(kept.content or b"")
                file.flush()
                os.fsync(fd)
            publish(new, at, replace=True)

    def make_directory(self, path: str, kept: Kept) -> None:
        """See `Machine`."""
        at = Path(path)
        with translated(at):
            with contextlib.suppress(FileExistsError):
                at.mkdir(mode=0o700, parents=True)
            fd = os.open(at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fchown(fd, *_ids(kept))
                os.fchmod(fd, kept.mode)
            finally:
                os.close(fd)

    def count_of(self, path: str, owner: str) -> int:
        """See `Machine`."""
        with translated(Path(path)), contextlib.suppress(FileNotFoundError, KeyError):
            return sum(1 for _ in _belonging(path, pwd.getpwnam(owner).pw_uid))
        return 0  # There is no such path, or no such user.

    def give(self, path: str, before: str, owner: str) -> None:
        """See `Machine`."""
        old, new = (pwd.getpwuid(_user_number(name)) for name in (before, owner))
        with translated(Path(path)):
            for name, fd in _belonging(path, old.pw_uid):
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                # A group that was chosen for it stays.
                group = new.pw_gid if found.st_gid == old.pw_gid else found.st_gid
                os.chown(name, new.pw_uid, group, dir_fd=fd, follow_symlinks=False)

    def link(self, path: str, target: str) -> None:
        """See `Machine`."""
        with _new_name(Path(path)) as new:
            new.symlink_to(target)
            publish(new, Path(path), replace=True)

    def remove(self, path: str) -> None:
        """See `Machine`."""
        at = Path(path)
        with translated(at), contextlib.suppress(FileNotFoundError):
            if at.is_symlink() or not at.is_dir():
                at.unlink()
            else:
                shutil.rmtree(at)

    def unpack(self, program: str, directory: str) -> None:
        """See `Machine`. A program made by pex knows how to become a directory."""
        at = Path(directory)
        if at.is_dir():
            return
        with _new_name(at) as new:
            venv = new / "venv"
            # Its cache is not to be left in root's home.
            tools = {"PEX_TOOLS": "1", "PEX_ROOT": str(new / "pex-root")}
            try:
                new.mkdir(mode=0o755)
                # By its name it may not be executable: it was just fetched.
                command = (sys.executable, program, "venv", "--compile", str(venv))
                output_of(*command, timeout_s=UNPACK_S, more=tools)
                venv.rename(at)
            finally:
                shutil.rmtree(new, ignore_errors=True)

    def take_down(self, compose_name: str, engine: str) -> None:
        """See `Machine`."""
        command = ("docker", "compose", "--project-name", compose_name, "down", "--remove-orphans")
        # Root's own settings of docker may mean another engine.
        there = {"DOCKER_HOST": engine, "HOME": "/nonexistent"}
        output_of(*command, timeout_s=TAKE_DOWN_S, more=there)

    def pause(self, seconds: float) -> None:
        """See `Machine`."""
        time.sleep(seconds)

    def seconds(self) -> float:
        """See `Machine`."""
        return time.monotonic()


@contextlib.contextmanager
def _new_name(path: Path) -> Iterator[Path]:
    """A name beside it, which nothing has afterwards."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with translated(path):
        try:
            yield new
        finally:
            with contextlib.suppress(FileNotFoundError):
                new.unlink()


def _belonging(path: str, number: int) -> Iterator[tuple[str, int | None]]:
    """What belongs to a user: names, and the directories that they are to be looked for in."""
    top = os.path.realpath(path, strict=True)
    if os.lstat(top).st_uid == number:
        yield top, None
    for _, directories, files, fd in os.fwalk(top):
        for name in (*directories, *files):
            if os.stat(name, dir_fd=fd, follow_symlinks=False).st_uid == number:
                yield name, fd


def _ids(kept: Kept) -> tuple[int, int]:
    found = pwd.getpwuid(_user_number(kept.owner))
    if not kept.group:
        return found.pw_uid, found.pw_gid
    try:
        return found.pw_uid, grp.getgrnam(kept.group).gr_gid
    except KeyError:
        return found.pw_uid, int(kept.group)


def _user_number(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise StorageUnavailable(f"there is no user {name}") from None


def _names(user: int, group: int) -> tuple[str, str]:
    """The user's name, and the group's where that is not the user's own."""
    try:
        found = pwd.getpwuid(user)
    except KeyError:
        return str(user), str(group)
    if found.pw_gid == group:
        return found.pw_name, ""
    try:
        return found.pw_name, grp.getgrgid(group).gr_name
    except KeyError:
        return found.pw_name, str(group)
