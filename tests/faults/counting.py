"""How many faults were made, and what came of it: kept in a file, for the summary."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

FILE_VARIABLE: Final = "FAULT_COUNTS"
COUNT_VARIABLE: Final = "FAULT_INJECTIONS"


def is_thorough() -> bool:
    """Whether all is wanted, and not the fast choice of `make test`."""
    return COUNT_VARIABLE in os.environ


def seeds(at_most: int | None = None) -> range:
    """One for each time that a test is repeated: once in the fast choice."""
    count = int(os.environ.get(COUNT_VARIABLE, "1"))
    return range(count if at_most is None else min(count, at_most))


def choice(kinds: Iterable[str], *fast: str) -> list[str]:
    """All kinds of a fault, or the fast choice of them."""
    return list(kinds) if is_thorough() else list(fast)


@dataclass
class Verdict:
    """What one test has found; the sentences say of what."""

    row: str
    injected: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Failed where it should have succeeded, or another state of the host than was asked for."""
    measured: dict[str, list[float]] = field(default_factory=dict)
    """In seconds."""

    @property
    def problems(self) -> list[str]:
        return [
            *(f"lost: {one}" for one in self.lost),
            *(f"doubled: {one}" for one in self.doubled),
            *(f"wrong: {one}" for one in self.wrong),
        ]

    def measure(self, what: str, seconds: float) -> None:
        self.measured.setdefault(what, []).append(round(seconds, 3))

    def record(self) -> None:
        """Append it to the file, where one is wanted; lines of several processes do not mix."""
        name = os.environ.get(FILE_VARIABLE)
        if name is None:
            return
        line = json.dumps(
            {
                "row": self.row,
                "injected": self.injected,
                "jobs": self.jobs,
                "lost": self.lost,
                "doubled": self.doubled,
                "wrong": self.wrong,
                "measured": self.measured,
            }
        )
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
