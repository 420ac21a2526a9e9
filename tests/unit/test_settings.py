"""The configuration: each variable, and that everything wrong is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrypoints.agent.settings import (
    AgentSettings,
    load_settings,
    unknown_variables,
    variable_of,
)
from tests.unit.surroundings import ENOUGH, OTHER, TOKEN, Surroundings


@pytest.fixture
def around(bare_environment: pytest.MonkeyPatch, tmp_path: Path) -> Surroundings:
    return Surroundings(bare_environment, tmp_path)


def test_an_address_and_a_token_are_enough_and_the_rest_has_defaults(around: Surroundings) -> None:
    around.set(**ENOUGH)
    settings = load_settings()
    assert settings.model_dump(exclude={"server_url", "secret_token"}) == {
        "token": None,
        "secret_token_file": None,
        "enroll_token": None,
        "enroll_token_file": None,
        "control_plane_key": None,
        "ca_file": None,
        "projects_dir": around.directory / "projects",
        "private_projects": False,
        "state_dir": around.directory / "state",
        "lock_dir": Path("/run/lock/instadeploy"),
        "transport": "websocket",
        "http_port": 8090,
        "docker_host": "unix:///var/run/docker.sock",
        "docker_config": None,
        "log_level": "info",
        "log_format": "auto",
        "connect_timeout": 10.0,
        "ping_interval": 30.0,
        "pong_timeout": 60.0,
        "reconnect_jitter": True,
        "check_timeout": 60.0,
        "deploy_timeout": 1800.0,
        "stop_timeout": 300.0,
        "status_timeout": 30.0,
        "health_timeout": 5.0,
        "wait_timeout": 300.0,
        "settle_time": 2.0,
        "engine_timeout": 120.0,
        "policy_file": None,
        "kept_revisions": 20,
        "max_queued": 1024,
        "max_parallel": 8,
    }


VALUES = [
    ("AGENT_PROJECTS_DIR", "/opt/platform/projects", Path("/opt/platform/projects")),
    ("AGENT_PRIVATE_PROJECTS", "1", True),
    ("AGENT_STATE_DIR", "/var/lib/instadeploy", Path("/var/lib/instadeploy")),
    ("AGENT_LOCK_DIR", "/run/instadeploy", Path("/run/instadeploy")),
    ("AGENT_TRANSPORT", "http", "http"),
    ("AGENT_HTTP_PORT", "0", 0),
    ("AGENT_DOCKER_HOST", "tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375"),
    ("AGENT_DOCKER_CONFIG", "/etc/instadeploy/docker", Path("/etc/instadeploy/docker")),
    ("AGENT_LOG_LEVEL", "debug", "debug"),
    ("AGENT_LOG_FORMAT", "json", "json"),
    ("AGENT_CONNECT_TIMEOUT", "2.5", 2.5),
    ("AGENT_PING_INTERVAL", "7", 7.0),
    ("AGENT_PONG_TIMEOUT", "8", 8.0),
    ("AGENT_RECONNECT_JITTER", "off", False),
    ("AGENT_CHECK_TIMEOUT", "9", 9.0),
    ("AGENT_DEPLOY_TIMEOUT", "10", 10.0),
    ("AGENT_STOP_TIMEOUT", "11", 11.0),
    ("AGENT_STATUS_TIMEOUT", "12", 12.0),
    ("AGENT_HEALTH_TIMEOUT", "13", 13.0),
    ("AGENT_WAIT_TIMEOUT", "14", 14.0),
    ("AGENT_SETTLE_TIME", "0.5", 0.5),
    ("AGENT_ENGINE_TIMEOUT", "15", 15.0),
    ("AGENT_POLICY_FILE", "/etc/instadeploy/strict.toml", Path("/etc/instadeploy/strict.toml")),
    ("AGENT_KEPT_REVISIONS", "5", 5),
    ("AGENT_MAX_QUEUED", "2048", 2048),
    ("AGENT_MAX_PARALLEL", "3", 3),
]


@pytest.mark.parametrize(("variable", "text", "value"), VALUES)
def test_each_variable_sets_its_field(
    around: Surroundings, variable: str, text: str, value: object
) -> None:
    around.set(**ENOUGH, **{variable: text})
    assert getattr(load_settings(), variable.removeprefix("AGENT_").lower()) == value


def test_every_field_has_a_test_of_its_variable() -> None:
    elsewhere = {"SERVER_URL", "AGENT_TOKEN", "AGENT_SECRET_TOKEN", "AGENT_SECRET_TOKEN_FILE"}
    elsewhere |= {"AGENT_CA_FILE", "AGENT_CONTROL_PLANE_KEY"}
    elsewhere |= {"AGENT_ENROLL_TOKEN", "AGENT_ENROLL_TOKEN_FILE"}
    tested = {variable for variable, _, _ in VALUES} | elsewhere
    assert {variable_of(field) for field in AgentSettings.model_fields} == tested


WRONG = [
    ("SERVER_URL", "https://cp.example", "must begin with ws:// or wss://"),
    ("SERVER_URL", "cp.example", "must begin with ws:// or wss://"),
    ("SERVER_URL", "", "must begin with ws:// or wss://"),
    ("SERVER_URL", "wss:///ws", "names no host"),
    ("SERVER_URL", f"wss://agent:{TOKEN}@cp.example/", "must not carry a user or password"),
    ("SERVER_URL", "wss://cp.example/#x", "must not carry a fragment"),
    ("SERVER_URL", "wss://cp.example:port/", "is not a valid URL"),
    ("SERVER_URL", "wss://[::1/", "is not a valid URL"),
    ("AGENT_TOKEN", " ", "must not be empty"),
    ("AGENT_TOKEN", f"{TOKEN} x", "must be printable ASCII without spaces"),
    ("AGENT_SECRET_TOKEN", "", "must not be empty"),
    ("AGENT_SECRET_TOKEN", f"{TOKEN}\nX-Header: y", "must be printable ASCII without spaces"),
    ("AGENT_SECRET_TOKEN", f"{TOKEN}é", "must be printable ASCII without spaces"),
    ("AGENT_SECRET_TOKEN_FILE", "/nowhere/token", "names a file that does not exist"),
    ("AGENT_CA_FILE", "/nowhere/ca.pem", "names a file that does not exist"),
    ("AGENT_ENROLL_TOKEN", f"{TOKEN} x", "must be printable ASCII without spaces"),
    ("AGENT_CONTROL_PLANE_KEY", "sha256:0", "must be a key, which is 32 bytes in base64, or its"),
    ("AGENT_PRIVATE_PROJECTS", "perhaps", "must be 1 or 0"),
    ("AGENT_TRANSPORT", "carrier-pigeon", "must be 'websocket' or 'http'"),
    ("AGENT_HTTP_PORT", "65536", "must be at most 65535"),
    ("AGENT_HTTP_PORT", "-1", "must be at least 0"),
    ("AGENT_HTTP_PORT", "many", "must be a whole number"),
    ("AGENT_DOCKER_HOST", "/var/run/docker.sock", "must look like unix:///var/run/docker.sock"),
    ("AGENT_DOCKER_HOST", "unix://var/run/docker.sock", "must look like unix:///var/run/docker"),
    ("AGENT_DOCKER_HOST", "ssh://host", "must look like unix:///var/run/docker.sock"),
    ("AGENT_LOG_LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error'"),
    ("AGENT_LOG_FORMAT", "xml", "must be 'auto', 'text' or 'json'"),
    ("AGENT_CONNECT_TIMEOUT", "0", "must be greater than 0"),
    ("AGENT_PING_INTERVAL", "-1", "must be greater than 0"),
    ("AGENT_PONG_TIMEOUT", "soon", "must be a number"),
    ("AGENT_RECONNECT_JITTER", "2", "must be 1 or 0"),
    ("AGENT_CHECK_TIMEOUT", "inf", "must be"),
    ("AGENT_DEPLOY_TIMEOUT", "nan", "must be"),
    ("AGENT_STOP_TIMEOUT", "604801", "must be at most 604800"),
    ("AGENT_STATUS_TIMEOUT", "", "must be a number"),
    ("AGENT_HEALTH_TIMEOUT", "0", "must be greater than 0"),
    ("AGENT_WAIT_TIMEOUT", "0", "must be greater than 0"),
    ("AGENT_SETTLE_TIME", "soon", "must be a number"),
    ("AGENT_ENGINE_TIMEOUT", "-1", "must be greater than 0"),
    ("AGENT_KEPT_REVISIONS", "0", "must be at least 1"),
    ("AGENT_KEPT_REVISIONS", "1001", "must be at most 1000"),
    ("AGENT_MAX_QUEUED", "0", "must be at least 1"),
    ("AGENT_MAX_PARALLEL", "1.5", "must be a whole number"),
]


@pytest.mark.parametrize(("variable", "text", "problem"), WRONG)
def test_what_is_wrong_is_said_in_one_sentence_that_names_the_variable(
    around: Surroundings, variable: str, text: str, problem: str
) -> None:
    around.set(**{**ENOUGH, variable: text})
    (sentence,) = around.problems()
    assert sentence.startswith(f"{variable}: {problem}")


def test_everything_that_is_wrong_or_missing_is_said_at_once(around: Surroundings) -> None:
    around.set(AGENT_HTTP_PORT="x", AGENT_LOG_LEVEL="loud", AGENT_CA_FILE="/nowhere")
    assert [problem.split(":")[0] for problem in around.problems()] == [
        "AGENT_CA_FILE",
        "AGENT_HTTP_PORT",
        "AGENT_LOG_LEVEL",
        "SERVER_URL",
        "AGENT_SECRET_TOKEN",
    ]


def test_without_anything_both_the_address_and_the_token_are_missing(
    around: Surroundings,
) -> None:
    address, secret = around.problems()
    assert address.startswith("SERVER_URL: is missing")
    assert secret.startswith("AGENT_SECRET_TOKEN: is missing; set it, or AGENT_TOKEN, or")
    # Most often, the agent was started in another directory than when it was enrolled.
    assert f"no host is enrolled in AGENT_STATE_DIR, which is {Path('state').absolute()}" in secret


def test_a_wrong_address_is_not_called_missing_too(around: Surroundings) -> None:
    around.set(SERVER_URL="x", AGENT_SECRET_TOKEN=TOKEN)
    assert len(around.problems()) == 1


def test_the_debug_transport_needs_no_address(around: Surroundings) -> None:
    around.set(AGENT_TRANSPORT="http", AGENT_SECRET_TOKEN=TOKEN)
    assert load_settings().server_url is None


def test_the_debug_transport_needs_a_token(around: Surroundings) -> None:
    around.set(AGENT_TRANSPORT="http")
    (sentence,) = around.problems()
    assert sentence.startswith("AGENT_SECRET_TOKEN: is missing")


def test_relative_directories_become_absolute(around: Surroundings) -> None:
    path = around.write("ca.pem", "x")
    around.set(
        **ENOUGH,
        AGENT_PROJECTS_DIR="p",
        AGENT_STATE_DIR="s",
        AGENT_LOCK_DIR="l",
        AGENT_CA_FILE="ca.pem",
    )
    settings = load_settings()
    assert settings.projects_dir == around.directory / "p"
    assert settings.state_dir == around.directory / "s"
    assert settings.lock_dir == around.directory / "l"
    assert settings.ca_file == Path(path)


def test_names_of_variables_may_be_written_small(around: Surroundings) -> None:
    around.set(**ENOUGH, agent_log_level="debug")
    assert load_settings().log_level == "debug"


def test_no_token_is_in_what_settings_look_like(around: Surroundings) -> None:
    around.set(**ENOUGH, AGENT_TOKEN=OTHER)
    settings = load_settings()
    for text in (
        repr(settings),
        str(settings),
        str(settings.model_dump()),
        settings.model_dump_json(),
    ):
        assert TOKEN not in text
        assert OTHER not in text


@pytest.mark.parametrize("field", AgentSettings.model_fields)
def test_settings_do_not_change(around: Surroundings, field: str) -> None:
    around.set(**ENOUGH)
    with pytest.raises(ValueError, match="frozen"):
        setattr(load_settings(), field, None)


def test_a_slip_of_the_pen_is_pointed_out(around: Surroundings) -> None:
    around.set(**ENOUGH, AGENT_SECRET_TOKN=TOKEN, AGENT_ENV_FILE="x", AGENT_XYZZY="1", OTHER="1")
    assert unknown_variables() == [
        "AGENT_SECRET_TOKN is no setting of this agent; did you mean AGENT_SECRET_TOKEN?",
        "AGENT_XYZZY is no setting of this agent",
    ]


def test_a_slip_of_the_pen_in_the_env_file_is_pointed_out_too(around: Surroundings) -> None:
    around.set(**ENOUGH)
    around.write(".env", "AGENT_LOG_LEVL=debug\nagent_tokn=x\nAGENT_LOG_FORMAT=json\nOTHER=1\n")
    assert unknown_variables() == [
        "AGENT_LOG_LEVL is no setting of this agent; did you mean AGENT_LOG_LEVEL?",
        "agent_tokn is no setting of this agent; did you mean AGENT_TOKEN?",
    ]


def test_an_env_file_that_cannot_be_read_holds_no_slips(around: Surroundings) -> None:
    around.set(**ENOUGH)
    (around.directory / ".env").write_bytes(b"AGENT_LOG_LEVL=\xff")
    assert unknown_variables() == []
