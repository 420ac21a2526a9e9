"""Frames that are commands, good and refused, and the responses to them."""

from __future__ import annotations

import base64
import json

import pytest

from adapters.wire.codec import decode, encode
from domain.commands import CheckHealth, DeployCompose, GetStatus, StopCompose
from domain.errors import InvalidInput, UnknownCommand
from domain.events import JobCompleted, JobFailed, JobReceived
from domain.job import JobId
from domain.messages import RefusedRequest, Request
from domain.project import ComposeFile, ProjectName
from tests.builders import compose_content, deploy_frame, frame

ONE_MEBIBYTE = 2**20
BLOG = ProjectName("blog")


def refused(raw: str | bytes) -> InvalidInput:
    """The error of a well-formed command that breaks a rule."""
    message = decode(raw)
    assert isinstance(message, RefusedRequest)
    assert isinstance(message.error, InvalidInput)
    return message.error


def test_the_four_commands_are_read() -> None:
    assert [
        decode(deploy_frame("j1", "blog", b"services: {}")),
        decode(frame("j2", "STOP_COMPOSE", project_name="blog")),
        decode(frame("j3", "STATUS", project_name="blog")),
        decode(frame("j4", "HEALTH_CHECK")),
    ] == [
        Request(JobId("j1"), DeployCompose(BLOG, ComposeFile(b"services: {}"))),
        Request(JobId("j2"), StopCompose(BLOG)),
        Request(JobId("j3"), GetStatus(BLOG)),
        Request(JobId("j4"), CheckHealth()),
    ]


def test_a_frame_may_come_as_bytes_or_as_text() -> None:
    text = frame("jö", "HEALTH_CHECK")
    assert decode(text) == decode(text.encode()) == Request(JobId("jö"), CheckHealth())


def test_fields_that_nobody_knows_are_ignored() -> None:
    document = {
        "id": "j1",
        "type": "STATUS",
        "payload": {"project_name": "blog", "compose_file_base64": 7, "extra": [1, {}]},
        "seq": 12,
        "signature": None,
    }
    assert decode(json.dumps(document)) == Request(JobId("j1"), GetStatus(BLOG))


@pytest.mark.parametrize("name", ["REBOOT", "", "health_check", "STATUS ", "STATUS\n", "DEPLOY"])
def test_an_unknown_type_is_refused_in_the_words_of_protocol_v1(name: str) -> None:
    error = refused(frame("j1", name))
    assert isinstance(error, UnknownCommand)
    assert str(error) == f"Unknown command type: {name}"


def test_an_unknown_type_is_refused_before_its_payload_is_looked_at() -> None:
    assert str(refused('{"id": "j1", "type": "REBOOT"}')) == "Unknown command type: REBOOT"


def test_of_an_endless_type_only_the_beginning_is_repeated() -> None:
    assert str(refused(frame("j1", "X" * 5000))) == "Unknown command type: " + "X" * 100


@pytest.mark.parametrize(
    "command_type", ["DEPLOY_COMPOSE", "STOP_COMPOSE", "STATUS", "HEALTH_CHECK"]
)
@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ("", "payload: is missing"),
        (', "payload": null', "payload: must be a JSON object, not null"),
        (', "payload": []', "payload: must be a JSON object, not an array"),
        (', "payload": "{}"', "payload: must be a JSON object, not a string"),
    ],
)
def test_a_payload_that_is_no_object_is_refused(
    command_type: str, payload: str, error: str
) -> None:
    raw = f'{{"id": "j1", "type": "{command_type}"{payload}}}'
    assert str(refused(raw)) == error


@pytest.mark.parametrize("command_type", ["DEPLOY_COMPOSE", "STOP_COMPOSE", "STATUS"])
@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({}, "project_name: is missing from the payload"),
        ({"project_name": None}, "project_name: must be a string, not null"),
        ({"project_name": 5}, "project_name: must be a string, not a number"),
        ({"project_name": ""}, "project_name: must not be empty"),
        ({"project_name": "a/b"}, "project_name: must contain only letters"),
        ({"project_name": "a\nINFO forged"}, "project_name: must contain only letters"),
    ],
)
def test_a_project_name_that_breaks_a_rule_is_refused(
    command_type: str, payload: dict[str, object], error: str
) -> None:
    assert str(refused(frame("j1", command_type, **payload))).startswith(error)


@pytest.mark.parametrize(
    "encoded",
    [
        "%%%",
        "YQ",
        "YQ=",
        "Y=Q=",
        "YWJj=",
        "YWJj====",
        "YWJj\nZGVm",
        " YWJj",
        "YWJjé",
        "\ud800",
        "_-8=",
    ],
)
def test_base64_that_is_none_is_refused(encoded: str) -> None:
    raw = frame("j1", "DEPLOY_COMPOSE", project_name="blog", compose_file_base64=encoded)
    assert str(refused(raw)) == "compose_file_base64: is not valid base64"


