"""How long it takes an agent to be back after an outage: `python -m tests.faults.reconnect`.

Each sample is a fresh agent in a network namespace of its own, an outage of a random length, and the
time from the network's return until a command, given at that moment, is accepted. It prints the
distributions; needs root and takes minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.faults.networks import BOTH, Network
from tests.faults.rig import Rig

KINDS: Final[dict[str, Callable[[Network], None]]] = {
    "resets, dials too": Network.reset,
    "black hole, nothing told": lambda network: network.drop(*BOTH),
    "own link down, told by netlink": Network.down,
    "far end down, told by netlink": lambda network: network.down(far=True),
}
SHORT: Final = "up to 30 s"
LONGEST_BEFORE_S: Final = 15.0
"""An outage begins somewhere between two heartbeats."""


def _end(kind: str, network: Network) -> None:
    if "netlink" in kind:
        network.up(far=kind.startswith("far"))
    else:
        network.heal()


async def _sample(directory: Path, kind: str, outage_s: float, dice: random.Random) -> float:
    with Network() as network:
        async with Rig(directory, "reconnect", network=network) as rig:
            await rig.agent.start()
            await rig.peer.agent()
            await asyncio.sleep(dice.uniform(0, LONGEST_BEFORE_S))
            KINDS[kind](network)
            await asyncio.sleep(outage_s)
            _end(kind, network)
            loop = asyncio.get_running_loop()
            returned = loop.time()
            question = rig.database.issue("HEALTH_CHECK", {})
            await rig.until(
                lambda: bool(rig.database.jobs[question].answers), "the agent", within_s=300
            )
            return loop.time() - returned


async def _measure(
    kinds: list[str], samples: int, at_once: int, lengths: dict[str, tuple[float, float]]
) -> None:
    dice = random.Random(1)
    slots = asyncio.Semaphore(at_once)
    found: dict[tuple[str, str], list[float]] = defaultdict(list)

    async def sample(directory: Path, kind: str, length: str) -> None:
        async with slots:
            outage_s = dice.uniform(*lengths[length])
            found[kind, length].append(await _sample(directory, kind, outage_s, dice))

    with tempfile.TemporaryDirectory() as home:
        async with asyncio.TaskGroup() as tasks:
            for number in range(samples):
                for kind in kinds:
                    for length in lengths:
                        where = Path(home, f"{number}-{len(found)}-{dice.randrange(1 << 40)}")
                        tasks.create_task(sample(where, kind, length))
    print(f"{'outage':<32} {'length':<14} {'n':>4} {'p50':>7} {'p90':>7} {'p99':>7} {'max':>7}  s")
    for (kind, length), times in sorted(found.items()):
        cuts = statistics.quantiles(times, n=100, method="inclusive")
        row = " ".join(f"{value:7.2f}" for value in (cuts[49], cuts[89], cuts[98], max(times)))
        print(f"{kind:<32} {length:<14} {len(times):>4} {row}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20, help="for each kind and length")
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--long", action="store_true", help="outages of one to five minutes, too")
    parser.add_argument("--kind", default="", help="a part of the name of an outage")
    options = parser.parse_args()
    kinds = [kind for kind in KINDS if options.kind in kind]
    lengths = {SHORT: (1.0, 30.0)} | ({"1 to 5 min": (60.0, 300.0)} if options.long else {})
    asyncio.run(_measure(kinds, options.samples, options.at_once, lengths))


if __name__ == "__main__":
    main()
