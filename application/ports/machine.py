"""The machine, as whoever installs the agent changes it: as root, and blocking."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from domain.installation import UnitState


@dataclass(frozen=True, slots=True)
class Kept:
    """What is at a path. `content` is None for a directory; a link has its `target`.

    Without a `group`, it is the owner's own.
    """

    mode: int
    owner: str
    content: bytes | None = None
    target: str | None = None
    group: str = ""

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, and no link to one."""
        return self.content is None and self.target is None


class Machine(Protocol):
    """Users, files and units. Paths are absolute.

    Every method is harmless when called twice. They raise `NoSpace` where the disk is full,
    `StorageUnavailable` where files cannot be changed, and `RuntimeUnavailable` where a program of the
    machine (systemctl, useradd) is missing, fails, or does not end in time; its own words are in it.
    """

    def has_group(self, name: str) -> bool:
        """Whether there is such a group."""
        ...

    def add_group(self, name: str) -> None:
        """A system group."""
        ...

    def remove_group(self, name: str) -> None:
        """The group, which is nobody's own."""
        ...

    def groups_of(self, user: str) -> frozenset[str] | None:
        """The groups that a user is in; None where there is no such user."""
        ...

    def add_user(self, name: str, home: str, groups: Sequence[str]) -> None:
        """A system user that nobody logs in as, in a group of its own and in these; or adds it to them."""
        ...

    def remove_user(self, name: str) -> None:
        """The user, and the group of its own."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Nobody else installs or takes away meanwhile. Raises `Busy` where somebody does."""
        ...

    def uninterrupted(self) -> AbstractContextManager[None]:
        """Whoever wants this program to end waits meanwhile."""
        ...

    def look(self, path: str, *, follow: bool = False) -> Kept | None:
        """What is there; None where nothing is. With `follow`, what a link at its end leads to."""
        ...

    def names_in(self, path: str) -> Sequence[str]:
        """What a directory has in it, sorted; nothing where there is none."""
        ...

    def write(self, path: str, kept: Kept) -> None:
        """A file, whole or not at all, with that mode from its first byte, and durable."""
        ...

    def make_directory(self, path: str, kept: Kept) -> None:
        """A directory with that mode and owner; those of one that is there, or a link leads to, change."""
        ...

    def count_of(self, path: str, owner: str) -> int:
        """How many files and directories of that user are at a path and below it, past no link."""
        ...

    def give(self, path: str, before: str, owner: str) -> None:
        """Make what belongs to `before`, at a path and below it, belong to `owner`, past no link.

        So does its group, where that was the user's own.
        """
        ...

    def link(self, path: str, target: str) -> None:
        """A link, in the place of the one that was there, in one step."""
        ...

    def remove(self, path: str) -> None:
        """A file, a link, or a directory and all that is in it."""
        ...

    def unpack(self, program: str, directory: str) -> None:
        """Make a directory of a single-file program, compiled, whole or not at all; one there stays."""
        ...

    def make_temporary_files(self, configuration: str) -> None:
        """Have systemd-tmpfiles make what a file says."""
        ...

    def reload_units(self) -> None:
        """Have systemd read its unit files again."""
        ...

    def enable(self, unit: str) -> None:
        """From the next boot on, it is started."""
        ...

    def disable(self, unit: str) -> None:
        """It is not started at the next boot."""
        ...

    def restart(self, unit: str) -> None:
        """Start it anew, and wait until it is ready or has failed: which of both, `unit` tells."""
        ...

    def stop(self, unit: str) -> None:
        """Stop it, and wait for its end."""
        ...

    def unit(self, name: str) -> UnitState | None:
        """How it is; None where systemd knows none of that name."""
        ...

    def left_running(self, unit: str) -> Sequence[int]:
        """The processes that are still in the unit's control group, by id."""
        ...

    def last_lines(self, unit: str, count: int) -> Sequence[str]:
        """What the unit said last, the oldest first."""
        ...

    def take_down(self, compose_name: str, engine: str) -> None:
        """Have Compose remove a project's containers and networks from an engine; volumes stay."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait a little, before something is looked at again."""
        ...

    def seconds(self) -> float:
        """A clock that never goes back."""
        ...
