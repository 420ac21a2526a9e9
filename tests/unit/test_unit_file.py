"""The systemd unit says what the agent's lifecycle needs. `make check` has systemd judge its form."""

from __future__ import annotations

import shlex
from configparser import RawConfigParser
from pathlib import Path

import pytest

from application.agent.agent import LAST_WORDS_S
from domain.installation import ENGINE_GROUP, ENROLL_TOKEN, MARK, SECRET_TOKEN, USER, Layout
from entrypoints.agent.__main__ import EXIT_CONFIG
from entrypoints.agent.commands.install import unit_file
from entrypoints.agent.settings import AgentSettings, variable_of

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "instadeploy-agent.service"
SIMPLE = DEPLOY / "instadeploy-agent-simple.service"
CLOSE_GRACE_S = 10.0


def environment_of(path: Path) -> dict[str, str]:
    """Apart from the other keys, because it is the one key that is given more than once."""
    prefix = "Environment="
    lines = path.read_text(encoding="utf-8").splitlines()
    assignments = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
    pairs = [shlex.split(assignment) for assignment in assignments]
    return dict(pair.split("=", 1) for line in pairs for pair in line)


def parsed(path: Path) -> RawConfigParser:
    # Not strict: keys that are given more than once are judged elsewhere.
    parser = RawConfigParser(strict=False, delimiters="=")
    parser.read(path, encoding="utf-8")
    return parser


@pytest.fixture(params=[UNIT, SIMPLE], ids=["installed", "simple"])
def unit(request: pytest.FixtureRequest) -> RawConfigParser:
    """Either unit: what follows holds for both."""
    return parsed(request.param)


@pytest.fixture
def installed() -> RawConfigParser:
    return parsed(UNIT)


@pytest.mark.parametrize(
    ("path", "program", "kind"),
    [(UNIT, "/opt/instadeploy/current", "notify"), (SIMPLE, "/opt/instadeploy", "simple")],
)
def test_the_agent_starts_isolated_from_what_its_surroundings_hold(
    path: Path, program: str, kind: str
) -> None:
    service = parsed(path)["Service"]
    assert service["ExecStart"] == f"{program}/bin/python -I -m entrypoints.agent"
    assert service["Type"] == kind
    assert service["WorkingDirectory"] == "/"


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


def test_an_agent_that_hangs_is_started_again_for_ever(installed: RawConfigParser) -> None:
    assert float(installed["Service"]["WatchdogSec"]) == 60
    assert installed["Unit"]["StartLimitIntervalSec"] == "0"


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


def test_the_plain_unit_sets_the_server_the_token_and_the_places() -> None:
    environment = environment_of(SIMPLE)
    assert environment == {
        "SERVER_URL": "wss://control-plane.example/ws",
        "AGENT_SECRET_TOKEN": "replace-me",
        "AGENT_PROJECTS_DIR": "/opt/platform/projects",
        "AGENT_STATE_DIR": "/var/lib/instadeploy",
        "HOME": "/root",
    }
    assert set(environment) - {"HOME"} <= {variable_of(name) for name in AgentSettings.model_fields}


def test_the_installed_unit_says_where_things_are_and_no_secret(
    installed: RawConfigParser,
) -> None:
    at = Layout()
    assert environment_of(UNIT) == {
        "AGENT_PROJECTS_DIR": at.projects,
        "AGENT_STATE_DIR": at.state,
        "HOME": at.state,
    }
    service = installed["Service"]
    assert service["EnvironmentFile"] == f"-{at.settings_file}"
    assert service["StateDirectory"] == Path(at.state).name
    assert service["StateDirectoryMode"] == "0700"
    assert at.projects in service["ReadWritePaths"].split()
    assert MARK in installed["Unit"]


def test_credentials_have_the_names_that_the_agent_looks_for(installed: RawConfigParser) -> None:
    name, path = installed["Service"]["LoadCredential"].split(":")
    assert path == Layout().credentials
    for file in (ENROLL_TOKEN, SECRET_TOKEN):
        assert f"{name}_{file}".upper() == variable_of(file)


def test_the_agent_is_a_user_of_its_own_that_may_ask_the_engine(installed: RawConfigParser) -> None:
    service = installed["Service"]
    assert service["User"] == service["Group"] == USER
    assert service["SupplementaryGroups"] == ENGINE_GROUP


def test_what_the_installer_writes_is_this_unit() -> None:
    assert unit_file() == UNIT.read_bytes()
