"""What the fakes of the fleet's stores share: one state, and one way for it to be out of reach."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from application.ports.job_store import Remembered
from domain.commands import CHANGING_KINDS
from domain.errors import InstaDeployError, InvalidInput, NotFound
from domain.fleet import changes
from domain.fleet.access import Reach as Reachable
from domain.fleet.audit import AuditEntry, AuditHead, Noted, chained
from domain.fleet.deployment import Deployment
from domain.fleet.hearing import TrackedJob, state_entry
from domain.fleet.host import Enrolment, EnrolmentId, Host, HostId
from domain.fleet.job import DeploymentId, FeedEntry, FleetJob, JobResult
from domain.fleet.link_state import LinkState, Outgoing
from domain.fleet.noting import end_noted
from domain.fleet.page import Page, PageRequest
from domain.fleet.people import AccessToken, User, UserId

T = TypeVar("T")

_PLACE = re.compile(r"[0-9]{18}")
_NAME_AND_ID = re.compile(r"[a-z0-9._@-]+~[A-Za-z0-9._-]+")


@dataclass(slots=True)
class Kept(TrackedJob):
    """A job, and what else is kept of it."""

    place: int = 0
    payload: bytes | None = None
    result: JobResult | None = None
    is_pruned: bool = False


@dataclass(slots=True)
class FleetState:
    """All that is durable. It outlives a `FakeFleet`, as a database outlives a program."""

    epoch: str = "epoch-1"
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    hosts: dict[HostId, Host] = field(default_factory=dict)
    host_tokens: dict[HostId, str] = field(default_factory=dict)
    enrolments: dict[EnrolmentId, Enrolment] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    """Of enrolments and deployments, by their ids."""
    enrolment_tokens: dict[str, EnrolmentId] = field(default_factory=dict)
    jobs: dict[str, Kept] = field(default_factory=dict)
    deployments: dict[DeploymentId, Deployment] = field(default_factory=dict)
    remembered: dict[tuple[str, str], tuple[Remembered, float]] = field(default_factory=dict)
    links: dict[HostId, LinkState] = field(default_factory=dict)
    outgoing: dict[HostId, list[Outgoing]] = field(default_factory=dict)
    generations: dict[tuple[HostId, str], int] = field(default_factory=dict)
    feed: list[FeedEntry] = field(default_factory=list)
    users: dict[UserId, User] = field(default_factory=dict)
    """With those that were removed, who are in `removed_users` too."""
    removed_users: set[UserId] = field(default_factory=set)
    passwords: dict[UserId, str] = field(default_factory=dict)
    tokens: dict[str, AccessToken] = field(default_factory=dict)
    trail: list[AuditEntry] = field(default_factory=list)

    def next_number(self) -> int:
        """For an entry of the feed, or a place in the order of things."""
        return next(self.numbers)

    def host(self, host_id: HostId) -> Host:
        if host_id not in self.hosts:
            raise NotFound(f"there is no host {host_id!r}")
        return self.hosts[host_id]

    def kept(self, job_id: str) -> Kept:
        if job_id not in self.jobs:
            raise NotFound(f"there is no job {job_id!r}")
        return self.jobs[job_id]

    def renew_epoch(self, epoch: str, at: float) -> None:
        """See `Database.renew_epoch`; but for the numbers of the feed, and the trail."""
        self.epoch = epoch
        for kept in self.jobs.values():
            job = kept.job
            if not changes.has_not_left(job) or job.kind not in CHANGING_KINDS:
                continue
            generation = job.generation
            if generation is None and job.project is not None:
                key = (job.host_id, job.project.lower())
                generation = self.generations[key] = self.generations.get(key, 0) + 1
            kept.job = changes.perhaps_sent(job, generation, at)

    def note(self, *noted: Noted | None) -> None:
        """Add to the audit trail what is not None."""
        for each in noted:
            if each is not None:
                host = self.hosts.get(each.host_id) if each.host_id and not each.host else None
                named = each if host is None else replace(each, host=host.name.value)
                self.trail.append(chained(self.audit_head, named))

    @property
    def audit_head(self) -> AuditHead:
        """Where the trail ends."""
        return AuditHead(self.trail[-1].number, self.trail[-1].hash) if self.trail else AuditHead()

    def note_end(self, before: FleetJob, job: FleetJob, at: float) -> None:
        """What the audit trail says of a job that has come to its end."""
        if job.is_over and not before.is_over:
            self.note(end_noted(job, at))

    def is_within(self, host_id: HostId, reach: Reachable) -> bool:
        """Whether a host is in somebody's reach."""
        return reach.covers(self.hosts[host_id].labels)

    def change(self, kept: Kept, job: FleetJob, at: float) -> None:
        """Keep a job as it is now, and say so in its feed."""
        before, kept.job = kept.job, job
        self.note_end(before, job, at)
        if job.state is not before.state:
            self.feed.append(state_entry(job, self.next_number(), at))


class Reach:
    """Whether the database can be reached.

    Set `failure` to have every call raise it; between `hold` and `release` every call waits, and
    `is_held` is set while one does. A call that is cancelled while it waits has not happened.
    """

    def __init__(self) -> None:
        self.failure: InstaDeployError | None = None
        self.is_held = asyncio.Event()
        self.calls = 0
        self._is_free = asyncio.Event()
        self._is_free.set()

    def hold(self) -> None:
        """Have every call wait until `release`."""
        self._is_free.clear()

    def release(self) -> None:
        """Let the calls that were held go on, and later ones."""
        self.is_held.clear()
        self._is_free.set()

    async def __call__(self) -> None:
        """Come to the database."""
        self.calls += 1
        await asyncio.sleep(0)
        if not self._is_free.is_set():
            self.is_held.set()
            await self._is_free.wait()
        if self.failure is not None:
            raise self.failure


def by_name(host: Host) -> str:
    """Where a host stands in a list by name."""
    return f"{host.name.key}~{host.id}"


def newest_first(place: int) -> str:
    """Where something stands in a list that begins with the newest."""
    return f"{10**18 - place:018d}"


def page_of(items: Iterable[T], request: PageRequest, cursor: Callable[[T], str]) -> Page[T]:
    """A page of a list; `cursor` is `by_name` or `newest_first` of an entry, and says where it is."""
    in_order = sorted(items, key=lambda item: cursor(item).split("~"))
    if request.after:
        if not (_NAME_AND_ID if "~" in request.after else _PLACE).fullmatch(request.after):
            raise InvalidInput("after", "must be what an earlier page gave as its next")
        after = request.after.split("~")
        in_order = [item for item in in_order if cursor(item).split("~") > after]
    found = in_order[: request.limit]
    return Page(found, cursor(found[-1]) if len(in_order) > len(found) else None)
