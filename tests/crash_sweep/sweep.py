"""Which faults a sweep is made of, and what came of all of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing import get_context
from typing import Final

from tests.crash_sweep.ambush import Seen
from tests.crash_sweep.case import Report, run_case
from tests.crash_sweep.faults import Fault, How, Who

MARGIN: Final = 4
"""Two runs do not make quite as many calls: so many more than were counted are tried."""
SECONDS_UPTO: Final = 40
"""The agent that starts again makes about so many calls until it has caught up."""

KILLS: Final = ((Who.AGENT, How.AFTER), (Who.AGENT, How.BEFORE), (Who.RUNNER, How.AFTER))
COUNTED: Final = {
    (Who.AGENT, How.AFTER): (Who.AGENT, False),
    (Who.AGENT, How.BEFORE): (Who.AGENT, False),
    (Who.AGENT, How.OPENED): (Who.AGENT, True),
    (Who.RUNNER, How.AFTER): (Who.RUNNER, False),
    (Who.RUNNER, How.BEFORE): (Who.RUNNER, False),
}
"""Everything that is swept from end to end, and by which counting."""

USUAL: Final = {(Who.AGENT, False): 268, (Who.AGENT, True): 61, (Who.RUNNER, False): 60}
"""How much there is to count, for whoever has no time to."""


@dataclass
class Counts:
    """What a life without a fault calls; `points` are the calls of each counting, in order."""

    points: dict[tuple[Who, bool], list[Seen]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


def count() -> Counts:
    """Play without a fault, counting each of what is swept."""
    counts = Counts()
    for counting in dict.fromkeys(COUNTED.values()):
        report = asyncio.run(run_case(None, counting=counting))
        counts.points[counting] = report.seen
        counts.violations += report.violations
    return counts


def all_faults(counts: Counts, *, seed: int) -> list[Fault]:
    """The whole sweep: every call, and samples of errors and of second deaths."""
    faults = [
        Fault(who, how, number)
        for (who, how), counting in COUNTED.items()
        for number in range(1, len(counts.points[counting]) + MARGIN + 1)
        # The first that is seen of a job runner is that it is there.
        if (who, how, number) != (Who.RUNNER, How.BEFORE, 1)
    ]
    chance = random.Random(seed)
    calls = len(counts.points[Who.AGENT, False])
    for how in (How.ENOSPC, How.EIO):
        faults += [Fault(Who.AGENT, how, number) for number in range(2, calls + 1, 3)]
    for _ in range(calls // 2):
        how = chance.choice((How.AFTER, How.BEFORE))
        number, second = chance.randint(1, calls), chance.randint(1, SECONDS_UPTO)
        faults.append(Fault(Who.AGENT, how, number, second))
    return faults


def spread(faults: Sequence[Fault], every: int, *, begin: int = 0) -> list[Fault]:
    """One of so many of each kind."""
    kinds = groupby(faults, key=lambda fault: (fault.who, fault.how, bool(fault.second)))
    return [fault for _, kind in kinds for fault in list(kind)[begin::every]]


def sweep(faults: Iterable[Fault], *, jobs: int, told: Callable[[Report], None]) -> list[Report]:
    """Run the cases, so many at a time; each is `told` as it is over."""
    reports = []
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(_one, fault) for fault in faults]
        for done in as_completed(running):
            report = done.result()
            told(report)
            reports.append(report)
    return reports


def _one(fault: Fault) -> Report:
    return asyncio.run(run_case(fault))


def summary(reports: Sequence[Report]) -> list[str]:
    """In lines: how many cases of each kind, where they struck, and how many violations."""
    lines = []
    by_kind: dict[str, list[Report]] = {}
    for report in reports:
        assert report.fault is not None
        kind = f"{report.fault.who}/{report.fault.how}" + ("+" if report.fault.second else "")
        by_kind.setdefault(kind, []).append(report)
    for kind, those in sorted(by_kind.items()):
        struck = sum(bool(report.struck) for report in those)
        lines.append(
            f"{kind:15} {len(those):4} cases, {struck:4} struck, "
            f"{sum(bool(report.violations) for report in those)} violated"
        )
    where = [seen for report in reports for seen in report.struck]
    lines += _table("by call", Counter(seen.call for seen in where))
    lines += _table("by phase", Counter(seen.phase for seen in where))
    lines += _table("by file", Counter(seen.file for seen in where))
    return lines


def _table(title: str, counts: Counter[str]) -> list[str]:
    return [f"{title}: " + ", ".join(f"{name} {number}" for name, number in counts.most_common())]
