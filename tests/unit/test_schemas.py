"""The JSON Schemas in docs/schemas say of a message what the code does."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from adapters.wire.codec import decode, encode
from adapters.wire.messages import CommandType, Status
from application.agent.dispatch import INTERRUPTED
from application.agent.handling import Completed, Outcome
from domain.commands import (
    CheckHealth,
    ListProjects,
    ListRevisions,
    PlanCompose,
    RegistryLogin,
    RemoveCompose,
    RestartCompose,
    RollbackCompose,
)
from domain.deploy_options import DeployOptions, PullPolicy
from domain.errors import Busy, InvalidInput, NotFound, RuntimeUnavailable
from domain.events import Event, JobCompleted, JobFailed, JobReceived, refusal_of
from domain.messages import RefusedRequest, Request
from domain.policy import STRICT
from domain.project import ProjectName
from domain.validation import MAX_COMPOSE_FILE_BYTES
from tests.builders import compose_content, deploy, deploy_frame, frame, status, stop
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment
from tests.unit.test_documents import PROTOCOL, rows, section

ROOT: Final = Path(__file__).resolve().parents[2]
SCHEMAS: Final = ROOT / "docs" / "schemas"
GOLDEN: Final = ROOT / "tests" / "golden" / "v1"


def schema_of(kind: str) -> Any:
    return json.loads((SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8"))


COMMAND_SCHEMA: Final = schema_of("command")
RESPONSE_SCHEMA: Final = schema_of("response")
COMMAND: Final = Draft202012Validator(COMMAND_SCHEMA)
RESPONSE: Final = Draft202012Validator(RESPONSE_SCHEMA)

INEXPRESSIBLE: Final = ("env", "files")
"""Fields with rules on names of which the schema knows nothing."""
BLOG: Final = ProjectName("blog")
ENOUGH: Final = base64.b64encode(b"services: {}").decode()
LARGEST: Final = base64.b64encode(b"x" * MAX_COMPOSE_FILE_BYTES).decode()


def beginning(value: object) -> str:
    """A test's id: some of these values have a megabyte."""
    return ascii(value)[:80]


def deploy_with(encoded: object) -> str:
    return frame("j1", "DEPLOY_COMPOSE", project_name="blog", compose_file_base64=encoded)


@pytest.mark.parametrize(
    "raw",
    [
        deploy_frame("j1"),
        deploy_with(LARGEST),
        frame("j1", "STOP_COMPOSE", project_name="Blog_1-x"),
        frame("j1", "STATUS", project_name="a" * 63, compose_file_base64=7),
        frame("j1", "HEALTH_CHECK", anything=[None]),
        frame("ü" * 256, "HEALTH_CHECK"),
        '{"id": "j1", "type": "HEALTH_CHECK", "payload": {}, "seq": 1}',
    ],
    ids=beginning,
)
def test_a_command_that_the_agent_takes_fits_the_schema(raw: str) -> None:
    assert isinstance(decode(raw), Request)
    COMMAND.validate(json.loads(raw))


@pytest.mark.parametrize(
    "raw",
    [
        "[]",
        "null",
        '{"type": "HEALTH_CHECK", "payload": {}}',
        '{"id": "j1", "payload": {}}',
        '{"id": "j1", "type": "HEALTH_CHECK"}',
        '{"id": "j1", "type": "HEALTH_CHECK", "payload": null}',
        '{"id": "j1", "type": "HEALTH_CHECK", "payload": []}',
        *(frame(job_id, "HEALTH_CHECK") for job_id in (7, None, "", "x" * 257)),
        *(frame(f"a{odd}b", "HEALTH_CHECK") for odd in "\0\n\r\t\x7f\x85\u2028\u2029\ud800"),
        *(frame("j1", kind, project_name="a") for kind in ("", "RESTART", "status", 7, None)),
        *(
            frame("j1", kind, project_name=name)
            for kind in ("STATUS", "STOP_COMPOSE")
            for name in (
                None,
                7,
                "",
                ".",
                "..",
                "a.b",
                "a/b",
                "a\n",
                "-x",
                "_",
                "ä",
                "a b",
                "a" * 64,
            )
        ),
        frame("j1", "STATUS"),
        frame("j1", "DEPLOY_COMPOSE", project_name="blog"),
        frame("j1", "DEPLOY_COMPOSE", compose_file_base64=ENOUGH),
        frame("j1", "DEPLOY_COMPOSE", project_name="..", compose_file_base64=ENOUGH),
        *(
            deploy_with(text)
            for text in (None, 7, "", "%%", "YQ", "YQ=", "YQ==\n", "YQ==YQ==", "=", "Y===", "a-_b")
        ),
        deploy_with(LARGEST + "AAAA"),
    ],
    ids=beginning,
)
def test_a_command_that_the_agent_refuses_does_not_fit_the_schema(raw: str) -> None:
    assert not isinstance(decode(raw), Request)
    assert not COMMAND.is_valid(json.loads(raw))


