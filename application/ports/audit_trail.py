"""Where the audit trail is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.fleet.audit import AuditEntry, AuditHead, Noted
from domain.fleet.page import Page, PageRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which entries are meant: those for which all that is given holds."""

    user: str | None = None
    host: str | None = None
    """The host's id, or the name that it had then."""
    project: str | None = None
    action: str | None = None


class AuditTrail(Protocol):
    """Entries that are only ever added to; errors as of `JobStore`.

    What changes something is given to the stores as a `Noted`, and is in the trail if and only if the
    change was made: they are one transaction.
    """

    async def note(self, noted: Noted) -> None:
        """Note what has changed nothing, such as a refusal."""
        ...

    async def entries(self, query: AuditQuery, page: PageRequest) -> Page[AuditEntry]:
        """The newest first."""
        ...

    async def after(self, number: int, limit: int) -> Sequence[AuditEntry]:
        """The oldest first, behind that number."""
        ...

    async def head(self) -> AuditHead:
        """Where it ends."""
        ...
