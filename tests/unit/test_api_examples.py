"""The examples of the OpenAPI document are true: the API answers so, and agents speak so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from domain.commands import COMMAND_NAMES
from entrypoints.control_plane.rest.app import create_app
from entrypoints.control_plane.rest.examples import fleet
from tests.contracts.fleet import hashed
from tests.fakes.clock import EPOCH
from tests.support.asgi import client_of
from tests.support.control_plane_parts import ControlPlane
from tests.unit.api import V1, serving
from tests.unit.test_api_document import DOCUMENT, OPERATIONS, bodies_of, examples_in

RESPONSE: Final = Path(__file__).resolve().parents[2] / "docs" / "schemas" / "response.schema.json"
JSON: Final = "application/json"
ASKING: Final = [
    (name, operation)
    for name, operation in OPERATIONS
    if "requestBody" in operation
    and operation["operationId"] != "change_host"
    and operation["tags"] != ["people"]
]


def at(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def filled(path: str, operation: dict[str, Any]) -> str:
    """The path, with the examples of what stands in it."""
    values = {
        one["name"]: one["schema"]["examples"][0]
        for one in operation.get("parameters", ())
        if one["in"] == "path"
    }
    return path.format(**values)


def without_chance(value: object) -> object:
    """The document, with ids, tokens and keys that are all alike."""
    text = re.sub(r"(job|dep|enr)_[0-9A-Z]{26}", r"\1_", json.dumps(value))
    text = re.sub(r"host_\w+", "host_", text)
    text = re.sub(r"(ide|idh)_\w+", r"\1_", text)
    return json.loads(re.sub(r"sha256:[0-9a-f]{64}", "sha256:", text))


def results() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Jobs, and what their agents have said."""
    for _, operation in OPERATIONS:
        for content in bodies_of(operation):
            for example in examples_in(content):
                if isinstance(example, dict) and example.get("result"):
                    yield example, example["result"]


@pytest.mark.parametrize(("name", "operation"), ASKING, ids=[name for name, _ in ASKING])
async def test_what_is_asked_as_in_the_example_is_answered_so(
    name: str, operation: dict[str, Any], tmp_path: Path
) -> None:
    method, path = name.split()
    first, *others = examples_in(operation["requestBody"]["content"][JSON])
    status = next(one for one in ("202", "201") if one in operation["responses"])
    expected = operation["responses"][status]["content"][JSON]["example"]
    agent = tmp_path / "agent"
    agent.write_bytes(b"an agent")
    plane = ControlPlane(public_url="https://control-plane.example", agent_path=agent)
    async with serving(plane) as api:
        if operation["operationId"] not in ("create_enrolment", "create_token_host"):
            await plane.fleet.hosts.add(fleet.WEB_1, hashed("web-1"))
        path = filled(path, operation)
        if operation["operationId"] == "redeploy":
            made = DOCUMENT["paths"][f"{V1}/deployments"]["post"]["requestBody"]["content"][JSON]
            deployment = await api.post(f"{V1}/deployments", 202, examples_in(made)[0])
            path = f"{V1}/deployments/{deployment['id']}/redeploy"
        shown = expected.get("enrolment") or expected.get("host")
        created = at((shown if isinstance(shown, dict) else expected)["created_at"])
        plane.clock._seconds += created - EPOCH.timestamp()

        answer = await api.client.request(method, path, json=first)
        assert answer.status_code == int(status), answer.text
        assert without_chance(answer.json()) == without_chance(expected)
        for other in others:
            assert (await api.client.request(method, path, json=other)).is_success


async def test_people_are_set_up_and_changed_as_in_the_examples() -> None:
    """One after the other, as somebody would who begins."""
    bodies = {
        operation["operationId"]: examples_in(operation["requestBody"]["content"][JSON])[0]
        for _, operation in OPERATIONS
        if "requestBody" in operation
    }
    plane = ControlPlane()
    code = plane.logins.new_code()
    async with client_of(create_app(plane.parts())) as client:
        made = await client.post(f"{V1}/setup", json=bodies["set_up"] | {"code": code})
        assert made.status_code == 201, made.text
        login = (await client.post(f"{V1}/login", json=bodies["log_in"])).json()
        client.headers["Authorization"] = f"Bearer {login['token']}"
        user = (await client.post(f"{V1}/users", json=bodies["create_user"])).json()
        assert user["name"] == "bob"
        token = (await client.post(f"{V1}/tokens", json=bodies["create_token"])).json()
        assert token["access_token"]["user"] == "bob"
        changed = await client.patch(f"{V1}/users/bob", json=bodies["change_user"])
        assert changed.json()["is_disabled"] is True
        password = await client.post(f"{V1}/me/password", json=bodies["change_my_password"])
        assert password.status_code == 204
        assert (await client.get(f"{V1}/me")).status_code == 401


async def test_a_host_that_is_changed_as_in_the_example_is_shown_so() -> None:
    path = f"{V1}/hosts/{{host}}"
    operation = DOCUMENT["paths"][path]["patch"]
    plane = ControlPlane()
    async with serving(plane) as api:
        await plane.fleet.hosts.add(fleet.WEB_1, hashed("web-1"))
        plane.links.connected[fleet.WEB_1.id] = 2
        url, shown = filled(path, operation), DOCUMENT["paths"][path]["get"]["responses"]["200"]
        assert await api.get(url) == shown["content"][JSON]["example"]
        (body,) = examples_in(operation["requestBody"]["content"][JSON])
        answer = await api.client.patch(url, json=body)
        assert answer.json() == operation["responses"]["200"]["content"][JSON]["example"]


def test_agents_say_at_the_end_what_the_protocol_has() -> None:
    schema = json.loads(RESPONSE.read_text(encoding="utf-8"))
    for job, result in results():
        said = {"job_id": job["id"], "status": "COMPLETED"}
        said |= {name: result[name] for name in ("logs", "data")}
        Draft202012Validator(schema).validate(said)
    assert {job["kind"] for job, _ in results()} == set(COMMAND_NAMES.values())


def test_a_job_takes_as_long_as_its_steps() -> None:
    for job, result in results():
        took = at(job["finished_at"]) - at(job["started_at"])
        if "steps" in result["data"]:
            steps = sum(step["seconds"] for step in result["data"]["steps"])
            assert took == pytest.approx(steps, abs=0.001)


def test_ids_are_those_of_one_story() -> None:
    paths, fields = (
        set(re.findall(r"\b(?:job|dep|enr|host)_[0-9A-Z]{4,}", json.dumps(DOCUMENT[part])))
        for part in ("paths", "components")
    )
    assert fields <= paths
    assert all(len(one.partition("_")[2]) == 26 for one in paths)
