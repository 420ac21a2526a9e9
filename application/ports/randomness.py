"""What nobody can guess."""

from __future__ import annotations

from typing import Protocol


class Randomness(Protocol):
    """Unguessable texts in URL-safe characters."""

    def new_id(self, prefix: str) -> str:
        """An id such as `job_06F8...`: unique for ever, and in the order of time to the millisecond."""
        ...

    def token(self) -> str:
        """At least 256 bits."""
        ...
