"""Job states: the whole table, allowed and not."""

from __future__ import annotations

import itertools

import pytest

from domain.commands import CheckHealth, project_of, weight_of
from domain.errors import LocalProtocolViolation
from domain.job import TRANSITIONS, Job, JobId, JobState
from domain.project import ProjectName
from tests.builders import deploy, status, stop

ACCEPTED, RUNNING = JobState.ACCEPTED, JobState.RUNNING
CANCELING = JobState.CANCELING
SUCCEEDED, FAILED, CANCELED = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED
EXPIRED, SUPERSEDED = JobState.EXPIRED, JobState.SUPERSEDED

ALLOWED = {
    (ACCEPTED, RUNNING),
    (ACCEPTED, CANCELED),
    (ACCEPTED, EXPIRED),
    (ACCEPTED, SUPERSEDED),
    (RUNNING, CANCELING),
    (CANCELING, SUCCEEDED),
    (CANCELING, FAILED),
    (CANCELING, CANCELED),
    (RUNNING, SUCCEEDED),
    (RUNNING, FAILED),
    (RUNNING, CANCELED),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(JobState, repeat=2)))
def test_a_job_changes_its_state_as_the_table_allows_and_not_otherwise(
    before: JobState, after: JobState
) -> None:
    job = Job(JobId("j1"), CheckHealth(), state=before)
    if (before, after) in ALLOWED:
        job.move_to(after)
        assert job.state is after
    else:
        with pytest.raises(
            LocalProtocolViolation, match=f"'j1' cannot go from {before} to {after}"
        ):
            job.move_to(after)
        assert job.state is before


def test_the_table_names_every_state() -> None:
    assert set(TRANSITIONS) == set(JobState)


@pytest.mark.parametrize("state", JobState)
def test_a_job_is_over_in_its_terminal_states(state: JobState) -> None:
    assert Job(JobId("j1"), CheckHealth(), state=state).is_over == (
        state in (SUCCEEDED, FAILED, CANCELED, EXPIRED, SUPERSEDED)
    )


def test_two_jobs_are_never_equal() -> None:
    assert Job(JobId("j1"), CheckHealth()) != Job(JobId("j1"), CheckHealth())


def test_a_command_waits_for_the_turn_of_its_project() -> None:
    for command in (deploy("blog"), stop("blog"), status("blog")):
        assert project_of(command) == ProjectName("blog")
    assert project_of(CheckHealth()) is None


def test_a_deployment_weighs_what_its_file_weighs() -> None:
    assert weight_of(deploy(content=b"x" * 5000)) - weight_of(deploy(content=b"x")) == 4999
    assert weight_of(stop()) == weight_of(status()) == weight_of(CheckHealth()) > 0
