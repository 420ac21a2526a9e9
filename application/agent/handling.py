"""What a command handler is, and the step that every handler is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from application.ports.clock import Clock
from domain.output import BoundedOutput, cause_of_failure

T = TypeVar("T")
C_contra = TypeVar("C_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Completed:
    """The command did what was asked."""

    logs: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The command was carried out and did not succeed.

    `what` never holds content of a compose file and may be logged; `cause` is the output's own word
    and may not.
    """

    what: str
    cause: str = ""
    logs: str = ""
    data: Mapping[str, object] = field(default_factory=dict)

    @property
    def error(self) -> str:
        """Both, in a line or two."""
        return f"{self.what}: {self.cause}" if self.cause else self.what


Outcome = Completed | Failed


class Handler(Protocol[C_contra]):
    """Carries out one kind of command. An `InstaDeployError` it raises is a refusal."""

    async def __call__(self, command: C_contra, /) -> Outcome:
        """Carry the command out; cancelled, it leaves no process behind."""
        ...


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The longest that each step of a job may take, in seconds."""

    check_s: float = 60.0
    deploy_s: float = 1800.0
    stop_s: float = 300.0
    status_s: float = 30.0
    health_s: float = 5.0


class StepTimedOut(Exception):
    """A step passed its deadline and was ended; `str()` names both."""


async def run_step(clock: Clock, name: str, seconds: float, work: Awaitable[T]) -> T:
    """Await `work` for at most `seconds`; raises `StepTimedOut`, with what it started ended."""
    try:
        async with clock.timeout(seconds):
            return await work
    except TimeoutError as exc:
        raise StepTimedOut(f"{name} took longer than {seconds:g} s and was ended") from exc


class ComposeStep:
    """One run of Compose within a deadline, and the output it leaves."""

    def __init__(self, clock: Clock, name: str, deadline_s: float, *, if_it_fails: str) -> None:
        self._clock = clock
        self._name = name
        self._deadline_s = deadline_s
        self._consequence = if_it_fails
        self.output = BoundedOutput()

    async def failure_of(self, run: Callable[[BoundedOutput], Awaitable[int]]) -> Failed | None:
        """Run it; returns what to report where it failed, None where it succeeded."""
        try:
            exit_code = await run_step(self._clock, self._name, self._deadline_s, run(self.output))
        except StepTimedOut as exc:
            return Failed(
                f"{exc}; {self._consequence}",
                logs=self.output.text(),
                data={"reason": "deadline"},
            )
        if exit_code == 0:
            return None
        output = self.output.text()
        return Failed(
            f"{self._name} failed with exit code {exit_code}; {self._consequence}",
            cause=cause_of_failure(output),
            logs=output,
            data={"reason": "compose_failed", "exit_code": exit_code},
        )
