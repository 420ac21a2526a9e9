"""What `doctor` and `status` have in common: adapters that look, and how things are printed."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import sys
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from adapters.compose.process import ProcessRunner
from adapters.compose.sh_runtime import ShComposeRuntime
from adapters.filesystem.directories import opened
from adapters.filesystem.histories import read_histories
from adapters.filesystem.lock_holder import holder_of
from adapters.filesystem.project_directory import project_names
from adapters.host.aside import LoopThatEnds
from adapters.host.facts import LocalFacts
from adapters.identity.ed25519 import NoEd25519, find_ed25519
from adapters.identity.looking import look_at_membership
from adapters.journal.reading import read_jobs
from adapters.storage_errors import translated
from application.ports.agent_records import AgentRecords, KeptJobs
from application.ports.compose_runtime import ComposeRuntime
from application.ports.machine_facts import MachineFacts
from domain.errors import RuntimeUnavailable
from domain.identity import Membership
from domain.output import BoundedOutput
from domain.project import ProjectName
from domain.revision import ProjectHistory
from entrypoints.agent.commands.surroundings import UNITS_PATH, Surroundings
from entrypoints.agent.container import compose_environment
from entrypoints.agent.settings import AgentSettings

ENGINE_S: Final = 4.0
"""Less than a check has: that the engine hangs is then said in the words of who has asked it."""
GRACE_S: Final = 1.0
"""For a docker command that hangs, once its time is over."""
SETPRIV: Final = "setpriv"
"""Of util-linux, which every distribution has."""

_NO_MORE: Final[Mapping[str, str]] = {}

T = TypeVar("T")


class LocalAgentRecords:
    """See `AgentRecords`."""

    def __init__(self, settings: AgentSettings) -> None:
        self._state = settings.state_dir
        self._projects = settings.projects_dir

    def membership(self) -> Membership | None:
        """See `AgentRecords`."""
        return look_at_membership(self._state)

    def jobs(self) -> KeptJobs:
        """See `AgentRecords`."""
        return read_jobs(self._state)

    def projects(self) -> Sequence[ProjectName]:
        """See `AgentRecords`."""
        with translated(self._projects, {}):
            try:
                with opened(str(self._projects)) as projects_fd:
                    return project_names(projects_fd)
            except FileNotFoundError:
                return []

    def histories(self) -> Mapping[str, ProjectHistory | None]:
        """See `AgentRecords`."""
        return read_histories(self._state)

    def running_pid(self) -> int | None:
        """See `AgentRecords`."""
        return holder_of(self._state)


def records_of(settings: AgentSettings) -> AgentRecords:
    """What the agent with these settings has on its disk."""
    return LocalAgentRecords(settings)


def facts_of_this_machine() -> MachineFacts:
    """What the operating system tells."""
    return LocalFacts(_signs)


class RunnerAs(ProcessRunner):
    """Runs programs as another user, with that user's groups and no way back. Only root can."""

    def __init__(self, user: str, environment: Mapping[str, str], *, grace_s: float) -> None:
        super().__init__(environment, grace_s=grace_s)
        self._user = user
        self._path = environment.get("PATH", "")

    async def run(
        self,
        program: str,
        arguments: Sequence[str],
        output: BoundedOutput,
        more: Mapping[str, str] = _NO_MORE,
        stdin: bytes = b"",
    ) -> int:
        """See `ProcessRunner`. Raises `RuntimeUnavailable` where it cannot become that user."""
        found = shutil.which(program, path=self._path)
        if found is None:
            raise FileNotFoundError(program)
        changing = shutil.which(SETPRIV, path=UNITS_PATH)
        if changing is None:
            raise RuntimeUnavailable(f"there is no {SETPRIV}, to run it as the agent's user does")
        try:
            entry = pwd.getpwnam(self._user)
        except KeyError:
            raise RuntimeUnavailable(
                f"the user {self._user} is not there; run `instadeploy-agent install` again"
            ) from None
        become = (f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups")
        rest = ("--no-new-privs", "--", found, *arguments)
        return await super().run(changing, (*become, *rest), output, more, stdin)


def compose_of(around: Surroundings) -> ComposeRuntime:
    """Compose as the agent starts it, which is ended soon where it hangs.

    The docker command runs whatever plugins are in the agent's home, where the agent's user writes: root
    runs it as that user, and so sees what the agent does.
    """
    environment = compose_environment(around.settings, os.environ)
    if os.geteuid() == 0 and around.user != pwd.getpwuid(0).pw_name:
        return ShComposeRuntime(RunnerAs(around.user, environment, grace_s=GRACE_S))
    return ShComposeRuntime(ProcessRunner(environment, grace_s=GRACE_S))


def docker_config_of(settings: AgentSettings) -> Path:
    """The directory in which Docker's configuration is, for the agent."""
    home = compose_environment(settings, os.environ)["HOME"]
    return settings.docker_config or Path(home, ".docker")


def run_to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a loop that does not wait for what hangs."""
    with asyncio.Runner(loop_factory=LoopThatEnds) as runner:
        return runner.run(work)


def print_json(document: object) -> None:
    """For programs."""
    print_lines([json.dumps(document, indent=1)])


def print_lines(lines: Sequence[str]) -> None:
    """For people. Whoever has read enough (`| head`) is no error."""
    try:
        for line in lines:
            print(line, flush=True)
    except BrokenPipeError:
        # What is left in the buffer would be tried again at the end, and complained of.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def shown(text: str) -> str:
    """Words that came from elsewhere, on one line, with nothing that a terminal acts on."""
    return "".join(one if one.isprintable() else " " for one in text)


def _signs() -> bool:
    try:
        find_ed25519()
    except NoEd25519:
        return False
    return True
