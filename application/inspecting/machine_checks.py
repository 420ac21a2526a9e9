"""What the agent stands on: Python, disks, and what its process may have open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from application.ports.aside import Aside
from application.ports.engine_root import EngineRoot
from application.ports.machine_facts import DiskRoom, MachineFacts
from domain.errors import RuntimeUnavailable, StorageUnavailable
from domain.inspection import Finding, failure, unknown, warning, well

OLDEST_PYTHON: Final = (3, 11)
NEWEST_PYTHON: Final = (3, 13)
OLDEST_GLIBC: Final = (2, 28)
LITTLE_ROOM: Final = 500 * 1000**2
LITTLE_PART: Final = 0.05
NO_ROOM: Final = 50 * 1000**2
LITTLE_INODES: Final = 10_000
NO_INODES: Final = 500
MUCH_OPEN: Final = 0.8

RunningPid = Callable[[], Awaitable[int | None]]


@dataclass(frozen=True, slots=True)
class PythonCheck:
    """Whether Python, its C library and OpenSSL are such that the agent is tried out with."""

    facts: MachineFacts
    aside: Aside

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        found = await self.aside(self.facts.interpreter)
        version = ".".join(map(str, found.python))
        libc = f"{found.libc} {found.libc_version}".strip() or "a C library that does not say which"
        text = f"Python {version}, {libc}, {found.openssl}"
        findings = []
        if found.python[:2] < OLDEST_PYTHON:
            why = "the agent is written for 3.11 to 3.13"
            findings.append(
                failure(f"Python {version} is too old", why, "install Python 3.11 or later")
            )
        elif found.python[:2] > NEWEST_PYTHON:
            why = "the agent as one file has what it needs for 3.11 to 3.13"
            findings.append(
                warning(f"Python {version} is newer than it is tried with", why, "install 3.13")
            )
        if found.libc != "glibc":
            why = "the agent as one file is built for glibc"
            findings.append(warning(f"{libc} is not glibc", why, "use a virtual environment"))
        elif _numbers(found.libc_version) < OLDEST_GLIBC:
            why = "the agent as one file is built for glibc 2.28 and later"
            findings.append(failure(f"{libc} is too old", why, "upgrade the distribution"))
        if not found.signs:
            why = "a host proves by such a key who it is; without, it needs a bearer token"
            remedy = "install OpenSSL's libcrypto 1.1.1 or later (package libssl3 or openssl-libs)"
            findings.append(failure("no library with Ed25519 was found", why, remedy))
        return findings or [well(f"{text}, with Ed25519")]


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """What the running agent has open, of what it may."""

    facts: MachineFacts
    running_pid: RunningPid
    aside: Aside

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        try:
            pid = await self.running_pid()
            if pid is None:
                return [unknown("no agent runs, or none that this user may see")]
            use = await self.aside(lambda: self.facts.process(pid))
        except StorageUnavailable as exc:
            return [unknown(str(exc), "run it with sudo")]
        what = f"{use.open_files} files are open, {use.sockets} of them sockets"
        if use.most_files is None:
            return [well(f"{what}, with no limit")]
        what += f", of {use.most_files} at most"
        if use.open_files > MUCH_OPEN * use.most_files:
            why = "an agent that can open no more can neither connect nor deploy"
            remedy = (
                "systemctl restart instadeploy-agent (what it has begun goes on), and report what is open: "
                f"ls -l /proc/{pid}/fd; LimitNOFILE= in a drop-in raises the limit"
            )
            return [warning(what, why, remedy)]
        return [well(what)]


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes and inodes of one directory's disk."""

    facts: MachineFacts
    path: str
    what: str
    aside: Aside

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        try:
            room = await self.aside(lambda: self.facts.room(self.path))
        except StorageUnavailable as exc:
            return [unknown(str(exc), "run it with sudo")]
        return findings_of_room(f"{self.what} ({self.path})", room)


@dataclass(frozen=True, slots=True)
class EngineRoom:
    """Bytes and inodes of the disk on which the engine has images, containers and volumes."""

    facts: MachineFacts
    root: EngineRoot
    aside: Aside

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        try:
            path = await self.root.directory()
        except RuntimeUnavailable as exc:
            return [unknown(f"where the engine keeps its data is not known: {exc}")]
        return await Room(self.facts, path, "the engine's data", self.aside)()


def findings_of_room(what: str, room: DiskRoom) -> Sequence[Finding]:
    """What so much room means for what the agent does."""
    free = f"{what} has {readable(room.free_bytes)} free of {readable(room.total_bytes)}"
    why = "deployments are refused where there is no room for what they need"
    remedy = (
        "docker system df and du -xh show what takes it; docker image prune removes images that nothing "
        "uses"
    )
    findings = []
    if room.free_bytes < NO_ROOM:
        findings.append(failure(free, why, remedy))
    elif room.free_bytes < LITTLE_ROOM or room.free_bytes < LITTLE_PART * room.total_bytes:
        findings.append(warning(free, why, remedy))
    if room.total_inodes:
        free_inodes = f"{what} has {room.free_inodes} inodes free of {room.total_inodes}"
        remedy = "df -i, and du --inodes -x show where many small files are"
        if room.free_inodes < min(NO_INODES, LITTLE_PART * room.total_inodes):
            findings.append(failure(free_inodes, "no file can be made without one", remedy))
        elif (
            room.free_inodes < min(LITTLE_INODES, room.total_inodes / 2)
            or room.free_inodes < LITTLE_PART * room.total_inodes
        ):
            findings.append(warning(free_inodes, "no file can be made without one", remedy))
    return findings or [well(free)]


def readable(size: int) -> str:
    """Bytes for people."""
    scaled = float(size)
    for unit, least in _UNITS.items():
        if size >= least:
            scaled = size / least
            return f"{scaled:.1f} {unit}" if scaled < 10 else f"{scaled:.0f} {unit}"  # noqa: PLR2004
    return f"{size} B"


_UNITS: Final[Mapping[str, int]] = {"TB": 1000**4, "GB": 1000**3, "MB": 1000**2, "kB": 1000}


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())