def test_a_compose_file_is_refused_where_it_is_missing_mistyped_or_empty() -> None:
    raws = [
        frame("j1", "DEPLOY_COMPOSE", project_name="blog"),
        frame("j1", "DEPLOY_COMPOSE", project_name="blog", compose_file_base64=None),
        frame("j1", "DEPLOY_COMPOSE", project_name="blog", compose_file_base64=""),
        deploy_frame("j1", content=b" \n"),
    ]
    assert [str(refused(raw)) for raw in raws] == [
        "compose_file_base64: is missing from the payload",
        "compose_file_base64: must be a string, not null",
        "compose_file_base64: the compose file is empty",
        "compose_file_base64: the compose file is empty",
    ]


def test_a_compose_file_of_one_mebibyte_is_accepted() -> None:
    content = b"#" * ONE_MEBIBYTE
    message = decode(deploy_frame("j1", content=content))
    assert message == Request(JobId("j1"), DeployCompose(BLOG, ComposeFile(content)))


@pytest.mark.parametrize("excess", [1, 2, 3, 4, 1000, 3 * ONE_MEBIBYTE])
def test_a_compose_file_over_one_mebibyte_is_refused(excess: int) -> None:
    error = refused(deploy_frame("j1", content=b"#" * (ONE_MEBIBYTE + excess)))
    assert error.field == "compose_file_base64"
    assert "1048576" in error.rule
    assert "1 MiB" in error.rule


@pytest.mark.parametrize("job_id", ["a\nINFO forged", "\x1b[2K", "a\u2028b", "\ud800", "x" * 257])
def test_an_id_that_breaks_a_rule_is_refused_under_that_id(job_id: str) -> None:
    message = decode(frame(job_id, "HEALTH_CHECK"))
    assert isinstance(message, RefusedRequest)
    assert message.job_id == job_id
    assert str(message.error).startswith("id: must ")


def test_half_a_character_in_a_type_can_be_repeated() -> None:
    message = decode('{"id": "j1", "type": "\\ud800", "payload": {}}')
    assert isinstance(message, RefusedRequest)
    assert "\\ud800" in encode(JobFailed("j1", str(message.error)))


def test_no_error_repeats_what_a_payload_holds() -> None:
    secret = base64.b64encode(b"PASSWORD: hunter2").decode() + "%"
    raw = frame("j1", "DEPLOY_COMPOSE", project_name="blog", compose_file_base64=secret)
    assert secret[:10] not in str(refused(raw))


@pytest.mark.parametrize(
    ("event", "response"),
    [
        (
            JobReceived("j1"),
            {"job_id": "j1", "status": "IN_PROGRESS", "logs": "Command received, processing..."},
        ),
        (JobCompleted("j1", ""), {"job_id": "j1", "status": "COMPLETED", "logs": ""}),
        (
            JobCompleted("j1", "done", {"services": []}),
            {"job_id": "j1", "status": "COMPLETED", "logs": "done", "data": {"services": []}},
        ),
        (
            JobFailed("j1", "why"),
            {"job_id": "j1", "status": "FAILED", "logs": "", "error": "why"},
        ),
        (
            JobFailed("j1", "why", "output", {"reason": "busy"}),
            {
                "job_id": "j1",
                "status": "FAILED",
                "logs": "output",
                "error": "why",
                "data": {"reason": "busy"},
            },
        ),
    ],
)
def test_an_event_is_encoded_with_the_fields_that_it_has(
    event: JobReceived | JobCompleted | JobFailed, response: dict[str, object]
) -> None:
    assert json.loads(encode(event)) == response


def test_what_makes_a_response_too_large_is_dropped_and_the_rest_is_kept() -> None:
    too_much = "x" * ONE_MEBIBYTE
    logs = json.loads(encode(JobFailed("j1", "why", too_much, {"reason": "busy"})))
    assert (logs["error"], logs["data"]) == ("why", {"reason": "busy"})
    assert logs["logs"] == "[the response passed 1 MiB; its logs was dropped]"
    data = json.loads(encode(JobCompleted("j1", "done", {"services": [too_much]})))
    assert data["data"] == {"dropped": "[the response passed 1 MiB; its data was dropped]"}
    error = json.loads(encode(JobFailed("j1", too_much)))
    assert error["error"] == "[the response passed 1 MiB; its error was dropped]"
    assert "data" not in error


def test_the_deployment_that_the_builders_make_is_well_formed() -> None:
    assert decode(deploy_frame("j1")) == Request(
        JobId("j1"), DeployCompose(BLOG, ComposeFile(compose_content()))
    )
