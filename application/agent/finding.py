"""Facts about the host that are dear to find out and cheap to repeat for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from application.agent.handling import StepTimedOut, run_step
from application.ports.clock import Clock
from domain.errors import RuntimeUnavailable


class CachedFinding:
    """The latest answer to one question, asked again, once for all callers, when it has aged.

    The answer is `{<works>: True, **details, checked_at}`, or `{<works>: False, detail, checked_at}`
    when the question fails or passes its deadline: a finding never raises.
    """

    def __init__(
        self,
        question: str,
        *,
        works: str,
        ask: Callable[[], Awaitable[Mapping[str, object]]],
        clock: Clock,
        fresh_s: float,
        deadline_s: float,
    ) -> None:
        self._question = question
        self._works = works
        self._ask = ask
        self._clock = clock
        self._fresh_s = fresh_s
        self._deadline_s = deadline_s
        self._asking = asyncio.Lock()
        self._answer: Mapping[str, object] = {}
        self._fresh_until: float | None = None

    async def get(self) -> Mapping[str, object]:
        """The answer, at most `fresh_s` old."""
        if self._is_stale():
            async with self._asking:
                if self._is_stale():
                    await self._find()
        return self._answer

    def _is_stale(self) -> bool:
        return self._fresh_until is None or self._clock.monotonic() >= self._fresh_until

    async def _find(self) -> None:
        answer: dict[str, object]
        try:
            details = await run_step(self._clock, self._question, self._deadline_s, self._ask())
            answer = {self._works: True, **details}
        except (RuntimeUnavailable, StepTimedOut) as exc:
            answer = {self._works: False, "detail": str(exc)}
        self._answer = {**answer, "checked_at": self._clock.now().isoformat()}
        self._fresh_until = self._clock.monotonic() + self._fresh_s
