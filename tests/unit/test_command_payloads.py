"""What the payload of a command carries: read, written, and refused by the name of its field."""

from __future__ import annotations

import base64
import json
from typing import Any, get_args

import pytest
from hypothesis import given

from adapters.wire.codec import decode
from adapters.wire.codec_v2 import decode_v2
from adapters.wire.messages import CommandType, command_from, payload_of
from domain.commands import (
    COMMAND_NAMES,
    ChangingCommand,
    Command,
    DeployCompose,
    ListProjects,
    ListRevisions,
    PlanCompose,
    RegistryLogin,
    RemoveCompose,
    RestartCompose,
    RollbackCompose,
    digest_of,
    is_private,
    without_private,
)
from domain.content import ExtraFile
from domain.deploy_options import PLAINLY, DeployOptions, PullPolicy
from domain.errors import InvalidInput
from domain.job import JobId
from domain.link_messages import CommandMessage
from domain.messages import RefusedRequest, Request
from domain.project import ComposeFile, ProjectName
from tests.builders import frame
from tests.unit.command_strategies import COMMANDS, DEPLOYMENTS

BLOG = ProjectName("blog")
CONTENT = b"services: {web: {image: web}}\n"


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def deployment(**fields: Any) -> Command:
    payload = {"project_name": "blog", "compose_file_base64": base64_of(CONTENT), **fields}
    return command_from("DEPLOY_COMPOSE", {"payload": payload})


def deployed(**fields: Any) -> DeployCompose:
    command = deployment(**fields)
    assert isinstance(command, DeployCompose)
    return command


def refusal(command_type: str = "DEPLOY_COMPOSE", **fields: Any) -> InvalidInput:
    """The refusal of a payload that is in order but for these fields."""
    payload = {"project_name": "blog", "compose_file_base64": base64_of(CONTENT), **fields}
    message = decode(json.dumps({"id": "j1", "type": command_type, "payload": payload}))
    assert isinstance(message, RefusedRequest)
    assert isinstance(message.error, InvalidInput)
    return message.error


@given(COMMANDS)
def test_a_command_comes_back_from_its_payload(command: Command) -> None:
    type_name, payload = payload_of(command)
    assert command_from(type_name, json.loads(json.dumps({"payload": payload}))) == command


@given(COMMANDS)
def test_a_command_is_called_on_the_wire_as_the_policy_calls_it(command: Command) -> None:
    assert payload_of(command)[0] == COMMAND_NAMES[type(command)]


@given(DEPLOYMENTS)
def test_what_may_be_written_down_carries_nothing_private(command: DeployCompose) -> None:
    bare = without_private(command)
    assert not is_private(bare)
    assert set(payload_of(bare)[1]).isdisjoint({"env", "files", "registry_auth"})
    assert without_private(PlanCompose(command)) == PlanCompose(bare)  # type: ignore[arg-type]


def test_a_deployment_of_the_first_agents_means_what_it_always_meant() -> None:
    command = deployed()
    assert command == DeployCompose(BLOG, ComposeFile(CONTENT))
    assert command.options is PLAINLY or command.options == PLAINLY
    assert not is_private(command)
    assert digest_of(command) == digest_of(DeployCompose(BLOG, ComposeFile(CONTENT)))
    assert set(payload_of(command)[1]) == {"project_name", "compose_file_base64"}


@pytest.mark.parametrize(
    "field",
    [
        *("env", "files", "pull", "wait", "wait_timeout_s", "remove_orphans", "profiles"),
        *("auto_rollback", "labels", "requested_by", "registry_auth", "deadline_s"),
    ],
)
def test_what_is_null_counts_as_missing(field: str) -> None:
    assert deployed(**{field: None}) == deployed()


