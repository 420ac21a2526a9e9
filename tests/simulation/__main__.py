"""`python -m tests.simulation 1000` lives the lives of seeds 1 to 1000, `17-17` those from 17 to 17.

A seed that breaks a promise is printed, with all that happened in it, and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from tests.simulation.run import Outcome, simulate, simulate_many

TOLD = 3
"""Of so many seeds that fail, all that happened is printed."""
SAY_EVERY_S = 60.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", type=_seeds, help="how many, or from-to")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    seeds: range = options.seeds
    begun = said = time.monotonic()
    counts: Counter[str] = Counter()
    failed: list[int] = []
    for number, outcome in enumerate(simulate_many(seeds, processes=options.processes), 1):
        counts.update(outcome.counts)
        if outcome.failures:
            failed.append(outcome.seed)
            _tell(outcome, in_full=len(failed) <= TOLD)
        if time.monotonic() - said >= SAY_EVERY_S:
            said = time.monotonic()
            print(f"{number} of {len(seeds)} seeds, {len(failed)} failed", file=sys.stderr)
    took = time.monotonic() - begun
    for name, count in sorted(counts.items()):
        print(f"{count:10}  {name}")
    each_ms = 1000 * took * options.processes / len(seeds)
    print(f"{len(seeds)} seeds, {len(failed)} failed; {took:.0f} s, {each_ms:.1f} ms a seed")
    if failed:
        print("failed:", *failed)
    return 1 if failed else 0


def _seeds(text: str) -> range:
    first, dash, last = text.partition("-")
    seeds = range(int(first), int(last) + 1) if dash else range(1, int(first) + 1)
    if not seeds:
        raise ValueError(text)
    return seeds


def _tell(outcome: Outcome, *, in_full: bool) -> None:
    print(
        f"seed {outcome.seed} failed; `make simulate SEEDS={outcome.seed}-{outcome.seed}` replays it:"
    )
    if in_full:
        simulate(outcome.seed, print)
    for failure in outcome.failures:
        print(f"  {failure}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
