"""What every `JobStore` must do of what agents say."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from domain.errors import NotFound
from domain.fleet.job import Delivery, FleetJobState, JobResult
from domain.fleet.link_state import LinkState, Recorded
from domain.job import JobState
from domain.link_messages import OutputPosition, Reject
from tests.contracts.fleet import (
    NOW,
    Fleet,
    FleetContract,
    Reopen,
    a_host,
    a_job,
    accept,
    chunk,
    kept,
    numbers,
    printed,
    result,
    say,
    states_in_feed,
    with_hosts,
    with_jobs,
)

S = FleetJobState


class JobRecordingContract(FleetContract):
    async def test_the_life_of_a_job_is_written_down(self, fleet: Fleet, reopen: Reopen) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        await fleet.jobs.number(a.id, NOW)
        recorded = await say(fleet, a, accept(1, "job-1"), at=NOW + 1, confirmed=1)
        link = LinkState(a.id, heard=1, next_seq=2, confirmed=1)
        assert recorded == Recorded(link, changed=("job-1",))
        assert (await fleet.jobs.job("job-1")).delivery is Delivery.ARRIVED
        recorded = await say(fleet, a, running=["job-1"], at=NOW + 2)
        assert recorded == Recorded(link, changed=("job-1",))
        final = result(2, "job-1", revision=3)
        recorded = await say(fleet, a, final, at=NOW + 3)
        link = replace(link, heard=2)
        assert recorded == Recorded(link, changed=("job-1",), ended=("job-1",))
        fleet = await reopen(fleet)
        job = await fleet.jobs.job("job-1")
        assert (job.state, job.accepted_at, job.started_at, job.finished_at) == (
            S.SUCCEEDED,
            NOW + 1,
            NOW + 2,
            NOW + 3,
        )
        assert (job.reason, job.error) == ("", "")
        assert await fleet.jobs.result("job-1") == kept(final)
        assert (await fleet.jobs.standing(a.id)).link == link
        assert await states_in_feed(fleet, "job-1") == [
            S.QUEUED,
            S.ACCEPTED,
            S.RUNNING,
            S.SUCCEEDED,
        ]
        assert [entry.at for entry in await fleet.jobs.feed(job_id="job-1")] == [
            NOW,
            NOW + 1,
            NOW + 2,
            NOW + 3,
        ]

    async def test_results_are_recorded_once(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        first = result(1, "job-1", n=1)
        await say(fleet, a, first, at=NOW + 1)
        job, feed = await fleet.jobs.job("job-1"), await fleet.jobs.feed()
        for again in (first, replace(first, seq=2), result(3, "job-1", JobState.FAILED), first):
            recorded = await say(fleet, a, again, at=NOW + 9)
            assert (recorded.changed, recorded.ended, recorded.strays) == ((), (), ())
        assert (await fleet.jobs.standing(a.id)).link.heard == 3
        assert await fleet.jobs.job("job-1") == job
        assert await fleet.jobs.result("job-1") == kept(first)
        assert await fleet.jobs.feed() == feed

    async def test_two_results_in_one_message_are_one(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        first = result(1, "job-1", n=1)
        recorded = await say(
            fleet, a, first, first, result(2, "job-1", JobState.FAILED), running=["job-1"]
        )
        assert recorded == Recorded(LinkState(a.id, heard=2), changed=("job-1",), ended=("job-1",))
        assert await fleet.jobs.result("job-1") == kept(first)

    @pytest.mark.parametrize("end", [S.SUCCEEDED, S.FAILED, S.CANCELED, S.EXPIRED, S.SUPERSEDED])
    async def test_no_end_is_followed_by_another(self, fleet: Fleet, end: FleetJobState) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        job = await fleet.jobs.end("job-1", end, NOW, reason="why", error="because")
        recorded = await say(
            fleet,
            a,
            accept(1, "job-1", JobState.RUNNING),
            result(2, "job-1", JobState.CANCELED),
            Reject(3, "job-1", "busy", "it is"),
            accept(4, "job-1", JobState.FAILED),
            chunk("job-1", b"more"),
            running=["job-1"],
        )
        assert recorded == Recorded(
            LinkState(a.id, heard=4),
            output_seen={"job-1": OutputPosition("up", 1, 4)},
        )
        assert await fleet.jobs.request_cancel("job-1", NOW) == job
        assert await fleet.jobs.end("job-1", S.FAILED, NOW, reason="", error="") == job
        assert await fleet.jobs.job("job-1") == job
        assert await fleet.jobs.result("job-1") is None
        assert await printed(fleet, "job-1") == []
        assert list((await fleet.jobs.number(a.id, NOW)).said) == []

    @pytest.mark.parametrize(
        ("state", "data", "reason"),
        [
            (JobState.FAILED, {"reason": "unhealthy"}, "unhealthy"),
            (JobState.FAILED, {}, ""),
            (JobState.FAILED, {"reason": 7}, ""),
            (JobState.FAILED, {"reason": "x" * 1000}, ""),
            (JobState.CANCELED, {}, "canceled"),
            (JobState.EXPIRED, {"reason": "expired"}, "expired"),
            (JobState.SUPERSEDED, {"superseded_by": "job-9\0"}, "superseded"),
            (JobState.SUCCEEDED, {}, ""),
        ],
    )
    async def test_the_reason_of_an_end_is_kept(
        self, fleet: Fleet, state: JobState, data: dict[str, object], reason: str
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        final = result(1, "job-1", state, **data)
        await say(fleet, a, final)
        job = await fleet.jobs.job("job-1")
        assert (job.state, job.reason, job.error) == (S.of(state), reason, final.error)
        assert job.superseded_by == data.get("superseded_by", "")
        assert job.accepted_at == NOW + 10
        assert await fleet.jobs.result("job-1") == kept(final)

    async def test_a_refused_command_has_failed(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        recorded = await say(fleet, a, Reject(1, "job-1", "policy", "not here", {"rule": "x"}))
        assert (recorded.changed, recorded.ended) == (("job-1",), ("job-1",))
        job = await fleet.jobs.job("job-1")
        assert (job.state, job.reason, job.error) == (S.FAILED, "policy", "not here")
        assert await fleet.jobs.result("job-1") == JobResult("", "not here", {"rule": "x"})

    async def test_whatever_an_agent_says_is_kept_as_it_is(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        odd = "\0 \ud800 ☃ \U0001f600 '\" \\u0000"
        final = replace(
            result(1, "job-1", JobState.FAILED, reason=odd, n=[2**80, -0.5, None, {odd: odd}]),
            logs=odd,
            error=odd,
        )
        await say(fleet, a, final)
        assert await fleet.jobs.result("job-1") == kept(final)
        job = await fleet.jobs.job("job-1")
        assert (job.reason, job.error) == (odd, odd)

    async def test_an_end_that_the_agent_tells_wins_over_a_cancel(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        await fleet.jobs.number(a.id, NOW)
        await fleet.jobs.request_cancel("job-1", NOW)
        await say(fleet, a, accept(1, "job-1", JobState.RUNNING), running=["job-1"])
        job = await fleet.jobs.job("job-1")
        assert (job.state, job.accepted_at, job.started_at) == (S.CANCELING, NOW + 10, None)
        await say(fleet, a, result(2, "job-1"))
        job = await fleet.jobs.job("job-1")
        assert (job.state, job.cancel_requested_at) == (S.SUCCEEDED, NOW)
        assert await states_in_feed(fleet, "job-1") == [S.QUEUED, S.CANCELING, S.SUCCEEDED]

    async def test_a_repeated_accept_that_tells_of_an_end_is_an_end_and_its_result_is_kept(
        self, fleet: Fleet, reopen: Reopen
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        recorded = await say(fleet, a, accept(1, "job-1", JobState.FAILED), at=NOW + 1)
        assert recorded.ended == ("job-1",)
        fleet = await reopen(fleet)
        recorded = await say(fleet, a, chunk("job-1", b"output"), at=NOW + 2)
        assert await printed(fleet, "job-1") == [("up", 1, 0, b"output")]
        assert (await fleet.jobs.standing(a.id)).output_seen == {
            "job-1": OutputPosition("up", 1, 6)
        }
        final = result(2, "job-1", JobState.FAILED, reason="unhealthy")
        recorded = await say(fleet, a, final, at=NOW + 3)
        assert (recorded.changed, recorded.ended) == (("job-1",), ())
        job = await fleet.jobs.job("job-1")
        assert (job.state, job.finished_at, job.accepted_at) == (S.FAILED, NOW + 1, NOW + 1)
        assert (job.reason, job.error) == ("unhealthy", final.error)
        assert await fleet.jobs.result("job-1") == kept(final)
        assert await states_in_feed(fleet, "job-1") == [S.QUEUED, S.FAILED]
        await say(fleet, a, result(3, "job-1", JobState.FAILED), chunk("job-1", b"x", 6))
        assert await fleet.jobs.result("job-1") == kept(final)
        assert await printed(fleet, "job-1") == [("up", 1, 0, b"output")]

    async def test_a_result_that_contradicts_an_end_is_not_kept(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        await say(fleet, a, accept(1, "job-1", JobState.FAILED), result(2, "job-1"))
        assert (await fleet.jobs.job("job-1")).state is S.FAILED
        assert await fleet.jobs.result("job-1") is None

    async def test_jobs_of_other_hosts_and_of_none_are_strays(self, fleet: Fleet) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        await with_jobs(fleet, a_job(1, a), a_job(2, b))
        before = [await fleet.jobs.job("job-1"), await fleet.jobs.feed()]
        recorded = await say(
            fleet,
            b,
            result(1, "job-1"),
            accept(2, "unknown"),
            chunk("job-1", b"output"),
            Reject(3, "\0\ud800", "policy", ""),
            accept(4, "job-2"),
            result(5, "x" * 1024),
            running=["job-1"],
        )
        assert recorded == Recorded(
            LinkState(b.id, heard=5),
            changed=("job-2",),
            strays=("job-1", "unknown", "\0\ud800", "x" * 1024),
            forgotten=("unknown", "\0\ud800", "x" * 1024),
        )
        again = await say(fleet, b, accept(2, "unknown"), chunk("of none", b"output"))
        assert again == Recorded(LinkState(b.id, heard=5), strays=("of none",))
        assert await fleet.jobs.job("job-1") == before[0]
        assert await fleet.jobs.feed(job_id="job-1") == before[1][:1]  # type: ignore[index]
        assert await fleet.jobs.result("job-1") is None

    async def test_what_was_heard_before_changes_nothing(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a), a_job(2, a, "STATUS"))
        await say(fleet, a, accept(1, "job-1"), accept(2, "job-1"))
        recorded = await say(fleet, a, accept(2, "job-2"), result(1, "job-2"), result(3, "job-1"))
        assert recorded == Recorded(LinkState(a.id, heard=3), changed=("job-1",), ended=("job-1",))
        assert (await fleet.jobs.job("job-2")).state is S.QUEUED

    async def test_what_comes_behind_a_gap_has_not_come(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a), a_job(2, a, "STATUS"))
        recorded = await say(fleet, a, accept(1, "job-1"), result(3, "job-1"), accept(2, "job-2"))
        assert recorded == Recorded(LinkState(a.id, heard=1), changed=("job-1",))
        assert (await fleet.jobs.job("job-1")).state is S.ACCEPTED
        recorded = await say(fleet, a, accept(2, "job-2"), result(3, "job-1"))
        assert recorded.link.heard == 3
        assert recorded.ended == ("job-1",)

    async def test_over_v1_there_are_no_numbers(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        await fleet.jobs.mark_sent("job-1", NOW)
        await say(fleet, a, accept(0, "job-1"))
        recorded = await say(fleet, a, result(0, "job-1"), result(0, "job-1", JobState.FAILED))
        assert recorded == Recorded(LinkState(a.id), changed=("job-1",), ended=("job-1",))
        assert (await fleet.jobs.job("job-1")).state is S.SUCCEEDED

    async def test_a_host_that_is_unknown_is_not_heard(self, fleet: Fleet) -> None:
        with pytest.raises(NotFound):
            await say(fleet, a_host("unknown"), accept(1, "job-1"))

    async def test_hosts_that_are_recorded_together_do_not_disturb_each_other(
        self, fleet: Fleet
    ) -> None:
        hosts = await with_hosts(fleet, *(f"h{n}" for n in range(10)))
        await with_jobs(fleet, *(a_job(host.name.value, host) for host in hosts))
        lives = [
            say(fleet, host, accept(1, job_id), chunk(job_id, b"x"), result(2, job_id))
            for host in hosts
            for job_id in [f"job-{host.name}"]
        ]
        unknown = say(fleet, a_host("unknown"), accept(1, "job-1"))
        *recorded, failure = await asyncio.gather(*lives, unknown, return_exceptions=True)
        assert isinstance(failure, NotFound)
        for host, each in zip(hosts, recorded, strict=True):
            job_id = f"job-{host.name}"
            assert each == Recorded(
                LinkState(host.id, heard=2),
                changed=(job_id,),
                ended=(job_id,),
                output_seen={job_id: OutputPosition("up", 1, 1)},
            )
            assert await states_in_feed(fleet, job_id) == [
                S.QUEUED,
                S.ACCEPTED,
                S.RUNNING,
                S.SUCCEEDED,
            ]

    async def test_what_one_host_says_is_recorded_in_order(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, *(a_job(n, a, "STATUS") for n in range(1, 31)))
        saying = []
        for n in range(1, 31):
            saying.append(say(fleet, a, accept(2 * n - 1, f"job-{n}")))
            saying.append(say(fleet, a, result(2 * n, f"job-{n}")))
        recorded = await asyncio.gather(*saying)
        assert [each.link.heard for each in recorded] == list(range(1, 61))
        assert await fleet.jobs.counts() == {**dict.fromkeys(S, 0), S.SUCCEEDED: 30}
        entries = numbers(await fleet.jobs.feed())
        assert entries == sorted(set(entries))