def test_everything_that_a_deployment_may_carry_is_read() -> None:
    command = deployed(
        env={"GREETING": "it's $5", "EMPTY": ""},
        files={
            "conf/site.conf": {"content_base64": base64_of(b"listen 80\n")},
            "bin/run": {"content_base64": base64_of(b"#!/bin/sh\n"), "mode": "0755"},
        },
        pull="always",
        wait=False,
        wait_timeout_s=90,
        remove_orphans=True,
        profiles=["web", "*"],
        auto_rollback=False,
        labels={"ticket": "7", "branch": "main"},
        requested_by="ann@example.com",
        registry_auth={"registry.example.com:5000": {"username": "ann", "password": "s:3cret"}},
    )
    assert command == DeployCompose(
        BLOG,
        ComposeFile(CONTENT),
        env=b'GREETING="it\'s \\$5"\nEMPTY=\n',
        files=(
            ExtraFile("bin/run", b"#!/bin/sh\n", 0o755),
            ExtraFile("conf/site.conf", b"listen 80\n", 0o644),
        ),
        options=DeployOptions(
            pull=PullPolicy.ALWAYS,
            wait=False,
            wait_timeout_s=90.0,
            remove_orphans=True,
            profiles=("web", "*"),
            auto_rollback=False,
            labels=(("branch", "main"), ("ticket", "7")),
            requested_by="ann@example.com",
        ),
        registry_auth=(RegistryLogin("registry.example.com:5000", "ann", "s:3cret"),),
    )


def test_the_text_of_an_env_file_is_taken_as_it_is() -> None:
    assert deployed(env="# ours\nA=${B:-c}\n").env == b"# ours\nA=${B:-c}\n"
    assert deployed(env="").env == deployed(env={}).env == b""


@pytest.mark.parametrize(("word", "mode"), [("0644", 0o644), ("600", 0o600), ("0755", 0o755)])
def test_a_mode_is_octal_digits(word: str, mode: int) -> None:
    (found,) = deployed(files={"run": {"content_base64": "", "mode": word}}).files
    assert found.mode == mode


def test_the_other_commands_are_read() -> None:
    assert [
        command_from("PLAN_COMPOSE", {"payload": payload_of(deployed(pull="never"))[1]}),
        command_from("ROLLBACK_COMPOSE", {"payload": {"project_name": "blog"}}),
        command_from(
            "ROLLBACK_COMPOSE",
            {"payload": {"project_name": "blog", "revision": 3, "requested_by": "ann"}},
        ),
        command_from("RESTART_COMPOSE", {"payload": {"project_name": "blog", "services": None}}),
        command_from("RESTART_COMPOSE", {"payload": {"project_name": "blog", "services": ["a"]}}),
        command_from("REMOVE_COMPOSE", {"payload": {"project_name": "blog"}}),
        command_from("REMOVE_COMPOSE", {"payload": {"project_name": "blog", "volumes": True}}),
        command_from("LIST_PROJECTS", {"payload": {}}),
        command_from("LIST_REVISIONS", {"payload": {"project_name": "blog"}}),
    ] == [
        PlanCompose(deployed(pull="never")),
        RollbackCompose(BLOG),
        RollbackCompose(BLOG, 3, "ann"),
        RestartCompose(BLOG),
        RestartCompose(BLOG, ("a",)),
        RemoveCompose(BLOG),
        RemoveCompose(BLOG, volumes=True),
        ListProjects(),
        ListRevisions(BLOG),
    ]


def file(**fields: Any) -> dict[str, Any]:
    return {"x": {"content_base64": "", **fields}}


LOGIN = {"username": "ann", "password": "secret"}


