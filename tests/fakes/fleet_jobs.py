"""Jobs, deployments, numbers and feeds in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from application.ports.job_store import MOST_EXPIRED, JobQuery, Submission, Submitted
from domain.commands import CHANGING_KINDS
from domain.errors import Conflict, NotFound
from domain.fleet import changes
from domain.fleet.access import EVERYWHERE
from domain.fleet.access import Reach as Reachable
from domain.fleet.audit import Noted
from domain.fleet.deployment import Deployment
from domain.fleet.hearing import Hearing, state_entry
from domain.fleet.host import HostId
from domain.fleet.job import (
    DeploymentId,
    FeedEntry,
    FeedKind,
    FleetJob,
    FleetJobState,
    JobResult,
)
from domain.fleet.link_state import (
    Heard,
    LinkState,
    Numbered,
    Outgoing,
    OutgoingKind,
    Recorded,
    Standing,
)
from domain.fleet.page import Page, PageRequest
from tests.fakes.fleet_state import FleetState, Kept, Reach, newest_first, page_of


class FakeJobStore:
    """See `JobStore`."""

    def __init__(self, state: FleetState, reach: Reach) -> None:
        self._state = state
        self._reach = reach

    @property
    def epoch(self) -> str:
        """See `JobStore`."""
        return self._state.epoch

    async def submit(self, submission: Submission) -> Submitted:
        """See `JobStore`."""
        await self._reach()
        state, asked = self._state, submission.remembered
        if asked is not None and (asked.principal, asked.key) in state.remembered:
            before, _ = state.remembered[asked.principal, asked.key]
            if before.digest != asked.digest:
                raise Conflict("Idempotency-Key: it was used for another request")
            return Submitted((), answered_before=before)
        for job in submission.jobs:
            if state.host(job.host_id).is_revoked:
                raise NotFound(f"there is no host {job.host_id!r}: it was revoked")
            if job.id in state.jobs:
                raise Conflict(f"job: there is one with the id {job.id}")
        deployment = submission.deployment
        if deployment is not None and deployment.id in state.deployments:
            raise Conflict(f"deployment: there is one with the id {deployment.id}")
        if asked is not None:
            state.remembered[asked.principal, asked.key] = (asked, submission.jobs[0].created_at)
        if deployment is not None:
            state.deployments[deployment.id] = deployment
            state.places[deployment.id] = state.next_number()
        superseded = [old for job in submission.jobs for old in self._supersede(job)]
        for job in submission.jobs:
            place = state.next_number()
            state.jobs[job.id] = Kept(job, place=place, payload=submission.payload)
            state.feed.append(state_entry(job, state.next_number(), job.created_at))
        state.note(*submission.noted)
        return Submitted(submission.jobs, tuple(superseded))

    async def request_cancel(self, job_id: str, at: float, noted: Noted | None = None) -> FleetJob:
        """See `JobStore`."""
        await self._reach()
        kept = self._state.kept(job_id)
        before = kept.job
        asked = changes.asked_to_end(before, at)
        if asked is not before:
            self._state.note(noted)
        self._state.change(kept, asked, at)
        if kept.job is not before and not kept.job.is_over and kept.job.seq is not None:
            self._say(kept.job, OutgoingKind.CANCEL)
        return kept.job

    async def expire(self, now: float) -> Sequence[FleetJob]:
        """See `JobStore`."""
        await self._reach()
        late = [k for k in self._state.jobs.values() if changes.has_waited_too_long(k.job, now)]
        late.sort(key=lambda kept: (kept.job.expires_at, kept.place))
        for kept in late[:MOST_EXPIRED]:
            self._state.change(kept, changes.expired(kept.job, now), now)
        return [kept.job for kept in late[:MOST_EXPIRED]]

    async def standing(self, host_id: HostId) -> Standing:
        """See `JobStore`."""
        await self._reach()
        of_host = self._of_host(host_id)
        seen = {
            kept.job.id: kept.position
            for kept in of_host
            if kept.may_print and kept.position is not None
        }
        has_news = any(not kept.job.is_over and kept.job.seq is None for kept in of_host)
        is_owed = has_news or bool(self._state.outgoing.get(host_id))
        return Standing(self._link(host_id), seen, is_owed)

    async def begin_epoch(
        self, host_id: HostId, agent_epoch: str, generations: Mapping[str, int]
    ) -> LinkState:
        """See `JobStore`."""
        await self._reach()
        self._state.host(host_id)
        link = self._state.links[host_id] = LinkState(host_id, agent_epoch)
        self._state.outgoing[host_id] = []
        for kept in self._of_host(host_id):
            if not kept.job.is_over and (kept.job.seq, kept.job.sent_at) != (None, None):
                kept.job = replace(kept.job, seq=None, expires_at=None)
        for project, generation in generations.items():
            key = (host_id, project.lower())
            reached = min(generation, changes.HIGHEST_GENERATION)
            self._state.generations[key] = max(self._state.generations.get(key, 0), reached)
        return link

    async def number(self, host_id: HostId, at: float, limit: int = 1000) -> Numbered:
        """See `JobStore`."""
        await self._reach()
        said = []
        waiting = [
            kept for kept in self._of_host(host_id) if not kept.job.is_over and kept.job.seq is None
        ]
        for kept in waiting[:limit]:
            job = kept.job
            generation = job.generation
            if generation is None and job.project is not None and job.kind in CHANGING_KINDS:
                key = (host_id, job.project.lower())
                generation = self._state.generations.get(key, 0) + 1
                self._state.generations[key] = generation
            seq = self._link(host_id).next_seq
            kept.job = replace(changes.sent(job, at), seq=seq, generation=generation)
            said.append(self._say(kept.job, OutgoingKind.COMMAND))
            if job.cancel_requested_at is not None:
                said.append(self._say(kept.job, OutgoingKind.CANCEL))
        return Numbered(tuple(said), is_all=len(waiting) <= limit)

    async def outgoing(self, host_id: HostId, after: int, limit: int) -> Sequence[Outgoing]:
        """See `JobStore`."""
        await self._reach()
        waiting = self._state.outgoing.get(host_id, [])
        return [self._as_of_now(one) for one in waiting if one.seq > after][:limit]

    async def queued(self, host_id: HostId, limit: int = 1000) -> Sequence[FleetJob]:
        """See `JobStore`."""
        await self._reach()
        jobs = [kept.job for kept in self._of_host(host_id)]
        return [job for job in jobs if changes.has_not_left(job)][:limit]

    async def mark_sent(self, job_id: str, at: float) -> bool:
        """See `JobStore`."""
        await self._reach()
        kept = self._state.kept(job_id)
        if kept.job.is_over or kept.job.cancel_requested_at is not None:
            return False
        kept.job = changes.sent(kept.job, at)
        return True

    async def unfinished(self, host_id: HostId) -> Sequence[FleetJob]:
        """See `JobStore`."""
        await self._reach()
        jobs = [kept.job for kept in self._of_host(host_id)]
        return [job for job in jobs if job.sent_at is not None and not job.is_over]

    async def payload(self, job_id: str) -> bytes:
        """See `JobStore`."""
        await self._reach()
        payload = self._state.kept(job_id).payload
        if payload is None:
            raise NotFound(f"what job {job_id!r} asked for is not kept any more")
        return payload

    async def record(self, heard: Heard) -> Recorded:
        """See `JobStore`."""
        await self._reach()
        self._state.host(heard.host_id)
        before = {job_id: kept.job for job_id, kept in self._state.jobs.items()}
        hearing = Hearing(self._state.jobs, self._state.next_number)
        recorded = hearing.hear(self._link(heard.host_id), heard)
        self._state.links[heard.host_id] = recorded.link
        waiting = self._state.outgoing.get(heard.host_id, [])
        self._state.outgoing[heard.host_id] = [
            outgoing for outgoing in waiting if outgoing.seq > recorded.link.confirmed
        ]
        for job_id, result in hearing.results.items():
            self._state.jobs[job_id].result = result
        for job_id in hearing.touched:
            job = self._state.jobs[job_id].job
            self._state.note_end(before[job_id], job, job.finished_at or 0.0)
        self._state.feed.extend(hearing.entries)
        return recorded

    async def end(
        self, job_id: str, state: FleetJobState, at: float, *, reason: str, error: str
    ) -> FleetJob:
        """See `JobStore`."""
        await self._reach()
        kept = self._state.kept(job_id)
        job = changes.ended(kept.job, state, at, reason=reason, error=error)
        self._state.change(kept, job, at)
        return kept.job

    async def job(self, job_id: str) -> FleetJob:
        """See `JobStore`."""
        await self._reach()
        return self._state.kept(job_id).job

    async def result(self, job_id: str) -> JobResult | None:
        """See `JobStore`."""
        await self._reach()
        return self._state.kept(job_id).result

    async def jobs(self, query: JobQuery, page: PageRequest) -> Page[FleetJob]:
        """See `JobStore`."""
        await self._reach()
        places = {kept.job.id: kept.place for kept in self._state.jobs.values()}
        found = [
            kept.job
            for kept in self._state.jobs.values()
            if _is_meant(kept.job, query) and self._state.is_within(kept.job.host_id, query.within)
        ]
        return page_of(found, page, lambda job: newest_first(places[job.id]))

    async def deployment(self, deployment_id: DeploymentId) -> Deployment:
        """See `JobStore`."""
        await self._reach()
        found = self._state.deployments.get(deployment_id)
        if found is None:
            raise NotFound(f"there is no deployment {deployment_id!r}")
        return found

    async def deployments(
        self, project: str | None, page: PageRequest, within: Reachable = EVERYWHERE
    ) -> Page[Deployment]:
        """See `JobStore`."""
        await self._reach()
        found = [
            deployment
            for deployment in self._state.deployments.values()
            if (project is None or deployment.project.lower() == project.lower())
            and (within.is_everywhere or self._jobs_of(deployment.id, within))
        ]
        places = self._state.places
        return page_of(found, page, lambda deployment: newest_first(places[deployment.id]))

    async def jobs_of(
        self, deployment_id: DeploymentId, within: Reachable = EVERYWHERE
    ) -> Sequence[FleetJob]:
        """See `JobStore`."""
        await self._reach()
        return self._jobs_of(deployment_id, within)

    async def tallies(
        self, deployment_ids: Sequence[DeploymentId], within: Reachable = EVERYWHERE
    ) -> Mapping[DeploymentId, Mapping[FleetJobState, int]]:
        """See `JobStore`."""
        await self._reach()
        return {
            one: Counter(job.state for job in self._jobs_of(one, within))
            for one in deployment_ids
            if one in self._state.deployments
        }

    async def feed(
        self,
        *,
        job_id: str | None = None,
        deployment_id: DeploymentId | None = None,
        after: int = 0,
        limit: int = 500,
        within: Reachable = EVERYWHERE,
    ) -> Sequence[FeedEntry]:
        """See `JobStore`."""
        await self._reach()
        query = JobQuery(deployment_id=deployment_id)
        return [
            entry
            for entry in self._state.feed
            if entry.number > after
            and job_id in (None, entry.job_id)
            and _is_meant(self._state.jobs[entry.job_id].job, query)
            and self._state.is_within(self._state.jobs[entry.job_id].job.host_id, within)
        ][:limit]

    async def counts(self) -> dict[FleetJobState, int]:
        """See `JobStore`."""
        await self._reach()
        counted = Counter(kept.job.state for kept in self._state.jobs.values())
        return {state: counted[state] for state in FleetJobState}

    async def oldest_waiting(self) -> float | None:
        """See `JobStore`."""
        await self._reach()
        jobs = [kept.job for kept in self._state.jobs.values()]
        return min((j.created_at for j in jobs if changes.has_not_left(j)), default=None)

    async def prune(self, ended_before: float, limit: int) -> int:
        """See `JobStore`."""
        await self._reach()
        state = self._state
        for key, (_, at) in list(state.remembered.items()):
            if at < ended_before:
                del state.remembered[key]
        old = [
            kept
            for kept in state.jobs.values()
            if (kept.job.finished_at or ended_before) < ended_before and not kept.is_pruned
        ]
        old.sort(key=lambda kept: (kept.job.finished_at, kept.place))
        for kept in old[:limit]:
            kept.is_pruned, kept.payload, kept.awaits_result = True, None, False
            kept.printed, kept.position = {}, None
            if kept.result is not None:
                data = kept.result.data if kept.job.kind in CHANGING_KINDS else {}
                kept.result = JobResult("", kept.result.error, data)
        gone = {kept.job.id for kept in old[:limit]}
        state.feed[:] = [
            entry
            for entry in state.feed
            if entry.kind is FeedKind.STATE or entry.job_id not in gone
        ]
        return len(gone)

    def _supersede(self, newer: FleetJob) -> list[str]:
        ids = []
        for kept in self._of_host(newer.host_id):
            job = kept.job
            if changes.takes_the_place_of(newer, job):
                self._state.change(kept, changes.superseded(job, newer), newer.created_at)
                ids.append(job.id)
        return ids

    def _say(self, job: FleetJob, kind: OutgoingKind) -> Outgoing:
        link = self._link(job.host_id)
        if kind is OutgoingKind.COMMAND:
            outgoing = Outgoing.command_of(job, link.next_seq)
        else:
            outgoing = Outgoing(link.next_seq, kind, job.id)
        self._state.links[job.host_id] = replace(link, next_seq=link.next_seq + 1)
        self._state.outgoing.setdefault(job.host_id, []).append(outgoing)
        return outgoing

    def _as_of_now(self, outgoing: Outgoing) -> Outgoing:
        if outgoing.kind is OutgoingKind.CANCEL:
            return outgoing
        return Outgoing.command_of(self._state.kept(outgoing.job_id).job, outgoing.seq)

    def _link(self, host_id: HostId) -> LinkState:
        return self._state.links.get(host_id, LinkState(host_id))

    def _of_host(self, host_id: HostId) -> list[Kept]:
        return [kept for kept in self._state.jobs.values() if kept.job.host_id == host_id]

    def _jobs_of(
        self, deployment_id: DeploymentId, within: Reachable = EVERYWHERE
    ) -> list[FleetJob]:
        query = JobQuery(deployment_id=deployment_id)
        return [
            kept.job
            for kept in self._state.jobs.values()
            if _is_meant(kept.job, query) and self._state.is_within(kept.job.host_id, within)
        ]


def _is_meant(job: FleetJob, query: JobQuery) -> bool:
    return (
        query.host_id in (None, job.host_id)
        and (
            query.project is None
            or (job.project is not None and job.project.lower() == query.project.lower())
        )
        and (not query.as_spelled or query.project in (None, job.project))
        and query.deployment_id in (None, job.deployment_id)
        and (not query.states or job.state in query.states)
        and (not query.kinds or job.kind in query.kinds)
    )
