"""Processes that others started, by who they are and not by a number that may be given again.

All of it reads /proc, which is memory and no disk: it does not block.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from domain.records import ProcessIdentity

RUN_MARKER: Final = "INSTADEPLOY_RUN"
"""The variable that every process of a run inherits; its value is the run's token."""

_PROC: Final = Path("/proc")
_DEAD: Final = (b"Z", b"X")
_SESSION, _START_TIME = 3, 19


@functools.cache
def boot_id() -> str:
    """Which boot of the machine this is."""
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def is_running(process: ProcessIdentity) -> bool:
    """Whether it, and no other process that has its number now, runs; a zombie does not."""
    stat = _stat(process.pid)
    return (
        process.boot_id == boot_id()
        and stat is not None
        and stat[0] not in _DEAD
        and int(stat[_START_TIME]) == process.start_time
    )


async def end_of(process: ProcessIdentity) -> bool:
    """Return when it does not run any more; False where it had not run to begin with."""
    with _opened(process) as pidfd:
        if pidfd is None:
            return False
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(pidfd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(pidfd)
        return True


def ask_to_end(process: ProcessIdentity) -> None:
    """Send it SIGTERM, if it runs."""
    with _opened(process) as pidfd, contextlib.suppress(ProcessLookupError):
        if pidfd is not None:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)


def kill_run(token: str, session: int | None = None) -> int:
    """Kill every process of a run, and of a session that is known to be the run's.

    Returns how many still ran. They are gone when none is found: one that was killed may have had a
    child the moment before.
    """
    return sum(_kill(pid, token, session) for pid in map(int, filter(str.isdecimal, _listed())))


def _listed() -> list[str]:
    return [entry.name for entry in _PROC.iterdir()]


def _kill(pid: int, token: str, session: int | None) -> bool:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        # Looked at once it is held: what is seen is what the signal goes to.
        if not _belongs(pid, token, session) or _has_ended(pidfd):
            return False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return True
    finally:
        os.close(pidfd)


def _belongs(pid: int, token: str, session: int | None) -> bool:
    stat = _stat(pid)
    if stat is None or stat[0] in _DEAD:
        return False
    if session is not None and int(stat[_SESSION]) == session:
        return True
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return f"{RUN_MARKER}={token}".encode() in environment.split(b"\0")


@contextlib.contextmanager
def _opened(process: ProcessIdentity) -> Iterator[int | None]:
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        yield None
        return
    try:
        # Looked at once it is held: it cannot become another one any more.
        yield pidfd if is_running(process) else None
    finally:
        os.close(pidfd)


def _has_ended(pidfd: int) -> bool:
    events = select.poll()
    events.register(pidfd, select.POLLIN)
    return bool(events.poll(0))


def _stat(pid: int) -> list[bytes] | None:
    """Fields 3 and on of its stat file; the second field is a name, and may hold anything."""
    try:
        return (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