@pytest.mark.parametrize(
    ("field", "value", "named", "words"),
    [
        ("env", 7, "env", "must be an object of strings"),
        ("env", {"A": 1}, "env.A", "must be a string, not a number"),
        ("env", {"a b": "1"}, "env.'a b'", "must be a name"),
        ("env", {"A": "\0"}, "env.A", "must not contain NUL"),
        ("env", "A=\0", "env", "must not contain NUL"),
        ("env", "\ud800", "env", "is not Unicode text"),
        ("env", {"A": "\ud800"}, "env", "is not Unicode text"),
        ("env", {"LD_PRELOAD": "/tmp/x.so"}, "env.LD_PRELOAD", "would reach the programs"),
        ("env", "export docker_host=tcp://x", "env.docker_host", "would reach the programs"),
        ("env", {"COMPOSE_ENV_FILES": "x"}, "env.COMPOSE_ENV_FILES", "would reach the programs"),
        ("files", [], "files", "must be a JSON object"),
        ("files", {"": file()["x"]}, "files", "must have keys of 1 to 1024 characters"),
        ("files", {"x": 7}, "files", "must hold JSON objects"),
        ("files", {"x": {}}, "files.'x'.content_base64", "is missing"),
        ("files", file(content_base64="%"), "files.'x'.content_base64", "is not valid base64"),
        ("files", file(mode=644), "files.'x'.mode", "must be a string"),
        ("files", file(mode=""), "files.'x'.mode", "must be octal digits"),
        ("files", file(mode="0o644"), "files.'x'.mode", "must be octal digits"),
        ("files", file(mode="0777"), "files.x.mode", "must be one of 0644, 0600, 0755"),
        ("files", {"../x": file()["x"]}, "files.'../x'", "must not contain '.', '..'"),
        ("files", {"/etc/x": file()["x"]}, "files.'/etc/x'", "must be a path relative"),
        ("files", {".env": file()["x"]}, "files.'.env'", "send it as 'env'"),
        (
            "files",
            {"docker-compose.yml": file()["x"]},
            "files.'docker-compose.yml'",
            "a name that the agent keeps for itself",
        ),
        ("files", {"a": file()["x"], "a/b": file()["x"]}, "files.'a/b'", "lies below 'a'"),
        ("files", {f"f{n}": file()["x"] for n in range(257)}, "files", "at most 256 files"),
        ("pull", "sometimes", "pull", "must be one of missing, always, never"),
        ("wait", 1, "wait", "must be a boolean"),
        ("wait_timeout_s", 0, "wait_timeout_s", "must be over 0"),
        ("wait_timeout_s", 86401, "wait_timeout_s", "at most 86400"),
        ("wait_timeout_s", "9", "wait_timeout_s", "must be a number"),
        ("remove_orphans", "yes", "remove_orphans", "must be a boolean"),
        ("profiles", "web", "profiles", "must be an array"),
        ("profiles", ["a b"], "profiles", "is no name of a profile"),
        ("profiles", ["a"] * 65, "profiles", "must be at most 64"),
        ("auto_rollback", 0, "auto_rollback", "must be a boolean"),
        ("labels", ["a"], "labels", "must be a JSON object"),
        ("labels", {"a": 1}, "labels.a", "must be a string"),
        ("labels", {"": "a"}, "labels", "must not be empty"),
        ("labels", {"a": "b\nc"}, "labels", "in one line"),
        ("labels", {f"l{n}": "" for n in range(65)}, "labels", "must be at most 64"),
        ("requested_by", 7, "requested_by", "must be a string"),
        ("requested_by", "a\nb", "requested_by", "in one line"),
        ("requested_by", "x" * 257, "requested_by", "at most 256 characters"),
        ("registry_auth", [], "registry_auth", "must be a JSON object"),
        ("registry_auth", {"https://r.example.com": LOGIN}, "registry_auth", "is no registry"),
        ("registry_auth", {"-x": LOGIN}, "registry_auth", "is no registry"),
        ("registry_auth", {"r": {"username": "a"}}, "registry_auth.'r'.password", "is missing"),
        (
            "registry_auth",
            {"r": LOGIN | {"username": "a:b"}},
            "registry_auth.'r'.username",
            "colon",
        ),
        (
            "registry_auth",
            {"r": LOGIN | {"username": ""}},
            "registry_auth.'r'.username",
            "must be 1",
        ),
        (
            "registry_auth",
            {"r": LOGIN | {"password": ""}},
            "registry_auth.'r'.password",
            "must be 1",
        ),
        (
            "registry_auth",
            {"r": LOGIN | {"password": "\ud800"}},
            "registry_auth.'r'.password",
            "Unicode",
        ),
        ("registry_auth", {f"r{n}": LOGIN for n in range(17)}, "registry_auth", "at most 16"),
        ("deadline_s", 0, "deadline_s", "must be over 0"),
        ("deadline_s", "soon", "deadline_s", "must be a number"),
    ],
)
def test_a_field_that_breaks_a_rule_is_refused_by_its_name(
    field: str, value: object, named: str, words: str
) -> None:
    fields: dict[str, Any] = {field: value}
    error = refusal(**fields)
    assert error.field == named
    assert words in error.rule


