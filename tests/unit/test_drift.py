"""Every way in which a project can come to differ from what was deployed."""

from __future__ import annotations

from typing import Any

import pytest

from domain.drift import Drift, DriftKind, drift_of
from domain.engine_state import FoundContainer, Health
from domain.project import ProjectName
from domain.verification import ExpectedService
from tests.fakes.engine_state import found

BLOG = ProjectName("blog")
WEB = ExpectedService(name="web", image_id="sha256:" + "a" * 64, config_hash="c" * 64)


def drift(*containers: FoundContainer, wanted: ExpectedService = WEB) -> tuple[Drift, ...]:
    return drift_of(BLOG, [wanted], containers)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"health": Health.HEALTHY},
        {"health": Health.STARTING},
        {"number": 3},
        {"image_id": None, "config_hash": None},
        {"restart_count": 7},
    ],
)
def test_what_is_as_it_was_deployed_has_none(facts: dict[str, Any]) -> None:
    assert drift(found(**facts)) == ()


@pytest.mark.parametrize(
    ("facts", "kind", "words"),
    [
        ({"image_id": "sha256:" + "b" * 64}, DriftKind.IMAGE, "instead of aaaaaaaaaaaa"),
        ({"config_hash": "d" * 64}, DriftKind.CONFIG, "another configuration"),
        ({"name": "by-hand"}, DriftKind.RENAMED, "by-hand does not have its proper name"),
        ({"state": "exited", "exit_code": 137}, DriftKind.STOPPED, "exited with code 137"),
        ({"state": "exited", "exit_code": 0}, DriftKind.STOPPED, "exited with code 0"),
        ({"state": "created"}, DriftKind.STOPPED, "was created and not started"),
        ({"state": "paused"}, DriftKind.STOPPED, "is paused"),
        ({"state": "dead"}, DriftKind.STOPPED, "is dead"),
        ({"health": Health.UNHEALTHY}, DriftKind.UNHEALTHY, "is unhealthy"),
        ({"state": "restarting", "exit_code": 1}, DriftKind.UNHEALTHY, "exited with code 1 and"),
    ],
)
def test_a_container_that_differs(facts: dict[str, Any], kind: DriftKind, words: str) -> None:
    container = found(**facts)
    (item,) = drift(container)
    assert (item.kind, item.service, item.container) == (kind, "web", container.name)
    assert item.sentence.startswith(f"service 'web': {container.name} ")
    assert words in item.sentence


def test_all_differences_of_one_container_are_said() -> None:
    changed = found(name="x", image_id="sha256:b", config_hash="d", state="exited", exit_code=1)
    assert [item.kind for item in drift(changed)] == [
        DriftKind.RENAMED,
        DriftKind.IMAGE,
        DriftKind.CONFIG,
        DriftKind.STOPPED,
    ]


def test_numbers() -> None:
    two = ExpectedService(name="web", replicas=2)
    (missing,) = drift(wanted=two)
    assert (missing.kind, missing.container) == (DriftKind.MISSING, None)
    assert missing.sentence == "service 'web' has no container"
    (fewer,) = drift(found(), wanted=two)
    assert fewer.kind is DriftKind.SCALE
    assert fewer.sentence == "service 'web' has 1 containers, not 2"
    (more,) = drift(found(), found(number=2))
    assert more.kind is DriftKind.SCALE
    (unwanted,) = drift(found(), wanted=ExpectedService(name="web", replicas=0))
    assert unwanted.kind is DriftKind.SCALE
    assert drift(wanted=ExpectedService(name="web", replicas=0)) == ()


def test_one_that_has_completed_is_not_stopped() -> None:
    migrate = ExpectedService(name="migrate", completes=True)
    assert drift(found("migrate", state="exited", exit_code=0), wanted=migrate) == ()
    (failed,) = drift(found("migrate", state="exited", exit_code=1), wanted=migrate)
    assert failed.kind is DriftKind.STOPPED


def test_a_container_of_a_service_that_is_not_wanted_is_extra() -> None:
    (item,) = drift(found(), found("old", state="exited", exit_code=0))
    assert (item.kind, item.service, item.container) == (DriftKind.EXTRA, "old", "blog-old-1")
    assert item.sentence == (
        "service 'old': blog-old-1 belongs to no service of the deployed revision"
    )


def test_a_container_without_a_service_is_extra() -> None:
    (item,) = drift(found(), found("", name="stranger"))
    assert (item.kind, item.service, item.container) == (DriftKind.EXTRA, "", "stranger")


def test_a_container_of_a_profile_that_is_not_asked_for_is_extra() -> None:
    debug = ExpectedService(name="debug", is_active=False)
    (item,) = drift_of(BLOG, [WEB, debug], [found(), found("debug")])
    assert item.kind is DriftKind.EXTRA
    assert "no profile" in item.sentence
    assert drift_of(BLOG, [WEB, debug], [found()]) == ()


def test_what_goes_and_what_runs_on_the_side_is_none() -> None:
    side = found(name="blog-web-run-1", is_oneoff=True)
    assert drift(found(), side, found("old", state="removing"), found("old", is_oneoff=True)) == ()
    (missing,) = drift(found(state="removing"))
    assert missing.kind is DriftKind.MISSING


def test_it_is_said_to_machines_too() -> None:
    (item,) = drift(found(config_hash="d" * 64))
    assert item.as_data() == {
        "kind": "config",
        "service": "web",
        "container": "blog-web-1",
        "message": (
            "service 'web': blog-web-1 was made from another configuration than the wanted one"
        ),
    }
