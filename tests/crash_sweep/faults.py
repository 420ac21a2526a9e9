"""What goes wrong in one case of the sweep, and how it is named: `agent/after/57`, `runner/before/3`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

_NAME = re.compile(r"(\w+)/(\w+)/(\d+)(?:\+(\d+))?")


class Who(StrEnum):
    """Whose calls are counted, and who is killed."""

    AGENT = "agent"
    RUNNER = "runner"
    """Any job runner that the agent starts; their calls are counted together."""


class How(StrEnum):
    """What happens at the call of that number."""

    AFTER = "after"
    """It is made, and is the last thing that the process does."""
    BEFORE = "before"
    """It is not made; all was done that comes before it, what was sent included."""
    OPENED = "opened"
    """As `AFTER`; what is counted is files that are made, and nothing else."""
    ENOSPC = "enospc"
    """It fails: the disk is full."""
    EIO = "eio"
    """It fails: the disk is broken."""

    @property
    def is_error(self) -> bool:
        return self in (How.ENOSPC, How.EIO)


@dataclass(frozen=True, slots=True)
class Fault:
    """`number` counts from 1. With `second`, the agent that starts again is killed after that call."""

    who: Who
    how: How
    number: int
    second: int = 0

    def __str__(self) -> str:
        return f"{self.who}/{self.how}/{self.number}" + (f"+{self.second}" if self.second else "")

    @classmethod
    def named(cls, name: str) -> Self:
        """Raises `ValueError` where it is no name of a fault."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"{name!r} is no fault, such as agent/after/57 is one")
        who, how, number, second = found.groups()
        return cls(Who(who), How(how), int(number), int(second or 0))

    @property
    def next(self) -> Fault | None:
        """What befalls the agent that starts after this one has befallen."""
        if not self.second:
            return None
        return replace(self, who=Who.AGENT, how=How.AFTER, number=self.second, second=0)
