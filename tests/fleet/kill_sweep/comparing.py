"""Whether nothing was lost and nothing done twice. Pure.

What was asked for and answered, what the control plane has at the end, what its feeds have told those
who followed through its deaths, what agents have said, and what was done on their hosts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.fleet.checking import PlaneJob, Terms, compare
from tests.fleet.kill_sweep.following import STATE
from tests.fleet.ledger import Ledger
from tests.fleet.memory import OVER
from tests.fleet.plane_api import FeedEvent
from tests.fleet.plane_frames import CHANGING, Message
from tests.fleet.results import plain

UNKNOWN: Final = "outcome_unknown"
ONCE: Final = CHANGING - {"DEPLOY_COMPOSE", "STOP_COMPOSE"}
"""What must not be sent a second time to an agent that may not know that it has done it: over v1."""


@dataclass(slots=True)
class Asked:
    """A request under its key. `ends` are the states in which its job may end."""

    path: str
    key: str
    body: Mapping[str, Any]
    ends: set[str]
    answers: list[tuple[str, ...]] = field(default_factory=list)
    """What each answer of 202 has named: ids of a deployment, and of jobs."""

    @property
    def job_ids(self) -> list[str]:
        """Those of its first answer."""
        return [one for one in self.answers[0] if one.startswith("job_")] if self.answers else []


@dataclass(frozen=True, slots=True)
class Told:
    """What the API says of a job at the end. `output` is as `PlaneJob` has it."""

    job: Mapping[str, Any]
    feed: Sequence[FeedEvent]
    output: Mapping[str, tuple[int, str]] | None

    @property
    def states(self) -> list[str]:
        """Those in its feed."""
        return [event.data["state"] for event in self.feed if event.name == STATE]


@dataclass(frozen=True, slots=True)
class Hosts:
    """What is known on the hosts: what was done, and each final response as its agent has noted it."""

    ledgers: Sequence[Ledger]
    said: Mapping[str, Message]
    is_naive: bool = False
    """Whether agents do not know any more what is over: see `Manners`."""

    @property
    def plain(self) -> set[str]:
        """Ids of those whose agents speak v1."""
        return {ledger.host_id for ledger in self.ledgers if ledger.protocol == 1}


def differences(
    asked: Sequence[Asked],
    told: Mapping[str, Told],
    followed: Mapping[str, Sequence[FeedEvent]],
    hosts: Hosts,
) -> list[str]:
    """What does not hold, a sentence each."""
    jobs = [_plane_job(one) for one in told.values()]
    unknown = _unknown(jobs, hosts)
    known = [job for job in jobs if job.job_id not in unknown]
    ledgers = [_without(ledger, unknown) for ledger in hosts.ledgers]
    naive = frozenset(ledger.host_id for ledger in ledgers) if hosts.is_naive else frozenset()
    return [
        *_answers(asked, told),
        *compare(known, ledgers, Terms(naive=naive)),
        *_again(hosts),
        *(fault for one in asked for fault in _ends(one, told, unknown)),
        *(fault for one in told.values() for fault in _feed(one)),
        *_numbers(told),
        *(fault for job_id, events in followed.items() for fault in _heard(job_id, events, told)),
        *(
            fault
            for job_id, one in told.items()
            if job_id not in unknown
            for fault in _result(one, hosts)
        ),
    ]


def _unknown(jobs: Sequence[PlaneJob], hosts: Hosts) -> set[str]:
    """Of which nobody can know the outcome, and it is said to be unknown.

    Such a command was not sent again over v1: it has not come, or its agent has forgotten it.
    """
    begun = {
        deed.job_id for ledger in hosts.ledgers for deed in ledger.deeds.values() if deed.begun
    }
    return {
        job.job_id
        for job in jobs
        if job.reason == UNKNOWN
        and job.kind in ONCE
        and job.host_id in hosts.plain
        and (hosts.is_naive or job.job_id not in begun)
    }


def _again(hosts: Hosts) -> Iterator[str]:
    """What was done twice that nobody may do twice, whatever they remember."""
    for ledger in hosts.ledgers:
        for deed in ledger.deeds.values():
            if deed.kind in ONCE and deed.begun > 1 and hosts.is_naive:
                yield f"twice: {ledger.name} began {deed.job_id} ({deed.kind}) {deed.begun} times"


def _plane_job(one: Told) -> PlaneJob:
    job = one.job
    return PlaneJob(job["id"], job["host_id"], job["kind"], job["state"], job["reason"], one.output)


def _without(ledger: Ledger, job_ids: set[str]) -> Ledger:
    deeds = {job_id: deed for job_id, deed in ledger.deeds.items() if job_id not in job_ids}
    return Ledger(ledger.name, ledger.host_id, ledger.protocol, ledger.amnesias, deeds)


def _answers(asked: Sequence[Asked], told: Mapping[str, Told]) -> Iterator[str]:
    owners: Counter[str] = Counter()
    for one in asked:
        if not one.answers:
            yield f"lost: {one.path} was never answered"
        elif len(set(one.answers)) > 1:
            yield f"twice: {one.path} was answered as {sorted(set(one.answers))} under one key"
        owners.update(one.job_ids)
        for job_id in one.job_ids:
            if job_id not in told:
                yield f"lost: {job_id} was answered with 202, and is not there"
    for job_id, count in owners.items():
        if count > 1:
            yield f"lost: {job_id} is the answer to {count} requests"
    for job_id, one_told in told.items():
        if job_id not in owners:
            job = one_told.job
            yield f"twice: {job_id} ({job['kind']} of {job['project']}) is no answer to any request"


def _ends(one: Asked, told: Mapping[str, Told], unknown: set[str]) -> Iterator[str]:
    for job_id in one.job_ids:
        if job_id in told and job_id not in unknown and told[job_id].job["state"] not in one.ends:
            job = told[job_id].job
            yield f"{one.path}: {job_id} is {job['state']} ({job['reason']}), not {sorted(one.ends)}"


def _feed(one: Told) -> Iterator[str]:
    """It tells a life: from the request on, each state once, and none behind the end."""
    job_id, states = one.job["id"], one.states
    if not one.job["over"]:
        return  # Said elsewhere.
    if not states or states[0] != "queued":
        yield f"feed: {job_id} does not begin as queued: {states}"
    if len(states) != len(set(states)):
        yield f"feed: {job_id} is in a state twice: {states}"
    if states and states[-1] != one.job["state"]:
        yield f"feed: {job_id} is {one.job['state']}, and its feed says {states}"
    if any(state in OVER for state in states[:-1]):
        yield f"feed: {job_id} goes on after its end: {states}"
    numbers = [event.number for event in one.feed]
    if numbers != sorted(set(numbers)):
        yield f"feed: the numbers of {job_id} do not rise: {numbers}"


def _numbers(told: Mapping[str, Told]) -> Iterator[str]:
    counts = Counter(event.number for one in told.values() for event in one.feed)
    if again := sorted(number for number, count in counts.items() if count > 1):
        yield f"feed: given more than once: {again}"


def _heard(job_id: str, events: Sequence[FeedEvent], told: Mapping[str, Told]) -> Iterator[str]:
    """Whoever follows through all of it is told all of it, and nothing that is not kept."""
    if job_id in told and told[job_id].job["over"] and list(events) != list(told[job_id].feed):
        live = [(event.number, event.name, event.data.get("state")) for event in events]
        kept = [(event.number, event.name, event.data.get("state")) for event in told[job_id].feed]
        yield f"feed: of {job_id} its follower was told {live}, and kept is {kept}"


def _result(one: Told, hosts: Hosts) -> Iterator[str]:
    """What the agent has said is what the API shows, word for word."""
    job_id, shown = one.job["id"], one.job["result"]
    said = hosts.said.get(job_id)
    if said is None:
        return
    if shown is None:
        yield f"lost: the result of {job_id}"
        return
    if one.job["host_id"] in hosts.plain:
        said = plain(said)
    expected = {
        "logs": said["logs"],
        "error": said.get("error", ""),
        "data": said.get("data", {}),
        "output": said.get("output", []),
    }
    if shown != expected:
        yield f"lost: the result of {job_id} is {shown}, and said was {expected}"
