"""What the kill sweep is made of: names, points, and the comparison, on stories that do not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.fleet.kill_sweep.case import Report
from tests.fleet.kill_sweep.commits import names_of, words_in
from tests.fleet.kill_sweep.comparing import UNKNOWN, Asked, Hosts, Told, differences
from tests.fleet.kill_sweep.orders import VARIABLE, Orders
from tests.fleet.kill_sweep.points import Points
from tests.fleet.kill_sweep.strikes import Fault, How, Strike
from tests.fleet.kill_sweep.sweep import all_faults
from tests.fleet.ledger import Deed, Ledger
from tests.fleet.plane_api import FeedEvent

JOB = "job_1"
DEPLOY = "DEPLOY_COMPOSE"
HEALTHY = {"logs": "done", "error": "", "data": {"a": 1}, "output": []}
SAID = {"job_id": JOB, "status": "COMPLETED", "logs": "done", "data": {"a": 1}, "final": True}


def asked(*answers: tuple[str, ...], key: str = "k", ends: str = "succeeded") -> Asked:
    return Asked("/deployments", key, {}, {ends}, list(answers) or [("dep_1", JOB)])


def feed(*states: str, first: int = 1) -> list[FeedEvent]:
    return [
        FeedEvent("state", {"job_id": JOB, "state": state}, number)
        for number, state in enumerate(states, start=first)
    ]


def told(
    state: str = "succeeded",
    *states: str,
    job_id: str = JOB,
    kind: str = DEPLOY,
    reason: str = "",
    result: Mapping[str, Any] | None = HEALTHY,
    first: int = 1,
) -> Told:
    job = {
        "id": job_id,
        "host_id": "host_1",
        "kind": kind,
        "project": "blog",
        "state": state,
        "over": state not in ("queued", "accepted"),
        "reason": reason,
        "result": result,
    }
    events = feed(*(states or ("queued", "accepted", state)), first=first)
    return Told(job, events, {})


def hosts(begun: int = 1, state: str = "succeeded", protocol: int = 2, **said: Any) -> Hosts:
    deed = Deed(JOB, DEPLOY, "blog", commands=1, begun=begun, state=state)
    deeds = {JOB: deed} if state else {}
    return Hosts([Ledger("one", "host_1", protocol, deeds=deeds)], {JOB: {**SAID, **said}})


def faults_in(
    requests: Sequence[Asked] | None = None,
    jobs: Sequence[Told] | None = None,
    followed: Sequence[FeedEvent] | None = None,
    known: Hosts | None = None,
) -> list[str]:
    all_told = [told()] if jobs is None else jobs
    return differences(
        [asked()] if requests is None else requests,
        {one.job["id"]: one for one in all_told},
        {} if followed is None else {JOB: followed},
        known or hosts(),
    )


def test_where_all_tell_the_same_there_is_nothing_to_say() -> None:
    twice = asked(("dep_1", JOB), ("dep_1", JOB))
    assert faults_in([twice], followed=feed("queued", "accepted", "succeeded")) == []


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (faults_in(jobs=[], known=hosts(state="")), "was answered with 202, and is not there"),
        (faults_in([asked(), Asked("/deployments", "l", {}, set())]), "was never answered"),
        (faults_in([asked(("dep_1", JOB), ("dep_2", JOB))]), "under one key"),
        (faults_in([asked(), asked(key="l")]), "the answer to 2 requests"),
        (faults_in([]), "is no answer to any request"),
        (faults_in(known=hosts(begun=2)), "twice: one began"),
        (faults_in(known=hosts(state="")), "no host has heard of it"),
        (faults_in(jobs=[told("accepted")]), "lost: job_1 is accepted"),
        (faults_in([asked(ends="failed")]), "not ['failed']"),
        (faults_in(jobs=[told("succeeded", "accepted", "succeeded")]), "does not begin as queued"),
        (faults_in(jobs=[told("succeeded", "queued", "queued", "succeeded")]), "in a state twice"),
        (faults_in(jobs=[told("succeeded", "queued", "accepted")]), "its feed says"),
        (faults_in(jobs=[told("accepted", "queued", "succeeded", "accepted")]), "lost: job_1"),
        (
            faults_in(jobs=[told("succeeded", "queued", "failed", "succeeded")]),
            "goes on after its end",
        ),
        (
            faults_in(jobs=[replace(told(), feed=list(reversed(told().feed)))]),
            "the numbers of job_1 do not rise",
        ),
        (
            faults_in(
                [asked(("dep_1", JOB), ("dep_1", JOB)), asked(("dep_2", "job_2"), key="l")],
                [told(), told(job_id="job_2")],
            ),
            "given more than once: [1, 2, 3]",
        ),
        (faults_in(followed=feed("queued", "succeeded")), "its follower was told"),
        (faults_in(jobs=[told(result=None)]), "lost: the result of job_1"),
        (faults_in(known=hosts(logs="more")), "and said was"),
    ],
)
def test_each_disagreement_is_noticed(faults: list[str], words: str) -> None:
    assert any(words in fault for fault in faults), faults


def test_an_outcome_may_be_unknown_of_what_must_not_be_sent_again_and_of_nothing_else() -> None:
    restart = told("failed", reason=UNKNOWN, result=None, kind="RESTART_COMPOSE")
    deploy = told("failed", reason=UNKNOWN, result=None)
    not_begun = replace(hosts(begun=0, state="", protocol=1), said={})
    begun = replace(hosts(protocol=1), said={})
    assert faults_in(jobs=[restart], known=not_begun) == []
    assert faults_in(jobs=[deploy], known=not_begun) != []
    assert faults_in(jobs=[restart], known=replace(not_begun, ledgers=hosts(0, "").ledgers)) != []
    assert faults_in(jobs=[restart], known=begun) != []
    assert faults_in(jobs=[restart], known=replace(begun, is_naive=True)) == []


def test_even_an_agent_that_forgets_does_not_do_again_what_must_be_done_once() -> None:
    twice = replace(hosts(begun=2, protocol=1), is_naive=True)
    assert faults_in(known=twice) == []
    deed = twice.ledgers[0].deeds[JOB]
    deed.kind = "RESTART_COMPOSE"
    assert faults_in(jobs=[told(kind=deed.kind)], known=twice) == [
        "twice: one began job_1 (RESTART_COMPOSE) 2 times"
    ]


def test_an_agent_of_v1_is_compared_by_what_it_can_say() -> None:
    assert faults_in(known=hosts(protocol=1, output=[{"step": "apply"}])) == []
    assert faults_in(known=hosts(protocol=2, output=[{"step": "apply"}])) != []


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ([("INSERT INTO", "jobs", ()), ("INSERT INTO", "feed", ("queued",))], ["queued"]),
        ([("UPDATE", "jobs", ()), ("INSERT INTO", "outgoing", ())], ["numbered"]),
        ([("UPDATE", "jobs", ()), ("UPDATE", "book", ())], ["sent"]),
        ([("INSERT INTO", "feed", ("canceling",)), ("INSERT INTO", "outgoing", ())], ["canceling"]),
        ([("DELETE FROM", "outgoing", ()), ("UPDATE", "links", ())], ["confirmed"]),
        (
            [("INSERT INTO", "feed", ("succeeded", "accepted")), ("DELETE FROM", "outgoing", ())],
            ["accepted", "succeeded"],
        ),
        ([("UPDATE", "hosts", ()), ("UPDATE", "book", ())], []),
    ],
)
def test_a_commit_is_called_what_is_true_from_then_on(
    written: list[tuple[str, str, tuple[str, ...]]], names: list[str]
) -> None:
    assert names_of(written) == names


@pytest.mark.parametrize(
    "rows", [(1, "state", "queued", b""), [(1, "state", "queued")], {"a": "queued", "b": 2}]
)
def test_states_are_found_in_rows_of_any_kind(rows: object) -> None:
    assert words_in(rows) == ("queued",)


@pytest.mark.parametrize("name", ["v2:after/queued/1", "v1:before/PONG/2,after/any/11"])
def test_a_case_has_a_name_that_it_can_be_found_by(name: str) -> None:
    assert str(Fault.named(name)) == name


@pytest.mark.parametrize("name", ["v2", "v2:", "v2:after/queued", "v2:never/queued/1"])
def test_what_is_no_name_of_a_case_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        Fault.named(name)


def test_orders_are_read_as_they_were_given() -> None:
    orders = Orders("/notes", "after/ACK/1", ("queued/2",), {"a.b:C_S": 1.5})
    assert Orders.of(orders.environment()[VARIABLE]) == orders


def test_points_are_counted_by_each_of_their_names(tmp_path: Any) -> None:
    points = Points(tmp_path / "notes", None)
    points.before(["ACK"])
    deaths = points.before(["accepted", "ACK"])
    assert (tmp_path / "notes").read_text() == "ACK/1\naccepted/1 ACK/2\n"
    assert [str(one) for one in deaths] == ["after/accepted/1", "after/ACK/2", "after/any/2"]


def test_a_sweep_dies_on_both_sides_of_each_point_and_some_times_twice() -> None:
    counts = {"v2": Report(Fault("v2"), "sqlite", points=["queued/1", "accepted/1 output/1"])}
    faults = all_faults(counts, seed=1)
    points = [("queued", 1), ("accepted", 1), ("output", 1)]
    expected = [Fault("v2", (Strike(how, *point),)) for how in How for point in points]
    assert faults[:6] == expected
    assert [len(fault.strikes) for fault in faults[6:]] == [2]
