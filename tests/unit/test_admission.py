"""Messages are taken in, in their order, and each job once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from application.agent import turns
from application.agent.handling import Failed
from application.agent.room import DispatchLimits
from domain.commands import Command, digest_of
from domain.errors import (
    Busy,
    InstaDeployError,
    InvalidInput,
    RemoteProtocolViolation,
    UnknownCommand,
)
from domain.events import Event, JobCompleted, JobFailed, JobReceived
from domain.job import JobState
from domain.messages import MalformedMessage, RefusedRequest
from domain.records import (
    CancelRequested,
    JobAccepted,
    JobFinished,
    JobRejected,
    NoticeKind,
    PeerConfirmed,
    ResultsDelivered,
    Tombstone,
)
from tests.builders import deploy, status, stop
from tests.fakes.clock import settle
from tests.fakes.machine import FakeMachine
from tests.unit.dispatching import Bench, Peer

LOST_AND_FOUND = JobFailed(
    "j1",
    "id: 'j1' belongs to another command, which was sent before",
    data={"reason": "conflict"},
)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench().running() as running:
        yield running


@pytest.fixture
def peer() -> Peer:
    return Peer()


def received(events: list[Event]) -> list[str]:
    return [event.job_id for event in events if isinstance(event, JobReceived)]


# Protocol v1: order.


async def test_nothing_is_said_of_a_message_before_what_is_said_of_an_earlier_one(
    bench: Bench,
) -> None:
    bench.machine.disk.hold()
    bench.submit("j1", deploy("a"))
    bench.submit("h1")
    bench.take(MalformedMessage("unknown", RemoteProtocolViolation("message: is no JSON")))
    bench.take(RefusedRequest("r1", UnknownCommand("REBOOT")))
    bench.submit("j2", stop("b"))
    bench.submit("h2")
    await settle()
    assert bench.events == []
    assert bench.handler.started == []
    bench.machine.disk.release()
    await settle()
    firsts = {event.job_id: event for event in reversed(bench.events)}
    assert list(dict.fromkeys(event.job_id for event in bench.events)) == [
        "j1",
        "h1",
        "unknown",
        "r1",
        "j2",
        "h2",
    ]
    assert received(bench.events) == ["j1", "h1", "r1", "j2", "h2"]
    assert isinstance(firsts["unknown"], JobFailed)


async def test_what_comes_before_a_change_that_is_being_written_is_not_kept_waiting(
    bench: Bench,
) -> None:
    bench.machine.disk.hold()
    bench.submit("h1")
    bench.submit("j1", deploy())
    await settle()
    assert bench.events == [JobReceived("h1"), JobCompleted("h1", "done")]
    bench.machine.disk.release()


async def test_the_disk_writes_many_at_once(bench: Bench) -> None:
    bench.machine.disk.hold()
    before = bench.machine.disk.writes
    for number in range(50):
        bench.submit(f"j{number}", deploy(f"p{number}"))
    await settle()
    bench.machine.disk.release()
    await bench.admission.settled()
    assert received(bench.events) == [f"j{number}" for number in range(50)]
    assert bench.machine.disk.writes - before <= 2


async def test_a_refusal_takes_its_turn_as_well(bench: Bench) -> None:
    bench.submit("j1", deploy())
    await settle()
    bench.events.clear()
    bench.machine.disk.hold()
    bench.submit("j2", deploy("shop"))
    bench.submit("j1", stop())
    await settle()
    assert bench.events == []
    bench.machine.disk.release()
    await settle()
    assert received(bench.events) == ["j2", "j1"]
    assert LOST_AND_FOUND in bench.events


async def test_the_acknowledgement_of_a_link_that_is_gone_is_not_sent_on_another_one(
    bench: Bench,
) -> None:
    bench.machine.disk.hold()
    bench.submit("j1", deploy())
    await settle()
    bench.outbox.rewind()
    bench.machine.disk.release()
    await settle()
    assert bench.events == [JobCompleted("j1", "done")]


async def test_while_too_much_waits_for_the_disk_there_is_no_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "MAX_WAITING", 2)
    bench.machine.disk.hold()
    bench.submit("j1", deploy())
    await asyncio.wait_for(bench.admission.room(), 1)
    bench.submit("j2", deploy())
    waiting = asyncio.create_task(bench.admission.room())
    settled = asyncio.create_task(bench.admission.settled())
    await settle()
    assert (waiting.done(), settled.done()) == (False, False)
    bench.machine.disk.release()
    await waiting
    await settled


async def test_while_too_many_bytes_wait_for_the_disk_there_is_no_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "MAX_WAITING_BYTES", 10_000)
    bench.machine.disk.hold()
    bench.submit("j1", deploy("blog", b"x" * 10_000))
    waiting = asyncio.create_task(bench.admission.room())
    await settle()
    assert not waiting.done()
    bench.machine.disk.release()
    await waiting


# Protocol v1: an id that comes again.


async def test_twins_that_come_while_the_first_is_being_written_start_one_job(
    bench: Bench,
) -> None:
    bench.machine.disk.hold()
    for _ in range(3):
        bench.submit("j1", deploy())
    await settle()
    bench.machine.disk.release()
    await settle()
    assert bench.handler.started == [deploy()]
    assert received(bench.events) == ["j1"] * 3
    assert bench.events[-1] == JobCompleted("j1", "done")
    assert sum(isinstance(r, JobAccepted) for r in bench.machine.disk.records) == 1


async def test_another_command_that_comes_while_the_first_is_being_written_is_a_conflict(
    bench: Bench,
) -> None:
    bench.machine.disk.hold()
    bench.submit("j1", deploy())
    bench.submit("j1", stop())
    await settle()
    bench.machine.disk.release()
    await settle()
    assert bench.handler.started == [deploy()]
    assert bench.events == [
        JobReceived("j1"),
        JobReceived("j1"),
        LOST_AND_FOUND,
        JobCompleted("j1", "done"),
    ]


async def test_the_twin_of_a_command_that_could_not_be_written_is_taken_in(bench: Bench) -> None:
    bench.machine.disk.hold()
    bench.machine.disk.is_full = True
    bench.submit("j1", deploy())
    bench.submit("j1", deploy())
    await settle()
    bench.machine.disk.is_full = False
    bench.machine.disk.release()
    await settle()
    assert bench.handler.started == [deploy()]


async def test_a_failure_that_was_recorded_is_told_again(bench: Bench) -> None:
    bench.handler.outcome = Failed("up failed", "no such image", "pulling", {"exit_code": 18})
    for _ in range(2):
        bench.submit("j1", deploy())
        await settle()
    failed = JobFailed("j1", "up failed: no such image", "pulling", {"exit_code": 18})
    assert bench.events == [JobReceived("j1"), failed] * 2
    assert bench.handler.started == [deploy()]


async def test_a_command_that_comes_again_gets_the_final_event_after_its_acknowledgement(
    bench: Bench,
) -> None:
    """Also where the job ends between the decision and its turn."""
    bench.handler.gate.clear()
    bench.submit("j1", deploy("a"))
    await settle()
    bench.machine.disk.hold()
    bench.submit("k0", deploy("b"))
    await settle()
    bench.handler.gate.set()
    await settle()
    bench.submit("k1", deploy("c"))
    bench.submit("j1", deploy("a"))
    await settle()
    bench.machine.disk.release()
    await settle(200)
    assert received(bench.of("j1")) == ["j1", "j1"]
    assert isinstance(bench.of("j1")[-1], JobCompleted)
    assert bench.handler.started.count(deploy("a")) == 1


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (
            JobState.SUCCEEDED,
            JobCompleted("j1", "This job succeeded before; its output is not kept any more."),
        ),
        (
            JobState.FAILED,
            JobFailed(
                "j1",
                "this job ended before, as failed; more about it is not kept",
                data={"reason": "pruned", "state": "failed"},
            ),
        ),
        (
            JobState.CANCELED,
            JobFailed(
                "j1",
                "this job ended before, as canceled; more about it is not kept",
                data={"reason": "pruned", "state": "canceled"},
            ),
        ),
    ],
)
async def test_of_a_job_that_ended_long_ago_its_state_is_told(
    bench: Bench, state: JobState, told: Event
) -> None:
    bench.machine.disk.tombstones["j1"] = Tombstone("j1", digest_of(deploy()), state)
    bench.submit("j1", deploy())
    bench.submit("j1", stop())
    await settle()
    assert bench.events == [JobReceived("j1"), told, JobReceived("j1"), LOST_AND_FOUND]
    assert bench.handler.started == []


async def test_the_id_of_a_job_that_was_accepted_by_an_earlier_agent_is_taken() -> None:
    async with Bench().running() as bench:
        bench.submit("j1", deploy())
        await settle()
    async with Bench(machine=bench.machine).running() as again:
        again.submit("j1", deploy())
        again.submit("j1", stop())
        await settle()
        assert again.events == [
            JobReceived("j1"),
            JobCompleted("j1", "done"),
            JobReceived("j1"),
            LOST_AND_FOUND,
        ]
        assert again.handler.started == []


async def test_the_id_of_a_job_that_an_earlier_agent_left_running_is_taken() -> None:
    async with Bench().running() as bench:
        bench.handler.gate.clear()
        bench.submit("j1", deploy())
        await settle()
    async with Bench(machine=bench.machine).running() as again:
        again.handler.gate.clear()
        again.submit("j1", deploy())
        await settle()
        assert again.events == [JobReceived("j1")]
        again.handler.gate.set()
        await settle()
        assert again.events == [JobReceived("j1"), JobCompleted("j1", "done")]
        assert again.handler.started == [deploy()]


async def test_a_compacted_journal_knows_the_id_as_well() -> None:
    async with Bench().running() as bench:
        bench.submit("j1", deploy())
        await settle()
        await bench.book.record(ResultsDelivered(("j1",)), must=True)
        await bench.machine.clock.advance(31 * 24 * 3600)
        await bench.book.compact()
        assert list(bench.machine.disk.tombstones) == ["j1"]
        bench.submit("j1", deploy())
        await settle()
        assert bench.handler.started == [deploy()]
        assert isinstance(bench.events[-1], JobCompleted)


# Protocol v1: what cannot be taken in.


@pytest.mark.parametrize(("trouble", "reason"), [("is_full", "no_space"), ("is_busy", "busy")])
async def test_what_cannot_be_written_down_is_refused_and_its_id_stays_free(
    bench: Bench, trouble: str, reason: str
) -> None:
    setattr(bench.machine.disk, trouble, True)
    bench.submit("j1", deploy())
    bench.submit("h1")
    await settle()
    assert bench.failure("j1").data == {"reason": reason}
    assert bench.of("h1")[-1] == JobCompleted("h1", "done")
    setattr(bench.machine.disk, trouble, False)
    bench.events.clear()
    bench.submit("j1", stop())
    await settle()
    assert bench.events == [JobReceived("j1"), JobCompleted("j1", "done")]
    assert bench.handler.started[-1] == stop()


async def test_a_job_that_runs_is_answered_on_a_full_disk_as_well(bench: Bench) -> None:
    bench.handler.gate.clear()
    bench.submit("j1", deploy())
    await settle()
    bench.machine.disk.is_full = True
    bench.handler.gate.set()
    await settle()
    assert bench.events == [JobReceived("j1"), JobCompleted("j1", "done")]


# Protocol v2: what is durable, and then said.


def notices(bench: Bench) -> list[tuple[int, NoticeKind, str]]:
    """What is to be said, in order: its number, its kind, and the job."""
    return [(n.seq, n.kind, n.job_id) for n in bench.book.ledger.notices.values()]


async def test_a_job_is_accepted_and_begun_once_it_is_durable(bench: Bench, peer: Peer) -> None:
    bench.handler.gate.clear()
    bench.machine.disk.hold()
    peer.command(bench, "j1", deploy())
    await settle()
    assert notices(bench) == []
    assert (bench.admission.arriving, bench.book.ledger.heard) == ({1}, 0)
    assert bench.handler.started == []
    bench.machine.disk.release()
    await settle()
    assert notices(bench) == [(1, NoticeKind.ACCEPT, "j1")]
    assert (bench.admission.arriving, bench.book.ledger.heard) == (set(), 1)
    assert bench.handler.started == [deploy()]
    assert bench.events == []  # Nothing that only v1 knows.


async def test_a_result_follows_once_it_is_durable(bench: Bench, peer: Peer) -> None:
    peer.command(bench, "j1", deploy())
    await settle()
    assert notices(bench) == [(1, NoticeKind.ACCEPT, "j1"), (2, NoticeKind.RESULT, "j1")]


async def test_reads_are_durable_too_and_answered_by_number(bench: Bench, peer: Peer) -> None:
    peer.command(bench, "h1", status())
    await settle()
    assert notices(bench) == [(1, NoticeKind.ACCEPT, "h1"), (2, NoticeKind.RESULT, "h1")]
    assert [type(record) for record in bench.machine.disk.records[1:]] == [JobAccepted, JobFinished]


# Protocol v2: generations.


async def test_generations_that_come_at_once_are_decided_one_after_another(
    bench: Bench, peer: Peer
) -> None:
    bench.handler.gate.clear()
    bench.machine.disk.hold()
    for number, generation in enumerate([2, 1, 2, 3, 3], start=1):
        peer.command(
            bench, f"j{number}", deploy("MyApp", bytes([64 + number])), generation=generation
        )
    await settle()
    bench.machine.disk.release()
    await settle()
    assert notices(bench)[:5] == [
        (1, NoticeKind.ACCEPT, "j1"),
        (2, NoticeKind.REJECT, "j2"),
        (3, NoticeKind.REJECT, "j3"),
        (4, NoticeKind.ACCEPT, "j4"),
        (5, NoticeKind.REJECT, "j5"),
    ]
    assert bench.book.ledger.notices[2].reason == "stale_generation"
    assert bench.book.ledger.notices[2].error == (
        "generation: 1 is not above 2, the highest one accepted for the project"
    )
    assert bench.book.ledger.generations == {"myapp": 3}


async def test_what_comes_behind_a_generation_that_waits_is_accepted_behind_it(
    bench: Bench, peer: Peer
) -> None:
    bench.handler.gate.clear()
    bench.machine.disk.hold()
    for number, generation in enumerate([1, 2, None], start=1):
        peer.command(bench, f"j{number}", stop("MyApp"), generation=generation)
    await settle()
    bench.machine.disk.release()
    await settle()
    assert list(bench.book.ledger.jobs) == ["j1", "j2", "j3"]


async def test_what_comes_behind_a_twin_that_waits_is_accepted_behind_it(
    bench: Bench, peer: Peer
) -> None:
    bench.handler.gate.clear()
    bench.machine.disk.is_full = True
    bench.machine.disk.hold()
    peer.command(bench, "j1", stop("MyApp"))
    await settle()
    peer.command(bench, "j1", stop("MyApp"))
    peer.command(bench, "j2", stop("MyApp"))
    bench.machine.disk.release()
    bench.machine.disk.hold()
    await settle()
    bench.machine.disk.is_full = False
    bench.machine.disk.release()
    await settle()
    assert list(bench.book.ledger.jobs) == ["j1", "j2"]


async def test_generations_of_other_projects_are_not_waited_for(bench: Bench, peer: Peer) -> None:
    bench.machine.disk.hold()
    before = bench.machine.disk.writes
    for number in range(1, 21):
        peer.command(bench, f"j{number}", deploy(f"p{number}"), generation=number)
    await settle()
    bench.machine.disk.release()
    await bench.admission.settled()
    assert bench.machine.disk.writes - before <= 2
    assert len(bench.book.ledger.generations) == 20


async def test_a_generation_is_compared_with_those_of_earlier_agents(peer: Peer) -> None:
    async with Bench().running() as bench:
        peer.command(bench, "j1", deploy(), generation=7)
        await settle()
    async with Bench(machine=bench.machine).running() as again:
        peer.command(again, "j2", stop(), generation=7)
        peer.command(again, "j3", stop(), generation=8)
        await settle()
        assert [n.reason for n in again.book.ledger.notices.values() if n.reason] == [
            "stale_generation"
        ]
        assert "j3" in again.book.ledger.jobs


async def test_a_command_without_a_generation_is_not_compared(bench: Bench, peer: Peer) -> None:
    peer.command(bench, "j1", deploy(), generation=7)
    peer.command(bench, "j2", stop())
    await settle()
    assert bench.handler.ended == [deploy(), stop()]
    assert bench.book.ledger.generations == {"blog": 7}


async def test_a_known_job_is_repeated_whatever_its_generation(bench: Bench, peer: Peer) -> None:
    peer.command(bench, "j1", deploy(), generation=7)
    await settle()
    peer.command(bench, "j1", deploy(), generation=7)
    await settle()
    assert notices(bench)[-1] == (3, NoticeKind.REPEAT, "j1")
    assert bench.handler.started == [deploy()]


# Protocol v2: an id that comes again.


async def test_a_job_that_runs_is_repeated_with_its_state_and_nothing_starts(
    bench: Bench, peer: Peer
) -> None:
    bench.handler.gate.clear()
    bench.machine.disk.hold()
    peer.command(bench, "j1", deploy())
    peer.command(bench, "j1", deploy())
    await settle()
    bench.machine.disk.release()
    await settle()
    assert notices(bench) == [(1, NoticeKind.ACCEPT, "j1"), (2, NoticeKind.REPEAT, "j1")]
    assert bench.book.ledger.notices[2].state is JobState.ACCEPTED
    bench.handler.gate.set()
    await settle()
    assert notices(bench)[2:] == [(3, NoticeKind.RESULT, "j1")]
    assert bench.handler.started == [deploy()]


async def test_a_result_that_the_peer_has_is_told_again_and_one_that_waits_is_not(
    bench: Bench, peer: Peer
) -> None:
    peer.command(bench, "j1", deploy())
    await settle()
    peer.command(bench, "j1", deploy())
    await settle()
    assert notices(bench)[1:] == [(2, NoticeKind.RESULT, "j1"), (3, NoticeKind.REPEAT, "j1")]
    await bench.book.record(PeerConfirmed(3), must=True)
    peer.command(bench, "j1", deploy())
    await settle()
    assert notices(bench) == [(4, NoticeKind.REPEAT, "j1"), (5, NoticeKind.RESULT, "j1")]
    assert bench.book.ledger.notices[4].state is JobState.SUCCEEDED
    assert bench.handler.started == [deploy()]


async def test_a_job_that_ended_long_ago_is_repeated_with_its_state_alone(
    bench: Bench, peer: Peer
) -> None:
    bench.machine.disk.tombstones["j1"] = Tombstone("j1", digest_of(deploy()), JobState.FAILED)
    peer.command(bench, "j1", deploy())
    await settle()
    assert notices(bench) == [(1, NoticeKind.REPEAT, "j1")]
    assert bench.book.ledger.notices[1].state is JobState.FAILED


async def test_a_read_is_answered_afresh_once_its_result_was_confirmed(
    bench: Bench, peer: Peer
) -> None:
    for _ in range(2):
        peer.command(bench, "h1", status())
        await settle()
        await bench.book.record(PeerConfirmed(bench.book.ledger.next_seq - 1), must=True)
    assert bench.handler.ended == [status(), status()]


@pytest.mark.parametrize("when", ["written", "running", "over", "long over"])
async def test_another_command_under_an_id_is_rejected(bench: Bench, peer: Peer, when: str) -> None:
    if when == "long over":
        state = JobState.SUCCEEDED
        bench.machine.disk.tombstones["j1"] = Tombstone("j1", digest_of(deploy()), state)
    else:
        bench.handler.gate.clear()
        if when == "written":
            bench.machine.disk.hold()
        peer.command(bench, "j1", deploy())
        if when == "over":
            bench.handler.gate.set()
        if when != "written":
            await settle()
    peer.command(bench, "j1", stop())
    await settle()
    bench.machine.disk.release()
    await settle()
    (rejected,) = [n for n in bench.book.ledger.notices.values() if n.kind is NoticeKind.REJECT]
    assert (rejected.job_id, rejected.reason) == ("j1", "conflict")
    assert stop() not in bench.handler.started


# Protocol v2: what is refused.


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (UnknownCommand("REBOOT"), {"field": "type"}),
        (InvalidInput("project_name", "must not be empty"), {"field": "project_name"}),
        (RemoteProtocolViolation("payload: is no object"), {}),
    ],
)
async def test_a_command_that_was_not_understood_is_rejected_with_its_reason(
    bench: Bench, peer: Peer, error: InstaDeployError, data: dict[str, object]
) -> None:
    peer.command(bench, "j1", error)
    await settle()
    (rejected,) = bench.book.ledger.notices.values()
    assert rejected.kind is NoticeKind.REJECT
    assert (rejected.reason, rejected.error, rejected.data) == (error.code, str(error), data)
    assert (bench.admission.arriving, bench.book.ledger.heard) == (set(), 1)
    assert bench.book.ledger.jobs == {}


@pytest.mark.parametrize(("trouble", "reason"), [("is_full", "no_space"), ("is_busy", "busy")])
async def test_what_cannot_be_written_down_is_rejected_durably_and_its_id_stays_free(
    bench: Bench, peer: Peer, trouble: str, reason: str
) -> None:
    setattr(bench.machine.disk, trouble, True)
    peer.command(bench, "j1", deploy())
    await settle()
    assert isinstance(bench.machine.disk.records[-1], JobRejected)
    assert bench.book.ledger.notices[1].reason == reason
    assert bench.admission.arriving == set()
    setattr(bench.machine.disk, trouble, False)
    peer.command(bench, "j1", deploy())
    await settle()
    assert bench.handler.started == [deploy()]


async def test_too_much_at_once_is_rejected_as_busy(peer: Peer) -> None:
    async with Bench(DispatchLimits(open_jobs=1)).running() as bench:
        bench.handler.gate.clear()
        peer.command(bench, "j1", deploy())
        peer.command(bench, "j2", deploy("shop"))
        await settle()
        rejected = [n for n in bench.book.ledger.notices.values() if n.reason]
        assert [(n.job_id, n.reason) for n in rejected] == [("j2", Busy.code)]


# Protocol v2: cancelling, and the end.


async def test_a_cancellation_is_durable_before_anything_follows_from_it(
    bench: Bench, peer: Peer
) -> None:
    bench.handler.gate.clear()
    peer.command(bench, "j0", deploy())
    peer.command(bench, "j1", stop())
    await settle()
    bench.machine.disk.hold()
    peer.cancel(bench, "j1")
    await settle()
    assert bench.admission.arriving == {3}
    assert bench.book.ledger.jobs["j1"].finished is None
    bench.machine.disk.release()
    await settle()
    assert bench.admission.arriving == set()
    assert bench.book.ledger.jobs["j1"].state is JobState.CANCELED


async def test_a_cancellation_that_comes_right_behind_its_command_is_about_that(
    bench: Bench, peer: Peer
) -> None:
    bench.handler.gate.clear()
    peer.command(bench, "j0", deploy())
    await settle()
    bench.machine.disk.hold()
    peer.command(bench, "j1", stop())
    peer.cancel(bench, "j1")
    await settle()
    bench.machine.disk.release()
    await settle()
    kinds = [type(record) for record in bench.machine.disk.records[-3:]]
    assert kinds == [JobAccepted, CancelRequested, JobFinished]
    assert bench.book.ledger.jobs["j1"].state is JobState.CANCELED


async def test_what_comes_when_the_door_is_closed_stays_unheard(bench: Bench, peer: Peer) -> None:
    bench.admission.close()
    peer.command(bench, "j1", deploy())
    peer.cancel(bench, "j1")
    await settle()
    assert bench.book.ledger.heard == 0
    assert notices(bench) == []
    async with Bench(machine=bench.machine).running() as again:
        assert again.book.ledger.heard == 0
        assert not again.book.ledger.has_heard(1)


async def test_what_was_written_when_the_agent_died_is_known_to_the_next_one_and_the_rest_is_not(
    peer: Peer,
) -> None:
    machine = FakeMachine()
    async with Bench(machine=machine).running() as bench:
        machine.disk.hold()
        for number in range(1, 5):
            peer.command(bench, f"j{number}", deploy(f"p{number}"))
        await settle()
        machine.disk.dies_after = 2
        machine.disk.release()
        await settle()
        assert bench.handler.started == [deploy("p1")]  # Nobody was told of the other one.
    machine.disk.dies_after = None
    async with Bench(machine=machine).running() as again:
        await settle()
        assert again.book.ledger.heard == 2
        assert again.handler.ended == [deploy("p1"), deploy("p2")]
        assert notices(again)[:2] == [(1, NoticeKind.ACCEPT, "j1"), (2, NoticeKind.ACCEPT, "j2")]


async def test_a_command_that_both_versions_bring_is_one_job(bench: Bench, peer: Peer) -> None:
    bench.submit("j1", deploy())
    await settle()
    peer.command(bench, "j1", deploy())
    await settle()
    assert bench.handler.started == [deploy()]
    assert NoticeKind.REPEAT in {kind for _, kind, _ in notices(bench)}


@pytest.mark.parametrize("command", [deploy(), stop()])
async def test_a_job_whose_command_was_lost_is_repeated_under_any_command(
    bench: Bench, peer: Peer, command: Command
) -> None:
    """Its digest is not known any more: starting something would be worse."""
    lost = JobFinished("j1", JobState.FAILED, "", "lost", {}, 0.0)
    await bench.book.record(lost, must=True)
    peer.command(bench, "j1", command)
    await settle()
    assert bench.handler.started == []
    assert (NoticeKind.REPEAT, "j1") in {(kind, job_id) for _, kind, job_id in notices(bench)}
