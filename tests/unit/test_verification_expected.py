"""What a resolved model leads one to expect."""

from __future__ import annotations

from typing import Any

import pytest

from domain.compose_model import ComposeModel
from domain.errors import InvalidInput
from domain.expectation import COMPLETES_LABEL, expected_services
from domain.verification import ExpectedService, with_comparable_hashes
from tests.fakes.engine_state import found


def expected(**services: dict[str, Any]) -> dict[str, ExpectedService]:
    model = ComposeModel.from_document({"name": "blog", "services": services})
    services_found = expected_services(
        model,
        hashes={name: f"hash of {name}" for name in services},
        image_ids={"web": "sha256:1"},
    )
    return {service.name: service for service in services_found}


def test_a_plain_service() -> None:
    assert expected(web={"image": "web:1"}) == {
        "web": ExpectedService(name="web", image_id="sha256:1", config_hash="hash of web")
    }


def test_what_is_not_known_is_not_expected() -> None:
    model = ComposeModel.from_document({"services": {"web": {"image": "web:1"}}})
    (web,) = expected_services(model, hashes={}, image_ids={})
    assert (web.image_id, web.config_hash) == (None, None)


def test_its_own_name_number_and_check() -> None:
    web = expected(
        web={
            "image": "web:1",
            "container_name": "front",
            "deploy": {"replicas": 0},
            "healthcheck": {"test": ["CMD", "true"]},
        }
    )["web"]
    assert (web.container_name, web.replicas, web.has_healthcheck) == ("front", 0, True)


def test_one_that_others_wait_for_to_complete() -> None:
    waits = {"migrate": {"condition": "service_completed_successfully"}}
    found = expected(
        web={"image": "web:1", "depends_on": waits | {"db": {"condition": "service_healthy"}}},
        migrate={"image": "web:1", "restart": "no"},
        db={"image": "db:1", "restart": "no"},
    )
    assert {name: one.completes for name, one in found.items()} == {
        "web": False,
        "migrate": True,
        "db": False,
    }


@pytest.mark.parametrize("labels", [{COMPLETES_LABEL: "true"}, [f"{COMPLETES_LABEL}=true"]])
def test_one_whose_label_says_that_it_is_meant_to_end(labels: object) -> None:
    found = expected(
        job={"image": "web:1", "labels": labels},
        web={"image": "web:1", "labels": {COMPLETES_LABEL: "false"}},
        db={"image": "db:1", "labels": ["other=true"], "deploy": {"labels": labels}},
    )
    assert {name: one.completes for name, one in found.items()} == {
        "job": True,
        "web": False,
        "db": False,
    }


@pytest.mark.parametrize("word", ["", "yes", "True", "1", " true"])
def test_a_label_that_says_something_else_is_refused_by_service_and_rule(word: str) -> None:
    rule = (
        r"^compose_file_base64: services.job.labels.instadeploy.completes must be "
        r'"true" or "false"$'
    )
    with pytest.raises(InvalidInput, match=rule):
        expected(job={"image": "web:1", "labels": {COMPLETES_LABEL: word}})


@pytest.mark.parametrize(
    "reference",
    [
        {"network_mode": "service:db"},
        {"pid": "service:db"},
        {"ipc": "service:db"},
        {"volumes_from": ["db"]},
        {"volumes_from": ["container:x:ro"]},
    ],
)
def test_a_hash_that_depends_on_another_container_is_not_compared(
    reference: dict[str, Any],
) -> None:
    found = expected(web={"image": "web:1", **reference}, db={"image": "db:1"})
    assert (found["web"].config_hash, found["db"].config_hash) == (None, "hash of db")


@pytest.mark.parametrize(
    "mode", [{"network_mode": "host"}, {"network_mode": "container:x"}, {"ipc": "shareable"}]
)
def test_other_modes_are(mode: dict[str, Any]) -> None:
    assert expected(web={"image": "web:1", **mode})["web"].config_hash is not None


def test_what_compose_makes_no_container_for_is_not_expected() -> None:
    assert list(expected(web={"image": "web:1"}, db={"provider": {"type": "cloud"}})) == ["web"]


# Hashes that can be compared, and hashes that cannot.


def hashed(**hashes: str | None) -> list[ExpectedService]:
    return [ExpectedService(name=name, config_hash=one) for name, one in hashes.items()]


def test_where_one_hash_is_as_it_was_computed_the_others_are_compared() -> None:
    wanted = hashed(web="a", db="b")
    containers = [found("web", config_hash="a"), found("db", config_hash="x")]
    assert with_comparable_hashes(wanted, containers) == wanted


def test_where_not_one_is_none_is_compared() -> None:
    containers = [found("web", config_hash="x"), found("db", config_hash="y")]
    assert with_comparable_hashes(hashed(web="a", db="b"), containers) == hashed(web=None, db=None)


def test_where_there_is_nothing_to_compare_with_all_stays_as_it_is() -> None:
    wanted = hashed(web="a", db=None)
    assert with_comparable_hashes(wanted, []) == wanted
    unknown = [found("web", config_hash=None), found("db", config_hash="x")]
    assert with_comparable_hashes(wanted, unknown) == wanted


def test_containers_that_are_no_part_of_the_project_prove_nothing() -> None:
    containers = [found("web", config_hash="x"), found("web", config_hash="a", is_oneoff=True)]
    assert with_comparable_hashes(hashed(web="a"), containers) == hashed(web=None)
