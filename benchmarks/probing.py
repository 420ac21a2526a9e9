"""How long a control plane's API takes to answer while something else happens."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from benchmarks.sample import Sample
from tests.fleet.plane_api import PlaneApi, Refused
from tests.fleet.plane_process import PlaneProcess

EACH_S: Final = 0.05
"""A request is made so often, whether the ones before are answered or not."""


class ApiProbe:
    """Reads a host, reads a page of hosts, reads a page of jobs, and deploys to a host, in turn."""

    def __init__(self, api: PlaneApi, hosts: Sequence[str]) -> None:
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self._api = api
        self._hosts = hosts
        self._number = itertools.count()
        self._asking: set[asyncio.Task[None]] = set()

    @property
    def sample(self) -> Sample:
        """The seconds that each answer took."""
        return Sample(tuple(self.seconds))

    async def run(self) -> None:
        """Ask until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            task = loop.create_task(self._ask(), name="asking the API")
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            due += EACH_S
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def finish(self) -> None:
        """Wait for the answers that are still to come."""
        await asyncio.gather(*self._asking)

    async def _ask(self) -> None:
        api, number = self._api, next(self._number)
        host = random.choice(self._hosts)
        begun = time.perf_counter()
        try:
            match number % 4:
                case 0:
                    await api.get(f"/hosts/{host}")
                case 1:
                    await api.get("/hosts?limit=50")
                case 2:
                    await api.get("/jobs?limit=50")
                case _:
                    await api.deploy(f"probe-{number}", hosts=[host])
        except (OSError, Refused, TimeoutError) as failure:
            self.failures.append(f"{type(failure).__name__}: {failure}")
        else:
            self.seconds.append(time.perf_counter() - begun)


@contextlib.asynccontextmanager
async def probed(
    plane: PlaneProcess, hosts: Sequence[str], *, url: str = "", tls: ssl.SSLContext | None = None
) -> AsyncIterator[ApiProbe]:
    """Ask the API for as long as the context lasts."""
    async with plane.api(url=url, tls=tls, patience_s=0) as api:
        probe = ApiProbe(api, hosts)
        asking = asyncio.create_task(probe.run(), name="API probe")
        try:
            yield probe
        finally:
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            await probe.finish()
