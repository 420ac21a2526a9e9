"""`python -m benchmarks`: measures the agent, and writes what it found to RESULTS.md."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks import answering, deploying, footprint, looking, peaks, remembering
from benchmarks.figures import Figure
from benchmarks.installation import installed_python
from benchmarks.machine import description, local_image
from benchmarks.report import Group, document, table
from benchmarks.stage import Effort, Stage

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
    "supervisor": ("The supervisor", remembering.measure_supervisor),
    "start": ("Start", footprint.measure_start),
    "memory": ("Memory", footprint.measure_memory),
    "idle-cpu": ("Processor", footprint.measure_idle_cpu),
    "compose-file": ("A large compose file", peaks.measure_compose_file),
    "output": ("A flood of output", peaks.measure_output),
}


def main() -> int:
    """Run what was asked for; the results are written when that was everything."""
    options = _parser().parse_args()
    names = options.names or list(BENCHMARKS)
    effort = Effort(rounds=options.rounds, idle_s=options.idle_seconds)
    python = installed_python(ROOT)
    with tempfile.TemporaryDirectory(prefix="instadeploy-bench-") as home:
        stage = Stage(python, Path(home), local_image(ROOT), effort)
        groups = asyncio.run(_run(names, stage))
    if not options.names:
        commands = [
            "make bench",
            f"python -m benchmarks NAME...    # some of {', '.join(BENCHMARKS)}",
        ]
        text = document(groups, machine=description(), commands=commands)
        RESULTS.write_text(text, encoding="utf-8")
        print(f"\nwritten to {RESULTS.relative_to(ROOT)}")
    return 0


async def _run(names: Sequence[str], stage: Stage) -> list[Group]:
    groups = []
    for name in names:
        title, benchmark = BENCHMARKS[name]
        print(f"{name} ...", file=sys.stderr, flush=True)
        group = Group(title, await benchmark(stage))
        print(f"\n{title}\n", *table(group.figures), sep="\n", flush=True)
        groups.append(group)
    return groups


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures the installed agent against Docker Engine on this machine. Without names "
        "it measures everything and writes benchmarks/RESULTS.md.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", type=_name, help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=Effort().rounds, help="of deploy to stop")
    parser.add_argument("--idle-seconds", type=float, default=Effort().idle_s)
    return parser


def _name(text: str) -> str:
    # `choices` would refuse the empty list.
    if text not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"'{text}' is none of {', '.join(BENCHMARKS)}")
    return text


if __name__ == "__main__":
    sys.exit(main())