def test_the_schemas_know_the_types_and_the_states_of_the_wire() -> None:
    assert COMMAND_SCHEMA["properties"]["type"]["enum"] == list(CommandType)
    assert RESPONSE_SCHEMA["properties"]["status"]["enum"] == list(Status)


def test_the_schema_knows_the_reasons_that_the_protocol_lists() -> None:
    known = RESPONSE_SCHEMA["$defs"]["failure"]["properties"]["reason"]["enum"]
    assert known == sorted(known)
    assert set(known) == {row[0] for row in rows(section(PROTOCOL, "What failure says"))}


@pytest.mark.parametrize("schema", [COMMAND_SCHEMA, RESPONSE_SCHEMA], ids=["command", "response"])
def test_a_schema_is_one(schema: dict[str, object]) -> None:
    Draft202012Validator.check_schema(schema)


def event_of(outcome: Outcome) -> Event:
    if isinstance(outcome, Completed):
        return JobCompleted("j1", outcome.logs, outcome.data)
    return JobFailed("j1", outcome.error, outcome.logs, outcome.data)


def check(event: Event) -> Mapping[str, Any]:
    """The response of an event, which the schema accepts and of which it knows every field."""
    response = json.loads(encode(event))
    RESPONSE.validate(response)
    assert sorted(unknown_fields(response)) == []
    assert isinstance(response, dict)
    return response


def unknown_fields(response: Mapping[str, Any]) -> Iterator[str]:
    """The keys, on every level, that stand nowhere in the schema."""
    known = set(properties_in(RESPONSE_SCHEMA))
    pending: list[object] = [response]
    for value in pending:
        if isinstance(value, Mapping):
            yield from (key for key in value if key not in known)
            pending += [inner for key, inner in value.items() if not is_by_name(key, inner)]
        elif isinstance(value, list):
            pending += value


def is_by_name(key: str, value: object) -> bool:
    """Whether the keys of an object are names, of the operator's or of services, or states."""
    return isinstance(value, Mapping) and key in ("labels", "containers", "services")


