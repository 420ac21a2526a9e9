"""Where the control plane dies in one case, and how that is named: `v2:after/numbered/1`. Pure.

A point is a commit or something that is sent, by its name and how often there was one. A commit is
named for what is durable from then on: `queued` is a job that was asked for, `numbered` that it is
about to be sent, `accepted` that its agent has it, and so on; it may have several names. What is sent
has its name on the wire.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

ANY = "any"
"""In the place of a name: whatever comes, counted together."""

_STRIKE = re.compile(r"(before|after)/(\w+)/(\d+)")


class How(StrEnum):
    """On which side of a point it dies."""

    BEFORE = "before"
    """It is not made, or not sent; all was that comes before it."""
    AFTER = "after"
    """It is made, or the kernel has it, and it is the last thing that the process does."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One death. `number` counts the points of that name from 1, from the start of the process."""

    how: How
    what: str
    number: int

    def __str__(self) -> str:
        return f"{self.how}/{self.what}/{self.number}"

    @classmethod
    def named(cls, name: str) -> Self:
        """Raises `ValueError` where it is no name of one."""
        found = _STRIKE.fullmatch(name)
        if found is None:
            raise ValueError(f"{name!r} is no death, such as after/numbered/1 is one")
        return cls(How(found[1]), found[2], int(found[3]))


@dataclass(frozen=True, slots=True)
class Fault:
    """A scenario, and the deaths of the processes that live through it, one each."""

    scenario: str
    strikes: tuple[Strike, ...] = ()

    def __str__(self) -> str:
        return f"{self.scenario}:{','.join(map(str, self.strikes))}"

    @classmethod
    def named(cls, name: str) -> Self:
        """Raises `ValueError` where it is no name of one."""
        scenario, _, strikes = name.partition(":")
        if not strikes:
            raise ValueError(f"{name!r} is no case, such as v2:after/numbered/1 is one")
        return cls(scenario, tuple(Strike.named(one) for one in strikes.split(",")))
