"""The statistics of a few measurements. Pure."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """Measurements of one thing, in the order they were made."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a sample holds at least one value")

    @property
    def median(self) -> float:
        """The middle value, or the mean of the two in the middle."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest value."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest value."""
        return max(self.values)

    def percentile(self, percent: float) -> float:
        """The smallest value that at least `percent` % of all values do not exceed (nearest rank)."""
        rank = math.ceil(percent / 100 * len(self.values))
        return sorted(self.values)[max(rank, 1) - 1]


def ratios(ours: Sample, theirs: Sample) -> Sample:
    """Ours over theirs, pair by pair: what slowed the machine for both in a pair cancels out."""
    return Sample(tuple(a / b for a, b in zip(ours.values, theirs.values, strict=True)))


def differences(ours: Sample, theirs: Sample) -> Sample:
    """Ours less theirs, pair by pair."""
    return Sample(tuple(a - b for a, b in zip(ours.values, theirs.values, strict=True)))
