"""`python -m benchmarks`: measures both programs, and writes what it found to RESULTS.md."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from benchmarks import (
    answering,
    delivering,
    deploying,
    footprint,
    looking,
    peaks,
    recovering,
    remembering,
    serving,
)
from benchmarks.figures import Figure
from benchmarks.installation import CONTROL_PLANE, installed_python
from benchmarks.machine import description, local_image
from benchmarks.plane_stage import PlaneEffort, PlaneStage
from benchmarks.report import Group, document, table
from benchmarks.stage import Effort, Stage

S = TypeVar("S")

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "benchmarks" / "RESULTS.md"

Benchmark = Callable[[Stage], Awaitable[Sequence[Figure]]]
BENCHMARKS: Final[dict[str, tuple[str, Benchmark]]] = {
    "deploying": ("Through the agent and by hand, in turn", deploying.measure),
    "stages": ("The stages of a deployment", looking.measure_stages),
    "reads": ("Reading what runs", looking.measure_reads),
    "acknowledgement": ("Acknowledgement", answering.measure_acknowledgement),
    "bursts": ("Pipelined commands", answering.measure_bursts),
    "journal": ("The journal", remembering.measure_journal),
    "recovery": ("Recovery", recovering.measure_recovery),
    "supervisor": ("The supervisor", remembering.measure_supervisor),
    "start": ("Start", footprint.measure_start),
    "memory": ("Memory", footprint.measure_memory),
    "idle-cpu": ("Processor", footprint.measure_idle_cpu),
    "compose-file": ("A large compose file", peaks.measure_compose_file),
    "output": ("A flood of output", peaks.measure_output),
}
PlaneBenchmark = Callable[[PlaneStage], Awaitable[Sequence[Figure]]]
PLANE_BENCHMARKS: Final[dict[str, tuple[str, PlaneBenchmark]]] = {
    "delivery": ("The control plane: delivery", delivering.measure_delivery),
    "results": ("The control plane: results", delivering.measure_results),
    "fleet": ("The control plane: a large fleet", serving.measure_fleet),
}
NAMES: Final = (*BENCHMARKS, *PLANE_BENCHMARKS)


def main() -> int:
    """Run what was asked for; the results are written when that was everything."""
    options = _parser().parse_args()
    names = options.names or list(NAMES)
    effort = Effort(rounds=options.rounds, idle_s=options.idle_seconds)
    plane_effort = PlaneEffort(agents=options.agents)
    with tempfile.TemporaryDirectory(prefix="instadeploy-bench-") as home:
        groups = [
            *_run_agents([one for one in names if one in BENCHMARKS], Path(home), effort),
            *_run_planes(
                [one for one in names if one in PLANE_BENCHMARKS], Path(home), plane_effort
            ),
        ]
    if not options.names:
        commands = [
            "make bench",
            f"python -m benchmarks NAME...    # some of {', '.join(NAMES)}",
        ]
        text = document(groups, machine=description(), commands=commands)
        RESULTS.write_text(text, encoding="utf-8")
        print(f"\nwritten to {RESULTS.relative_to(ROOT)}")
    return 0


def _run_agents(names: Sequence[str], home: Path, effort: Effort) -> list[Group]:
    if not names:
        return []
    stage = Stage(installed_python(ROOT), home, local_image(ROOT), effort)
    return asyncio.run(_run({name: BENCHMARKS[name] for name in names}, stage))


def _run_planes(names: Sequence[str], home: Path, effort: PlaneEffort) -> list[Group]:
    if not names:
        return []
    stage = PlaneStage(installed_python(ROOT, CONTROL_PLANE), home, effort)
    return asyncio.run(_run({name: PLANE_BENCHMARKS[name] for name in names}, stage))


async def _run(
    benchmarks: Mapping[str, tuple[str, Callable[[S], Awaitable[Sequence[Figure]]]]], stage: S
) -> list[Group]:
    groups = []
    for name, (title, benchmark) in benchmarks.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        group = Group(title, await benchmark(stage))
        print(f"\n{title}\n", *table(group.figures), sep="\n", flush=True)
        groups.append(group)
    return groups


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures the installed agent against Docker Engine on this machine, and the "
        "installed control plane with simulated agents. Without names it measures everything and "
        "writes benchmarks/RESULTS.md.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", type=_name, help=", ".join(NAMES))
    parser.add_argument("--rounds", type=int, default=Effort().rounds, help="of deploy to stop")
    parser.add_argument("--idle-seconds", type=float, default=Effort().idle_s)
    parser.add_argument("--agents", type=int, default=PlaneEffort().agents, help="of `fleet`")
    return parser


def _name(text: str) -> str:
    # `choices` would refuse the empty list.
    if text not in NAMES:
        raise argparse.ArgumentTypeError(f"'{text}' is none of {', '.join(NAMES)}")
    return text


if __name__ == "__main__":
    sys.exit(main())
