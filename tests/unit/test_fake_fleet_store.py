"""The fakes of the control plane's stores keep the contracts, and can be out of reach."""

from __future__ import annotations

import asyncio

import pytest

from application.ports.audit_trail import AuditTrail
from application.ports.host_directory import HostDirectory
from application.ports.job_store import JobStore
from application.ports.people import People
from domain.errors import NoSpace
from domain.fleet.link_state import LinkState
from tests.contracts.enrolments import EnrolmentsContract
from tests.contracts.fleet import (
    NOW,
    Fleet,
    Reopen,
    a_job,
    a_submission,
    with_hosts,
    with_jobs,
)
from tests.contracts.host_directory import HostDirectoryContract
from tests.contracts.job_numbers import JobNumbersContract
from tests.contracts.job_output import JobOutputContract
from tests.contracts.job_recording import JobRecordingContract
from tests.contracts.job_store import JobStoreContract
from tests.contracts.people import AuditTrailContract, PeopleContract
from tests.fakes.fleet_store import FakeFleet


async def _reopen(fleet: Fleet) -> Fleet:
    assert isinstance(fleet, FakeFleet)
    return FakeFleet(fleet.state)


class _InMemory:
    @pytest.fixture
    def fleet(self) -> Fleet:
        return FakeFleet()

    @pytest.fixture
    def reopen(self) -> Reopen:
        return _reopen


class TestHosts(_InMemory, HostDirectoryContract):
    pass


class TestEnrolments(_InMemory, EnrolmentsContract):
    pass


class TestJobs(_InMemory, JobStoreContract):
    pass


class TestNumbers(_InMemory, JobNumbersContract):
    pass


class TestRecording(_InMemory, JobRecordingContract):
    pass


class TestOutput(_InMemory, JobOutputContract):
    pass


class TestPeople(_InMemory, PeopleContract):
    pass


class TestAuditTrail(_InMemory, AuditTrailContract):
    pass


def test_the_fakes_are_the_ports() -> None:
    fleet = FakeFleet()
    stores: tuple[HostDirectory, JobStore, People, AuditTrail] = (
        fleet.hosts,
        fleet.jobs,
        fleet.people,
        fleet.audit,
    )
    assert all(stores)


async def test_out_of_reach_every_call_fails_with_nothing_done() -> None:
    fleet = FakeFleet()
    (a,) = await with_hosts(fleet, "a")
    fleet.reach.failure = NoSpace("the disk is full")
    with pytest.raises(NoSpace):
        await with_jobs(fleet, a_job(1, a))
    with pytest.raises(NoSpace):
        await fleet.hosts.host(a.id)
    fleet.reach.failure = None
    assert list(await fleet.jobs.queued(a.id)) == []


async def test_held_every_call_waits_and_a_cancelled_one_has_not_happened() -> None:
    fleet = FakeFleet()
    (a,) = await with_hosts(fleet, "a")
    await with_jobs(fleet, a_job(1, a))
    fleet.reach.hold()
    submitting = asyncio.create_task(fleet.jobs.submit(a_submission(a_job(2, a))))
    numbering = asyncio.create_task(fleet.jobs.number(a.id, NOW))
    await fleet.reach.is_held.wait()
    submitting.cancel()
    await asyncio.gather(submitting, return_exceptions=True)
    fleet.reach.release()
    assert [said.job_id for said in (await numbering).said] == ["job-1"]
    assert (await fleet.jobs.standing(a.id)).link == LinkState(a.id, next_seq=2)
