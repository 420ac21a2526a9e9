"""What `doctor` and `status` have in common: adapters that look, and how things are printed."""

from __future__ import annotations

import asyncio
import json
import os
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
from domain.identity import Membership
from domain.project import ProjectName
from domain.revision import ProjectHistory
from entrypoints.agent.container import compose_environment
from entrypoints.agent.settings import AgentSettings

ENGINE_S: Final = 4.0
"""Less than a check has: that the engine hangs is then said in the words of who has asked it."""
GRACE_S: Final = 1.0
"""For a docker command that hangs, once its time is over."""

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


def compose_of(settings: AgentSettings) -> ComposeRuntime:
    """Compose as the agent starts it, which is ended soon where it hangs."""
    environment = compose_environment(settings, os.environ)
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
    print(json.dumps(document, indent=1))


def shown(text: str) -> str:
    """Words that came from elsewhere, on one line, with nothing that a terminal acts on."""
    return "".join(one if one.isprintable() else " " for one in text)


def _signs() -> bool:
    try:
        find_ed25519()
    except NoEd25519:
        return False
    return True
