"""Where the configuration comes from, and which source goes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrypoints.agent.settings import (
    load_settings,
)
from tests.unit.surroundings import ENOUGH, OTHER, TOKEN, Surroundings


@pytest.fixture
def around(bare_environment: pytest.MonkeyPatch, tmp_path: Path) -> Surroundings:
    return Surroundings(bare_environment, tmp_path)


def token() -> str:
    return load_settings().bearer_token().get_secret_value()


@pytest.mark.parametrize("variable", ["AGENT_TOKEN", "AGENT_SECRET_TOKEN"])
def test_either_token_alone_is_enough(around: Surroundings, variable: str) -> None:
    around.set(**{"SERVER_URL": "wss://cp.example/ws", variable: f" {TOKEN}\n"})
    assert token() == TOKEN


def test_the_secret_token_goes_first(around: Surroundings) -> None:
    around.set(**ENOUGH, AGENT_TOKEN=OTHER)
    assert token() == TOKEN


def test_the_token_may_stand_in_a_file(around: Surroundings) -> None:
    path = around.write("token", f"{TOKEN}\n")
    around.set(SERVER_URL="wss://cp.example/ws", AGENT_SECRET_TOKEN_FILE=path)
    assert token() == TOKEN
    around.set(AGENT_TOKEN=OTHER)
    assert token() == TOKEN
    around.set(AGENT_SECRET_TOKEN=OTHER)
    assert token() == OTHER


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "must not be empty"),
        (f"{TOKEN}\n{TOKEN}", "must be printable ASCII without spaces"),
        (f"{TOKEN}é", "holds something other than ASCII"),
    ],
)
def test_a_token_file_with_no_token_in_it_is_said(
    around: Surroundings, content: str, problem: str
) -> None:
    path = around.write("token", content)
    around.set(SERVER_URL="wss://cp.example/ws", AGENT_SECRET_TOKEN_FILE=path)
    (sentence,) = around.problems()
    assert sentence.startswith(f"AGENT_SECRET_TOKEN_FILE: {problem}")


def test_systemd_credentials_are_read(around: Surroundings) -> None:
    around.write("credentials/agent_secret_token", f"{TOKEN}\n")
    around.set(
        SERVER_URL="wss://cp.example/ws",
        CREDENTIALS_DIRECTORY=str(around.directory / "credentials"),
    )
    assert token() == TOKEN


def test_a_credentials_directory_that_is_gone_or_empty_does_no_harm(around: Surroundings) -> None:
    around.set(**ENOUGH, CREDENTIALS_DIRECTORY="/nowhere")
    assert token() == TOKEN
    (around.directory / "credentials").mkdir()
    around.set(CREDENTIALS_DIRECTORY=str(around.directory / "credentials"))
    assert token() == TOKEN


def test_the_environment_goes_before_the_env_file_and_that_before_credentials(
    around: Surroundings,
) -> None:
    around.write("credentials/agent_secret_token", "from-credentials")
    around.set(
        SERVER_URL="wss://cp.example/ws",
        CREDENTIALS_DIRECTORY=str(around.directory / "credentials"),
    )
    assert token() == "from-credentials"
    around.write(".env", "AGENT_SECRET_TOKEN=from-file\n")
    assert token() == "from-file"
    around.set(AGENT_SECRET_TOKEN="from-environment")
    assert token() == "from-environment"


def test_an_env_file_in_the_working_directory_is_read(around: Surroundings) -> None:
    around.write(
        ".env",
        f"# a comment\nSERVER_URL='wss://cp.example/ws'\nAGENT_SECRET_TOKEN={TOKEN}\nFOREIGN=x\n",
    )
    settings = load_settings()
    assert (settings.server_url, token()) == ("wss://cp.example/ws", TOKEN)


def test_the_env_file_that_is_named_is_read_and_not_the_one_in_the_working_directory(
    around: Surroundings,
) -> None:
    around.write(".env", "AGENT_LOG_LEVEL=debug\nAGENT_LOG_FORMAT=json\n")
    path = around.write("agent.env", "AGENT_LOG_LEVEL=error\n")
    around.set(**ENOUGH, AGENT_ENV_FILE=path)
    settings = load_settings()
    assert (settings.log_level, settings.log_format) == ("error", "auto")


def test_what_is_wrong_in_an_env_file_is_said_like_all_else(around: Surroundings) -> None:
    around.write(".env", f"AGENT_HTTP_PORT=x\nAGENT_SECRET_TOKEN={TOKEN} y\n")
    around.set(SERVER_URL="wss://cp.example/ws")
    assert [problem.split(":")[0] for problem in around.problems()] == [
        "AGENT_SECRET_TOKEN",
        "AGENT_HTTP_PORT",
    ]


def test_an_env_file_that_is_named_and_not_there_is_said_with_all_else(
    around: Surroundings,
) -> None:
    around.set(**ENOUGH, AGENT_ENV_FILE="/nowhere/agent.env", AGENT_HTTP_PORT="x")
    assert [problem.split(":")[0] for problem in around.problems()] == [
        "AGENT_ENV_FILE",
        "AGENT_HTTP_PORT",
    ]


def test_an_env_file_that_is_no_text_is_said(around: Surroundings) -> None:
    path = around.write("agent.env", b"AGENT_SECRET_TOKEN=\xff\xfe\n")
    around.set(**ENOUGH, AGENT_ENV_FILE=path)
    (sentence,) = around.problems()
    assert sentence.startswith("AGENT_ENV_FILE: ")
    assert "cannot be read as UTF-8 text" in sentence
