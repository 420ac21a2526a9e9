"""What a step of a job is: what it is made of, what it is to do, and how it went."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from application.agent.handling import Failed
from application.agent.job_book import JobBook
from application.agent.live_output import LiveOutput
from application.ports.clock import Clock
from application.ports.compose_executor import (
    AS_IT_IS,
    ComposeAction,
    ComposeExecutor,
    ComposeOptions,
)
from application.ports.container_names import ContainerNames
from application.ports.engine import Engine
from application.ports.private_parts import PrivateParts
from domain.project import Project
from domain.records import StepExit

ATTEMPTS: Final = 3
"""How often a step may be killed."""
_KILLED_BY_A_SIGNAL: Final = 128
_PLUGIN_KILLED: Final = 255
_TERMINATED: Final = frozenset(
    {_PLUGIN_KILLED, *(_KILLED_BY_A_SIGNAL + number for number in (2, 9, 15))}
)
"""What Compose exits with when it is interrupted, a shell's words for SIGKILL and SIGTERM, and what
the docker program makes of a Compose plugin that a signal has ended."""


@dataclass(frozen=True, slots=True)
class StepTools:
    """What steps are made with; the same for all jobs. `new_token` gives 32 random hex digits."""

    book: JobBook
    executor: ComposeExecutor
    names: ContainerNames
    engine: Engine
    clock: Clock
    live: LiveOutput
    private: PrivateParts
    new_token: Callable[[], str]


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step of a job. `consequence` says in words what its failure leaves behind.

    `names` are, by id, the proper names of containers that somebody has renamed.
    """

    name: str
    action: ComposeAction
    project: Project
    deadline_s: float
    consequence: str
    options: ComposeOptions = AS_IT_IS
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def attempts(self) -> int:
        """How often it may be killed: what does not come to the same a second time is not repeated."""
        return 1 if self.action is ComposeAction.RESTART else ATTEMPTS

    @property
    def times(self) -> str:
        """That in words."""
        return "" if self.attempts == 1 else f" {self.attempts} times"

    @property
    def command(self) -> str:
        """What is run, as people know it."""
        if self.action is ComposeAction.REMOVE:
            return "docker compose down --volumes"
        if self.action is ComposeAction.UNPAUSE:
            return "docker unpause"
        return f"docker compose {self.action.value}"


@dataclass(frozen=True, slots=True)
class StepReport:
    """How a step went: what it printed, and what to report where it did not succeed."""

    output: str
    failure: Failed | None


def was_interrupted(exit_: StepExit | None) -> bool:
    """Whether somebody killed it, who is not us."""
    if exit_ is None:
        return True
    was_killed = exit_.exit_code < 0 or exit_.exit_code in _TERMINATED
    return was_killed and not exit_.ended_by
