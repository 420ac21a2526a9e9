"""What the fault tests have counted: `python -m tests.faults.summary <file of lines> [<JSON>]`."""

from __future__ import annotations

import json
import statistics
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

IDLE: Final = ", with nothing to do"
"""What a fault is called that was made when no job was open."""


@dataclass
class Row:
    """One kind of fault."""

    injected: Counter[str] = field(default_factory=Counter)
    idle: int = 0
    jobs: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    measured: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, line: dict[str, Any]) -> None:
        for fault, times in line["injected"].items():
            if fault.endswith(IDLE):
                self.idle += times
            else:
                self.injected[fault] += times
        self.jobs += line["jobs"]
        self.lost += len(line["lost"])
        self.doubled += len(line["doubled"])
        self.wrong += len(line["wrong"])
        for what, values in line["measured"].items():
            self.measured[what] += values

    def as_json(self) -> dict[str, Any]:
        return {
            "injected": dict(self.injected),
            "while_a_job_was_open": sum(self.injected.values()),
            "while_idle": self.idle,
            "jobs": self.jobs,
            "lost": self.lost,
            "doubled": self.doubled,
            "wrong": self.wrong,
            "measured": {
                what: {
                    "n": len(values),
                    "p50": round(statistics.median(values), 3),
                    "max": max(values),
                }
                for what, values in self.measured.items()
            },
        }


def read(text: str) -> dict[str, Row]:
    """The rows, by their names, from what the tests have written."""
    rows: dict[str, Row] = {}
    for line in text.splitlines():
        found = json.loads(line)
        rows.setdefault(found["row"], Row()).add(found)
    return dict(sorted(rows.items()))


def main(source: str, target: str | None = None) -> None:
    rows = read(Path(source).read_text(encoding="utf-8"))
    if target is not None:
        report = {name: row.as_json() for name, row in rows.items()}
        Path(target).write_text(f"{json.dumps(report, indent=2)}\n", encoding="utf-8")
    print(f"{'faults':<32} {'injected':>8} {'jobs':>6} {'lost':>5} {'doubled':>8} {'wrong':>6}")
    total = Row()
    for name, row in rows.items():
        _print(name, row)
        total.injected.update(row.injected)
        for what in ("jobs", "lost", "doubled", "wrong"):
            setattr(total, what, getattr(total, what) + getattr(row, what))
    _print("in all", total)
    for name, row in rows.items():
        for what, one in row.as_json()["measured"].items():
            print(f"{name}: {what}: n={one['n']} p50={one['p50']} max={one['max']}")


def _print(name: str, row: Row) -> None:
    injected = sum(row.injected.values())
    print(f"{name:<32} {injected:>8} {row.jobs:>6} {row.lost:>5} {row.doubled:>8} {row.wrong:>6}")


if __name__ == "__main__":
    main(*sys.argv[1:])
