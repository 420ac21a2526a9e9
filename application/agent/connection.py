"""Keeps a link to the control plane, for ever.

A session is one link's life: it reads, writes and confirms, and ends with the link. Jobs belong to
the dispatcher, so what ends here cancels none of them; their results wait in the journal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC
from functools import partial
from typing import Final, NoReturn

from application.agent.plain_link import PlainServing
from application.agent.sequenced_link import LeftForAnotherLink, SequencedServing
from application.ports.clock import Clock
from application.ports.network_changes import NetworkChanges
from application.ports.service_manager import ServiceManager
from application.ports.transport import SEQUENCED, Transport
from domain.errors import TransportLost, TransportRefused
from domain.link_status import LinkStatus, Standing

logger = logging.getLogger(__name__)

STABLE_AFTER_S: Final = 60.0
"""A session shorter than this does not reset the backoff: a server that accepts and closes at once
must not be dialled once a second for ever."""
REFUSED_DELAY_S: Final = 120.0
LONGEST_RETRY_AFTER_S: Final = 3600.0
AFTER_A_CHANGE_S: Final = 1.0
"""Within how long after a change of the network it is tried again: addresses may still be on their way."""

CHANGES_APART_S: Final = 5.0
"""Containers that start change the network too: that must not have a dead peer dialled all the time."""

_V1_IS_REFUSED: Final = "over which a host's key proves nothing"


class Connection:
    """Connects, serves the link until it ends, waits, and connects again.

    Without `plain`, a control plane that speaks v1 is refused.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        plain: PlainServing | None,
        sequenced: SequencedServing,
        network: NetworkChanges,
        manager: ServiceManager,
        clock: Clock,
        delays: Callable[[], Iterator[float]],
        spread: Callable[[float], float],
    ) -> None:
        self._transport = transport
        self._plain = plain
        self._sequenced = sequenced
        self._network = network
        self._manager = manager
        self._clock = clock
        self._delays = delays
        self._spread = spread
        self._next_change_at = clock.monotonic()

    async def run(self) -> None:
        """Serve until cancelled, which closes the link; no failure of a link ends it.

        Raises `JournalFailed` where that happens.
        """
        series = self._delays()
        while True:
            started = self._clock.monotonic()
            try:
                await self._serve_one_link()
            except TransportRefused as exc:
                delay = max(REFUSED_DELAY_S, _bounded(exc.retry_after_s))
                logger.error("%s: %s; trying again in %.0f s", exc, exc.advice, delay)
                self._tell(Standing.REFUSED, f"{exc}: {exc.advice}")
                await self._clock.sleep(delay)
            except LeftForAnotherLink as exc:
                series = self._delays()
                delay = max(exc.rejoin_at - self._clock.monotonic(), 0.0)
                logger.info("%s; connecting again in %.1f s", exc, delay)
                self._tell(Standing.LOST, f"{exc}; connecting again in {delay:.1f} s")
                await self._clock.sleep(delay)
            except TransportLost as exc:
                if self._clock.monotonic() - started >= STABLE_AFTER_S:
                    series = self._delays()
                asked = _bounded(exc.retry_after_s)
                delay = max(next(series), asked)
                logger.warning("%s; connecting again in %.1f s", exc, delay)
                self._tell(Standing.LOST, f"{exc}; connecting again in {delay:.1f} s")
                if asked:
                    await self._clock.sleep(delay)  # It was reached, whatever the network does.
                elif await self._sleep_or_change(delay):
                    series = self._delays()

    async def _sleep_or_change(self, delay: float) -> bool:
        """Wait, but not for long after the network has changed; returns whether it has."""
        if self._clock.monotonic() < self._next_change_at:
            await self._clock.sleep(delay)
            return False
        waited = asyncio.create_task(self._clock.sleep(delay), name="backoff")
        changed = asyncio.create_task(self._network.changed(), name="network-changes")
        try:
            await asyncio.wait({waited, changed}, return_when=asyncio.FIRST_COMPLETED)
            if waited.done():
                return False
            changed.result()
        finally:
            waited.cancel()
            changed.cancel()
            await asyncio.wait({waited, changed})
        logger.info("the network has changed; connecting again")
        self._next_change_at = self._clock.monotonic() + CHANGES_APART_S
        await self._clock.sleep(self._spread(min(delay, AFTER_A_CHANGE_S)))
        return True

    def _tell(self, standing: Standing, detail: str = "") -> None:
        self._manager.status(LinkStatus(standing, detail))

    def _welcomed(self, version: int) -> None:
        since = self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._tell(Standing.CONNECTED, f"since {since}, over protocol v{version}")

    async def _serve_one_link(self) -> NoReturn:
        self._tell(Standing.CONNECTING)
        link = await self._transport.connect()
        logger.info("connected, over protocol v%d", link.version)
        try:
            if link.version == SEQUENCED:
                await self._sequenced.serve(link, partial(self._welcomed, link.version))
            elif self._plain is None:
                await link.close(_V1_IS_REFUSED)
                raise TransportRefused(
                    f"the control plane speaks protocol v1, {_V1_IS_REFUSED}",
                    advice="upgrade the control plane, or check SERVER_URL: this host was enrolled "
                    "with a key, and never goes back to a token",
                )
            else:
                self._welcomed(link.version)
                await self._plain.serve(link)
        except (TransportLost, TransportRefused) as exc:
            # A group of tasks that loses its link at the same moment forgets that it was cancelled.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from exc
            raise
        raise AssertionError("a session ends only with its link")


def _bounded(retry_after_s: float | None) -> float:
    return min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S)
