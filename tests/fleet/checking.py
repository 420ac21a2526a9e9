"""Whether a control plane and the hosts of a fleet tell the same story. Pure.

Nothing lost, nothing twice, nothing invented: what the control plane says of its jobs, which is given
as data, against what the simulated hosts have written down.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.fleet.ledger import Deed, Ledger
from tests.fleet.memory import OVER
from tests.fleet.plane_frames import CHANGING

QUEUED: Final = "queued"
OPEN: Final = frozenset({QUEUED, "accepted", "running", "canceling"})
BY_THE_PLANE: Final = frozenset({"canceled", "expired", "superseded", "revoked"})
"""How a job may end of which no agent has told the end."""


@dataclass(frozen=True, slots=True)
class PlaneJob:
    """What a control plane says of a job. `output` is by step: how many bytes it has, and their SHA-256."""

    job_id: str
    host_id: str
    kind: str
    state: str
    reason: str = ""
    output: Mapping[str, tuple[int, str]] | None = None
    """None where the caller has not looked."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to be expected of this run."""

    is_settled: bool = True
    """All jobs are to be over, as all agents were online for long enough."""
    naive: frozenset[str] = frozenset()
    """Ids of hosts whose agents speak v1 and know no job any more that is over: a result may never
    arrive, and what is sent again is done again."""
    shared: frozenset[str] = frozenset()
    """Ids of hosts that two machines claim to be: each may do what both are told."""


def compare(
    jobs: Iterable[PlaneJob], ledgers: Sequence[Ledger], terms: Terms | None = None
) -> list[str]:
    """What does not hold, a sentence each."""
    terms = terms or Terms()
    known = {job.job_id: job for job in jobs}
    deeds: dict[str, list[tuple[Ledger, Deed]]] = defaultdict(list)
    for ledger in ledgers:
        for deed in ledger.deeds.values():
            deeds[deed.job_id].append((ledger, deed))
    return [
        *_invented(known, deeds),
        *_twice(ledgers, deeds, terms),
        *(fault for job in known.values() for fault in _told(job, deeds[job.job_id], terms)),
    ]


def _invented(
    known: Mapping[str, PlaneJob], deeds: Mapping[str, list[tuple[Ledger, Deed]]]
) -> Iterator[str]:
    for job_id, found in deeds.items():
        job = known.get(job_id)
        for ledger, _ in found:
            if job is None:
                yield f"invented: {ledger.name} was given {job_id}, of which nobody knows"
            elif job.host_id != ledger.host_id:
                yield f"invented: {ledger.name} was given {job_id}, which is for {job.host_id}"


def _twice(
    ledgers: Sequence[Ledger], deeds: Mapping[str, list[tuple[Ledger, Deed]]], terms: Terms
) -> Iterator[str]:
    for ledger in ledgers:
        for deed in ledger.deeds.values():
            is_naive = ledger.host_id in terms.naive
            if deed.kind in CHANGING and deed.begun > 1 + ledger.amnesias and not is_naive:
                yield f"twice: {ledger.name} began {deed.job_id} {deed.begun} times"
    for job_id, found in deeds.items():
        begun = [ledger for ledger, deed in found if deed.begun and deed.kind in CHANGING]
        if len(begun) > 1 and not all(ledger.host_id in terms.shared for ledger in begun):
            yield f"twice: {job_id} was begun by {sorted(ledger.name for ledger in begun)}"


def _told(job: PlaneJob, found: list[tuple[Ledger, Deed]], terms: Terms) -> Iterator[str]:
    ended = [deed for _, deed in found if deed.state in OVER]
    if job.state in OPEN:
        if terms.is_settled and job.host_id not in terms.naive:
            where = [deed.state or "refused" for _, deed in found] or "on no host"
            yield f"lost: {job.job_id} is {job.state}, and {where}"
        return
    if not found:
        if job.state not in BY_THE_PLANE and job.reason not in BY_THE_PLANE:
            yield f"invented: {job.job_id} is {job.state}, and no host has heard of it"
        return
    if not ended:
        yield from _refused_or_unknown(job, found, terms)
        return
    states = {deed.state for deed in ended}
    if job.host_id in terms.naive and job.state == "failed":
        return
    if job.state not in states:
        yield f"invented: {job.job_id} is {job.state}, and ended as {sorted(states)}"
    elif job.state == "failed" and job.reason not in {deed.reason for deed in ended}:
        yield f"invented: {job.job_id} failed for {job.reason!r}, which no host has said"
    elif job.output is not None:
        yield from _output(job, [deed for deed in ended if deed.state == job.state])


def _refused_or_unknown(
    job: PlaneJob, found: list[tuple[Ledger, Deed]], terms: Terms
) -> Iterator[str]:
    refusals = {deed.refused for _, deed in found if deed.refused}
    if any(deed.begun for _, deed in found) and job.host_id not in terms.naive:
        yield f"invented: {job.job_id} is {job.state}, and is not over on its host"
    elif job.state == "succeeded":
        yield f"invented: {job.job_id} succeeded, and no host has done it"
    elif refusals and job.reason not in refusals | BY_THE_PLANE:
        yield f"invented: {job.job_id} failed for {job.reason!r}, and was refused for {refusals}"


def _output(job: PlaneJob, ended: Sequence[Deed]) -> Iterator[str]:
    assert job.output is not None
    for deed in ended:
        expected = {(deed.output_bytes, deed.sha256)} if deed.output_bytes else set()
        if set(job.output.values()) == expected:
            return
    told = [(deed.output_bytes, deed.sha256[:8]) for deed in ended]
    yield f"lost: of the output of {job.job_id} there is {dict(job.output)}, and printed was {told}"
