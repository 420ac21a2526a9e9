"""What the operating system tells whoever asks. Blocking: a disk may hang."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What the agent runs on. `libc` is empty where the C library does not say which it is."""

    python: tuple[int, int, int]
    libc: str
    libc_version: str
    openssl: str
    signs: bool
    """Whether a library with Ed25519 was found, for a host's key."""


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """Room for users that are not root. `device` tells two disks apart.

    File systems without a fixed number of inodes have 0 of them.
    """

    free_bytes: int
    total_bytes: int
    free_inodes: int
    total_inodes: int
    device: int


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What a process has open, of what it may; None for no limit."""

    open_files: int
    sockets: int
    most_files: int | None


@dataclass(frozen=True, slots=True)
class SocketFile:
    """What is at a path that should be a socket."""

    is_socket: bool
    mode: int
    owner: str
    group: str


class MachineFacts(Protocol):
    """Looks, and changes nothing. Raises `StorageUnavailable` where this user may not look."""

    def interpreter(self) -> Interpreter:
        """The Python that this process runs on, which is the agent's where it is installed."""
        ...

    def room(self, path: str) -> DiskRoom:
        """Of the disk that holds the path, or will, where it is not there yet."""
        ...

    def process(self, pid: int) -> ProcessUse:
        """What a process that runs has open."""
        ...

    def socket(self, path: str) -> SocketFile | None:
        """What is there, links followed; None where nothing is."""
        ...
