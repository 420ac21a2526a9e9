"""Runs checks at the same time, each with a deadline of its own, and tells their findings in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from application.ports.clock import Clock
from domain.errors import InstaDeployError, RuntimeUnavailable, TransportRefused
from domain.inspection import Examined, Finding, Verdict, failure, unknown

USUAL_S: Final = 5.0

Examine = Callable[[], Awaitable[Sequence[Finding]]]


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at. What `examine` raises of our own errors is a failure in its words.

    It is not made where a check that it `needs`, which stands before it, has failed or was not made.
    `why` and `remedy` are for one that fails by an error, or does not end within `within_s`.
    """

    name: str
    examine: Examine
    why: str = ""
    remedy: str = ""
    needs: tuple[str, ...] = ()
    within_s: float = USUAL_S


class Doctor:
    """Makes each of `checks` once; no check can keep another one from being made, or from being told."""

    def __init__(self, checks: Sequence[Check], clock: Clock) -> None:
        self._checks = checks
        self._clock = clock

    async def examine(self) -> list[Examined]:
        """What was found, in the order of the checks."""
        tasks: dict[str, asyncio.Task[Examined]] = {}
        async with asyncio.TaskGroup() as group:
            for check in self._checks:
                needed = [tasks[name] for name in check.needs if name in tasks]
                tasks[check.name] = group.create_task(
                    self._made(check, needed), name=f"check {check.name}"
                )
        return [task.result() for task in tasks.values()]

    async def _made(self, check: Check, needed: Sequence[asyncio.Task[Examined]]) -> Examined:
        for task in needed:
            before = await task
            if before.verdict in (Verdict.FAILURE, Verdict.UNKNOWN):
                return Examined(check.name, (unknown(f"not looked at: see {before.check}"),))
        return Examined(check.name, tuple(await self._findings(check)))

    async def _findings(self, check: Check) -> Sequence[Finding]:
        try:
            async with self._clock.timeout(check.within_s):
                return await check.examine()
        except TimeoutError:
            found = f"there is no answer within {check.within_s:g} s"
            return [failure(found, check.why, check.remedy)]
        except TransportRefused as exc:
            return [failure(str(exc), check.why, exc.advice)]
        except RuntimeUnavailable as exc:
            # It says what is wrong and, behind a semicolon, what to do about it.
            found, _, advice = str(exc).partition("; ")
            return [failure(found, check.why, advice or check.remedy)]
        except InstaDeployError as exc:
            return [failure(str(exc), check.why, check.remedy)]
        except Exception as exc:  # noqa: BLE001 - the others are told all the same
            # Without its text, which may quote anything.
            return [unknown(f"the check itself broke: {type(exc).__name__}")]
