"""The checker, on ledgers that agree and on ones that were made to disagree, each in one way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fleet.checking import PlaneJob, Terms, compare
from tests.fleet.ledger import Deed, Ledger

SHA = "a" * 64
DEPLOY = "DEPLOY_COMPOSE"


def ledger(*deeds: Deed, host_id: str = "host_1", name: str = "one", amnesias: int = 0) -> Ledger:
    return Ledger(name, host_id, amnesias=amnesias, deeds={deed.job_id: deed for deed in deeds})


def done(job_id: str = "a", **fields: object) -> Deed:
    deed = Deed(job_id, DEPLOY, "blog", commands=1, begun=1, state="succeeded")
    for name, value in fields.items():
        setattr(deed, name, value)
    return deed


def job(job_id: str = "a", state: str = "succeeded", reason: str = "") -> PlaneJob:
    return PlaneJob(job_id, "host_1", DEPLOY, state, reason)


@pytest.mark.parametrize(
    ("told", "deeds"),
    [
        (job(), [done()]),
        (job(state="failed", reason="unhealthy"), [done(state="failed", reason="unhealthy")]),
        (job(state="failed", reason="policy"), [Deed("a", DEPLOY, commands=1, refused="policy")]),
        (job(state="canceled"), [done(state="canceled", reason="canceled")]),
        (job(state="canceled"), []),
        (job(state="expired"), []),
        (job(state="superseded"), []),
        (job(state="failed", reason="revoked"), []),
        (job(), [done(commands=3)]),
    ],
)
def test_where_both_say_the_same_there_is_nothing_to_say(told: PlaneJob, deeds: list[Deed]) -> None:
    assert compare([told], [ledger(*deeds)]) == []


@pytest.mark.parametrize(
    ("told", "deeds", "fault"),
    [
        (job(state="queued"), [], "lost: a is queued, and on no host"),
        (job(state="running"), [done()], "lost: a is running"),
        (job(state="accepted"), [done(state="accepted", begun=0)], "lost: a is accepted"),
        (job(), [], "invented: a is succeeded, and no host has heard of it"),
        (job(), [done(state="failed", reason="x")], "invented: a is succeeded"),
        (job(state="failed", reason="x"), [done(state="failed", reason="y")], "invented: a failed"),
        (job(), [Deed("a", DEPLOY, commands=1, refused="busy")], "invented: a succeeded"),
        (job(state="failed"), [done(state="running")], "invented: a is failed, and is not over"),
        (job(state="canceled"), [done(state="running")], "invented: a is canceled"),
        (
            job(state="failed", reason="x"),
            [Deed("a", DEPLOY, commands=1, refused="busy")],
            "invented: a failed for 'x'",
        ),
        (job(), [done(begun=2)], "twice: one began a 2 times"),
        (job(), [done(), done("b")], "invented: one was given b, of which nobody knows"),
    ],
)
def test_each_disagreement_is_noticed(told: PlaneJob, deeds: list[Deed], fault: str) -> None:
    faults = compare([told], [ledger(*deeds)])

    assert len(faults) == 1
    assert faults[0].startswith(fault)


def test_a_job_that_went_to_another_host_is_noticed() -> None:
    (fault,) = compare([job()], [ledger(done(), host_id="host_2")])

    assert fault == "invented: one was given a, which is for host_1"


def test_a_job_on_two_hosts_is_noticed_unless_they_claim_to_be_one() -> None:
    both = [ledger(done()), ledger(done(), name="two")]

    assert compare([job()], both) == ["twice: a was begun by ['one', 'two']"]
    assert compare([job()], both, Terms(shared=frozenset({"host_1"}))) == []


def test_a_read_may_be_done_again() -> None:
    read = done(kind="HEALTH_CHECK", begun=2)

    assert compare([replace(job(), kind="HEALTH_CHECK")], [ledger(read)]) == []


def test_a_host_that_lost_its_memory_may_do_a_job_again() -> None:
    assert compare([job()], [ledger(done(begun=2), amnesias=1)]) == []
    assert len(compare([job()], [ledger(done(begun=3), amnesias=1)])) == 1


def test_what_is_under_way_is_not_lost_yet() -> None:
    assert compare([job(state="queued")], [ledger()], Terms(is_settled=False)) == []


def test_a_naive_agent_may_leave_the_end_unknown_and_do_a_job_again() -> None:
    naive = Terms(naive=frozenset({"host_1"}))
    assert compare([job()], [ledger(done(begun=2))], naive) == []
    ended = [ledger(done(state="succeeded"))]

    assert compare([job(state="failed", reason="unknown")], ended, naive) == []
    assert len(compare([job(state="failed", reason="unknown")], ended)) == 1


@pytest.mark.parametrize(
    ("output", "is_right"),
    [
        ({"apply": (10, SHA)}, True),
        ({"apply": (9, SHA)}, False),
        ({"apply": (10, "b" * 64)}, False),
        ({}, False),
        ({"apply": (10, SHA), "pull": (1, SHA)}, False),
    ],
)
def test_output_is_compared_by_length_and_hash(
    output: dict[str, tuple[int, str]], is_right: bool
) -> None:
    printed = done(output_bytes=10, sha256=SHA)
    faults = compare([replace(job(), output=output)], [ledger(printed)])

    assert (faults == []) is is_right
    assert all(fault.startswith("lost: of the output of a") for fault in faults)


def test_a_ledger_comes_back_from_json_as_it_was() -> None:
    one = ledger(done(), amnesias=2)

    assert Ledger.from_json(one.to_json()) == one
