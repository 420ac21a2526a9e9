"""The stores on SQLite keep the contracts."""

from __future__ import annotations

from tests.contracts.enrolments import EnrolmentsContract
from tests.contracts.host_directory import HostDirectoryContract
from tests.contracts.job_numbers import JobNumbersContract
from tests.contracts.job_output import JobOutputContract
from tests.contracts.job_recording import JobRecordingContract
from tests.contracts.job_store import JobStoreContract
from tests.contracts.people import AuditTrailContract, PeopleContract
from tests.integration.storage.stores import OnSqlite


class TestHosts(OnSqlite, HostDirectoryContract):
    pass


class TestEnrolments(OnSqlite, EnrolmentsContract):
    pass


class TestJobs(OnSqlite, JobStoreContract):
    pass


class TestNumbers(OnSqlite, JobNumbersContract):
    pass


class TestRecording(OnSqlite, JobRecordingContract):
    pass


class TestOutput(OnSqlite, JobOutputContract):
    pass


class TestPeople(OnSqlite, PeopleContract):
    pass


class TestAuditTrail(OnSqlite, AuditTrailContract):
    pass
