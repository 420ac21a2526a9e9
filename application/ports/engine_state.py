"""Reads what really runs; it changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from domain.engine_state import FoundContainer, ImageFacts
from domain.project import ProjectName


class EngineState(Protocol):
    """The engine that Compose talks to, asked now: nothing is remembered between two calls.

    Every method raises `RuntimeUnavailable`, which says what is wrong and what to do about it, where
    the engine cannot be asked, hangs, or answers what is none. None of them waits for ever, and
    cancelled at any moment they leave nothing behind. Asking again is harmless.
    """

    async def containers(self, name: ProjectName) -> Sequence[FoundContainer]:
        """All that carry the project's label, also those that do not run, by service and name.

        Every fact that the engine knows is there. A container that goes meanwhile may be missing.
        """
        ...

    async def all_projects(self) -> Mapping[str, Sequence[FoundContainer]]:
        """The containers of every project that has any, by Compose's name of the project.

        In few requests: of containers that are well, `restart_count`, `is_oom_killed` and the times
        may be None.
        """
        ...

    async def image(self, reference: str) -> ImageFacts | None:
        """The image that a reference, a digest or an id means to the engine; None if it has none."""
        ...

    async def networks(self, name: ProjectName) -> Sequence[str]:
        """The names of the networks that carry the project's label, sorted."""
        ...

    async def volumes(self, name: ProjectName) -> Sequence[str]:
        """The names of the volumes that carry the project's label, sorted."""
        ...
