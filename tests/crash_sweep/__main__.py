"""`python -m tests.crash_sweep`: sweeps, or repeats single cases; exit code 1 where one violates."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.crash_sweep.case import Report
from tests.crash_sweep.faults import Fault
from tests.crash_sweep.sweep import all_faults, count, spread, summary, sweep


def main() -> int:
    options = _options()
    started = time.monotonic()
    if options.case:
        faults = [Fault.named(name) for name in options.case] * options.times
    else:
        counts = count()
        for (who, counts_opens), points in counts.points.items():
            what = "files made" if counts_opens else "calls"
            kinds = Counter(point.call for point in points)
            said = ", ".join(f"{call} {number}" for call, number in kinds.most_common())
            _say(f"{who}: {len(points)} {what}: {said}")
        for violation in counts.violations:
            _say(f"VIOLATED without any fault: {violation}")
        if counts.violations:
            return 1
        faults = spread(all_faults(counts, seed=options.seed), options.every)
        _say(f"{len(faults)} cases; the seed of the sample is {options.seed}")
    reports = sweep(faults, jobs=options.jobs, told=lambda report: _tell(report, options.verbose))
    for line in summary(reports):
        _say(line)
    violated = sum(bool(report.violations) for report in reports)
    _say(f"{len(reports)} cases in {time.monotonic() - started:.0f} s, {violated} violated")
    return 1 if violated else 0


def _tell(report: Report, verbose: bool) -> None:
    if verbose:
        struck = "; ".join(map(str, report.struck)) or "nowhere"
        _say(f"{report.fault}: {report.seconds:.1f} s, struck: {struck}")
    if not report.violations:
        return
    _say(f"VIOLATED: {report.fault}, struck {'; '.join(map(str, report.struck)) or 'nowhere'}")
    for violation in report.violations:
        _say(f"  {violation}")
    _say(f"  again: make crash-sweep ARGS={report.fault}")
    for line in report.log.splitlines():
        _say(f"  | {line}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash_sweep", description=__doc__)
    parser.add_argument("case", nargs="*", help="such as agent/after/57; without any, all of them")
    parser.add_argument("--times", type=int, default=1, help="run the cases so often")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th case")
    parser.add_argument("--jobs", type=int, default=4, help="cases at a time")
    parser.add_argument("--seed", type=int, default=1, help="for what is a random sample")
    parser.add_argument("--verbose", action="store_true", help="say what became of each case")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
