"""A machine in memory, with an agent that does what it is told to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from application.ports.machine import Kept
from domain.errors import Busy, StorageUnavailable
from domain.installation import UNIT, UnitActivity, UnitState

READY = UnitState(UnitActivity.ACTIVE, main_pid=100, status_text="Connecting")
INACTIVE = UnitState(UnitActivity.INACTIVE)


class FakeLocalMachine:
    """See `Machine`.

    `statuses` is how the agent's link stands, one after another as time goes by; what has been started
    says the first one again. `fails` raises at the so-manieth change; `did` has the changes, in order.
    """

    def __init__(self) -> None:
        self.users: dict[str, frozenset[str]] = {"root": frozenset({"root"})}
        self.groups = {"root", "docker"}
        self.paths: dict[str, Kept] = {"/usr/local/bin": Kept(0o755, "root")}
        self.is_busy = False
        self.shields = 0
        self.enabled: set[str] = set()
        self.running: UnitState | None = None
        self.statuses: list[str] = ["Connected: since now"]
        self.starts = True
        self.words: list[str] = ["it said this"]
        self.processes: list[int] = []
        self.fails_at: int | None = None
        self.did: list[str] = []
        self.now = 0.0
        self._pid = 100

    def picture(self) -> object:
        """All that an installation changes, to be compared."""
        return (
            dict(sorted(self.paths.items())),
            dict(self.users),
            set(self.groups),
            set(self.enabled),
            (self.running or INACTIVE).activity,
        )

    def _change(self, what: str) -> None:
        self.did.append(what)
        if self.fails_at is not None:
            self.fails_at -= 1
            if self.fails_at < 0:
                self.fails_at = None  # What is taken back does not fail as well.
                raise StorageUnavailable(f"{what}: the disk is broken")

    def has_group(self, name: str) -> bool:
        """See `Machine`."""
        return name in self.groups

    def add_group(self, name: str) -> None:
        """See `Machine`."""
        self._change(f"add group {name}")
        self.groups.add(name)

    def remove_group(self, name: str) -> None:
        """See `Machine`."""
        self._change(f"remove group {name}")
        self.groups.discard(name)

    def groups_of(self, user: str) -> frozenset[str] | None:
        """See `Machine`."""
        return self.users.get(user)

    def add_user(self, name: str, home: str, groups: Sequence[str]) -> None:
        """See `Machine`."""
        self._change(f"add user {name}")
        self.users[name] = self.users.get(name, frozenset({name})) | set(groups)

    def remove_user(self, name: str) -> None:
        """See `Machine`."""
        self._change(f"remove user {name}")
        self.users.pop(name, None)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See `Machine`."""
        if self.is_busy:
            raise Busy("somebody else")
        self.is_busy = True
        try:
            yield
        finally:
            self.is_busy = False

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """See `Machine`."""
        self.shields += 1
        yield

    def _real(self, path: str) -> str:
        """Where a path leads, through links in the places of its directories, and at its end."""
        at = ""
        for part in path.strip("/").split("/"):
            at = f"{at}/{part}"
            found = self.paths.get(at)
            if found is not None and found.target is not None:
                at = self._real(found.target)
        return at

    def _place(self, path: str) -> str:
        """Where a path is, whose last part is not followed."""
        parent, _, name = path.rpartition("/")
        return f"{self._real(parent) if parent else ''}/{name}"

    def look(self, path: str, *, follow: bool = False) -> Kept | None:
        """See `Machine`."""
        return self.paths.get(self._real(path) if follow else self._place(path))

    def names_in(self, path: str) -> Sequence[str]:
        """See `Machine`."""
        above = f"{self._real(path)}/"
        below = [one.removeprefix(above) for one in self.paths if one.startswith(above)]
        return sorted({name.partition("/")[0] for name in below})

    def write(self, path: str, kept: Kept) -> None:
        """See `Machine`."""
        self._change(f"write {path}")
        self._require_parent(path)
        self.paths[self._place(path)] = kept

    def make_directory(self, path: str, kept: Kept) -> None:
        """See `Machine`."""
        self._change(f"make {path}")
        real = self._real(path)
        found = self.paths.get(real)
        if found is not None and not found.is_directory:
            raise StorageUnavailable(f"{path} is no directory")
        self.paths[real] = kept

    def _belonging(self, path: str, owner: str) -> list[str]:
        real = self._real(path)
        return [
            one
            for one, kept in self.paths.items()
            if (one == real or one.startswith(f"{real}/")) and kept.owner == owner
        ]

    def count_of(self, path: str, owner: str) -> int:
        """See `Machine`."""
        return len(self._belonging(path, owner))

    def give(self, path: str, before: str, owner: str) -> None:
        """See `Machine`."""
        self._change(f"give {path} to {owner}")
        for one in self._belonging(path, before):
            self.paths[one] = replace(self.paths[one], owner=owner)

    def link(self, path: str, target: str) -> None:
        """See `Machine`."""
        self._change(f"link {path}")
        self._require_parent(path)
        self.paths[self._place(path)] = Kept(0o777, "root", target=target)

    def remove(self, path: str) -> None:
        """See `Machine`."""
        self._change(f"remove {path}")
        place = self._place(path)
        for one in [one for one in self.paths if one == place or one.startswith(f"{place}/")]:
            del self.paths[one]

    def unpack(self, program: str, directory: str) -> None:
        """See `Machine`."""
        self._change(f"unpack {program}")
        self._require_parent(directory)
        if directory in self.paths:
            return
        self.paths[directory] = Kept(0o755, "root")
        self.paths[f"{directory}/bin"] = Kept(0o755, "root")

    def make_temporary_files(self, configuration: str) -> None:
        """See `Machine`."""
        self._change("make temporary files")

    def reload_units(self) -> None:
        """See `Machine`."""
        self._change("reload")

    def enable(self, unit: str) -> None:
        """See `Machine`."""
        self._change("enable")
        self.enabled.add(unit)

    def disable(self, unit: str) -> None:
        """See `Machine`."""
        self._change("disable")
        self.enabled.discard(unit)

    def restart(self, unit: str) -> None:
        """See `Machine`."""
        self._change("restart")
        self._pid += 1
        ready = replace(READY, main_pid=self._pid)
        self.running = ready if self.starts else UnitState(UnitActivity.FAILED, exit_status=78)

    def stop(self, unit: str) -> None:
        """See `Machine`."""
        self._change("stop")
        self.running = INACTIVE

    def unit(self, name: str) -> UnitState | None:
        """See `Machine`."""
        if not any(path.endswith(f"/{UNIT}") for path in self.paths):
            return None
        state = self.running or INACTIVE
        if state.main_pid:
            state = replace(state, status_text=self.statuses[0])
        return replace(state, is_enabled=name in self.enabled)

    def left_running(self, unit: str) -> Sequence[int]:
        """See `Machine`."""
        return self.processes

    def last_lines(self, unit: str, count: int) -> Sequence[str]:
        """See `Machine`."""
        return self.words[-count:]

    def take_down(self, compose_name: str, engine: str) -> None:
        """See `Machine`."""
        self._change(f"take down {compose_name} at {engine}")

    def pause(self, seconds: float) -> None:
        """See `Machine`."""
        self.now += seconds
        if len(self.statuses) > 1:
            self.statuses.pop(0)

    def seconds(self) -> float:
        """See `Machine`."""
        return self.now

    def _require_parent(self, path: str) -> None:
        parent = self._real(path.rpartition("/")[0])
        known = ("/etc/systemd/system", "/etc/tmpfiles.d")
        if parent not in self.paths and parent not in known:
            raise StorageUnavailable(f"{parent} is not there")
