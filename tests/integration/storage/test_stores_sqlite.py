"""The stores on SQLite keep the contracts."""

from __future__ import annotations

import pytest

from application.ports.access_tokens import AccessTokens
from tests.contracts.access_tokens import AccessTokensContract
from tests.contracts.enrolments import EnrolmentsContract
from tests.contracts.fleet import Fleet
from tests.contracts.host_directory import HostDirectoryContract
from tests.contracts.job_numbers import JobNumbersContract
from tests.contracts.job_output import JobOutputContract
from tests.contracts.job_recording import JobRecordingContract
from tests.contracts.job_store import JobStoreContract
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


class TestTokens(OnSqlite, AccessTokensContract):
    @pytest.fixture
    def tokens(self, fleet: Fleet) -> AccessTokens:
        return fleet.tokens
