"""What the programs of the sweeps share: their options, and how they say what was violated."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable


def add_options(parser: argparse.ArgumentParser, *, example: str, jobs: int) -> None:
    """Those that every sweep has; `example` names a case, and `jobs` is how many run at a time."""
    parser.add_argument("case", nargs="*", help=f"such as {example}; without any, all of them")
    parser.add_argument("--times", type=int, default=1, help="run the cases so often")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th case")
    parser.add_argument("--jobs", type=int, default=jobs, help="cases at a time")
    parser.add_argument("--seed", type=int, default=1, help="for what is a random sample")
    parser.add_argument("--verbose", action="store_true", help="say what became of each case")


def say(line: str) -> None:
    """At once, as whoever follows a sweep for hours reads it through a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def say_violated(what: str, violations: Iterable[str], *, again: str, log: str) -> None:
    """Say of a case what it violated, which command repeats it, and what was logged."""
    say(f"VIOLATED: {what}")
    for violation in violations:
        say(f"  {violation}")
    say(f"  again: {again}")
    for line in log.splitlines():
        say(f"  | {line}")
