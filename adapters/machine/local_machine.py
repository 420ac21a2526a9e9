"""The machine that this process runs on, changed by root. Blocking."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from adapters.machine.programs import output_of
from adapters.machine.units import SystemdUnits
from adapters.storage_errors import translated
from application.ports.machine import Kept
from domain.errors import StorageUnavailable

UNPACK_S: Final = 600.0
TAKE_DOWN_S: Final = 300.0
LARGEST_FILE: Final = 1024 * 1024
"""What is looked at is settings and units."""
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

    def look(self, path: str) -> Kept | None:
        """See `Machine`."""
        at = Path(path)
        with translated(at):
            try:
                found = at.lstat()
            except FileNotFoundError:
                return None
            mode = stat.S_IMODE(found.st_mode)
            owner = _user_name(found.st_uid)
            if stat.S_ISLNK(found.st_mode):
                return Kept(mode, owner, target=str(at.readlink()))
            if stat.S_ISDIR(found.st_mode):
                return Kept(mode, owner)
            if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_FILE:
                raise StorageUnavailable(f"{path} is in the way, and is no file of this program's")
            return Kept(mode, owner, at.read_bytes())

    def names_in(self, path: str) -> Sequence[str]:
        """See `Machine`."""
        with translated(Path(path)), contextlib.suppress(FileNotFoundError):
            return sorted(one.name for one in Path(path).iterdir())
        return []

    def write(self, path: str, content: bytes, mode: int, owner: str) -> None:
        """See `Machine`."""
        at = Path(path)
        with _new_name(at) as new:
            fd = os.open(new, _NEW, 0o600)
            with os.fdopen(fd, "wb") as file:
                os.fchown(fd, *_ids(owner))
                os.fchmod(fd, mode)
                file.write(content)
                file.flush()
                os.fsync(fd)
            new.replace(at)

    def make_directory(self, path: str, mode: int, owner: str) -> None:
        """See `Machine`."""
        at = Path(path)
        with translated(at):
            with contextlib.suppress(FileExistsError):
                at.mkdir(mode=0o700, parents=True)
            fd = os.open(at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fchown(fd, *_ids(owner))
                os.fchmod(fd, mode)
            finally:
                os.close(fd)

    def link(self, path: str, target: str) -> None:
        """See `Machine`."""
        with _new_name(Path(path)) as new:
            new.symlink_to(target)
            new.replace(path)

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

    def take_down(self, compose_name: str) -> None:
        """See `Machine`."""
        command = ("docker", "compose", "--project-name", compose_name, "down", "--remove-orphans")
        output_of(*command, timeout_s=TAKE_DOWN_S)

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


def _ids(owner: str) -> tuple[int, int]:
    try:
        found = pwd.getpwnam(owner)
    except KeyError:
        raise StorageUnavailable(f"there is no user {owner}") from None
    return found.pw_uid, found.pw_gid


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
