"""What every `JobStore` must do of jobs as operators see them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from application.ports.job_store import MOST_EXPIRED, JobQuery, Submitted
from domain.errors import Conflict, InvalidInput, NotFound
from domain.fleet.job import DeploymentId, FeedKind, FleetJob, FleetJobState
from domain.fleet.page import PageRequest
from tests.contracts.fleet import (
    NOW,
    Fleet,
    FleetContract,
    Reopen,
    a_deployment,
    a_host,
    a_job,
    a_request,
    a_submission,
    numbers,
    states_in_feed,
    with_hosts,
    with_jobs,
)

S = FleetJobState


class JobStoreContract(FleetContract):
    async def test_what_was_submitted_is_there_as_it_was(
        self, fleet: Fleet, reopen: Reopen
    ) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        deployment = replace(a_deployment(1), redeploy_of=DeploymentId("deployment-0"))
        jobs = tuple(
            a_job(host.name.value, host, deployment_id=deployment.id, expires_at=NOW + 0.25)
            for host in (b, a)
        )
        submitted = await fleet.jobs.submit(
            a_submission(*jobs, deployment=deployment, payload=b"\0\xff")
        )
        assert submitted == Submitted(jobs)
        fleet = await reopen(fleet)
        assert await fleet.jobs.job("job-a") == jobs[1]
        assert await fleet.jobs.deployment(deployment.id) == deployment
        assert list(await fleet.jobs.jobs_of(deployment.id)) == list(jobs)
        assert await fleet.jobs.payload("job-a") == await fleet.jobs.payload("job-b") == b"\0\xff"
        assert await fleet.jobs.result("job-a") is None
        assert await states_in_feed(fleet, "job-a") == [S.QUEUED]
        (entry,) = await fleet.jobs.feed(job_id="job-b")
        assert (entry.job_id, entry.at, entry.kind) == ("job-b", NOW, FeedKind.STATE)

    async def test_all_that_a_job_says_is_kept(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        job = a_job(
            1,
            a,
            "ROLLBACK_COMPOSE",
            project="MyBlog",
            deadline_s=12.5,
            expires_at=NOW + 1e-3,
            requested_by="José, ☃",
        )
        await with_jobs(fleet, job)
        assert await fleet.jobs.job("job-1") == job

    async def test_what_is_not_there_is_not_found(self, fleet: Fleet) -> None:
        for job_id in ("job-1", "", "\0", "\ud800"):
            for reading in (
                fleet.jobs.job(job_id),
                fleet.jobs.result(job_id),
                fleet.jobs.payload(job_id),
                fleet.jobs.request_cancel(job_id, NOW),
                fleet.jobs.end(job_id, S.FAILED, NOW, reason="", error=""),
                fleet.jobs.mark_sent(job_id, NOW),
                fleet.jobs.deployment(DeploymentId(job_id)),
            ):
                with pytest.raises(NotFound):
                    await reading
            assert await fleet.jobs.feed(job_id=job_id) == []
            assert list(await fleet.jobs.jobs_of(DeploymentId(job_id))) == []

    async def test_jobs_for_a_host_that_is_unknown_are_not_kept_nor_are_those_beside_them(
        self, fleet: Fleet
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        deployment = a_deployment(1)
        jobs = [a_job(1, a), a_job(2, a_host("unknown"))]
        with pytest.raises(NotFound):
            await fleet.jobs.submit(
                a_submission(*jobs, deployment=deployment, remembered=a_request())
            )
        with pytest.raises(NotFound):
            await fleet.jobs.job("job-1")
        with pytest.raises(NotFound):
            await fleet.jobs.deployment(deployment.id)
        assert await fleet.jobs.feed() == []
        await fleet.jobs.submit(a_submission(a_job(1, a), remembered=a_request()))

    async def test_an_id_is_taken_for_ever(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        first = a_submission(a_job(1, a), deployment=a_deployment(1))
        await fleet.jobs.submit(first)
        with pytest.raises(Conflict):
            await fleet.jobs.submit(a_submission(a_job(2, a), a_job(1, a, "STATUS")))
        with pytest.raises(Conflict):
            await fleet.jobs.submit(a_submission(a_job(3, a), deployment=a_deployment(1)))
        assert (await fleet.jobs.job("job-1")).state is S.QUEUED
        assert [job.id for job in await fleet.jobs.queued(a.id)] == ["job-1"]

    async def test_a_request_is_answered_once_under_its_key(
        self, fleet: Fleet, reopen: Reopen
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        first = a_submission(a_job(1, a), remembered=a_request())
        await fleet.jobs.submit(first)
        fleet = await reopen(fleet)
        again = a_submission(a_job(2, a), remembered=replace(a_request(), answer="other"))
        assert await fleet.jobs.submit(again) == Submitted((), answered_before=a_request())
        with pytest.raises(Conflict):
            await fleet.jobs.submit(
                a_submission(a_job(2, a), remembered=a_request(digest="another"))
            )
        for other in (a_request("key-2"), a_request(who="somebody else")):
            job = a_job(other.key + other.principal, a, "STATUS")
            submitted = await fleet.jobs.submit(a_submission(job, remembered=other))
            assert submitted == Submitted((job,))
        with pytest.raises(NotFound):
            await fleet.jobs.job("job-2")

    async def test_of_those_with_one_key_that_come_together_one_is_carried_out(
        self, fleet: Fleet
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        asked = [a_submission(a_job(n, a, "STATUS"), remembered=a_request()) for n in range(8)]
        submitted = await asyncio.gather(*map(fleet.jobs.submit, asked))
        assert sum(1 for each in submitted if each.jobs) == 1
        assert len(await fleet.jobs.queued(a.id)) == 1

    async def test_those_who_come_together_each_get_their_due(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        nowhere = a_host("unknown")
        outcomes = await asyncio.gather(
            *(
                fleet.jobs.submit(a_submission(a_job(n, nowhere if n % 5 == 4 else a, "STATUS")))
                for n in range(40)
            ),
            return_exceptions=True,
        )
        failed = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, NotFound)]
        assert failed == list(range(4, 40, 5))
        kept = [job.id for job in await fleet.jobs.queued(a.id)]
        assert kept == [f"job-{n}" for n in range(40) if n % 5 != 4]

    async def test_a_newer_deployment_takes_the_place_of_one_that_waits(self, fleet: Fleet) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        await with_jobs(
            fleet,
            a_job(1, a, project="Blog"),
            a_job(2, b),
            a_job(3, a, project="shop"),
            a_job(4, a, "STOP_COMPOSE"),
        )
        newer = a_submission(a_job(5, a, project="bLOG", created_at=NOW + 5))
        submitted = await fleet.jobs.submit(newer)
        assert submitted.superseded == ("job-1",)
        job = await fleet.jobs.job("job-1")
        assert (job.state, job.superseded_by, job.finished_at, job.reason) == (
            S.SUPERSEDED,
            "job-5",
            NOW + 5,
            "superseded",
        )
        assert await states_in_feed(fleet, "job-1") == [S.QUEUED, S.SUPERSEDED]
        assert [job.id for job in await fleet.jobs.queued(a.id)] == ["job-3", "job-4", "job-5"]
        assert [job.id for job in await fleet.jobs.queued(b.id)] == ["job-2"]

    async def test_what_may_be_on_its_way_is_not_superseded(self, fleet: Fleet) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        await with_jobs(fleet, a_job(1, a), a_job(2, b))
        await fleet.jobs.number(a.id, NOW)
        await fleet.jobs.mark_sent("job-2", NOW)
        submitted = await fleet.jobs.submit(a_submission(a_job(3, a), a_job(4, b)))
        assert submitted.superseded == ()

    async def test_a_command_that_only_stops_supersedes_nothing(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a), a_job(2, a, "STOP_COMPOSE"))
        assert (await fleet.jobs.job("job-1")).state is S.QUEUED

    async def test_one_that_was_never_sent_is_canceled_at_once(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        job = await fleet.jobs.request_cancel("job-1", NOW + 1)
        assert (job.state, job.cancel_requested_at, job.finished_at, job.reason) == (
            S.CANCELED,
            NOW + 1,
            NOW + 1,
            "canceled",
        )
        assert await fleet.jobs.job("job-1") == job
        assert await fleet.jobs.request_cancel("job-1", NOW + 2) == job
        assert await states_in_feed(fleet, "job-1") == [S.QUEUED, S.CANCELED]
        assert list((await fleet.jobs.number(a.id, NOW)).said) == []

    async def test_one_that_was_sent_is_to_end(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        assert await fleet.jobs.mark_sent("job-1", NOW)
        job = await fleet.jobs.request_cancel("job-1", NOW + 1)
        assert (job.state, job.cancel_requested_at, job.finished_at) == (
            S.CANCELING,
            NOW + 1,
            None,
        )
        assert await fleet.jobs.request_cancel("job-1", NOW + 2) == job
        assert await states_in_feed(fleet, "job-1") == [S.QUEUED, S.CANCELING]
        assert not await fleet.jobs.mark_sent("job-1", NOW)
        assert list(await fleet.jobs.outgoing(a.id, 0, 10)) == []

    async def test_what_waits_too_long_expires_and_nothing_else(self, fleet: Fleet) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        await with_jobs(
            fleet,
            a_job(1, a, "STATUS", expires_at=NOW + 2),
            a_job(2, a, "STATUS", expires_at=NOW + 1),
            a_job(3, a, "STATUS", expires_at=NOW + 3),
            a_job(4, a, "STATUS"),
            a_job(5, b, "STATUS", expires_at=NOW + 1),
        )
        await fleet.jobs.number(b.id, NOW)
        assert list(await fleet.jobs.expire(NOW)) == []
        expired = await fleet.jobs.expire(NOW + 2)
        assert [job.id for job in expired] == ["job-2", "job-1"]
        for job in expired:
            assert (job.state, job.finished_at, job.reason) == (S.EXPIRED, NOW + 2, "expired")
            assert job.error
            assert await fleet.jobs.job(job.id) == job
            assert await states_in_feed(fleet, job.id) == [S.QUEUED, S.EXPIRED]
        assert list(await fleet.jobs.expire(NOW + 2)) == []
        assert [job.id for job in await fleet.jobs.queued(a.id)] == ["job-3", "job-4"]

    async def test_not_too_many_expire_at_once(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        jobs = [a_job(n, a, "STATUS", expires_at=NOW) for n in range(MOST_EXPIRED + 1)]
        await fleet.jobs.submit(a_submission(*jobs))
        assert len(await fleet.jobs.expire(NOW)) == MOST_EXPIRED
        assert [job.id for job in await fleet.jobs.expire(NOW)] == [f"job-{MOST_EXPIRED}"]

    async def test_a_job_of_which_nobody_tells_the_end_is_ended(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        job = await fleet.jobs.end("job-1", S.FAILED, NOW + 1, reason="lost", error="why\0\ud800")
        assert (job.state, job.reason, job.error) == (S.FAILED, "lost", "why\0\ud800")
        assert await fleet.jobs.job("job-1") == job
        again = await fleet.jobs.end("job-1", S.SUCCEEDED, NOW + 2, reason="", error="")
        assert again == job
        assert await states_in_feed(fleet, "job-1") == [S.QUEUED, S.FAILED]
        assert await fleet.jobs.result("job-1") is None

    async def test_jobs_are_found_by_all_that_is_asked_the_newest_first(self, fleet: Fleet) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        deployment = a_deployment(1)
        await fleet.jobs.submit(
            a_submission(
                a_job(1, a, deployment_id=deployment.id),
                a_job(2, b, deployment_id=deployment.id),
                deployment=deployment,
            )
        )
        await with_jobs(
            fleet, a_job(3, a, "STATUS"), a_job(4, a, "HEALTH_CHECK"), a_job(5, a, project="shop")
        )
        await fleet.jobs.request_cancel("job-3", NOW)

        async def found(**query: object) -> list[str]:
            page = await fleet.jobs.jobs(JobQuery(**query), PageRequest())  # type: ignore[arg-type]
            return [job.id.removeprefix("job-") for job in page.items]

        assert await found() == ["5", "4", "3", "2", "1"]
        assert await found(host_id=a.id) == ["5", "4", "3", "1"]
        assert await found(project="BLOG") == ["3", "2", "1"]
        assert await found(project="BLOG", as_spelled=True) == []
        assert await found(project="blog", as_spelled=True) == ["3", "2", "1"]
        assert await found(deployment_id=deployment.id) == ["2", "1"]
        assert await found(states={S.CANCELED}) == ["3"]
        assert await found(states={S.CANCELED, S.QUEUED}, host_id=b.id) == ["2"]
        assert await found(kinds={"STATUS", "HEALTH_CHECK"}) == ["4", "3"]
        assert await found(kinds={"STATUS"}, states={S.QUEUED}) == []
        assert await found(host_id="none") == []
        assert await found(host_id="\0") == []

    async def test_jobs_come_a_page_at_a_time_also_when_newer_ones_come_meanwhile(
        self, fleet: Fleet
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, *(a_job(n, a, "STATUS") for n in range(5)))
        page = await fleet.jobs.jobs(JobQuery(), PageRequest(2))
        await with_jobs(fleet, a_job("new", a, "STATUS"))
        ids = [job.id for job in page.items]
        while page.next is not None:
            page = await fleet.jobs.jobs(JobQuery(), PageRequest(2, page.next))
            ids += [job.id for job in page.items]
        assert ids == [f"job-{n}" for n in (4, 3, 2, 1, 0)]

    @pytest.mark.parametrize("after", ["nonsense", "\0", "-1", "9" * 40, "١٢", "1_0", " 1"])
    async def test_a_page_behind_what_never_was_one_is_refused(
        self, fleet: Fleet, after: str
    ) -> None:
        with pytest.raises(InvalidInput):
            await fleet.jobs.jobs(JobQuery(), PageRequest(1, after))
        with pytest.raises(InvalidInput):
            await fleet.jobs.deployments(None, PageRequest(1, after))

    async def test_deployments_are_listed_the_newest_first(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        deployments = [
            a_deployment(n, at=NOW - n, project="Shop" if n % 2 else "blog") for n in range(4)
        ]
        for n, deployment in enumerate(deployments):
            await fleet.jobs.submit(a_submission(a_job(n, a, "STATUS"), deployment=deployment))
        page = await fleet.jobs.deployments(None, PageRequest(3))
        assert list(page.items) == deployments[:0:-1]
        page = await fleet.jobs.deployments(None, PageRequest(3, page.next or "none"))
        assert (list(page.items), page.next) == ([deployments[0]], None)
        assert list((await fleet.jobs.deployments("sHOP", PageRequest())).items) == [
            deployments[3],
            deployments[1],
        ]

    async def test_jobs_are_counted(self, fleet: Fleet) -> None:
        assert await fleet.jobs.counts() == dict.fromkeys(S, 0)
        (a,) = await with_hosts(fleet, "a")
        first, second = a_deployment(1), a_deployment(2)
        for deployment, count in ((first, 3), (second, 1)):
            jobs = [
                a_job(f"{deployment.id}-{n}", a, project=f"p{n}", deployment_id=deployment.id)
                for n in range(count)
            ]
            await fleet.jobs.submit(a_submission(*jobs, deployment=deployment))
        await fleet.jobs.request_cancel("job-deployment-1-1", NOW)
        counts = await fleet.jobs.counts()
        assert counts == {**dict.fromkeys(S, 0), S.QUEUED: 2, S.CANCELED: 1, S.SUPERSEDED: 1}
        assert await fleet.jobs.tallies([first.id, second.id, DeploymentId("none")]) == {
            first.id: {S.QUEUED: 1, S.CANCELED: 1, S.SUPERSEDED: 1},
            second.id: {S.QUEUED: 1},
        }
        assert await fleet.jobs.tallies([]) == {}

    async def test_the_oldest_that_waits_is_known(self, fleet: Fleet) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        assert await fleet.jobs.oldest_waiting() is None
        await with_jobs(
            fleet,
            a_job(1, a, "STATUS", created_at=NOW + 2),
            a_job(2, b, "STATUS", created_at=NOW + 1),
        )
        assert await fleet.jobs.oldest_waiting() == NOW + 1
        await fleet.jobs.number(b.id, NOW)
        assert await fleet.jobs.oldest_waiting() == NOW + 2
        await fleet.jobs.request_cancel("job-1", NOW)
        assert await fleet.jobs.oldest_waiting() is None

    async def test_a_feed_goes_on_behind_the_entry_that_one_has(self, fleet: Fleet) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        deployment = a_deployment(1)
        jobs = [a_job(host.name.value, host, deployment_id=deployment.id) for host in (a, b)]
        await fleet.jobs.submit(a_submission(*jobs, deployment=deployment))
        await with_jobs(fleet, a_job("other", a, "STATUS"))
        for job_id in ("job-b", "job-a", "job-other"):
            await fleet.jobs.request_cancel(job_id, NOW)
        everything = await fleet.jobs.feed()
        assert numbers(everything) == sorted(set(numbers(everything)))
        assert len(everything) == 6
        of_both = await fleet.jobs.feed(deployment_id=deployment.id)
        assert [entry.job_id for entry in of_both] == ["job-a", "job-b", "job-b", "job-a"]
        assert list(of_both) == [entry for entry in everything if entry.job_id != "job-other"]
        of_one = await fleet.jobs.feed(job_id="job-a")
        assert list(of_one) == [entry for entry in everything if entry.job_id == "job-a"]
        for place in range(len(of_both)):
            after = of_both[place].number
            rest = await fleet.jobs.feed(deployment_id=deployment.id, after=after)
            assert list(rest) == list(of_both[place + 1 :])
            assert (
                list(await fleet.jobs.feed(after=after, limit=1))
                == [entry for entry in everything if entry.number > after][:1]
            )

    async def test_the_numbers_of_a_feed_are_not_used_again(
        self, fleet: Fleet, reopen: Reopen
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        seen: list[int] = []
        for n in range(4):
            await with_jobs(fleet, a_job(n, a, "STATUS"))
            latest = numbers(await fleet.jobs.feed())[-1]
            assert latest > max(seen, default=0)
            seen.append(latest)
            fleet = await reopen(fleet)

    @pytest.mark.parametrize("turns", range(12))
    async def test_cancelled_at_any_moment_a_submission_is_kept_or_not(
        self, fleet: Fleet, reopen: Reopen, turns: int
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        jobs: list[FleetJob] = [a_job(n, a, "STATUS") for n in range(4)]
        tasks = [asyncio.create_task(fleet.jobs.submit(a_submission(job))) for job in jobs]
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[2].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await with_jobs(fleet, a_job("last", a, "STATUS"))
        fleet = await reopen(fleet)
        kept = [job.id for job in await fleet.jobs.queued(a.id)]
        for job, outcome in zip(jobs, outcomes, strict=True):
            assert isinstance(outcome, asyncio.CancelledError) or job.id in kept
        assert kept == sorted(kept)
        assert numbers(await fleet.jobs.feed()) == sorted(numbers(await fleet.jobs.feed()))
