"""`MachineFacts` on Linux. Blocking."""

from __future__ import annotations

import grp
import os
import platform
import pwd
import re
import ssl
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from adapters.storage_errors import translated
from application.ports.machine_facts import DiskRoom, Interpreter, ProcessUse, SocketFile
from domain.errors import StorageUnavailable

_PROCESSES: Final = Path("/proc")
_OPEN_FILES: Final = re.compile(r"^Max open files\s+(\S+)", re.MULTILINE)
_NO_HINTS: Final[dict[int, str]] = {}


class LocalFacts:
    """See `MachineFacts`. `signs` says whether a key of this host's could be used."""

    def __init__(self, signs: Callable[[], bool], processes: Path = _PROCESSES) -> None:
        self._signs = signs
        self._processes = processes

    def interpreter(self) -> Interpreter:
        """See `MachineFacts`."""
        libc, libc_version = platform.libc_ver()
        major, minor, micro = sys.version_info[:3]
        return Interpreter(
            python=(major, minor, micro),
            libc=libc,
            libc_version=libc_version,
            openssl=ssl.OPENSSL_VERSION,
            signs=self._signs(),
        )

    def room(self, path: str) -> DiskRoom:
        """See `MachineFacts`."""
        at = Path(path)
        with translated(at, _NO_HINTS):
            while not _is_there(at) and at != at.parent:
                at = at.parent
            found, info = os.statvfs(at), at.stat()
        return DiskRoom(
            free_bytes=found.f_bavail * found.f_frsize,
            total_bytes=found.f_blocks * found.f_frsize,
            free_inodes=found.f_favail,
            total_inodes=found.f_files,
            device=info.st_dev,
        )

    def process(self, pid: int) -> ProcessUse:
        """See `MachineFacts`."""
        at = self._processes / str(pid)
        try:
            names = os.listdir(at / "fd")  # noqa: PTH208 - names, and no paths
            targets = [_target(at / "fd" / name) for name in names]
            limits = (at / "limits").read_text(encoding="ascii")
        except PermissionError:
            raise StorageUnavailable(f"this user may not look into process {pid}") from None
        except OSError as exc:
            raise StorageUnavailable(f"process {pid} has ended: {exc.strerror}") from exc
        limit = _OPEN_FILES.search(limits)
        return ProcessUse(
            open_files=len(names),
            sockets=sum(target.startswith("socket:") for target in targets),
            most_files=int(limit[1]) if limit and limit[1].isdecimal() else None,
        )

    def socket(self, path: str) -> SocketFile | None:
        """See `MachineFacts`."""
        at = Path(path)
        with translated(at, _NO_HINTS):
            try:
                found = at.stat()
            except FileNotFoundError:
                return None
        return SocketFile(
            is_socket=stat.S_ISSOCK(found.st_mode),
            mode=stat.S_IMODE(found.st_mode),
            owner=_name(lambda: pwd.getpwuid(found.st_uid).pw_name, found.st_uid),
            group=_name(lambda: grp.getgrgid(found.st_gid).gr_name, found.st_gid),
        )


def _is_there(path: Path) -> bool:
    """Raises `OSError` where this user may not know."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except FileNotFoundError:  # Closed meanwhile.
        return ""


def _name(look_up: Callable[[], str], number: int) -> str:
    try:
        return look_up()
    except KeyError:
        return str(number)
