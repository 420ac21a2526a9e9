"""What every `AgentRecords` must do."""

from __future__ import annotations

import pytest

from application.ports.agent_records import AgentRecords
from domain.errors import StorageUnavailable


class AgentRecordsContract:
    """Give the `records` of an agent that runs, is the host `host_1`, and has the project `blog`.

    Of it, revision 1 is wanted; the job `job-1` is open. `hidden_records` may not be read.
    """

    @pytest.fixture
    def records(self) -> AgentRecords:
        raise NotImplementedError

    @pytest.fixture
    def hidden_records(self) -> AgentRecords:
        raise NotImplementedError

    def test_what_the_agent_has_is_told_again_and_again(self, records: AgentRecords) -> None:
        for _ in range(2):
            membership = records.membership()
            assert membership is not None
            assert membership.host_id == "host_1"
            assert [job.job_id for job in records.jobs().ledger.open_jobs()] == ["job-1"]
            assert records.jobs().commands["job-1"] == "STOP_COMPOSE"
            assert [str(name) for name in records.projects()] == ["blog"]
            history = records.histories()["blog"]
            assert history is not None
            assert history.current == 1
            assert records.running_pid()

    @pytest.mark.parametrize("what", ["membership", "jobs", "histories", "running_pid"])
    def test_what_may_not_be_read_is_said(self, hidden_records: AgentRecords, what: str) -> None:
        with pytest.raises(StorageUnavailable, match="denied"):
            getattr(hidden_records, what)()
