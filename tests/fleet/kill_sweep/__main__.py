"""`python -m tests.fleet.kill_sweep`: sweeps, or repeats single cases; exit code 1 where one violates."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.fleet.kill_sweep.actors import ACTORS
from tests.fleet.kill_sweep.case import Report
from tests.fleet.kill_sweep.nursery import Nursery
from tests.fleet.kill_sweep.strikes import Fault
from tests.fleet.kill_sweep.sweep import all_faults, count, summary, sweep
from tests.fleet.kill_sweep.template import DATABASES, template
from tests.support.sweep_cli import add_options, say, say_violated


def main() -> int:
    """0 where nothing was lost and nothing done twice."""
    options = _options()
    faults = [Fault.named(name) for name in options.case] * options.times
    violated = [_swept(kind, faults, options) for kind in options.database or DATABASES]
    return 1 if any(violated) else 0


def _swept(kind: str, faults: Iterable[Fault], options: argparse.Namespace) -> bool:
    """Whether anything was violated on one database."""
    started = time.monotonic()
    with Nursery() as nursery, template(kind, nursery) as made:
        if not options.case:
            counts = count(options.scenario or ACTORS, made, nursery)
            for scenario, report in counts.items():
                say(f"{kind}: {scenario} passes {len(report.points)} points")
                _tell(report, verbose=options.verbose)
            if any(report.violations for report in counts.values()):
                return True
            faults = all_faults(counts, seed=options.seed)[:: options.every]
            say(f"{kind}: {len(faults)} cases; the seed of the sample is {options.seed}")
        reports = sweep(
            faults,
            made,
            jobs=options.jobs,
            told=lambda report: _tell(report, verbose=options.verbose),
        )
    for line in summary(reports):
        say(f"{kind}: {line}")
    violated = sum(bool(report.violations) for report in reports)
    seconds = time.monotonic() - started
    say(f"{kind}: {len(reports)} cases in {seconds:.0f} s, {violated} violated")
    return violated > 0


def _tell(report: Report, *, verbose: bool) -> None:
    if verbose:
        struck = ", ".join(report.struck) or "nowhere"
        say(f"{report.database} {report.fault}: {report.seconds:.1f} s, struck: {struck}")
    if report.violations:
        program = Path(sys.executable).name
        say_violated(
            f"{report.fault} on {report.database}",
            report.violations,
            again=f"{program} -m {__package__} --database {report.database} {report.fault}",
            log=report.log,
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    parser.add_argument(
        "--database", action="append", choices=DATABASES, help="given again, both; without, too"
    )
    parser.add_argument(
        "--scenario", action="append", choices=ACTORS, help="given again, several; without, all"
    )
    add_options(parser, example="v2:after/queued/1", jobs=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
