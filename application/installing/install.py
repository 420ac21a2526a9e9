"""Making a machine a host: what has to hold before, the steps, and the wait for the control plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from application.installing.changes import (
    DirectoryStep,
    DoStep,
    FileStep,
    GiveStep,
    LinkStep,
    RemoveStep,
    SharedDirectoryStep,
    UnpackStep,
    UserStep,
)
from application.installing.confirming import until_connected
from application.installing.settings_file import settings_of
from application.installing.steps import Say, Step, carry_out, plan
from application.ports.machine import Machine
from domain.environment_file import with_variables
from domain.errors import Conflict, InvalidInput
from domain.installation import (
    ENGINE_GROUP,
    ENROLL_TOKEN,
    MARK,
    SECRET_TOKEN,
    UNIT,
    USER,
    Layout,
)

IDENTITY: Final = "identity.json"


@dataclass(frozen=True, slots=True)
class Program:
    """What is installed: a single file to unpack, by `name` (version and digest), or where it is now."""

    file: str
    name: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the host is to have. What is None stays as it is."""

    server_url: str | None = None
    control_plane_key: str | None = None
    ca: bytes | None = None
    enroll_token: str | None = field(default=None, repr=False)
    secret_token: str | None = field(default=None, repr=False)
    wait_s: float = 90.0


