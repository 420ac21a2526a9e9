"""The OpenAPI document: complete, as it is kept in docs/api, and true of what the API does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from domain.fleet.access import TOKEN_PREFIXES, Permission
from domain.fleet.job import FleetJobState
from entrypoints.control_plane.rest.app import create_app
from entrypoints.control_plane.rest.problems import CODES
from tests.support.control_plane_parts import ControlPlane

KEPT: Final = Path(__file__).resolve().parents[2] / "docs" / "api" / "openapi.json"
DOCUMENT: Final[dict[str, Any]] = create_app(ControlPlane().parts()).openapi()
OPERATIONS: Final = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
NO_SECRET: Final = re.compile(
    rf"(?:{'|'.join(TOKEN_PREFIXES)})x+|[a-z_]+|[0-9a-f]{{32}}|[0-9a-f]{{64}}|[0-9a-f]{{8}}(?:-[0-9a-f]{{4,12}}){{4}}"
)
"""What is long and may be told: a token that is none, a name, a digest or fingerprint, a UUID."""


def test_the_document_that_is_kept_is_the_one_that_the_api_tells() -> None:
    """To write it anew: `python -m tests.unit.test_api_document`, in the virtual environment."""
    assert KEPT.read_text(encoding="utf-8") == text_of(DOCUMENT)


def text_of(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def test_it_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does() -> None:
    names = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(set(names)) == len(names) > 30
    for name, operation in OPERATIONS:
        assert operation["summary"], name
        assert operation["tags"], name
        assert operation["x-permission"] in list(Permission), name


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_operation_tells_how_it_fails(name: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    expected = {"400", "422", "500"}
    if operation["x-permission"] != "public":
        expected |= {"401", "403", "503"}
        assert operation["security"] == [{"token": []}]
    if "requestBody" in operation:
        expected |= {"408", "413", "415"}
    if "{" in name:
        expected |= {"404"}
    assert expected <= answers.keys()
    assert any(status.startswith("2") for status in answers)


def test_every_failure_is_a_problem_with_an_example() -> None:
    for status, answer in DOCUMENT["components"]["responses"].items():
        content = answer["content"]["application/problem+json"]
        assert content["example"]["status"] == int(status.removeprefix("Problem"))
        problem = DOCUMENT["components"]["schemas"]["ProblemDetails"]
        schema = problem | {"components": DOCUMENT["components"]}
        Draft202012Validator(schema).validate(content["example"])
    codes = DOCUMENT["components"]["schemas"]["ProblemDetails"]["properties"]["code"]["enum"]
    assert set(codes) == set(CODES)


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_body_has_a_whole_example_that_its_schema_allows(
    name: str, operation: dict[str, Any]
) -> None:
    for content in bodies_of(operation):
        examples = examples_in(content)
        assert examples
        assert content["schema"] or operation["operationId"] == "openapi"
        schema = content["schema"] | {"components": DOCUMENT["components"]}
        for example in examples:
            assert example
            Draft202012Validator(schema).validate(example)


def bodies_of(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """Of its request, and of the answers when all is well, in each media type."""
    wholes = [operation.get("requestBody", {})]
    wholes += [
        answer for status, answer in operation["responses"].items() if status.startswith("2")
    ]
    return [content for whole in wholes for content in whole.get("content", {}).values()]


def examples_in(content: dict[str, Any]) -> list[Any]:
    named = [one["value"] for one in content.get("examples", {}).values()]
    return [content["example"], *named] if "example" in content else named


def test_no_example_holds_what_could_be_a_secret() -> None:
    text = json.dumps(DOCUMENT)
    for word in re.findall(r"[A-Za-z0-9+_-]{32,}", text):
        assert NO_SECRET.fullmatch(word), word
    assert set(re.findall(r'"password": "([^"]+)"', text)) == {"<password>", "<your password>"}


def test_states_are_those_of_the_domain() -> None:
    assert DOCUMENT["components"]["schemas"]["FleetJobState"]["enum"] == list(FleetJobState)


if __name__ == "__main__":
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(text_of(DOCUMENT), encoding="utf-8")
