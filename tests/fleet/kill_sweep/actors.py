"""The agents of the scenarios, by their names: what they speak, remember, and do with a job. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.fleet.scripts import GOOD_MANNERS, JobPlan, Manners, Outcome
from tests.fleet.upgrade import BOTH, V1

SEQUENCED: Final = "v2"
PLAIN: Final = "v1"
NAIVE: Final = "naive"

PRINTED: Final = 3000
_DEPLOY: Final = JobPlan(Outcome.WAIT, after_s=0.05, output_bytes=PRINTED, chunk_bytes=1500)
_OTHERS: Final[Mapping[str, JobPlan]] = {
    "STOP_COMPOSE": JobPlan(Outcome.FAIL, output_bytes=500),
    "REMOVE_COMPOSE": JobPlan(Outcome.REJECT, reason="policy"),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """One agent. `plans` are by the names of commands; what is not among them succeeds at once."""

    plans: Mapping[str, JobPlan]
    offer: tuple[str, ...] = BOTH
    manners: Manners = field(default=GOOD_MANNERS)

    @property
    def is_enrolled(self) -> bool:
        """Whether it has a key, and no token."""
        return self.offer == BOTH

    @property
    def can_cancel(self) -> bool:
        """Whether what it has begun can be canceled."""
        return self.offer == BOTH

    @property
    def waits(self) -> bool:
        """Whether a deployment of it ends when it is let."""
        return self.plans["DEPLOY_COMPOSE"].outcome is Outcome.WAIT

    def plan(self, _job_id: str, kind: str) -> JobPlan:
        """Its script."""
        return self.plans.get(kind, JobPlan())


ACTORS: Final[Mapping[str, Actor]] = {
    SEQUENCED: Actor(
        {**_OTHERS, "DEPLOY_COMPOSE": _DEPLOY, "RESTART_COMPOSE": JobPlan(Outcome.HANG)}
    ),
    PLAIN: Actor({**_OTHERS, "DEPLOY_COMPOSE": _DEPLOY}, (V1,)),
    # What is over it does not know any more when it comes back: it would do it again.
    NAIVE: Actor(
        {**_OTHERS, "DEPLOY_COMPOSE": JobPlan(after_s=0.05, output_bytes=PRINTED)},
        (V1,),
        Manners(is_naive=True),
    ),
}
