"""`python -m tests.crash_sweep`: sweeps, or repeats single cases; exit code 1 where one violates."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.crash_sweep.case import Report
from tests.crash_sweep.faults import Fault
from tests.crash_sweep.sweep import all_faults, count, spread, summary, sweep
from tests.support.sweep_cli import add_options, say, say_violated


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
            say(f"{who}: {len(points)} {what}: {said}")
        for violation in counts.violations:
            say(f"VIOLATED without any fault: {violation}")
        if counts.violations:
            return 1
        faults = spread(all_faults(counts, seed=options.seed), options.every)
        say(f"{len(faults)} cases; the seed of the sample is {options.seed}")
    reports = sweep(faults, jobs=options.jobs, told=lambda report: _tell(report, options.verbose))
    for line in summary(reports):
        say(line)
    violated = sum(bool(report.violations) for report in reports)
    say(f"{len(reports)} cases in {time.monotonic() - started:.0f} s, {violated} violated")
    return 1 if violated else 0


def _tell(report: Report, verbose: bool) -> None:
    struck = "; ".join(map(str, report.struck)) or "nowhere"
    if verbose:
        say(f"{report.fault}: {report.seconds:.1f} s, struck: {struck}")
    if report.violations:
        say_violated(
            f"{report.fault}, struck {struck}",
            report.violations,
            again=f"make crash-sweep ARGS={report.fault}",
            log=report.log,
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash_sweep", description=__doc__)
    add_options(parser, example="agent/after/57", jobs=4)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
