"""The audit trail as it is read, exported and verified; and who was refused what."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Final

from application.control_plane.times import seconds_now
from application.ports.audit_trail import AuditQuery, AuditTrail
from application.ports.clock import Clock
from domain.errors import StorageUnavailable
from domain.fleet.access import Principal
from domain.fleet.attempts import Attempts
from domain.fleet.audit import (
    AuditEntry,
    AuditFinding,
    AuditHead,
    Verification,
    document_of,
    noted_by,
)
from domain.fleet.page import Page, PageRequest

logger = logging.getLogger(__name__)

AT_ONCE: Final = 500
MOST_FINDINGS: Final = 100
REFUSALS: Final = (30, 0.2)
"""How many of what somebody is refused are noted at once, and a second in the long run."""
REFUSED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification has found; at most `MOST_FINDINGS`."""

    entries: int
    head: AuditHead
    findings: tuple[AuditFinding, ...]
    is_intact: bool
    """Whether nobody has changed it; a clock that was set back does not."""


class Auditing:
    """Nothing here can change what was noted."""

    def __init__(self, *, audit: AuditTrail, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._refusals = Attempts(*REFUSALS, REFUSED)

    async def list(self, query: AuditQuery, page: PageRequest) -> Page[AuditEntry]:
        """The newest first."""
        return await self._audit.entries(query, page)

    async def export(self, after: int) -> AsyncGenerator[AuditEntry, None]:
        """The oldest first, behind that number, up to what is there when it comes there."""
        while entries := await self._audit.after(after, AT_ONCE):
            for entry in entries:
                yield entry
            after = entries[-1].number

    async def verify(self) -> Verified:
        """Go through all of it."""
        # Read first: what comes meanwhile is behind it.
        known = await self._audit.head()
        verification = Verification()
        findings: list[AuditFinding] = []
        is_damaged = False

        def add(found: Iterable[AuditFinding]) -> None:
            nonlocal is_damaged
            for finding in found:
                is_damaged = is_damaged or finding.is_damage
                if len(findings) < MOST_FINDINGS:
                    findings.append(finding)

        async for entry in self.export(0):
            if entry.number > known.number:
                break
            add(verification.take(document_of(entry)))
        add(verification.end(known))
        return Verified(verification.entries, verification.head, tuple(findings), not is_damaged)

    async def refused(self, by: Principal, action: str, reason: str) -> None:
        """Note that somebody was not allowed something; where that is too much, not each time."""
        if not self._refusals.may(by.id, self._clock.monotonic()):
            return
        noted = noted_by(
            by, seconds_now(self._clock), action, outcome="refused", detail={"reason": reason}
        )
        try:
            await self._audit.note(noted)
        except StorageUnavailable as exc:
            logger.warning("that %s was refused is not in the audit trail: %s", by.name, exc)
