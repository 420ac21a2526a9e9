"""How soon a simulated agent connects again (docs/protocol.md, Failures). Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from tests.fleet.wire import LinkEnd

REFUSALS: Final = frozenset({4401, 4403})
LOST_STATUSES: Final = frozenset({408, 425, 429})
NEVER_WORTH: Final = frozenset({501, 505})


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. A test that has no time makes them short."""

    first_s: float = 1.0
    longest_s: float = 120.0
    refused_s: float = 120.0
    stable_s: float = 60.0
    is_spread: bool = True

    def delay(self, attempt: int) -> float:
        """The wait before this attempt, which is counted from 0."""
        bare = min(self.first_s * 2.0 ** min(attempt, 20), self.longest_s)
        return random.uniform(0, bare) if self.is_spread else bare

    def within(self, window_s: float) -> float:
        """A random moment within a window."""
        return random.uniform(0, window_s)


def is_refusal(end: LinkEnd) -> bool:
    """Whether a person has to change something before it is worth trying again."""
    if end.status:
        may_pass = end.status in LOST_STATUSES or 500 <= end.status < 600
        return not may_pass or end.status in NEVER_WORTH
    return end.code in REFUSALS
