"""The systemd unit says what the agent's lifecycle needs. `make check` has systemd judge its form."""

from __future__ import annotations

import shlex
from configparser import RawConfigParser
from pathlib import Path

import pytest

from application.agent.agent import LAST_WORDS_S
from entrypoints.agent.__main__ import EXIT_CONFIG
from entrypoints.agent.settings import AgentSettings, variable_of

UNIT = Path(__file__).parents[2] / "deploy" / "instadeploy-agent.service"
CLOSE_GRACE_S = 10.0


@pytest.fixture
def environment() -> dict[str, str]:
    """Apart from the other keys, because it is the one key that is given more than once."""
    prefix = "Environment="
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    assignments = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
    pairs = [shlex.split(assignment) for assignment in assignments]
    return dict(pair.split("=", 1) for line in pairs for pair in line)


@pytest.fixture
def unit() -> RawConfigParser:
    # Not strict: keys that are given more than once are judged elsewhere.
    parser = RawConfigParser(strict=False, delimiters="=")
    parser.read(UNIT, encoding="utf-8")
    return parser


def test_the_agent_starts_isolated_from_what_its_surroundings_hold(unit: RawConfigParser) -> None:
    assert unit["Service"]["ExecStart"] == "/opt/instadeploy/bin/python -I -m entrypoints.agent"
    assert unit["Service"]["Type"] == "notify"
    assert unit["Service"]["WorkingDirectory"] == "/"


def test_the_agent_comes_after_the_engine_but_survives_it(unit: RawConfigParser) -> None:
    assert {"docker.service", "network-online.target"} <= set(unit["Unit"]["After"].split())
    assert {"docker.service", "network-online.target"} <= set(unit["Unit"]["Wants"].split())
    assert not {"requires", "bindsto", "partof", "requisite"} & set(unit["Unit"])


def test_the_agent_is_restarted_for_ever_unless_its_configuration_is_wrong(
    unit: RawConfigParser,
) -> None:
    assert unit["Service"]["Restart"] == "always"
    assert unit["Service"]["RestartSec"] == "10"
    assert unit["Service"]["RestartPreventExitStatus"] == str(EXIT_CONFIG)
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_a_stop_leaves_what_runs_alone_and_gives_the_agent_time_for_its_last_words(
    unit: RawConfigParser,
) -> None:
    assert unit["Service"]["KillMode"] == "process"
    assert float(unit["Service"]["TimeoutStopSec"]) > LAST_WORDS_S + CLOSE_GRACE_S


def test_an_agent_that_hangs_is_started_again(unit: RawConfigParser) -> None:
    assert float(unit["Service"]["WatchdogSec"]) == 60


def test_one_process_that_is_killed_for_want_of_memory_takes_no_other_along(
    unit: RawConfigParser,
) -> None:
    assert unit["Service"]["OOMPolicy"] == "continue"


def test_nothing_that_a_running_job_needs_goes_with_the_service(unit: RawConfigParser) -> None:
    private = {
        "privatetmp",
        "runtimedirectory",
        "cachedirectory",
        "dynamicuser",
        "temporaryfilesystem",
    }
    assert not private & set(unit["Service"])


def test_the_environment_sets_the_server_the_token_and_the_places(
    environment: dict[str, str],
) -> None:
    assert environment == {
        "SERVER_URL": "wss://control-plane.example/ws",
        "AGENT_SECRET_TOKEN": "replace-me",
        "AGENT_PROJECTS_DIR": "/opt/platform/projects",
        "AGENT_STATE_DIR": "/var/lib/instadeploy",
        "HOME": "/root",
    }
    assert set(environment) - {"HOME"} <= {variable_of(name) for name in AgentSettings.model_fields}


def test_the_state_directory_is_made_by_systemd_for_root_alone(unit: RawConfigParser) -> None:
    assert unit["Service"]["StateDirectory"] == "instadeploy"
    assert unit["Service"]["StateDirectoryMode"] == "0700"


def test_the_credential_that_may_replace_the_token_has_the_name_the_agent_looks_for() -> None:
    assert "\n#LoadCredential=agent_secret_token:" in UNIT.read_text(encoding="utf-8")
    assert "secret_token" in AgentSettings.model_fields
