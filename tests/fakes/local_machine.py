"""A machine in memory, with an agent that does what it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from application.ports.machine import Kept
from domain.errors import StorageUnavailable
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
        self.paths: dict[str, Kept] = {}
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

    def look(self, path: str) -> Kept | None:
        """See `Machine`."""
        return self.paths.get(path)

    def names_in(self, path: str) -> Sequence[str]:
        """See `Machine`."""
        below = [one.removeprefix(f"{path}/") for one in self.paths if one.startswith(f"{path}/")]
        return sorted({name.partition("/")[0] for name in below})

    def write(self, path: str, content: bytes, mode: int, owner: str) -> None:
        """See `Machine`."""
        self._change(f"write {path}")
        self._require_parent(path)
        self.paths[path] = Kept(mode, owner, content)

    def make_directory(self, path: str, mode: int, owner: str) -> None:
        """See `Machine`."""
        self._change(f"make {path}")
        self.paths[path] = Kept(mode, owner)

    def link(self, path: str, target: str) -> None:
        """See `Machine`."""
        self._change(f"link {path}")
        self._require_parent(path)
        self.paths[path] = Kept(0o777, "root", target=target)

    def remove(self, path: str) -> None:
        """See `Machine`."""
        self._change(f"remove {path}")
        for one in [one for one in self.paths if one == path or one.startswith(f"{path}/")]:
            del self.paths[one]

    def unpack(self, program: str, directory: str) -> None:
        """See `Machine`."""
        self._change(f"unpack {program}")
        self._require_parent(directory)
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

    def take_down(self, compose_name: str) -> None:
        """See `Machine`."""
        self._change(f"take down {compose_name}")

    def pause(self, seconds: float) -> None:
        """See `Machine`."""
        self.now += seconds
        if len(self.statuses) > 1:
            self.statuses.pop(0)

    def seconds(self) -> float:
        """See `Machine`."""
        return self.now

    def _require_parent(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        known = ("/usr/local/bin", "/etc/systemd/system", "/etc/tmpfiles.d")
        if parent not in self.paths and parent not in known:
            raise StorageUnavailable(f"{parent} is not there")
