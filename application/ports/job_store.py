"""Where the control plane keeps jobs, deployments, and the numbers of what it says and hears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from domain.fleet.access import EVERYWHERE, Reach
from domain.fleet.audit import Noted
from domain.fleet.deployment import Deployment
from domain.fleet.host import HostId
from domain.fleet.job import DeploymentId, FeedEntry, FleetJob, FleetJobState, JobResult
from domain.fleet.link_state import Heard, LinkState, Numbered, Outgoing, Recorded, Standing
from domain.fleet.page import Page, PageRequest

MOST_EXPIRED: Final = 1000
"""How many jobs `JobStore.expire` ends at once."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A request that was answered before, under an idempotency key. `digest` is of what it asked."""

    key: str
    principal: str
    digest: str
    answer: str = ""
    """What it was answered with, as the API keeps it: JSON, and never a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Jobs that are to exist together, or not at all.

    `payload` is the commands' payload as the wire has it, sealed; the same for all of them, as they
    differ in their hosts only.
    """

    jobs: tuple[FleetJob, ...]
    payload: bytes
    deployment: Deployment | None = None
    remembered: Remembered | None = None
    noted: tuple[Noted, ...] = ()
    """For the audit trail, where it is not a request that was answered before."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submission has led to."""

    jobs: tuple[FleetJob, ...]
    superseded: tuple[str, ...] = ()
    """Ids of queued deployments of the same projects that an agent has not been sent, and never will."""
    answered_before: Remembered | None = None
    """Where the key was used before: nothing was done, and this is the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Which jobs are meant: those for which all that is given holds."""

    host_id: HostId | None = None
    project: str | None = None
    """In whatever case: Compose knows one project under all of them."""
    as_spelled: bool = False
    """Of the project only what names it in just this way: all others were refused by the host."""
    deployment_id: DeploymentId | None = None
    states: frozenset[FleetJobState] = field(default_factory=frozenset)
    """Empty for all."""
    kinds: frozenset[str] = field(default_factory=frozenset)
    within: Reach = EVERYWHERE
    """Of hosts in this reach."""