def properties_in(schema: object) -> Iterator[str]:
    if isinstance(schema, Mapping):
        named = schema.get("properties")
        yield from named if isinstance(named, Mapping) else ()
        for value in schema.values():
            yield from properties_in(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from properties_in(value)


@pytest.mark.parametrize(
    "event",
    [
        JobReceived("j1"),
        JobReceived("x" * 1024),
        JobCompleted("j1", "Project 'blog' deployed successfully.\n\nOutput:\n"),
        JobCompleted("j1", "\ud800\0\u2028"),
        JobCompleted("j1", "x" * 2**20),
        JobCompleted("j1", "", {"project_name": "x" * 2**20, "exists": True, "services": []}),
        JobCompleted("j1", "", {"steps": []}),
        JobFailed("j1", INTERRUPTED, data={"reason": "interrupted"}),
        JobFailed("j1", "x" * 2**20, "x" * 2**20, {"reason": "x" * 2**20}),
        refusal_of("unknown", InvalidInput("id", "is missing")),
        refusal_of("j1", Busy("1024 commands are waiting or running on this agent")),
        refusal_of("j1", NotFound("project 'blog' does not exist on this host")),
    ],
    ids=beginning,
)
def test_a_response_that_the_agent_sends_fits_the_schema(event: Event) -> None:
    check(event)


async def test_what_the_handlers_report_fits_the_schema() -> None:
    host = FakeDeployment()
    assert check(event_of(await host.do(status())))["data"]["exists"] is False
    check(event_of(await host.do(PlanCompose(deploy()))))
    check(event_of(await host.do(deploy())))
    assert check(event_of(await host.do(status())))["data"]["services"]
    for command in (
        PlanCompose(deploy(content=compose_content("db"))),
        RestartCompose(BLOG),
        ListRevisions(BLOG),
        ListProjects(),
        RollbackCompose(BLOG, 1),
        CheckHealth(),
        stop(),
        RemoveCompose(BLOG, volumes=True),
    ):
        outcome = await host.do(command)
        assert isinstance(outcome, Completed), command
        check(event_of(outcome))


async def test_a_deployment_that_was_taken_back_fits_the_schema() -> None:
    host = FakeDeployment()
    broken = deploy(content=compose_content(command='["sh", "-c", "exit 3"]'))
    first = check(event_of(await host.do(broken)))["data"]
    assert first["rolled_back_to"] is None
    check(event_of(await host.do(deploy())))
    second = check(event_of(await host.do(broken)))["data"]
    assert second["rolled_back_to"] == 2
    host.state.change("blog", "blog-web-1", name="blog-other", state="paused")
    assert len(check(event_of(await host.do(status())))["data"]["drift"]) > 1
    check(event_of(await host.do(ListRevisions(BLOG))))


async def test_what_the_policy_refuses_fits_the_schema() -> None:
    host = FakeDeployment()
    host.use(policy=STRICT)
    refused = deploy(content=compose_content() + b"    privileged: true\n")
    assert check(event_of(await host.do(refused)))["data"]["violations"]
    assert check(event_of(await host.do(PlanCompose(refused))))["data"]["policy"]["violations"]


async def test_images_that_cannot_be_had_fit_the_schema() -> None:
    host = FakeDeployment()
    content = b"services: {web: {image: registry.example.com/blog}}"
    pulled = check(event_of(await host.do(deploy(content=content))))["data"]
    assert pulled["reason"] == "pull_failed"
    login = (RegistryLogin("registry.example.com", "ann", "secret"),)
    host.runtime.script("login", Scripted(exit_code=1, output=b"unauthorized"))
    refused = event_of(await host.do(replace(deploy(content=content), registry_auth=login)))
    assert check(refused)["data"]["registry"] == "registry.example.com"
    never = replace(deploy(content=content), options=DeployOptions(pull=PullPolicy.NEVER))
    assert check(event_of(await host.do(never)))["data"]["services"] == ["web"]


async def test_what_the_handlers_report_of_a_host_in_trouble_fits_the_schema() -> None:
    host = FakeDeployment()
    check(event_of(await host.do(deploy())))
    host.runtime.script("down", Scripted(exit_code=-9, output=b"cannot connect"))
    host.runtime.script("down", Scripted(exit_code=1, output=b"cannot connect"))
    failed = check(event_of(await host.do(stop())))
    assert failed["data"]["exit_code"] == 1
    host.lose_engine()
    host.host.uptime = None
    host.runtime.unavailable = RuntimeUnavailable("install Docker Compose")
    check(event_of(await host.do(CheckHealth())))
    assert check(event_of(await host.do(ListProjects())))["data"]["engine"]["reachable"] is False


def test_a_refusal_of_every_kind_of_bad_command_fits_the_schema() -> None:
    refused = decode(frame("j1", "RESTART"))
    assert isinstance(refused, RefusedRequest)
    assert check(refusal_of("j1", refused.error))["data"]["field"] == "type"


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"job_id": "j1", "status": "COMPLETED"},
        {"job_id": "", "status": "COMPLETED", "logs": ""},
        {"job_id": "j1", "status": "DONE", "logs": ""},
        {"job_id": "j1", "status": "COMPLETED", "logs": None},
        {"job_id": "j1", "status": "COMPLETED", "logs": "", "error": "no"},
        {"job_id": "j1", "status": "COMPLETED", "logs": "", "data": {"exists": True}},
        {"job_id": "j1", "status": "FAILED", "logs": ""},
        {"job_id": "j1", "status": "FAILED", "logs": "", "error": "no", "data": {}},
        {"job_id": "j1", "status": "FAILED", "logs": "", "error": "no", "data": {"reason": "x"}},
        {
            "job_id": "j1",
            "status": "FAILED",
            "logs": "",
            "error": "no",
            "data": {"reason": "invalid_input"},
        },
        {"job_id": "j1", "status": "IN_PROGRESS", "logs": "working on it"},
    ],
    ids=beginning,
)
def test_a_response_that_breaks_the_protocol_does_not_fit_the_schema(
    response: dict[str, object],
) -> None:
    assert not RESPONSE.is_valid(response)


def steps_of_transcripts() -> Iterator[Mapping[str, Any]]:
    for path in sorted(GOLDEN.glob("*.json")):
        yield from json.loads(path.read_text(encoding="utf-8"))["steps"]


def filled(value: object, key: str = "") -> object:
    """An expectation with a value in the place of each `*` that stands for no text."""
    if isinstance(value, dict):
        return {name: filled(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner) for inner in value]
    if value != "*":
        return value
    if key == "digest":
        return "0" * 64
    return 1.5 if key.endswith(("_s", "_at", "seconds")) and key != "checked_at" else value


def test_every_response_in_the_golden_transcripts_fits_the_schema() -> None:
    responses = [filled(step["expect"]) for step in steps_of_transcripts() if "expect" in step]
    assert {response["status"] for response in responses if isinstance(response, dict)} == {
        "IN_PROGRESS",
        "COMPLETED",
        "FAILED",
    }
    for response in responses:
        RESPONSE.validate(response)
        assert isinstance(response, dict)
        assert sorted(unknown_fields(response)) == []


def test_every_command_in_the_golden_transcripts_is_taken_where_it_fits_the_schema() -> None:
    sent = [
        step["send"]["json"] for step in steps_of_transcripts() if "json" in step.get("send", {})
    ]
    assert {decides_the_schema(command) for command in sent} == {True, False}


def decides_the_schema(command: object) -> bool:
    fits = COMMAND.is_valid(command)
    message = decode(json.dumps(command))
    if fits and isinstance(message, RefusedRequest):
        assert isinstance(message.error, InvalidInput)
        assert message.error.field.partition(".")[0] in INEXPRESSIBLE, command
        return True
    assert fits == isinstance(message, Request), command
    return fits
