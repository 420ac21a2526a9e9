"""What every `JobStore` must do of the numbers between it and its hosts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from domain.errors import NotFound
from domain.fleet.changes import HIGHEST_GENERATION
from domain.fleet.host import HostId
from domain.fleet.job import Delivery, FleetJobState
from domain.fleet.link_state import LinkState, Outgoing, OutgoingKind, Standing
from domain.job import JobState
from domain.link_messages import OutputPosition
from tests.contracts.fleet import (
    NOW,
    Fleet,
    FleetContract,
    Reopen,
    a_job,
    a_submission,
    accept,
    chunk,
    result,
    say,
    with_hosts,
    with_jobs,
)

S = FleetJobState
COMMAND, CANCEL = OutgoingKind.COMMAND, OutgoingKind.CANCEL


def _command(seq: int, job_id: str, kind: str, **fields: Any) -> Outgoing:
    return Outgoing(seq, COMMAND, job_id, command=kind, payload_context=job_id, **fields)


class JobNumbersContract(FleetContract):
    async def test_the_epoch_is_the_same_when_it_is_opened_again(
        self, fleet: Fleet, reopen: Reopen
    ) -> None:
        epoch = fleet.jobs.epoch
        assert epoch
        assert (await reopen(fleet)).jobs.epoch == epoch

    async def test_jobs_are_numbered_in_order_and_count_as_sent(
        self, fleet: Fleet, reopen: Reopen
    ) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        await with_jobs(
            fleet,
            a_job(1, a, deadline_s=30.0),
            a_job(2, b),
            a_job(3, a, "STATUS"),
            a_job(4, a, "STOP_COMPOSE"),
            a_job(5, a, "LIST_PROJECTS"),
        )
        said = (await fleet.jobs.number(a.id, NOW + 1)).said
        assert list(said) == [
            _command(1, "job-1", "DEPLOY_COMPOSE", generation=1, deadline_s=30.0),
            _command(2, "job-3", "STATUS"),
            _command(3, "job-4", "STOP_COMPOSE", generation=2),
            _command(4, "job-5", "LIST_PROJECTS"),
        ]
        fleet = await reopen(fleet)
        assert list(await fleet.jobs.outgoing(a.id, 0, 10)) == list(said)
        assert list(await fleet.jobs.outgoing(a.id, 1, 2)) == list(said[1:3])
        assert (await fleet.jobs.standing(a.id)).link == LinkState(a.id, next_seq=5)
        job = await fleet.jobs.job("job-4")
        assert (job.seq, job.generation, job.sent_at, job.state) == (3, 2, NOW + 1, S.QUEUED)
        assert job.delivery is Delivery.SENT
        assert list(await fleet.jobs.queued(a.id)) == []
        unfinished = [job.id for job in await fleet.jobs.unfinished(a.id)]
        assert unfinished == ["job-1", "job-3", "job-4", "job-5"]
        assert list((await fleet.jobs.number(a.id, NOW + 2)).said) == []
        assert [job.id for job in await fleet.jobs.queued(b.id)] == ["job-2"]

    async def test_generations_rise_within_a_project_of_a_host(self, fleet: Fleet) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        await with_jobs(
            fleet,
            a_job(1, a, "STOP_COMPOSE", project="Blog"),
            a_job(2, a, "STOP_COMPOSE", project="shop"),
            a_job(3, b, "STOP_COMPOSE", project="blog"),
        )
        await fleet.jobs.number(a.id, NOW)
        await fleet.jobs.number(b.id, NOW)
        await with_jobs(fleet, a_job(4, a, project="bLOG"), a_job(5, a, "RESTART_COMPOSE"))
        said = (await fleet.jobs.number(a.id, NOW)).said
        assert [one.generation for one in said] == [2, 3]
        jobs = [await fleet.jobs.job(f"job-{n}") for n in (1, 2, 3, 4, 5)]
        assert [job.generation for job in jobs] == [1, 1, 1, 2, 3]

    async def test_no_generation_is_used_that_an_agent_has_seen(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        await fleet.jobs.begin_epoch(a.id, "epoch-a", {"blog": 7, "shop": 2})
        await fleet.jobs.begin_epoch(a.id, "epoch-b", {"Blog": 5})
        await fleet.jobs.begin_epoch(a.id, "epoch-c", {})
        assert [one.generation for one in (await fleet.jobs.number(a.id, NOW)).said] == [8]
        await fleet.jobs.begin_epoch(a.id, "epoch-d", {"blog": 2**63 - 1, "BLOG": 9})
        await with_jobs(fleet, a_job(2, a))
        _, said = (await fleet.jobs.number(a.id, NOW)).said
        assert said.generation == HIGHEST_GENERATION + 1

    async def test_cancels_are_numbered_behind_what_is_outgoing(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a), a_job(2, a, "STATUS"))
        await fleet.jobs.number(a.id, NOW)
        job = await fleet.jobs.request_cancel("job-1", NOW + 1)
        assert (job.state, job.seq) == (S.CANCELING, 1)
        await fleet.jobs.request_cancel("job-1", NOW + 2)
        assert list(await fleet.jobs.outgoing(a.id, 2, 10)) == [Outgoing(3, CANCEL, "job-1")]
        assert (await fleet.jobs.standing(a.id)).link.next_seq == 4

    async def test_what_is_acknowledged_is_not_outgoing_any_more(
        self, fleet: Fleet, reopen: Reopen
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, *(a_job(n, a, "STATUS") for n in range(1, 4)))
        await fleet.jobs.number(a.id, NOW)
        recorded = await say(fleet, a, confirmed=2)
        assert recorded.link == LinkState(a.id, next_seq=4, confirmed=2)
        assert [one.seq for one in await fleet.jobs.outgoing(a.id, 0, 9)] == [3]
        recorded = await say(fleet, a, confirmed=1)
        assert recorded.link.confirmed == 2
        fleet = await reopen(fleet)
        assert (await say(fleet, a, confirmed=2**63 - 1)).link.confirmed == 3
        assert list(await fleet.jobs.outgoing(a.id, 0, 9)) == []
        assert (await fleet.jobs.standing(a.id)).link == LinkState(a.id, next_seq=4, confirmed=3)

    async def test_what_has_a_number_stays_outgoing_when_its_job_is_over(
        self, fleet: Fleet
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a), a_job(2, a, "STATUS"))
        await fleet.jobs.number(a.id, NOW)
        await fleet.jobs.end("job-1", S.FAILED, NOW, reason="lost", error="")
        said = await fleet.jobs.outgoing(a.id, 0, 9)
        assert [(one.seq, one.is_wanted) for one in said] == [(1, False), (2, True)]
        assert [job.id for job in await fleet.jobs.unfinished(a.id)] == ["job-2"]

    async def test_what_is_over_is_forgotten_also_where_its_number_is_outgoing(
        self, fleet: Fleet
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a), a_job(2, a, "STATUS"))
        await fleet.jobs.number(a.id, NOW)
        await fleet.jobs.end("job-1", S.FAILED, NOW, reason="lost", error="")
        assert await fleet.jobs.prune(NOW + 10**6, 10) == 1
        with pytest.raises(NotFound):
            await fleet.jobs.payload("job-1")
        said = await fleet.jobs.outgoing(a.id, 0, 9)
        assert [(one.seq, one.is_wanted) for one in said] == [(1, False), (2, True)]
        assert (await say(fleet, a, confirmed=2)).link.confirmed == 2
        assert list(await fleet.jobs.outgoing(a.id, 0, 9)) == []

    async def test_nothing_is_outgoing_to_a_host_that_is_revoked(self, fleet: Fleet) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        await with_jobs(fleet, a_job(1, a), a_job(2, b))
        await fleet.jobs.number(a.id, NOW)
        said = await fleet.jobs.number(b.id, NOW)
        await fleet.hosts.revoke(a.id, NOW)
        assert list(await fleet.jobs.outgoing(a.id, 0, 9)) == []
        assert tuple(await fleet.jobs.outgoing(b.id, 0, 9)) == said.said
        assert await fleet.jobs.prune(NOW + 10**6, 10) == 1
        with pytest.raises(NotFound):
            await fleet.jobs.payload("job-1")

    async def test_a_host_that_never_spoke_is_at_the_beginning(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        assert await fleet.jobs.standing(a.id) == Standing(LinkState(a.id))
        assert list(await fleet.jobs.outgoing(a.id, 0, 10)) == []

    async def test_where_the_numbers_stand_is_of_one_epoch(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        link = await fleet.jobs.begin_epoch(a.id, "epoch-a", {})
        assert link == (await fleet.jobs.standing(a.id)).link == LinkState(a.id, "epoch-a")
        await with_jobs(fleet, a_job(1, a), a_job(2, a, "STATUS"))
        await fleet.jobs.number(a.id, NOW)
        await say(fleet, a, accept(1, "job-1"), confirmed=1)
        assert (await fleet.jobs.standing(a.id)).link == LinkState(a.id, "epoch-a", 1, 3, 1)
        link = await fleet.jobs.begin_epoch(a.id, "epoch-b", {})
        assert link == (await fleet.jobs.standing(a.id)).link == LinkState(a.id, "epoch-b")

    async def test_a_host_is_owed_what_has_no_number_and_what_it_has_not_acknowledged(
        self, fleet: Fleet
    ) -> None:
        a, b = await with_hosts(fleet, "a", "b")

        async def is_owed() -> bool:
            mine, other = await asyncio.gather(fleet.jobs.standing(a.id), fleet.jobs.standing(b.id))
            assert not other.is_owed
            return mine.is_owed

        assert not await is_owed()
        await with_jobs(fleet, a_job(1, a))
        assert await is_owed()
        await fleet.jobs.number(a.id, NOW)
        assert await is_owed()
        await say(fleet, a, accept(1, "job-1"), confirmed=1)
        assert not await is_owed()
        await fleet.jobs.begin_epoch(a.id, "epoch-b", {})
        assert await is_owed()
        await fleet.jobs.end("job-1", S.FAILED, NOW, reason="lost", error="")
        assert not await is_owed()

    async def test_anew_what_may_have_been_carried_out_does_not_expire_any_more(
        self, fleet: Fleet
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a, "RESTART_COMPOSE", expires_at=NOW + 60))
        await fleet.jobs.number(a.id, NOW)
        await with_jobs(fleet, a_job(2, a, "RESTART_COMPOSE", expires_at=NOW + 60))
        await fleet.jobs.begin_epoch(a.id, "epoch-b", {})
        assert (await fleet.jobs.job("job-1")).expires_at is None
        assert [job.id for job in await fleet.jobs.expire(NOW + 61)] == ["job-2"]
        (said,) = (await fleet.jobs.number(a.id, NOW + 62)).said
        assert (said.job_id, said.expires_at) == ("job-1", None)

    async def test_anew_neither_does_what_was_sent_and_had_no_number(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a, "RESTART_COMPOSE", expires_at=NOW + 60))
        await fleet.jobs.mark_sent("job-1", NOW)
        await fleet.jobs.begin_epoch(a.id, "epoch-b", {})
        assert (await fleet.jobs.job("job-1")).expires_at is None

    async def test_anew_what_is_not_over_is_numbered_again_with_its_generation(
        self, fleet: Fleet
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, *(a_job(n, a, "RESTART_COMPOSE") for n in range(1, 6)))
        await fleet.jobs.number(a.id, NOW)
        await say(
            fleet,
            a,
            accept(1, "job-1"),
            result(2, "job-1"),
            accept(3, "job-2", JobState.RUNNING),
            confirmed=4,
        )
        await fleet.jobs.request_cancel("job-3", NOW)
        await with_jobs(fleet, a_job(6, a, "RESTART_COMPOSE"))
        link = await fleet.jobs.begin_epoch(a.id, "epoch-b", {})
        assert link == LinkState(a.id, "epoch-b")
        assert list(await fleet.jobs.outgoing(a.id, 0, 10)) == []
        job = await fleet.jobs.job("job-2")
        assert (job.seq, job.generation, job.state, job.sent_at) == (None, 2, S.RUNNING, NOW)
        said = (await fleet.jobs.number(a.id, NOW + 5)).said
        assert list(said) == [
            _command(1, "job-2", "RESTART_COMPOSE", generation=2),
            _command(2, "job-3", "RESTART_COMPOSE", generation=3),
            Outgoing(3, CANCEL, "job-3"),
            _command(4, "job-4", "RESTART_COMPOSE", generation=4),
            _command(5, "job-5", "RESTART_COMPOSE", generation=5),
            _command(6, "job-6", "RESTART_COMPOSE", generation=6),
        ]
        assert (await fleet.jobs.job("job-2")).sent_at == NOW
        assert (await fleet.jobs.job("job-6")).sent_at == NOW + 5
        assert list(await fleet.jobs.outgoing(a.id, 0, 10)) == list(said)

    async def test_a_cancel_between_two_epochs_is_said_behind_its_command(
        self, fleet: Fleet
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        await fleet.jobs.number(a.id, NOW)
        await fleet.jobs.begin_epoch(a.id, "epoch-b", {})
        assert (await fleet.jobs.request_cancel("job-1", NOW)).state is S.CANCELING
        assert list(await fleet.jobs.outgoing(a.id, 0, 10)) == []
        said = (await fleet.jobs.number(a.id, NOW)).said
        assert [(one.seq, one.kind) for one in said] == [(1, COMMAND), (2, CANCEL)]

    async def test_one_that_was_sent_over_v1_is_sent_again_over_v2(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a), a_job(2, a, "STATUS"))
        assert await fleet.jobs.mark_sent("job-1", NOW)
        assert await fleet.jobs.mark_sent("job-1", NOW + 5)
        assert (await fleet.jobs.job("job-1")).sent_at == NOW
        assert [job.id for job in await fleet.jobs.queued(a.id)] == ["job-2"]
        assert list(await fleet.jobs.queued(a.id, 0)) == []
        assert [job.id for job in await fleet.jobs.unfinished(a.id)] == ["job-1"]
        said = (await fleet.jobs.number(a.id, NOW + 9)).said
        assert [(one.seq, one.job_id) for one in said] == [(1, "job-1"), (2, "job-2")]

    async def test_one_that_is_over_must_not_be_sent(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        await fleet.jobs.request_cancel("job-1", NOW)
        assert not await fleet.jobs.mark_sent("job-1", NOW)
        assert (await fleet.jobs.job("job-1")).sent_at is None

    async def test_it_is_known_up_to_where_output_is_durable(
        self, fleet: Fleet, reopen: Reopen
    ) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        await with_jobs(
            fleet, a_job(1, a), a_job(2, a, "STATUS"), a_job(3, a, "STATUS"), a_job(4, b)
        )
        await say(fleet, a, chunk("job-1", b"12345"), chunk("job-1", b"67", 3, step="wait"))
        await say(fleet, a, chunk("job-2", b"12345"), result(1, "job-2"))
        await say(fleet, b, chunk("job-4", b"1"))
        fleet = await reopen(fleet)
        assert (await fleet.jobs.standing(a.id)).output_seen == {
            "job-1": OutputPosition("wait", 1, 5)
        }

    async def test_an_unknown_host_has_no_numbers(self, fleet: Fleet) -> None:
        unknown = HostId("none")
        with pytest.raises(NotFound):
            await fleet.jobs.begin_epoch(unknown, "epoch", {"blog": 1})
        assert list((await fleet.jobs.number(unknown, NOW)).said) == []
        assert await fleet.jobs.standing(unknown) == Standing(LinkState(unknown))
        assert list(await fleet.jobs.queued(unknown)) == []
        assert list(await fleet.jobs.unfinished(unknown)) == []

    async def test_of_very_many_some_get_their_numbers_later(self, fleet: Fleet) -> None:
        a, b, c = await with_hosts(fleet, "a", "b", "c")
        for number, host in enumerate((a, b, c)):
            jobs = [a_job(n, host, "STATUS") for n in range(number * 2000, number * 2000 + 1500)]
            await fleet.jobs.submit(a_submission(*jobs))
        named: dict[HostId, list[int]] = {a.id: [], b.id: [], c.id: []}

        async def number_all(host_id: HostId) -> None:
            is_all = False
            while not is_all:
                numbered = await fleet.jobs.number(host_id, NOW)
                named[host_id] += [one.seq for one in numbered.said]
                is_all = numbered.is_all

        await asyncio.gather(*map(number_all, named))
        assert list(named.values()) == [list(range(1, 1501))] * 3

    async def test_numbers_have_no_gaps_whoever_comes_together(self, fleet: Fleet) -> None:
        hosts = await with_hosts(fleet, "a", "b", "c")

        async def ask(number: int) -> None:
            host = hosts[number % 3]
            await fleet.jobs.submit(a_submission(a_job(number, host, "STATUS")))
            await fleet.jobs.number(host.id, NOW)
            if number % 4 == 0:
                await fleet.jobs.request_cancel(f"job-{number}", NOW)

        await asyncio.gather(*map(ask, range(60)))
        for host in hosts:
            said = await fleet.jobs.outgoing(host.id, 0, 100)
            assert [one.seq for one in said] == list(range(1, len(said) + 1))
            assert len(said) == 25
            link = (await fleet.jobs.standing(host.id)).link
            assert link == replace(LinkState(host.id), next_seq=26)