class Installer:
    """Puts `program` on the machine, with the unit file and all that it needs."""

    def __init__(
        self,
        machine: Machine,
        program: Program,
        unit_file: bytes,
        say: Say,
        layout: Layout = Layout(),  # noqa: B008 - it is frozen
    ) -> None:
        self._machine = machine
        self._program = program
        self._unit_file = unit_file
        self._say = say
        self._at = layout

    def plan(self, wishes: Wishes) -> list[str]:
        """The steps that are needed. Raises as `install` does; a token is not asked for."""
        self._check_places()
        return plan(self._steps(wishes))

    def install(self, wishes: Wishes) -> str:
        """Do it, and wait until the control plane has confirmed; returns how the link stands.

        Raises `Conflict` where something of another's is in the way, `InvalidInput` where a setting is
        missing, `TransportRefused` and `TransportLost` where the control plane did not confirm, and as
        `Machine` does. In each case the machine is left as it was.
        """
        with self._machine.alone():
            self._check_places()
            self._check_settings(wishes)
            return self._install(wishes)

    def _install(self, wishes: Wishes) -> str:
        status = ""

        def wait() -> None:
            nonlocal status
            status = until_connected(self._machine, wishes.wait_s, self._say)

        steps = [
            *self._steps(wishes),
            DoStep("wait until the control plane has confirmed this host", wait),
            RemoveStep(self._machine, self._credential(ENROLL_TOKEN), "which is used up"),
            *self._old_releases(),
        ]
        carry_out(steps, self._say, self._machine)
        return status

    def _old_releases(self) -> Sequence[Step]:
        """All but the new one and the one before it, from which something may still run."""
        before = self._machine.look(self._at.current)
        name_before = (before.target or "").rpartition("/")[2] if before else ""
        names = self._machine.names_in(self._at.releases)
        kept = {self._program.name, name_before}
        if name_before == self._program.name:
            # The same one again: what was there before it is still what can be gone back to; but for
            # what begins with a dot, which an unpacking that was killed has left.
            kept.update(name for name in names if not name.startswith("."))
        return [
            RemoveStep(self._machine, f"{self._at.releases}/{name}", "an old build")
            for name in names
            if name not in kept
        ]

    def _check_places(self) -> None:
        machine, at = self._machine, self._at
        unit = machine.look(at.unit)
        if unit is not None and unit.target is None and MARK.encode() not in (unit.content or b""):
            raise Conflict(
                f"{at.unit} is there, and was not written by this program: an agent was put here by "
                f"hand. Stop it (systemctl disable --now {UNIT}), move that file away, and run this "
                f"again: it keeps its identity and its projects. What root has in {at.state} and "
                f"{at.projects} is given to the user {USER} then; a container that wants a file in its "
                "project to be root's needs that given back"
            )
        state = machine.unit(UNIT)
        if state is not None and state.is_masked:
            raise Conflict(
                f"{UNIT} is masked, so that nobody can start it: systemctl unmask {UNIT}"
            )
        for path in (at.programs, at.releases, at.settings, at.credentials, at.state):
            found = machine.look(path)
            if found is not None and not found.is_directory:
                raise Conflict(
                    f"{path} is in the way: it has to be a directory, and no link to one"
                )
        for path in (at.platform, at.projects):
            found = machine.look(path, follow=True)
            if machine.look(path) is not None and (found is None or not found.is_directory):
                raise Conflict(f"{path} is in the way: it has to be a directory, or lead to one")
        command = machine.look(at.command)
        if command is not None and command.content != self._command():
            raise Conflict(f"{at.command} is in the way, and was not written by this program")

    def _check_settings(self, wishes: Wishes) -> None:
        machine, at = self._machine, self._at
        if wishes.server_url is None and "SERVER_URL" not in settings_of(machine, at):
            raise InvalidInput("--server-url", "is missing: where the agent is to connect")
        has_token = wishes.enroll_token or wishes.secret_token or self.is_enrolled
        kept = [machine.look(self._credential(name)) for name in (ENROLL_TOKEN, SECRET_TOKEN)]
        if not has_token and not any(kept):
            raise InvalidInput(
                "INSTADEPLOY_ENROLL_TOKEN",
                "is missing: `instadeploy hosts enroll NAME` gives out a token that is good once",
            )

    @property
    def is_enrolled(self) -> bool:
        """Whether this machine is a host already, so that no token is needed, nor used."""
        found = self._machine.look(f"{self._at.state}/{IDENTITY}")
        return found is not None and b'"host_id"' in (found.content or b"")

    def _steps(self, wishes: Wishes) -> Sequence[Step]:
        machine, at = self._machine, self._at
        release = f"{at.releases}/{self._program.name}"
        return [
            self._agent_as_it_was(),
            DoStep(
                f"make the group {ENGINE_GROUP}, as Docker Engine, which is not here, will expect it",
                lambda: machine.add_group(ENGINE_GROUP),
                lambda: machine.remove_group(ENGINE_GROUP),
                lambda: not machine.has_group(ENGINE_GROUP),
            ),
            UserStep(machine, USER, at.state, [ENGINE_GROUP]),
            DirectoryStep(machine, at.programs, 0o755, "root"),
            DirectoryStep(machine, at.releases, 0o755, "root"),
            DirectoryStep(machine, at.settings, 0o755, "root"),
            DirectoryStep(machine, at.credentials, 0o700, "root"),
            *self._taken_over(at.state),
            DirectoryStep(machine, at.state, 0o700, USER),
            SharedDirectoryStep(machine, at.platform),
            SharedDirectoryStep(machine, at.projects, USER),
            *self._taken_over(at.projects),
            UnpackStep(machine, self._program.file, release),
            *self._settings(wishes),
            LinkStep(machine, at.current, release),
            SharedDirectoryStep(machine, at.commands),
            FileStep(machine, at.command, self._command(), 0o755),
            FileStep(machine, at.tmpfiles, _TMPFILES, 0o644, purpose="for the locks"),
            *self._taken_over(at.locks),
            DoStep(
                "make the directory of locks", lambda: machine.make_temporary_files(at.tmpfiles)
            ),
            FileStep(machine, at.unit, self._unit_file, 0o644),
            DoStep("have systemd read its files again", machine.reload_units, machine.reload_units),
            DoStep(
                "have it started at each boot",
                lambda: machine.enable(UNIT),
                lambda: machine.disable(UNIT),
                lambda: not self._is_enabled(),
            ),
            DoStep(f"start {UNIT}", lambda: machine.restart(UNIT), lambda: machine.stop(UNIT)),
        ]

    def _taken_over(self, path: str) -> Sequence[Step]:
        """What an agent that ran as another user has left there.

        Where the directory is the agent's user's already, what others have in it is what containers
        have made: that stays theirs.
        """
        found = self._machine.look(path, follow=True)
        if found is None or found.owner == USER:
            return []
        return [GiveStep(self._machine, path, found.owner, USER)]

    def _is_enabled(self) -> bool:
        unit = self._machine.unit(UNIT)
        return unit is not None and unit.is_enabled

    def _agent_as_it_was(self) -> Step:
        """Changes nothing; taken back, which is after all others, it starts the agent that ran before."""
        before = self._machine.unit(UNIT)

        def undo() -> None:
            self._machine.reload_units()
            if before is not None and before.is_to_run:
                self._machine.restart(UNIT)

        return DoStep("", lambda: None, undo)

    def _settings(self, wishes: Wishes) -> Sequence[Step]:
        machine, at = self._machine, self._at
        variables = {
            "SERVER_URL": wishes.server_url,
            "AGENT_CONTROL_PLANE_KEY": wishes.control_plane_key,
            "AGENT_CA_FILE": at.ca_file if wishes.ca is not None else None,
        }
        wanted = {name: value for name, value in variables.items() if value is not None}
        steps: list[Step] = [
            FileStep(
                *(machine, at.settings_file, _settings_with(wanted), 0o644),
                purpose="the settings",
                keeps_mode=True,
            )
        ]
        if wishes.ca is not None:
            steps.append(FileStep(machine, at.ca_file, wishes.ca, 0o644))
        # A host that is enrolled has its key, and needs no token any more.
        enroll_token = None if self.is_enrolled else wishes.enroll_token
        for name, token in ((ENROLL_TOKEN, enroll_token), (SECRET_TOKEN, wishes.secret_token)):
            if token is not None:
                content = f"{token}\n".encode("ascii")
                path = self._credential(name)
                steps.append(
                    FileStep(machine, path, content, 0o600, purpose="which only root reads")
                )
        return steps

    def _credential(self, name: str) -> str:
        return f"{self._at.credentials}/{name}"

    def _command(self) -> bytes:
        return _COMMAND.format(python=f"{self._at.current}/bin/python").encode()


def _settings_with(wanted: Mapping[str, str]) -> Callable[[bytes], bytes]:
    def content(before: bytes) -> bytes:
        text = before.decode("utf-8", "surrogateescape") or _SETTINGS_HEAD
        return with_variables(text, wanted).encode("utf-8", "surrogateescape")

    return content


_COMMAND: Final = """\
#!/bin/sh
# The agent of this host; `instadeploy-agent --help` says what it can be asked.
exec {python} -I -m entrypoints.agent "$@"
"""
_SETTINGS_HEAD: Final = """\
# The agent's settings, for its unit: one NAME="value" a line.
# After a change: systemctl restart instadeploy-agent
# Secrets do not belong here: they are files in the directory credentials.
"""
_TMPFILES: Final = b"""\
# Where the agent and what it has begun lock projects against each other; see tmpfiles.d(5).
d /run/lock/instadeploy 0700 instadeploy instadeploy -
"""
