"""The stores on PostgreSQL keep the contracts."""

from __future__ import annotations

from tests.contracts.enrolments import EnrolmentsContract
from tests.contracts.host_directory import HostDirectoryContract
from tests.contracts.job_numbers import JobNumbersContract
from tests.contracts.job_output import JobOutputContract
from tests.contracts.job_recording import JobRecordingContract
from tests.contracts.job_store import JobStoreContract
from tests.contracts.people import AuditTrailContract, PeopleContract
from tests.integration.storage.stores import OnPostgres


class TestHosts(OnPostgres, HostDirectoryContract):
    pass


class TestEnrolments(OnPostgres, EnrolmentsContract):
    pass


class TestJobs(OnPostgres, JobStoreContract):
    pass


class TestNumbers(OnPostgres, JobNumbersContract):
    pass


class TestRecording(OnPostgres, JobRecordingContract):
    pass


class TestOutput(OnPostgres, JobOutputContract):
    pass


class TestPeople(OnPostgres, PeopleContract):
    pass


class TestAuditTrail(OnPostgres, AuditTrailContract):
    pass
