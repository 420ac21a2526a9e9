"""How long accepted requests take to arrive at their hosts' agents; a measurement, and no record."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from application.ports.clock import Clock

MAX_UNDER_WAY: Final = 16_384
"""The oldest ones are given up for new ones: those of hosts that are offline."""


class DeliveryTimes:
    """Tells `observe`, in seconds, how long it was from a request to its agent's word that it has it."""

    def __init__(self, clock: Clock, observe: Callable[[float], None]) -> None:
        self._clock = clock
        self._observe = observe
        self._under_way: OrderedDict[str, float] = OrderedDict()

    def now(self) -> float:
        """To be given to `submitted`."""
        return self._clock.monotonic()

    def submitted(self, job_ids: Iterable[str], begun: float) -> None:
        """These jobs were asked for at `begun`, and are kept now."""
        for job_id in job_ids:
            self._under_way[job_id] = begun
        while len(self._under_way) > MAX_UNDER_WAY:
            self._under_way.popitem(last=False)

    def arrived(self, job_id: str) -> None:
        """The agent has said that it has the job; said again, it is not counted again."""
        begun = self._under_way.pop(job_id, None)
        if begun is not None:
            self._observe(self._clock.monotonic() - begun)
