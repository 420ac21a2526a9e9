"""What all links to agents work with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeGuard

from application.control_plane.payloads import Payloads
from application.control_plane.times import seconds_now
from application.ports.agent_link import AgentLink
from application.ports.clock import Clock
from application.ports.job_store import JobStore
from domain.errors import NotFound, StorageUnavailable
from domain.fleet.host import HostId
from domain.fleet.host_effects import LinkEnd
from domain.fleet.job import FleetJobState

logger = logging.getLogger(__name__)

MOST_HELD_BYTES: Final = 256 * 1024 * 1024
"""What all agents together may have said that is not written down yet; past that each waits its turn."""
MOST_SENDING_BYTES: Final = 256 * 1024 * 1024
"""What all agents together may have been sent that their sockets have not taken yet."""
FIRST_RETRY_S: Final = 0.1
LONGEST_RETRY_S: Final = 5.0
SAID_AGAIN_AFTER_S: Final = 30.0
PAYLOAD_LOST: Final = "payload_lost"

LONGEST_WORDS: Final = 500
"""Of what an agent says, in the log."""

Work = Callable[[], Coroutine[Any, Any, None]]


class LiveLink(Protocol):
    """A link once it is known whose it is, as those see it who send and write down what is said on it."""

    @property
    def host_id(self) -> HostId:
        """Whose agent it is."""
        ...

    @property
    def link(self) -> AgentLink:
        """Where it is heard and spoken to."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether nothing more is heard or said."""
        ...

    def end(self, end: LinkEnd, reason: str) -> None:
        """End it; harmless again."""
        ...


class Crew:
    """The tasks of all links: short ones, as a link on which nothing happens has none."""

    def __init__(self) -> None:
        self._tasks: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> Crew:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        tasks, self._tasks = self._tasks, None
        assert tasks is not None
        await tasks.__aexit__(*exception)

    def start(self, work: Work, name: str, failed: Callable[[], None]) -> asyncio.Task[None] | None:
        """Have it done; None where nothing is begun any more. `failed` is called after a bug of ours.

        Cancelled before its turn has come, it was never begun: whoever asks whether it is being done
        asks `is_running`.
        """
        if self._tasks is None:
            return None
        return self._tasks.create_task(_guarded(work, name, failed), name=name)


def is_running(task: asyncio.Task[None] | None) -> TypeGuard[asyncio.Task[None]]:
    """Whether something is being done."""
    return task is not None and not task.done()


async def _guarded(work: Work, name: str, failed: Callable[[], None]) -> None:
    try:
        await work()
    except Exception:
        # One link's bug is not to be the end of the others.
        logger.exception("%s: a bug; the link is given up", name)
        failed()


class Weights:
    """How many bytes all links together hold of something."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.total = 0

    @property
    def is_too_much(self) -> bool:
        """Whether no more is to be taken than must be."""
        return self.total > self._most


class Trouble:
    """Says that the database does not do what is asked, and not for each of ten thousand links."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said_at = -SAID_AGAIN_AFTER_S

    def with_storage(self, exc: StorageUnavailable) -> None:
        """It has failed; what it was to do will be tried again."""
        now = self._clock.monotonic()
        if now - self._said_at >= SAID_AGAIN_AFTER_S:
            self._said_at = now
            logger.error("what agents say, or are to be told, has to wait: %s", exc)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTools:
    """One for all links. `tell` is told of jobs that have changed, `arrived` of those that agents have."""

    store: JobStore
    payloads: Payloads
    clock: Clock
    tell: Callable[[Sequence[str]], None]
    arrived: Callable[[str], None] = lambda _job_id: None
    heartbeat_s: float = 30.0
    crew: Crew = field(default_factory=Crew)
    held: Weights = field(default_factory=lambda: Weights(MOST_HELD_BYTES))
    sending: Weights = field(default_factory=lambda: Weights(MOST_SENDING_BYTES))
    trouble: Trouble

    async def retry_pause(self, attempt: int, exc: StorageUnavailable) -> None:
        """Wait before the database is asked again, for the `attempt`th time, from 0."""
        self.trouble.with_storage(exc)
        await self.clock.sleep(min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(attempt, 8)))

    async def payload_of(self, job_id: str, context: str) -> bytes | None:
        """What its command carries; None where that cannot be had, and never will be: it has failed then.

        `context` is the id that it was sealed for. Raises `StorageUnavailable`.
        """
        try:
            sealed = await self.store.payload(job_id)
        except NotFound:
            error = "what it asks for is not kept any more"
        else:
            try:
                return self.payloads.unsealed(sealed, context)
            except StorageUnavailable as exc:
                # Its host's other jobs do not wait for a key that may be lost for good.
                error = f"it was not sent, and has to be asked for again: {exc}"
        logger.error("job %s: %s", job_id, error)
        await self.end(job_id, FleetJobState.FAILED, PAYLOAD_LOST, error)
        return None

    async def end(self, job_id: str, state: FleetJobState, reason: str, error: str) -> None:
        """End a job of which no agent will tell the end, and tell of it; raises `StorageUnavailable`."""
        now = seconds_now(self.clock)
        await self.store.end(job_id, state, now, reason=reason, error=error)
        self.tell([job_id])
