"""Which deaths a sweep is made of, and what came of all of them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from queue import SimpleQueue
from typing import Final

from tests.fleet.kill_sweep.case import Report, run_case
from tests.fleet.kill_sweep.nursery import Nursery
from tests.fleet.kill_sweep.strikes import ANY, Fault, How, Strike
from tests.fleet.kill_sweep.template import Template

SECONDS_UPTO: Final = 12
"""The control plane that starts again passes about so many points until it has caught up."""
SECONDS_EACH: Final = 4
"""One of so many deaths is followed by a second one."""


def count(scenarios: Iterable[str], template: Template, nursery: Nursery) -> dict[str, Report]:
    """Live through each of these scenarios without dying."""
    return {name: asyncio.run(run_case(Fault(name), template, nursery)) for name in scenarios}


def all_faults(counts: Mapping[str, Report], *, seed: int) -> list[Fault]:
    """Before and after each point that was counted; and a sample with a second death soon after."""
    chance = random.Random(seed)
    faults = []
    for scenario, report in counts.items():
        names = [name.split("/") for line in report.points for name in line.split()]
        for how in How:
            faults += [Fault(scenario, (Strike(how, what, int(n)),)) for what, n in names]
    for fault in chance.sample(faults, len(faults) // SECONDS_EACH):
        again = Strike(chance.choice(list(How)), ANY, chance.randint(1, SECONDS_UPTO))
        faults.append(replace(fault, strikes=(*fault.strikes, again)))
    return faults


def sweep(
    faults: Iterable[Fault], template: Template, *, jobs: int, told: Callable[[Report], None]
) -> list[Report]:
    """Run the cases, so many at a time; each is `told` as it is over."""
    reports = []
    free: SimpleQueue[Nursery] = SimpleQueue()

    def one(fault: Fault) -> Report:
        nursery = free.get()
        try:
            return asyncio.run(run_case(fault, template, nursery))
        finally:
            free.put(nursery)

    with contextlib.ExitStack() as stack:
        for _ in range(jobs):
            free.put(stack.enter_context(Nursery()))
        # What takes its time is in other processes.
        threads = stack.enter_context(ThreadPoolExecutor(jobs))
        for done in as_completed([threads.submit(one, fault) for fault in faults]):
            report = done.result()
            told(report)
            reports.append(report)
    return reports


def summary(reports: Sequence[Report]) -> list[str]:
    """In lines: how many cases of each scenario, where they struck, and how many violations."""
    lines = []
    for scenario in dict.fromkeys(report.fault.scenario for report in reports):
        for deaths in (1, 2):
            those = [
                report
                for report in reports
                if report.fault.scenario == scenario and len(report.fault.strikes) == deaths
            ]
            if not those:
                continue
            whole = sum(len(report.struck) == deaths for report in those)
            violated = sum(bool(report.violations) for report in those)
            lines.append(
                f"{scenario}, {deaths} death(s) each: {len(those):4} cases, {whole:4} struck as planned, "
                f"{violated} violated"
            )
    where = Counter(strike.rpartition("/")[0] for report in reports for strike in report.struck)
    lines.append(
        "struck: " + ", ".join(f"{name} {number}" for name, number in sorted(where.items()))
    )
    return lines