@pytest.mark.parametrize(
    ("command_type", "fields", "named"),
    [
        ("PLAN_COMPOSE", {"pull": "x"}, "pull"),
        ("PLAN_COMPOSE", {"compose_file_base64": None}, "compose_file_base64"),
        ("ROLLBACK_COMPOSE", {"revision": 0}, "revision"),
        ("ROLLBACK_COMPOSE", {"revision": 1.5}, "revision"),
        ("ROLLBACK_COMPOSE", {"revision": "1"}, "revision"),
        ("ROLLBACK_COMPOSE", {"requested_by": "a\n"}, "requested_by"),
        ("RESTART_COMPOSE", {"services": "web"}, "services"),
        ("RESTART_COMPOSE", {"services": ["-x"]}, "services"),
        ("RESTART_COMPOSE", {"services": ["a"] * 257}, "services"),
        ("REMOVE_COMPOSE", {"volumes": "no"}, "volumes"),
        *(
            (name, {"project_name": "a/b"}, "project_name")
            for name in CommandType
            if name not in ("LIST_PROJECTS", "HEALTH_CHECK")
        ),
        *(
            (name, {"deadline_s": -1}, "deadline_s")
            for name, command in ((COMMAND_NAMES[one], one) for one in COMMAND_NAMES)
            if command in get_args(ChangingCommand)
        ),
    ],
)
def test_a_field_of_another_command_is_refused_by_its_name(
    command_type: str, fields: dict[str, Any], named: str
) -> None:
    assert refusal(command_type, **fields).field == named


def test_files_that_are_too_much_together_are_refused_before_they_are_decoded() -> None:
    half = "A" * (3 * 2**20)
    files = {name: {"content_base64": half} for name in ("a", "b")}
    error = refusal(files=files)
    assert error.field == "files"
    assert "4 MiB" in error.rule


def test_what_a_deployment_brings_is_bounded_in_all() -> None:
    files = {"a": {"content_base64": base64_of(bytes(4 * 2**20 - len(CONTENT)))}}
    assert deployed(files=files).content.size == 4 * 2**20
    assert refusal(files=files, env="A").field == "files"


@pytest.mark.parametrize(
    "fields",
    [
        {"env": {"A": "hunter2"}},
        {"files": {"x": {"content_base64": base64_of(b"hunter2")}}},
        {"registry_auth": {"r": {"username": "a", "password": "hunter2"}}},
    ],
)
def test_what_is_private_is_in_no_representation_of_a_command(fields: dict[str, object]) -> None:
    assert "hunter2" not in repr(deployed(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"env": {"A": 7, "B": "hunter2"}},
        {"env": "hunter2\0"},
        {"files": {"x": {"content_base64": "hunter2%"}}},
        {"registry_auth": {"r": {"username": "a", "password": "hunter2\0"}}},
    ],
)
def test_no_refusal_repeats_what_is_private(fields: dict[str, Any]) -> None:
    assert "hunter2" not in str(refusal(**fields))


def test_a_deadline_in_the_payload_is_the_jobs() -> None:
    stop = frame("j1", "STOP_COMPOSE", project_name="blog", deadline_s=60)
    message = decode(stop)
    assert isinstance(message, Request)
    assert message.job_id == JobId("j1")
    assert message.deadline_s == 60
    read = decode(frame("j1", "STATUS", project_name="blog", deadline_s="never"))
    assert isinstance(read, Request)
    assert read.deadline_s is None


@pytest.mark.parametrize(
    ("beside", "in_payload", "counts"),
    [(None, None, None), (None, 60, 60), (30, None, 30), (30, 60, 30)],
)
def test_over_v2_a_deadline_beside_the_payload_counts_before_the_one_in_it(
    beside: float | None, in_payload: float | None, counts: float | None
) -> None:
    payload = {"project_name": "blog", "deadline_s": in_payload}
    document = {"id": "j1", "type": "STOP_COMPOSE", "payload": payload, "seq": 1}
    message = decode_v2(json.dumps(document | ({} if beside is None else {"deadline_s": beside})))
    assert isinstance(message, CommandMessage)
    assert message.deadline_s == counts
