"""`EngineState` from whoever can tell: the engine's socket, and Compose where that cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from application.ports.engine_state import EngineState
from domain.engine_state import FoundContainer, ImageFacts
from domain.errors import RuntimeUnavailable
from domain.project import ProjectName

logger = logging.getLogger(__name__)

T = TypeVar("T")


class FallbackEngineState:
    """Asks the first, and the second where the first cannot. Both failing, the first says why."""

    def __init__(self, first: EngineState, second: EngineState) -> None:
        self._first = first
        self._second = second

    async def containers(self, name: ProjectName) -> Sequence[FoundContainer]:
        """See `EngineState`."""
        return await self._ask(lambda state: state.containers(name))

    async def all_projects(self) -> Mapping[str, Sequence[FoundContainer]]:
        """See `EngineState`."""
        return await self._ask(lambda state: state.all_projects())

    async def image(self, reference: str) -> ImageFacts | None:
        """See `EngineState`."""
        return await self._ask(lambda state: state.image(reference))

    async def networks(self, name: ProjectName) -> Sequence[str]:
        """See `EngineState`."""
        return await self._ask(lambda state: state.networks(name))

    async def volumes(self, name: ProjectName) -> Sequence[str]:
        """See `EngineState`."""
        return await self._ask(lambda state: state.volumes(name))

    async def _ask(self, question: Callable[[EngineState], Awaitable[T]]) -> T:
        try:
            return await question(self._first)
        except RuntimeUnavailable as exc:
            try:
                found = await question(self._second)
            except RuntimeUnavailable:
                raise exc from None
            logger.debug("asked through Compose: %s", exc)
            return found
