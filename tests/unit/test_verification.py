"""Every way in which one look at a project can tell that it is not what was wanted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.engine_state import OUTPUT_LENGTH, FoundContainer, Health, last_line
from domain.project import ProjectName
from domain.verification import Condition, ExpectedService, Kind, Verdict, verify
from tests.fakes.engine_state import found

BLOG = ProjectName("Blog")
WEB = ExpectedService(name="web")
OLD = "0123456789ab"


def judged(expected: ExpectedService, *containers: FoundContainer) -> Verdict:
    return verify(BLOG, [expected], containers)


def kinds(verdict: Verdict) -> list[Kind]:
    return [finding.kind for finding in verdict.findings]


@pytest.mark.parametrize(
    ("facts", "kind", "words"),
    [
        ({}, Kind.RUNNING, "blog-web-1 runs"),
        ({"health": Health.HEALTHY}, Kind.HEALTHY, "runs and is healthy"),
        ({"state": "created"}, Kind.CREATED, "was created and not started"),
        ({"health": Health.STARTING}, Kind.STARTING, "not healthy yet"),
        (
            {"health": Health.STARTING, "health_output": "refused"},
            Kind.STARTING,
            "not healthy yet; its last check said: refused",
        ),
        ({"state": "removing"}, Kind.REMOVING, "is being removed"),
        ({"state": "stopping"}, Kind.STARTING, "is stopping"),
        ({"state": ""}, Kind.STARTING, "not known"),
        ({"state": "exited", "exit_code": 3}, Kind.EXITED, "exited with code 3"),
        ({"state": "exited", "exit_code": 0}, Kind.EXITED, "exited with code 0"),
        ({"state": "exited"}, Kind.EXITED, "blog-web-1 exited"),
        (
            {"state": "exited", "exit_code": 137, "is_oom_killed": True},
            Kind.EXITED,
            "exited with code 137; it ran out of memory",
        ),
        (
            {"state": "created", "exit_code": 127, "error": "exec: no such file"},
            Kind.NOT_STARTED,
            "could not be started: exec: no such file",
        ),
        (
            {"state": "restarting", "exit_code": 1},
            Kind.RESTARTING,
            "exited with code 1 and is abou",
        ),
        ({"health": Health.UNHEALTHY}, Kind.UNHEALTHY, "is unhealthy"),
        (
            {"health": Health.UNHEALTHY, "health_output": "HTTP 503"},
            Kind.UNHEALTHY,
            "is unhealthy; its last check said: HTTP 503",
        ),
        ({"state": "paused"}, Kind.PAUSED, "is paused"),
        ({"state": "dead"}, Kind.DEAD, "is dead"),
    ],
)
def test_a_container_in_every_state(facts: dict[str, Any], kind: Kind, words: str) -> None:
    (finding, *more) = judged(WEB, found(**facts)).findings[-1:]
    assert not more
    assert (finding.kind, finding.container) == (kind, "blog-web-1")
    assert finding.sentence.startswith("service 'web': blog-web-1 ")
    assert words in finding.sentence


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_one_condition(kind: Kind) -> None:
    assert kind.condition in Condition


def test_a_container_that_is_going_is_not_the_one_that_is_wanted() -> None:
    assert kinds(judged(WEB, found(state="removing"))) == [Kind.MISSING, Kind.REMOVING]
    waiting = judged(WEB, found(state="removing", name="old", number=2), found())
    assert kinds(waiting) == [Kind.RUNNING, Kind.REMOVING]
    assert waiting.condition is Condition.WAITING


class TestCompletion:
    MIGRATE = ExpectedService(name="migrate", completes=True)

    def test_one_that_others_wait_for_has_to_exit_with_0(self) -> None:
        done = judged(self.MIGRATE, found("migrate", state="exited", exit_code=0))
        assert (kinds(done), done.condition) == ([Kind.COMPLETED], Condition.GOOD)

    @pytest.mark.parametrize("exit_code", [1, 137, None])
    def test_any_other_end_is_a_failure(self, exit_code: int | None) -> None:
        failed = judged(self.MIGRATE, found("migrate", state="exited", exit_code=exit_code))
        assert (kinds(failed), failed.condition) == ([Kind.EXITED], Condition.BAD)

    @pytest.mark.parametrize("health", [Health.NONE, Health.HEALTHY])
    def test_while_it_runs_it_is_waited_for(self, health: Health) -> None:
        running = judged(self.MIGRATE, found("migrate", health=health))
        assert (kinds(running), running.condition) == ([Kind.COMPLETING], Condition.WAITING)


class TestHealthCheck:
    CHECKED = ExpectedService(name="web", has_healthcheck=True)

    def test_one_that_has_not_begun_is_waited_for(self) -> None:
        assert kinds(judged(self.CHECKED, found())) == [Kind.STARTING]

    def test_one_of_the_images_own_is_judged_too(self) -> None:
        assert kinds(judged(WEB, found(health=Health.UNHEALTHY))) == [Kind.UNHEALTHY]


class TestNames:
    @pytest.mark.parametrize(
        ("name", "number"),
        [("blog-web-1", 1), ("blog_web_1", 1), ("blog-web-12", 12), ("blog-web-7", None)],
    )
    def test_the_names_that_compose_gives(self, name: str, number: int | None) -> None:
        assert kinds(judged(WEB, found(name=name, number=number))) == [Kind.RUNNING]

    @pytest.mark.parametrize(
        ("name", "number"),
        [
            (f"{OLD}_blog-web-1", 1),
            ("blog-web-2", 1),
            ("by-hand", 1),
            ("blog-web-1", 2),
            ("blog-web-0", None),
            ("blog-web-", None),
            ("blog-db-1", 1),
            ("Blog-web-1", 1),
            ("", 1),
        ],
    )
    def test_others_are_wrong_also_where_it_runs(self, name: str, number: int | None) -> None:
        assert kinds(judged(WEB, found(name=name, number=number))) == [Kind.MISNAMED]

    def test_what_a_cut_recreation_left_is_said(self) -> None:
        (wrong,) = judged(WEB, found(name=f"{OLD}_blog-web-1")).findings
        assert wrong.sentence == (
            f"service 'web': {OLD}_blog-web-1 does not have its proper name, "
            "blog-web-<number>; a recreation of it was cut short"
        )

    def test_a_name_of_its_own(self) -> None:
        named = ExpectedService(name="web", container_name="front")
        assert kinds(judged(named, found(name="front"))) == [Kind.RUNNING]
        (wrong,) = judged(named, found()).findings
        assert wrong.sentence == "service 'web': blog-web-1 does not have its proper name, front"

    def test_a_service_whose_name_is_a_pattern(self) -> None:
        dotted = ExpectedService(name="a.b")
        assert kinds(judged(dotted, found("a.b"))) == [Kind.RUNNING]
        assert kinds(judged(dotted, found("a.b", name="blog-a+b-1"))) == [Kind.MISNAMED]


class TestWhatItWasMadeFrom:
    WANTED = ExpectedService(name="web", image_id="sha256:" + "b" * 64, config_hash="d" * 64)

    def test_all_that_is_wrong_is_said(self) -> None:
        verdict = judged(self.WANTED, found(name="x", state="exited", exit_code=1))
        assert kinds(verdict) == [
            Kind.MISNAMED,
            Kind.WRONG_IMAGE,
            Kind.WRONG_CONFIG,
            Kind.EXITED,
        ]
        assert f"has the image {'a' * 12} instead of {'b' * 12}" in verdict.findings[1].sentence

    def test_that_it_runs_is_no_comfort(self) -> None:
        verdict = judged(self.WANTED, found(config_hash="d" * 64))
        assert kinds(verdict) == [Kind.WRONG_IMAGE]

    @pytest.mark.parametrize("fact", ["image_id", "config_hash"])
    def test_what_is_not_known_is_not_compared(self, fact: str) -> None:
        same: dict[str, Any] = {
            "image_id": self.WANTED.image_id,
            "config_hash": self.WANTED.config_hash,
        }
        assert kinds(judged(self.WANTED, found(**(same | {fact: None})))) == [Kind.RUNNING]
        assert kinds(judged(WEB, found(**{fact: "anything"}))) == [Kind.RUNNING]


class TestNumbers:
    TWO = ExpectedService(name="web", replicas=2)

    def test_none_is_missing(self) -> None:
        (missing,) = judged(WEB).findings
        assert (missing.kind, missing.container) == (Kind.MISSING, None)
        assert missing.sentence == "service 'web' has no container"

    def test_too_few(self) -> None:
        verdict = judged(self.TWO, found())
        assert kinds(verdict) == [Kind.MISSING, Kind.RUNNING]
        assert verdict.findings[0].sentence == "service 'web' has 1 of 2 containers"

    def test_as_many_as_are_wanted_whatever_their_numbers(self) -> None:
        assert kinds(judged(self.TWO, found(number=2), found(number=3))) == [Kind.RUNNING] * 2

    def test_too_many(self) -> None:
        verdict = judged(self.TWO, *(found(number=number) for number in (1, 2, 3)))
        assert verdict.condition is Condition.BAD
        assert verdict.sentences(Condition.BAD) == (
            "service 'web' has 3 containers where 2 are wanted",
        )

    def test_one_that_is_to_have_none(self) -> None:
        none = ExpectedService(name="web", replicas=0)
        assert judged(none).condition is Condition.GOOD
        assert judged(none, found()).condition is Condition.BAD

    def test_one_that_somebody_runs_on_the_side_does_not_count(self) -> None:
        side = found(name="blog-web-run-1a2b3c", is_oneoff=True, state="exited", exit_code=1)
        assert kinds(judged(WEB, found(), side)) == [Kind.RUNNING]
        assert kinds(judged(WEB, side)) == [Kind.MISSING]


def test_services_that_are_not_wanted_are_nobodys_concern() -> None:
    debug = ExpectedService(name="debug", is_active=False)
    verdict = verify(BLOG, [WEB, debug], [found(), found("old", state="exited", exit_code=1)])
    assert verdict.services == {"web": Condition.GOOD}


def test_the_worst_of_each_service_and_of_all() -> None:
    expected = [ExpectedService(name=name) for name in ("a", "b", "c")]
    looks = [found("a"), found("b", state="created"), found("c", health=Health.UNHEALTHY)]
    verdict = verify(BLOG, expected, looks)
    assert verdict.services == {
        "a": Condition.GOOD,
        "b": Condition.WAITING,
        "c": Condition.BAD,
    }
    assert verdict.condition is Condition.BAD
    assert verify(BLOG, expected[:2], looks).condition is Condition.WAITING
    assert verify(BLOG, expected[:1], looks).condition is Condition.GOOD
    assert verify(BLOG, [], looks).condition is Condition.GOOD


CONTAINERS = st.builds(
    found,
    st.sampled_from(["web", "db", "other"]),
    number=st.one_of(st.none(), st.integers(1, 3)),
    name=st.sampled_from(["blog-web-1", "blog-web-2", "blog-db-1", "x"]),
    state=st.sampled_from(
        ["created", "running", "paused", "restarting", "removing", "exited", "dead", "?"]
    ),
    health=st.sampled_from(Health),
    exit_code=st.one_of(st.none(), st.integers(0, 255)),
    image_id=st.sampled_from([None, "sha256:1", "sha256:2"]),
    is_oneoff=st.booleans(),
)


@given(st.lists(CONTAINERS, max_size=4), st.booleans(), st.integers(0, 2))
def test_good_means_that_as_many_as_wanted_run_or_have_completed(
    containers: list[FoundContainer], completes: bool, replicas: int
) -> None:
    wanted = ExpectedService(
        name="web", completes=completes, replicas=replicas, image_id="sha256:1"
    )
    if judged(wanted, *containers).condition is not Condition.GOOD:
        return
    own = [one for one in containers if one.service == "web" and not one.is_oneoff]
    assert len(own) == replicas
    for one in own:
        assert one.state == ("exited" if completes else "running")
        assert one.health in (Health.NONE, Health.HEALTHY) or completes
        assert one.image_id in (None, "sha256:1")
        assert one.name in ("blog-web-1", "blog-web-2")
        assert one.number is None or one.name.endswith(str(one.number))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("\n \n", ""),
        ("first\nlast\n\n", "last"),
        ("a\x1b[2Kb\x00\n", "a[2Kb"),
        ("x" * 1000, "x" * OUTPUT_LENGTH),
        ("héllo ✓", "héllo ✓"),
    ],
)
def test_the_last_line_of_foreign_output(text: str, line: str) -> None:
    assert last_line(text) == line
