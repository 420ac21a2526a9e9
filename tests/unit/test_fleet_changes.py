"""How a job of the fleet may change: nothing goes where the table does not lead, and no end is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from domain.fleet import changes
from domain.fleet.job import TRANSITIONS, FleetJob, FleetJobState, is_over
from tests.contracts.fleet import NOW, a_host, a_job

S = FleetJobState
A = a_host("a")
ENDS = [state for state in S if is_over(state)]
AT = NOW + 7

Change = Callable[[FleetJob], FleetJob]

CHANGES: list[Change] = [
    lambda job: changes.sent(job, AT),
    lambda job: changes.arrived(job, AT),
    *(lambda job, state=state: changes.in_state(job, state, AT) for state in S),
    *(lambda job, state=state: changes.ended(job, state, AT) for state in S),
    lambda job: changes.asked_to_end(job, AT),
    lambda job: changes.expired(job, AT),
    lambda job: changes.revoked(job, AT),
    lambda job: changes.superseded(job, a_job("newer", A)),
]


def in_state(state: FleetJobState, **more: object) -> FleetJob:
    job = a_job(1, A, state=state, finished_at=NOW if is_over(state) else None)
    return replace(job, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("sent_at", [None, NOW])
def test_a_job_goes_only_where_the_table_leads(
    change: Change, state: FleetJobState, sent_at: float | None
) -> None:
    before = in_state(state, sent_at=sent_at)
    after = change(before)
    assert after.state is before.state or after.state in TRANSITIONS[before.state]
    assert (after.finished_at is not None) == after.is_over
    if before.is_over:
        assert after == before


@pytest.mark.parametrize("state", ENDS)
def test_an_end_has_a_reason_where_its_word_says_why(state: FleetJobState) -> None:
    job = changes.ended(in_state(S.RUNNING), state, AT)
    assert (job.state, job.finished_at) == (state, AT)
    assert job.reason == ("" if state in (S.SUCCEEDED, S.FAILED) else state.value)
    given = changes.ended(in_state(S.RUNNING), state, AT, reason="deadline", error="late")
    assert (given.reason, given.error) == ("deadline", "late")


def test_the_first_time_counts() -> None:
    job = changes.in_state(
        changes.arrived(changes.sent(in_state(S.QUEUED), 1.0), 2.0), S.RUNNING, 3.0
    )
    again = changes.in_state(changes.arrived(changes.sent(job, 9.0), 9.0), S.RUNNING, 9.0)
    assert again == job
    assert (job.sent_at, job.accepted_at, job.started_at) == (1.0, 2.0, 3.0)


def test_one_that_no_agent_can_have_is_canceled_at_once_and_others_are_to_end() -> None:
    assert changes.asked_to_end(in_state(S.QUEUED), AT).state is S.CANCELED
    # Of a database that was restored, an agent may have a job that was never sent.
    for job in (
        in_state(S.QUEUED, sent_at=NOW),
        in_state(S.ACCEPTED, sent_at=NOW),
        in_state(S.RUNNING),
    ):
        job = changes.asked_to_end(job, AT)  # noqa: PLW2901
        assert (job.state, job.cancel_requested_at) == (S.CANCELING, AT)
        assert changes.asked_to_end(job, AT + 1) == job


@pytest.mark.parametrize(
    ("more", "left"),
    [({}, False), ({"sent_at": NOW}, True), ({"seq": 3}, True), ({"state": S.ACCEPTED}, True)],
)
def test_only_a_deployment_that_has_not_left_is_superseded_or_expires(
    more: dict[str, object], left: bool
) -> None:
    job = replace(in_state(S.QUEUED, expires_at=NOW), **more)  # type: ignore[arg-type]
    newer = a_job(2, A, project="BLOG")
    assert changes.takes_the_place_of(newer, job) is not left
    assert changes.has_waited_too_long(job, NOW) is not left
    assert not changes.has_waited_too_long(job, NOW - 1)
    assert not changes.has_waited_too_long(replace(job, expires_at=None), NOW)


@pytest.mark.parametrize(
    "other",
    [
        a_job(2, a_host("b")),
        a_job(2, A, project="shop"),
        a_job(2, A, "STOP_COMPOSE"),
        a_job(2, A, "STATUS"),
    ],
)
def test_what_is_for_something_else_takes_no_place(other: FleetJob) -> None:
    assert not changes.takes_the_place_of(other, a_job(1, A))


def test_only_what_has_not_left_is_perhaps_sent_and_then_it_has_left() -> None:
    job = changes.perhaps_sent(in_state(S.QUEUED), 2, AT)
    assert (job.state, job.seq, job.generation, job.sent_at) == (S.QUEUED, None, 2, AT)
    assert not changes.has_not_left(job)
    assert changes.perhaps_sent(job, 3, AT + 1) is job


def test_numbered_it_counts_as_sent() -> None:
    job = changes.numbered(in_state(S.QUEUED), 5, 2, AT)
    assert (job.seq, job.generation, job.sent_at) == (5, 2, AT)
    assert changes.numbered(job, 1, 2, AT + 1).sent_at == AT