class JobStore(Protocol):
    """Jobs and their feeds. What a method has done is durable when it returns.

    One method is one transaction; many that come at once share one commit, in the order in which
    they were called as far as one host is concerned, and one that fails does not fail the others.
    Every method raises `StorageUnavailable` where the database does not do what is asked (`NoSpace`),
    or too much waits for it (`StorageBusy`). What has raised has not happened; but where the disk, or
    the link to the database, failed at the moment of the commit, that cannot always be known.
    Cancelled, a method is carried out whole or not at all, and before any later one that changes the
    same things.
    """

    @property
    def epoch(self) -> str:
        """The random text within which our numbers count; of this database, since it was restored."""
        ...

    # What operators ask for.

    async def submit(self, submission: Submission) -> Submitted:
        """Keep new jobs, in order behind all that are there.

        A queued `DEPLOY_COMPOSE` of the same host and project (by Compose's name) that has no number
        and was not sent is superseded by a new one. Raises `NotFound` where a host is unknown or
        revoked, and `Conflict` where the principal has used the idempotency key for another request,
        or where an id is taken.
        """
        ...

    async def request_cancel(self, job_id: str, at: float, noted: Noted | None = None) -> FleetJob:
        """Note that a job is to end. One that no agent can have is canceled at once.

        One that is over, or was asked to end before, is left as it is. Otherwise it is canceling, and
        where it has a number, a CANCEL with the next one is among what is outgoing. Raises `NotFound`.
        """
        ...

    async def expire(self, now: float) -> Sequence[FleetJob]:
        """End those that have waited too long and were never sent, and return them.

        At most `MOST_EXPIRED` at once, so that nobody waits long: where so many come, there may be
        more.
        """
        ...

    # What goes to agents.

    async def standing(self, host_id: HostId) -> Standing:
        """What a link begins with, all of one moment; of a host that never spoke, the beginning."""
        ...

    async def begin_epoch(
        self, host_id: HostId, agent_epoch: str, generations: Mapping[str, int]
    ) -> LinkState:
        """Count from 1 again, what is heard and what is said.

        Nothing is outgoing any more, and every job that is not over loses its number, as `number` is
        to give it a new one: it keeps its state and its generation. One that had a number, or was
        sent, does not expire any more, as the host may have carried it out. No later command of a
        project (by Compose's name) gets a generation up to the one given. Raises `NotFound`.
        """
        ...

    async def number(self, host_id: HostId, at: float, limit: int = 1000) -> Numbered:
        """Give the host's jobs that are not over and have none their numbers, in order; return those.

        At most `limit` jobs, and fewer where very many hosts ask at the same time.

        They count as sent from then on. Changing commands of a project get a generation above all
        earlier ones, where they have none. A job that is to end has a CANCEL right behind its
        command. Not of use for a host whose agent speaks v1.
        """
        ...

    async def outgoing(self, host_id: HostId, after: int, limit: int) -> Sequence[Outgoing]:
        """What has a number above `after` and was not acknowledged, in order.

        Also of jobs that are over by now: the numbers that an agent hears have no gaps.
        """
        ...

    async def queued(self, host_id: HostId, limit: int = 1000) -> Sequence[FleetJob]:
        """The first of the host's jobs that are queued and were never sent; for an agent of v1."""
        ...

    async def mark_sent(self, job_id: str, at: float) -> bool:
        """Note that a job is handed to an agent that speaks v1, for the first time or again.

        False where it must not be any more: it is over, or to end. Raises `NotFound`.
        """
        ...

    async def unfinished(self, host_id: HostId) -> Sequence[FleetJob]:
        """The host's jobs that were sent and are not over, in order."""
        ...

    async def payload(self, job_id: str) -> bytes:
        """The sealed payload. Raises `NotFound`, also where it is not kept any more."""
        ...

    # What comes from agents.

    async def record(self, heard: Heard) -> Recorded:
        """Write down what one host has said.

        Results are recorded once: a later one, or one of a job that is over or another host's,
        changes nothing, and the numbers go on all the same. So do messages whose number was heard
        before. What comes behind a gap in the numbers is left out, as if it had not come.

        An ACCEPT has come when the job is `accepted_at`; its state is taken where it may follow. One
        that tells of an end is an end; the result that comes after it is kept, and changes no state.
        A job that is known to run, or that has printed, runs, where that may follow. A REJECT is the
        end of its job as failed, and an end that the agent tells wins over a cancel that was asked
        for. The reason of an end is the REJECT's, or `data.reason`, or the state's own word where it
        is none of succeeded and failed.

        Output is kept once for each place; a piece that leaves a gap is kept, and the gap stays.
        Output of a job that is over, but for one whose result is still to come, is not kept, and
        counts as seen; so does what no job can have printed, and what is past the limits in
        `domain.fleet.hearing`: one `CUT` entry says where that begins. Raises `NotFound` where the host
        is unknown.
        """
        ...

    async def end(
        self, job_id: str, state: FleetJobState, at: float, *, reason: str, error: str
    ) -> FleetJob:
        """End a job of which no agent will tell the end. One that is over is left as it is.

        What of it has a number stays outgoing. Raises `NotFound`.
        """
        ...

    # What operators read.

    async def job(self, job_id: str) -> FleetJob:
        """Raises `NotFound`."""
        ...

    async def result(self, job_id: str) -> JobResult | None:
        """What the agent said at the end; None before, and where none said anything."""
        ...

    async def jobs(self, query: JobQuery, page: PageRequest) -> Page[FleetJob]:
        """Those that are meant, the newest first."""
        ...

    async def deployment(self, deployment_id: DeploymentId) -> Deployment:
        """Raises `NotFound`."""
        ...

    async def deployments(
        self, project: str | None, page: PageRequest, within: Reach = EVERYWHERE
    ) -> Page[Deployment]:
        """The newest first; of one project, where it is given; of which any host is in this reach."""
        ...

    async def jobs_of(
        self, deployment_id: DeploymentId, within: Reach = EVERYWHERE
    ) -> Sequence[FleetJob]:
        """All jobs of a deployment, of hosts in this reach, in the order of its hosts."""
        ...

    async def tallies(
        self, deployment_ids: Sequence[DeploymentId], within: Reach = EVERYWHERE
    ) -> Mapping[DeploymentId, Mapping[FleetJobState, int]]:
        """How many jobs of each of these deployments are in each state, where there are any.

        Of hosts in this reach.

        Unknown deployments are left out.
        """
        ...

    async def feed(
        self,
        *,
        job_id: str | None = None,
        deployment_id: DeploymentId | None = None,
        after: int = 0,
        limit: int = 500,
        within: Reach = EVERYWHERE,
    ) -> Sequence[FeedEntry]:
        """What happened to a job, or to the jobs of a deployment, behind an entry; the oldest first.

        Of hosts in this reach.

        To all jobs where neither is given; nothing, where there is none of that id. Whoever resumes
        from the last number that it has misses nothing. A piece of output has at most 64 KiB.
        """
        ...

    async def counts(self) -> dict[FleetJobState, int]:
        """How many jobs are in each state, also where there is none."""
        ...

    async def oldest_waiting(self) -> float | None:
        """When the oldest job was made that was never sent; None where there is none."""
        ...

    async def prune(self, ended_before: float, limit: int) -> int:
        """Forget output, logs and payloads of at most `limit` jobs that ended before; return how many.

        Job, state, times and error stay, and of commands that change something the result's `data`.
        So it is with those whose number is still outgoing: they are not wanted, and their payload is
        not read. Idempotency keys of requests that were made before are forgotten, too.
        """
        ...
