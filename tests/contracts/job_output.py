"""What every `JobStore` must do of what jobs print, and of what is old."""

from __future__ import annotations

import pytest

from domain.errors import NotFound
from domain.fleet import hearing
from domain.fleet.hearing import COST_OF_A_PIECE, FARTHEST_OFFSET, MOST_PLACES
from domain.fleet.job import FeedKind, FleetJobState, JobResult
from domain.job import JobState
from domain.link_messages import OutputPosition
from tests.contracts.fleet import (
    NOW,
    Fleet,
    FleetContract,
    Reopen,
    a_job,
    a_request,
    a_submission,
    chunk,
    cut,
    kept,
    printed,
    result,
    say,
    states_in_feed,
    with_hosts,
    with_jobs,
)

S = FleetJobState


class JobOutputContract(FleetContract):
    async def test_output_is_kept_once_for_each_place(self, fleet: Fleet, reopen: Reopen) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        recorded = await say(fleet, a, chunk("job-1", b"0123"), chunk("job-1", b"0123"))
        assert recorded.changed == ("job-1",)
        assert recorded.output_seen == {"job-1": OutputPosition("up", 1, 4)}
        fleet = await reopen(fleet)
        recorded = await say(fleet, a, chunk("job-1", b"2345", 2), chunk("job-1", b"12", 1))
        assert recorded.output_seen == {"job-1": OutputPosition("up", 1, 6)}
        recorded = await say(fleet, a, chunk("job-1", b"45", 4))
        assert recorded.changed == ()
        assert recorded.output_seen == {"job-1": OutputPosition("up", 1, 6)}
        assert await printed(fleet, "job-1") == [("up", 1, 0, b"0123"), ("up", 1, 4, b"45")]

    async def test_a_gap_in_the_output_stays(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        await say(fleet, a, chunk("job-1", b"0123"), chunk("job-1", b"89", 8))
        recorded = await say(fleet, a, chunk("job-1", b"4567", 4), chunk("job-1", b"7890", 7))
        assert recorded.output_seen == {"job-1": OutputPosition("up", 1, 11)}
        assert await printed(fleet, "job-1") == [
            ("up", 1, 0, b"0123"),
            ("up", 1, 8, b"89"),
            ("up", 1, 10, b"0"),
        ]

    async def test_each_attempt_at_each_step_has_its_own_output(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        await say(fleet, a, chunk("job-1", b"pulled", step="pull"))
        await say(fleet, a, chunk("job-1", b"upped"), chunk("job-1", b"again", attempt=2))
        recorded = await say(
            fleet, a, chunk("job-1", b"pulled", step="pull"), chunk("job-1", b"upped")
        )
        assert recorded.changed == ()
        assert recorded.output_seen == {"job-1": OutputPosition("up", 2, 5)}
        recorded = await say(fleet, a, chunk("job-1", b"", step="wait"))
        assert recorded.output_seen == {"job-1": OutputPosition("wait", 1, 0)}
        assert await printed(fleet, "job-1") == [
            ("pull", 1, 0, b"pulled"),
            ("up", 1, 0, b"upped"),
            ("up", 2, 0, b"again"),
        ]

    async def test_output_from_beyond_all_bounds_is_not_kept(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        recorded = await say(fleet, a, chunk("job-1", b"x", 2**63 - 1), chunk("job-1", b"0"))
        assert recorded.output_seen == {"job-1": OutputPosition("up", 1, 1)}
        await say(fleet, a, chunk("job-1", b"x", FARTHEST_OFFSET - 1))
        await say(fleet, a, chunk("job-1", b"x", step="\U0001f600" * 129))
        await say(fleet, a, chunk("job-1", b"x", step="\U0001f600" * 128))
        assert [piece[1:3] for piece in await printed(fleet, "job-1")] == [
            (1, 0),
            (1, FARTHEST_OFFSET - 1),
            (1, 0),
        ]

    async def test_of_one_job_a_limited_amount_of_output_is_kept(
        self, fleet: Fleet, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hearing, "MOST_OUTPUT_BYTES", 2 * (COST_OF_A_PIECE + 4))
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a), a_job(2, a, "STATUS"))
        await say(fleet, a, chunk("job-1", b"0123"), chunk("job-1", b"0123"))
        fleet = await reopen(fleet)
        # What was printed last is what matters most, and it may lie far behind a gap.
        recorded = await say(fleet, a, chunk("job-1", b"6789", 10**9), chunk("job-1", b"x", 4))
        assert recorded.output_seen == {"job-1": OutputPosition("up", 1, 10**9 + 4)}
        assert await cut(fleet, "job-1") == []
        whole = [("up", 1, 0, b"0123"), ("up", 1, 10**9, b"6789")]
        assert await printed(fleet, "job-1") == whole
        recorded = await say(fleet, a, chunk("job-1", b"more", 10**9 + 4), at=NOW + 11)
        assert recorded.changed == ("job-1",)
        assert recorded.output_seen == {"job-1": OutputPosition("up", 1, 10**9 + 8)}
        fleet = await reopen(fleet)
        recorded = await say(
            fleet,
            a,
            chunk("job-1", b"x", 10**9 + 8),
            chunk("job-1", b"other", step="wait"),
            chunk("job-2", b"another"),
        )
        assert recorded.changed == ("job-2",)
        assert recorded.output_seen == {
            "job-1": OutputPosition("wait", 1, 5),
            "job-2": OutputPosition("up", 1, 7),
        }
        assert await printed(fleet, "job-1") == whole
        assert await printed(fleet, "job-2") == [("up", 1, 0, b"another")]
        assert await cut(fleet, "job-1") == [("up", 1, 10**9 + 4)]
        assert (await fleet.jobs.feed(job_id="job-1"))[-1].at == NOW + 11
        await say(fleet, a, result(1, "job-1"), at=NOW + 12)
        assert (await fleet.jobs.job("job-1")).state is S.SUCCEEDED

    async def test_small_pieces_count_for_what_it_takes_to_keep_them(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hearing, "MOST_OUTPUT_BYTES", 3 * (COST_OF_A_PIECE + 1))
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        await say(fleet, a, *(chunk("job-1", b"x", n) for n in range(10)))
        assert len(await printed(fleet, "job-1")) == 3
        assert await cut(fleet, "job-1") == [("up", 1, 3)]

    async def test_of_one_job_a_limited_number_of_attempts_at_steps_is_kept(
        self, fleet: Fleet, reopen: Reopen
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        attempts = range(1, MOST_PLACES + 1)
        await say(fleet, a, *(chunk("job-1", b"x", attempt=n) for n in attempts))
        assert await cut(fleet, "job-1") == []
        fleet = await reopen(fleet)
        await say(fleet, a, chunk("job-1", b"more", 1, attempt=7))
        for attempt in (MOST_PLACES + 1, MOST_PLACES + 2):
            recorded = await say(fleet, a, chunk("job-1", b"", attempt=attempt))
            assert recorded.output_seen == {"job-1": OutputPosition("up", attempt, 0)}
        assert await cut(fleet, "job-1") == [("up", MOST_PLACES + 1, 0)]
        assert len(await printed(fleet, "job-1")) == MOST_PLACES + 1

    async def test_a_job_that_prints_runs(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        await say(fleet, a, chunk("job-1", b"0123"))
        job = await fleet.jobs.job("job-1")
        assert (job.state, job.accepted_at, job.started_at) == (S.RUNNING, NOW + 10, NOW + 10)

    async def test_what_is_old_is_forgotten_but_that_it_was(
        self, fleet: Fleet, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(
            fleet, a_job(1, a), a_job(2, a, "STATUS"), a_job(3, a, "STATUS"), a_job(4, a, "STATUS")
        )
        finals = [
            result(n, f"job-{n}", JobState.FAILED, reason="unhealthy", n=n) for n in (1, 2, 3)
        ]
        monkeypatch.setattr(hearing, "MOST_OUTPUT_BYTES", COST_OF_A_PIECE + 6)
        for n, final in enumerate(finals):
            output = [chunk(final.job_id, b"output", 6 * m) for m in range(2)]
            await say(fleet, a, *output, final, at=NOW + n)
        jobs = [await fleet.jobs.job(f"job-{n}") for n in range(1, 5)]
        assert await fleet.jobs.prune(NOW, 10) == 0
        assert await fleet.jobs.prune(NOW + 2, 1) == 1
        assert await fleet.jobs.prune(NOW + 2, 10) == 1
        assert await fleet.jobs.prune(NOW + 2, 10) == 0
        fleet = await reopen(fleet)
        assert [await fleet.jobs.job(f"job-{n}") for n in range(1, 5)] == jobs
        assert await fleet.jobs.result("job-1") == JobResult("", finals[0].error, finals[0].data)
        assert await fleet.jobs.result("job-2") == JobResult("", finals[1].error)
        assert await fleet.jobs.result("job-3") == kept(finals[2])
        for job_id in ("job-1", "job-2"):
            with pytest.raises(NotFound):
                await fleet.jobs.payload(job_id)
            kinds = [entry.kind for entry in await fleet.jobs.feed(job_id=job_id)]
            assert kinds == [FeedKind.STATE] * 3
            assert await states_in_feed(fleet, job_id) == [S.QUEUED, S.RUNNING, S.FAILED]
        for job_id in ("job-3", "job-4"):
            assert await fleet.jobs.payload(job_id) == f"sealed {job_id}".encode()
        recorded = await say(fleet, a, chunk("job-1", b"output"), result(4, "job-1"))
        assert recorded.changed == ()
        assert await printed(fleet, "job-1") == []

    async def test_a_payload_is_kept_as_long_as_one_of_its_jobs_may_need_it(
        self, fleet: Fleet
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        jobs = [a_job(n, a, project=f"project-{n}") for n in (1, 2)]
        await fleet.jobs.submit(a_submission(*jobs))
        await fleet.jobs.request_cancel("job-1", NOW)
        assert await fleet.jobs.prune(NOW + 1, 10) == 1
        with pytest.raises(NotFound):
            await fleet.jobs.payload("job-1")
        assert await fleet.jobs.payload("job-2") == b"sealed"
        await fleet.jobs.request_cancel("job-2", NOW)
        assert await fleet.jobs.prune(NOW + 1, 10) == 1
        with pytest.raises(NotFound):
            await fleet.jobs.payload("job-2")

    async def test_a_key_that_is_old_is_free_again(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        asked = [a_submission(a_job(n, a, "STATUS"), remembered=a_request()) for n in (1, 2, 3)]
        await fleet.jobs.submit(asked[0])
        await fleet.jobs.prune(NOW, 10)
        assert (await fleet.jobs.submit(asked[1])).answered_before is not None
        await fleet.jobs.prune(NOW + 1, 10)
        assert (await fleet.jobs.submit(asked[2])).jobs == asked[2].jobs
