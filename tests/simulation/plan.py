"""What happens in one simulation, drawn from its seed: jobs, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final

PROJECTS: Final = ("blog", "Shop", "wiki")
CHAOS_S: Final = 14.0
"""So long new things happen and go wrong; after that everything may come to its end."""

CRASHES: Final = (
    ("kill agent", 3),
    ("kill agent at its disk", 4),
    ("lose power", 2),
    ("lose power at its disk", 2),
    ("crash control plane", 4),
    ("restore control plane", 1),
    ("stop agent", 1),
)
RARE: Final = (
    ("kill executor", 0.35),
    ("kill executor", 0.2),
    ("persecute executors", 0.08),
    ("freeze", 0.15),
    ("fill disk", 0.15),
    ("stop engine", 0.08),
    ("fail disk", 0.06),
    ("go away", 0.08),
    ("shift wall clock", 0.1),
    ("cut link", 0.5),
    ("cut link", 0.3),
)


@dataclass(slots=True)
class Plan:
    """`events` are what happens and when, in seconds from the start; a number says what is meant."""

    mode: str
    """`v2`, `v1`, or `both` where each link may be of either version."""
    projects: tuple[str, ...]
    events: list[tuple[float, str, float]] = field(default_factory=list)
    cut_at_frame: int = 0
    generations: bool = False
    duplicates: float = 0.0
    swaps: float = 0.0
    prune_rate: float = 0.0
    compact_at_bytes: int = 1 << 20
    slowest_net_s: float = 0.02
    slowest_disk_s: float = 0.01


def draw_plan(rng: Random) -> Plan:
    """The plan that the next numbers of `rng` make."""
    mode = rng.choices(("v2", "both", "v1"), (80, 12, 8))[0]
    plan = Plan(
        mode,
        PROJECTS[: rng.choice((2, 2, 3))],
        cut_at_frame=rng.randrange(4, 60),
        generations=rng.random() < 0.5,
        duplicates=rng.choice((0.02, 0.05, 0.2)),
        swaps=rng.choice((0.0, 0.0, 0.0, 0.3)),
        prune_rate=rng.choice((0.0, 0.2)),
        compact_at_bytes=rng.choice((1 << 20, 2500, 4000)),
        slowest_net_s=rng.choice((0.002, 0.02, 0.3)),
        slowest_disk_s=rng.choice((0.001, 0.01, 0.2, 1.0)),
    )
    _draw_wishes(plan, rng)
    _draw_faults(plan, rng)
    plan.events.sort()
    return plan


def _draw_wishes(plan: Plan, rng: Random) -> None:
    for number in range(rng.randrange(4, 9)):
        # The first two are for two projects, whatever else may be.
        plan.events.append((rng.random() * CHAOS_S * 0.7, "submit", number))
    if plan.mode == "v1":
        return
    for _ in range(rng.randrange(4)):
        plan.events.append((rng.random() * CHAOS_S, "submit again", rng.random()))
    for _ in range(rng.randrange(3)):
        plan.events.append((rng.random() * CHAOS_S, "cancel", rng.random()))


def _draw_faults(plan: Plan, rng: Random) -> None:
    names, weights = zip(*CRASHES, strict=True)
    for name in rng.choices(names, weights, k=rng.choice((1, 1, 2, 3))):
        plan.events.append((0.3 + rng.random() * CHAOS_S, name, rng.random()))
    for name, likely in RARE:
        if rng.random() < likely and not (plan.mode == "v1" and name in ("fill disk", "go away")):
            plan.events.append((0.3 + rng.random() * CHAOS_S, name, rng.random()))
    if rng.random() < 0.3:
        plan.events.append((rng.random() * CHAOS_S / 2, "back up", 0.0))
