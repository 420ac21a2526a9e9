"""`HealthWatch`: what several looks tell that one does not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.engine_state import FoundContainer, Health
from domain.health_watch import CRASHES, SETTLE_S, HealthWatch, Patience
from domain.project import ProjectName
from domain.verification import Condition, ExpectedService, Kind, Verdict
from tests.fakes.engine_state import found

BLOG = ProjectName("blog")
WEB = ExpectedService(name="web")
GOOD, WAITING, BAD = Condition.GOOD, Condition.WAITING, Condition.BAD


def watch(*expected: ExpectedService, **more: Any) -> HealthWatch:
    return HealthWatch(BLOG, expected or (WEB,), **more)


def conditions(
    watching: HealthWatch, looks: Iterable[tuple[float, FoundContainer]]
) -> list[Condition]:
    return [watching.observe(at, [look]).condition for at, look in looks]


def crash_loop(times: int) -> list[FoundContainer]:
    """What is seen of it: it runs, has ended, runs, and so on."""
    looks = []
    for count in range(times):
        looks.append(found(restart_count=count, started_at=1000.0 + count))
        looks.append(
            found(
                state="restarting",
                exit_code=7,
                restart_count=count + 1,
                started_at=1000.0 + count,
            )
        )
    return looks


class TestSettling:
    def test_one_without_a_check_has_to_run_for_a_while(self) -> None:
        looks = [(at, found()) for at in (10.0, 10.0 + SETTLE_S - 0.01, 10.0 + SETTLE_S)]
        assert conditions(watch(), looks) == [WAITING, WAITING, GOOD]

    def test_what_is_waited_for_is_said(self) -> None:
        (settling,) = watch().observe(0.0, [found()]).findings
        assert settling.kind is Kind.SETTLING
        assert settling.sentence == "service 'web': blog-web-1 runs, for less than 2 s"

    def test_a_healthy_one_need_not(self) -> None:
        assert conditions(watch(), [(0.0, found(health=Health.HEALTHY))]) == [GOOD]

    def test_one_that_has_completed_need_not(self) -> None:
        migrate = ExpectedService(name="web", completes=True)
        done = found(state="exited", exit_code=0)
        assert conditions(watch(migrate), [(0.0, done)]) == [GOOD]

    def test_one_that_exits_meanwhile_has_failed(self) -> None:
        verdict = HealthWatch(BLOG, [WEB])
        assert verdict.observe(0.0, [found()]).condition is WAITING
        failed = verdict.observe(0.5, [found(state="exited", exit_code=1)])
        assert failed.sentences(BAD) == ("service 'web': blog-web-1 exited with code 1",)

    def test_it_begins_when_it_is_seen_to_run_and_not_when_it_is_created(self) -> None:
        looks = [
            (0.0, found(state="created", started_at=None)),
            (9.0, found()),
            (9.0 + SETTLE_S, found()),
        ]
        assert conditions(watch(), looks) == [WAITING, WAITING, GOOD]

    def test_it_begins_again_when_somebody_starts_it_again(self) -> None:
        looks = [
            (0.0, found()),
            (1.9, found(started_at=1001.9)),
            (2.1, found(started_at=1001.9)),
            (3.9, found(started_at=1001.9)),
        ]
        assert conditions(watch(), looks) == [WAITING, WAITING, WAITING, GOOD]

    def test_it_begins_again_after_an_end_where_nobody_says_since_when_it_runs(self) -> None:
        unknown: dict[str, Any] = {"started_at": None, "restart_count": None}
        up, ended = found(**unknown), found(state="restarting", exit_code=1, **unknown)
        looks = [(0.0, up), (1.0, ended), (2.0, up), (3.9, up), (4.0, up)]
        assert conditions(watch(), looks) == [WAITING] * 4 + [GOOD]

    def test_it_begins_again_for_a_new_container(self) -> None:
        looks = [(0.0, found()), (2.0, found(id="f" * 64)), (4.0, found(id="f" * 64))]
        assert conditions(watch(), looks) == [WAITING, WAITING, GOOD]

    def test_as_long_as_it_is_told(self) -> None:
        patient = watch(patience=Patience(settle_s=10.0))
        assert conditions(patient, [(0.0, found()), (9.9, found()), (10.0, found())]) == [
            WAITING,
            WAITING,
            GOOD,
        ]

    def test_all_replicas_have_to(self) -> None:
        watching = watch(ExpectedService(name="web", replicas=2))
        first, second = found(number=1), found(number=2)
        assert watching.observe(0.0, [first, second]).condition is WAITING
        later = found(number=2, started_at=1001.0)
        assert watching.observe(2.0, [first, later]).services == {"web": WAITING}
        assert watching.observe(4.0, [first, later]).condition is GOOD


class TestWhatRanBefore:
    def test_it_need_not_settle_where_it_was_left_as_it_is(self) -> None:
        assert conditions(watch(before=[found()]), [(0.0, found())]) == [GOOD]

    @pytest.mark.parametrize(
        ("before", "now"),
        [
            ({}, {"started_at": 1001.0}),
            ({}, {"id": "f" * 64}),
            ({"restart_count": 4}, {"restart_count": 4}),
            ({"restart_count": None}, {"restart_count": None}),
            ({"started_at": None}, {"started_at": None}),
            ({"state": "restarting"}, {}),
        ],
    )
    def test_it_has_to_otherwise(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        watching = watch(before=[found(**before)])
        assert conditions(watching, [(0.0, found(**now))]) == [WAITING]

    def test_it_is_judged_all_the_same(self) -> None:
        ill = found(health=Health.UNHEALTHY)
        assert conditions(watch(before=[ill]), [(0.0, ill)]) == [BAD]


class TestCrashLoops:
    def test_one_that_the_engine_starts_again_and_again_has_failed(self) -> None:
        watching = watch()
        seen = [
            watching.observe(at * 0.1, [look]) for at, look in enumerate(crash_loop(CRASHES + 1))
        ]
        assert [one.condition for one in seen] == [WAITING] * (2 * CRASHES - 1) + [BAD] * 3
        (said,) = seen[-1].sentences(BAD)
        assert said == (
            f"service 'web': blog-web-1 crashes again and again ({CRASHES + 1} times); "
            "it exited with code 7"
        )

    def test_also_where_every_end_of_it_is_overlooked(self) -> None:
        looks = [(n * 1.0, found(restart_count=n, started_at=1000.0 + n)) for n in range(6)]
        assert conditions(watch(), looks) == [WAITING] * CRASHES + [BAD]

    def test_what_it_has_crashed_before_does_not_count(self) -> None:
        looks = [(at, found(restart_count=500)) for at in (0.0, SETTLE_S)]
        assert conditions(watch(), looks) == [WAITING, GOOD]

    def test_one_that_comes_up_after_a_few_crashes_is_good(self) -> None:
        watching = watch()
        looks = crash_loop(CRASHES - 1)
        for at, look in enumerate(looks):
            watching.observe(at * 0.1, [look])
        up = found(restart_count=CRASHES - 1, started_at=2000.0)
        (settling,) = watching.observe(5.0, [up]).findings
        assert settling.sentence.endswith(f"runs after {CRASHES - 1} crashes, for less than 2 s")
        assert watching.observe(7.0, [up]).condition is GOOD

    def test_one_that_is_slow_to_get_healthy_is_waited_for_without_end(self) -> None:
        slow = found(health=Health.STARTING)
        assert conditions(watch(), [(at, slow) for at in (0.0, 1e3, 1e6)]) == [WAITING] * 3

    def test_one_with_a_check_that_crashes_has_failed(self) -> None:
        looks = [
            (n * 1.0, found(health=Health.STARTING, restart_count=n, started_at=1000.0 + n))
            for n in range(6)
        ]
        assert conditions(watch(), looks)[-1] is BAD

    def test_one_that_is_healthy_after_all_is_good(self) -> None:
        looks = [(0.0, found()), (1.0, found(health=Health.HEALTHY, restart_count=9))]
        assert conditions(watch(), looks)[-1] is GOOD

    def test_where_nobody_counts_each_end_that_is_seen_counts(self) -> None:
        looks = [
            (n * 0.1, found(state=state, exit_code=1, restart_count=None, started_at=None))
            for n, state in enumerate(["running", "restarting", "restarting"] * CRASHES)
        ]
        seen = conditions(watch(), looks)
        assert seen.index(BAD) == len(looks) - 2

    def test_patience_is_given(self) -> None:
        looks = [(n * 0.1, look) for n, look in enumerate(crash_loop(2))]
        assert conditions(watch(patience=Patience(crashes=2)), looks)[-1] is BAD
        assert conditions(watch(patience=Patience(crashes=3)), looks)[-1] is WAITING


@pytest.mark.parametrize(
    "facts",
    [
        {"name": "0123456789ab_blog-web-1"},
        {"image_id": "sha256:other"},
        {"config_hash": "other"},
        {"state": "paused"},
        {"state": "dead"},
        {"health": Health.UNHEALTHY},
        {"state": "created", "error": "port is already allocated"},
    ],
)
def test_what_no_waiting_puts_right_has_failed_at_once(facts: dict[str, Any]) -> None:
    wanted = ExpectedService(name="web", image_id="sha256:" + "a" * 64, config_hash="c" * 64)
    assert watch(wanted).observe(0.0, [found(**facts)]).condition is BAD


def test_a_service_that_is_not_there_has_failed() -> None:
    assert watch().observe(0.0, []).sentences(BAD) == ("service 'web' has no container",)


def test_what_is_not_wanted_is_not_watched() -> None:
    side = found(name="blog-web-run-1", is_oneoff=True, id="1" * 64, state="exited", exit_code=1)
    crashing = found("old", state="restarting", exit_code=1)
    looks = [found(health=Health.HEALTHY), side, crashing]
    assert watch().observe(0.0, looks).condition is GOOD


LOOK = st.builds(
    found,
    state=st.sampled_from(["running", "restarting", "created", "exited", "paused"]),
    health=st.sampled_from(Health),
    restart_count=st.one_of(st.none(), st.integers(0, 8)),
    started_at=st.one_of(st.none(), st.sampled_from([1000.0, 1001.0])),
    exit_code=st.sampled_from([None, 0, 1]),
)


@given(st.lists(st.tuples(st.floats(0, 5), LOOK), min_size=1, max_size=8))
def test_good_means_healthy_or_that_it_has_run_unchanged_for_long_enough(
    steps: list[tuple[float, FoundContainer]],
) -> None:
    watching, at = watch(), 0.0
    history: list[tuple[float, FoundContainer]] = []
    verdict = Verdict(())
    for step, look in steps:
        at += step
        history.append((at, look))
        verdict = watching.observe(at, [look])
    if verdict.condition is not GOOD:
        return
    last = history[-1][1]
    assert last.state == "running"
    if last.health is Health.NONE:
        since = at
        for seen_at, look in reversed(history):
            if (look.state, look.started_at) != ("running", last.started_at):
                break
            since = seen_at
        assert at - since >= SETTLE_S
