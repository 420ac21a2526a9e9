"""The jobs in a database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from adapters.storage import job_queries, numbering, submitting
from adapters.storage.job_rows import job_of, job_row
from adapters.storage.pruning import prune
from adapters.storage.reader import Reader
from adapters.storage.recording import record_all
from adapters.storage.shared_reading import SharedReading
from adapters.storage.standing import begin_epoch, standings
from adapters.storage.writer import Writer
from application.ports.job_store import JobQuery, Submission, Submitted
from domain.errors import NotFound
from domain.fleet.access import EVERYWHERE, Reach
from domain.fleet.audit import Noted
from domain.fleet.deployment import Deployment
from domain.fleet.host import HostId
from domain.fleet.job import DeploymentId, FeedEntry, FleetJob, FleetJobState, JobResult
from domain.fleet.link_state import Heard, LinkState, Numbered, Outgoing, Recorded, Standing
from domain.fleet.page import Page, PageRequest
from domain.link_messages import OutputChunk, Reject, Result

_LEAST_WEIGHT: Final = 512
"""About what an operation holds in memory beside what it writes."""


class SqlJobStore:
    """See `JobStore`."""

    def __init__(self, writer: Writer, reader: Reader, epoch: Callable[[], str]) -> None:
        self._writer = writer
        self._reader = reader
        self._epoch = epoch
        self._standing = SharedReading(reader.of_all(standings))
        self._outgoing = SharedReading(reader.of_all(numbering.outgoing_of_all))
        self._payload = SharedReading(reader.of_all(job_queries.payloads))

    @property
    def epoch(self) -> str:
        """See `JobStore`."""
        return self._epoch()

    async def submit(self, submission: Submission) -> Submitted:
        """See `JobStore`."""
        jobs = submission.jobs
        return await self._writer.carry_out(
            lambda tx: submitting.submit(tx, submission),
            weight=len(submission.payload) + _LEAST_WEIGHT * (1 + len(jobs)),
            host_ids=[job.host_id for job in jobs],
        )

    async def request_cancel(self, job_id: str, at: float, noted: Noted | None = None) -> FleetJob:
        """See `JobStore`."""
        return await self._writer.carry_out(
            lambda tx: submitting.request_cancel(tx, job_id, at, noted)
        )

    async def expire(self, now: float) -> Sequence[FleetJob]:
        """See `JobStore`."""
        return await self._writer.carry_out(lambda tx: submitting.expire(tx, now))

    async def standing(self, host_id: HostId) -> Standing:
        """See `JobStore`."""
        return await self._standing(host_id)

    async def begin_epoch(
        self, host_id: HostId, agent_epoch: str, generations: Mapping[str, int]
    ) -> LinkState:
        """See `JobStore`."""
        return await self._writer.carry_out(
            lambda tx: begin_epoch(tx, host_id, agent_epoch, generations), host_ids=[host_id]
        )

    async def number(self, host_id: HostId, at: float, limit: int = 1000) -> Numbered:
        """See `JobStore`."""
        return await self._writer.in_common(
            numbering.number_all, (host_id, at, limit), host_id=host_id
        )

    async def outgoing(self, host_id: HostId, after: int, limit: int) -> Sequence[Outgoing]:
        """See `JobStore`."""
        return await self._outgoing((host_id, after, limit))

    async def queued(self, host_id: HostId, limit: int = 1000) -> Sequence[FleetJob]:
        """See `JobStore`."""
        return await self._reader(lambda connection: job_queries.queued(connection, host_id, limit))

    async def mark_sent(self, job_id: str, at: float) -> bool:
        """See `JobStore`."""
        return await self._writer.carry_out(lambda tx: numbering.mark_sent(tx, job_id, at))

    async def unfinished(self, host_id: HostId) -> Sequence[FleetJob]:
        """See `JobStore`."""
        return await self._reader(lambda connection: job_queries.unfinished(connection, host_id))

    async def payload(self, job_id: str) -> bytes:
        """See `JobStore`."""
        payload = await self._payload(job_id)
        if payload is None:
            raise NotFound(
                f"there is no job {job_id[:80]!r}, or what it asked for is not kept any more"
            )
        return payload

    async def record(self, heard: Heard) -> Recorded:
        """See `JobStore`."""
        return await self._writer.in_common(
            record_all, heard, weight=_weight_of(heard), host_id=heard.host_id
        )

    async def end(
        self, job_id: str, state: FleetJobState, at: float, *, reason: str, error: str
    ) -> FleetJob:
        """See `JobStore`."""
        return await self._writer.carry_out(
            lambda tx: submitting.end(tx, job_id, state, at, reason=reason, error=error)
        )

    async def job(self, job_id: str) -> FleetJob:
        """See `JobStore`."""
        return await self._reader(lambda connection: job_of(job_row(connection, job_id)))

    async def result(self, job_id: str) -> JobResult | None:
        """See `JobStore`."""
        return await self._reader(lambda connection: job_queries.result(connection, job_id))

    async def jobs(self, query: JobQuery, page: PageRequest) -> Page[FleetJob]:
        """See `JobStore`."""
        return await self._reader(lambda connection: job_queries.jobs(connection, query, page))

    async def deployment(self, deployment_id: DeploymentId) -> Deployment:
        """See `JobStore`."""
        return await self._reader(
            lambda connection: job_queries.deployment(connection, deployment_id)
        )

    async def deployments(
        self, project: str | None, page: PageRequest, within: Reach = EVERYWHERE
    ) -> Page[Deployment]:
        """See `JobStore`."""
        return await self._reader(
            lambda connection: job_queries.deployments(connection, project, page, within)
        )

    async def jobs_of(
        self, deployment_id: DeploymentId, within: Reach = EVERYWHERE
    ) -> Sequence[FleetJob]:
        """See `JobStore`."""
        return await self._reader(
            lambda connection: job_queries.jobs_of(connection, deployment_id, within)
        )

    async def tallies(
        self, deployment_ids: Sequence[DeploymentId], within: Reach = EVERYWHERE
    ) -> Mapping[DeploymentId, Mapping[FleetJobState, int]]:
        """See `JobStore`."""
        return await self._reader(
            lambda connection: job_queries.tallies(connection, deployment_ids, within)
        )

    async def feed(
        self,
        *,
        job_id: str | None = None,
        deployment_id: DeploymentId | None = None,
        after: int = 0,
        limit: int = 500,
        within: Reach = EVERYWHERE,
    ) -> Sequence[FeedEntry]:
        """See `JobStore`."""
        return await self._reader(
            lambda connection: job_queries.feed(
                connection, job_id, deployment_id, after, limit, within
            )
        )

    async def counts(self) -> dict[FleetJobState, int]:
        """See `JobStore`."""
        return await self._reader(job_queries.counts)

    async def oldest_waiting(self) -> float | None:
        """See `JobStore`."""
        return await self._reader(job_queries.oldest_waiting)

    async def prune(self, ended_before: float, limit: int) -> int:
        """See `JobStore`."""
        return await self._writer.carry_out(lambda tx: prune(tx, ended_before, limit))


def _weight_of(heard: Heard) -> int:
    weight = _LEAST_WEIGHT * (1 + len(heard.messages))
    for message in heard.messages:
        match message:
            case OutputChunk():
                weight += len(message.chunk)
            case Result():
                weight += len(message.logs) + len(message.error) + len(repr(message.data))
            case Reject():
                weight += len(message.error) + len(repr(message.data))
            case _:
                pass
    return weight
