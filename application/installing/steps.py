"""Steps that change a machine: done where they are needed, and taken back where one fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

from application.ports.machine import Machine

Say = Callable[[str], None]


class Step(Protocol):
    """One change. `what` says it in the imperative, such as `make the user instadeploy`, or nothing."""

    what: str

    def is_needed(self) -> bool:
        """Whether the machine is not yet as this step leaves it; changes nothing."""
        ...

    def do(self) -> None:
        """Change it. Raises as `Machine` does; what was changed by then is taken back by `undo`."""
        ...

    def undo(self) -> None:
        """Put back what `do` of this object has changed; harmless where that was nothing."""
        ...


def plan(steps: Sequence[Step]) -> list[str]:
    """What would be done, and nothing else."""
    return [step.what for step in steps if step.what and step.is_needed()]


def carry_out(steps: Sequence[Step], say: Say, machine: Machine | None = None) -> None:
    """Do what is needed, in order.

    Where one fails, or is interrupted, what this call has done is taken back, the last first, without a
    second interruption, if a `machine` is given; the failure is raised.
    """
    begun: list[Step] = []
    try:
        for step in steps:
            if step.is_needed():
                if step.what:
                    say(step.what)
                begun.append(step)
                step.do()
    except BaseException:
        if machine is not None:
            with machine.uninterrupted():
                _take_back(begun, say)
        raise


def _take_back(begun: Sequence[Step], say: Say) -> None:
    for step in reversed(begun):
        try:
            step.undo()
        except Exception as exc:  # noqa: BLE001 - the others are to be taken back all the same
            # Whoever has read what is said may be gone.
            with contextlib.suppress(OSError):
                say(f"could not take back: {step.what}: {exc}")
