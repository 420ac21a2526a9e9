"""A figure: what was measured, in which unit, and what it is meant to be. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from benchmarks.sample import Sample


class Unit(Enum):
    """A unit's sign, and the decimals worth printing."""

    SECONDS = ("s", 2)
    MILLISECONDS = ("ms", 2)
    RATIO = ("x", 2)
    MEBIBYTES = ("MiB", 1)
    KIBIBYTES = ("KiB", 1)
    PERCENT = ("%", 3)
    PER_SECOND = ("/s", 0)
    COUNT = ("", 0)

    def text(self, value: float) -> str:
        """The value with its unit."""
        sign, decimals = self.value
        # Adding zero turns the negative one, which rounding may leave, into the other.
        number = f"{round(value, decimals) + 0.0:,.{decimals}f}"
        return f"{number} {sign}" if sign else number


KIBIBYTE: Final = 1024
MEBIBYTE: Final = 1024 * 1024
"""Bytes. The unit of the memory budget, in which the bare libraries connected over TLS measure 42."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is meant to stay below (`at_most`) or to reach."""

    limit: float
    at_most: bool = True
    every_time: bool = False
    """Whether the worst value is judged, and not the median."""

    def is_met(self, sample: Sample) -> bool:
        """Whether the sample is as it is meant to be; the limit itself is."""
        worst = sample.high if self.at_most else sample.low
        judged = worst if self.every_time else sample.median
        return judged <= self.limit if self.at_most else judged >= self.limit

    def text(self, unit: Unit) -> str:
        """The target in signs."""
        return f"{'≤' if self.at_most else '≥'} {unit.text(self.limit)}"


def at_most(limit: float, *, every_time: bool = False) -> Target:
    """A target that smaller values meet."""
    return Target(limit, every_time=every_time)


def at_least(limit: float, *, every_time: bool = False) -> Target:
    """A target that larger values meet."""
    return Target(limit, at_most=False, every_time=every_time)


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the results."""

    name: str
    sample: Sample
    unit: Unit
    target: Target | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """`met`, `not met`, or nothing where there is no target."""
        if self.target is None:
            return ""
        return "met" if self.target.is_met(self.sample) else "not met"
