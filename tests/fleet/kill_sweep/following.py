"""Follows a job live, through all lives of the control plane, as whoever has asked for it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import h11

from tests.fleet.kill_sweep.lives import Lives
from tests.fleet.plane_api import FeedEvent, PlaneApi
from tests.fleet.plane_http import NotStreamed

STATE: Final = "state"
END: Final = "end"


class Lost(Exception):
    """What was answered with 202 is not there."""


class Follower:
    """`events` are what it was told, each once, where the feeds are as they have to be."""

    def __init__(self, api: PlaneApi, lives: Lives, job_id: str) -> None:
        self._api = api
        self._lives = lives
        self.job_id = job_id
        self.events: list[FeedEvent] = []
        self._is_over = False
        self._changed = asyncio.Condition()

    @property
    def states(self) -> list[str]:
        """Those that it has heard of."""
        return [event.data["state"] for event in self.events if event.name == STATE]

    async def run(self) -> None:
        """Until the feed ends. Raises `Lost`."""
        while not self._is_over:
            number = self._lives.number
            after = self.events[-1].number if self.events else 0
            try:
                async for event in self._api.events(f"/jobs/{self.job_id}/feed", after):
                    await self._hear(event)
            except NotStreamed as refused:
                raise Lost(f"lost: {self.job_id} was answered with 202: {refused}") from refused
            except (OSError, h11.ProtocolError):
                await self._lives.next(number)

    async def over(self) -> None:
        """Wait for the end."""
        await self._until(lambda: self._is_over)

    async def taken(self) -> None:
        """Wait until its agent has it, or it is over."""
        await self._until(lambda: self._is_over or any(one != "queued" for one in self.states))

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(condition)

    async def _hear(self, event: FeedEvent) -> None:
        async with self._changed:
            if event.name == END:
                self._is_over = True
            else:
                self.events.append(event)
            self._changed.notify_all()
