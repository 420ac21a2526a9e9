"""What simulated agents are told to do: with a job, and on a link. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Outcome(Enum):
    """How a job ends."""

    SUCCEED = "succeed"
    FAIL = "fail"
    REJECT = "reject"
    """It is not even accepted."""
    HANG = "hang"
    """It does not, unless it is canceled."""
    WAIT = "wait"
    """It succeeds once the fleet is told to let it."""


class Moment(Enum):
    """When a link breaks."""

    BEFORE_ACCEPT = "before accept"
    """The command has come, and is not on the agent's disk."""
    AFTER_ACCEPT = "after accept"
    """ACCEPT is sent, and not acknowledged."""
    BEFORE_RESULT = "before result"
    """The end is on the disk, and not sent."""
    AFTER_RESULT = "after result"
    """The final response is sent, and not acknowledged."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Go away at a moment, once a job, and come back after `away_s`."""

    at: Moment
    away_s: float = 0.0
    with_new_epoch: bool = False
    is_killed: bool = False
    """The whole agent, and not only the link: what it has not kept is gone."""


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What becomes of a job, from its acceptance on."""

    outcome: Outcome = Outcome.SUCCEED
    after_s: float = 0.0
    output_bytes: int = 0
    chunk_bytes: int = 16 << 10
    """It prints in pieces of this size, spread over `after_s`."""
    is_text: bool = True
    reason: str = "compose_failed"
    leave: Leave | None = None

    def __post_init__(self) -> None:
        if self.chunk_bytes < 1:
            raise ValueError("a piece of output has at least one byte")


@dataclass(frozen=True, slots=True)
class Manners:
    """How an agent carries itself on each of its links, beside what it does with jobs."""

    is_mute: bool = False
    """It connects and says nothing at all, not even HELLO."""
    is_silent: bool = False
    """Once it is welcomed it says nothing any more, and reads."""
    reads_nothing: bool = False
    """Once it is welcomed it takes nothing from its socket, and goes on speaking."""
    repeats: bool = False
    """Each durable message is sent twice."""
    misses_each: int = 0
    """Each so manieth durable message is taken for lost, and asked for with NACK; 0 for none."""
    floods_with: int = 0
    """So many heartbeats are sent as fast as they go out, once it is welcomed."""
    is_naive: bool = False
    """Over v1: it knows no job any more that is over, and sends no result twice."""


GOOD_MANNERS: Final = Manners()

Script = Callable[[str, str], JobPlan]
"""What to do with a job, by its id and its command's name. The same job is always planned alike."""

_CHANCES: Final[tuple[tuple[float, JobPlan], ...]] = (
    (0.55, JobPlan()),
    (0.08, JobPlan(after_s=0.3, output_bytes=20_000)),
    (0.03, JobPlan(after_s=0.2, output_bytes=400_000, chunk_bytes=64 << 10)),
    (0.03, JobPlan(output_bytes=3_000, is_text=False)),
    (0.08, JobPlan(Outcome.FAIL, output_bytes=2_000)),
    (0.05, JobPlan(Outcome.REJECT, reason="policy")),
    (0.04, JobPlan(leave=Leave(Moment.BEFORE_ACCEPT))),
    (0.04, JobPlan(leave=Leave(Moment.AFTER_ACCEPT))),
    (0.04, JobPlan(after_s=0.1, leave=Leave(Moment.BEFORE_RESULT), output_bytes=50_000)),
    (0.04, JobPlan(leave=Leave(Moment.AFTER_RESULT, is_killed=True))),
    (0.02, JobPlan(leave=Leave(Moment.AFTER_RESULT, with_new_epoch=True))),
)


def always(plan: JobPlan) -> Script:
    """The same for each job."""
    return lambda _job_id, _kind: plan


def mixed(job_id: str, kind: str) -> JobPlan:
    """A bit of everything that ends within seconds, by chance that follows from the job's id."""
    chance = random.Random(job_id).random()
    for share, plan in _CHANCES:
        chance -= share
        if chance < 0:
            return plan
    return JobPlan()


SCRIPTS: Final[Mapping[str, Script]] = {
    "succeed": always(JobPlan()),
    "slow": always(JobPlan(after_s=3.0, output_bytes=4_000, chunk_bytes=1_000)),
    "fail": always(JobPlan(Outcome.FAIL, output_bytes=1_000)),
    "reject": always(JobPlan(Outcome.REJECT, reason="policy")),
    "hang": always(JobPlan(Outcome.HANG)),
    "wait": always(JobPlan(Outcome.WAIT)),
    "chatty": always(JobPlan(after_s=1.0, output_bytes=1 << 20, chunk_bytes=64 << 10)),
    "mixed": mixed,
}
