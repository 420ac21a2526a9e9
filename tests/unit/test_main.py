"""The program's options and exit codes; what it does while it runs is tested as a process."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.filesystem.instance_lock import InstanceLock
from entrypoints.agent.__main__ import main
from entrypoints.version import VERSION

TOKEN = "tok-s3cr3t"


@pytest.fixture
def environment(bare_environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What is needed to start, and no more."""
    bare_environment.setenv("SERVER_URL", f"wss://cp.example/ws?key={TOKEN}")
    bare_environment.setenv("AGENT_SECRET_TOKEN", TOKEN)
    return bare_environment


def test_a_valid_configuration_is_said_and_nothing_is_started(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--check"]) == 0
    printed = capsys.readouterr()
    assert printed.out == (
        "The configuration is valid. Control plane at wss://cp.example/ws; projects in "
        f"{tmp_path}/projects; state in {tmp_path}/state; Docker Engine at "
        "unix:///var/run/docker.sock.\n"
    )
    assert printed.err == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--check"], []])
def test_a_wrong_configuration_is_said_line_by_line_and_exits_with_78(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    environment.setenv("AGENT_HTTP_PORT", "x")
    environment.delenv("SERVER_URL")
    assert main(arguments) == 78
    printed = capsys.readouterr()
    assert printed.out == ""
    first, second = printed.err.splitlines()
    assert first.startswith("instadeploy-agent: AGENT_HTTP_PORT: ")
    assert second.startswith("instadeploy-agent: SERVER_URL: is missing")
    assert TOKEN not in printed.err


def test_a_certificate_file_without_a_certificate_exits_with_78(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    environment.setenv("AGENT_CA_FILE", "ca.pem")
    assert main(["--check"]) == 78
    assert capsys.readouterr().err == (
        "instadeploy-agent: AGENT_CA_FILE: holds no PEM certificate\n"
    )


def test_slips_of_the_pen_and_unencrypted_links_are_warned_of(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("SERVER_URL", "ws://cp.example/ws")
    environment.setenv("AGENT_LOG_LEVL", "debug")
    assert main(["--check"]) == 0
    slip, unencrypted = capsys.readouterr().err.splitlines()
    assert slip == (
        "instadeploy-agent: warning: AGENT_LOG_LEVL is no setting of this agent; did you mean "
        "AGENT_LOG_LEVEL?"
    )
    assert unencrypted == (
        "instadeploy-agent: warning: SERVER_URL: ws:// sends the token unencrypted; use wss:// but "
        "for tests"
    )


def test_a_slip_of_the_pen_is_told_beside_what_is_missing_because_of_it(
    bare_environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare_environment.setenv("SERVER_URL", "wss://cp.example/ws")
    bare_environment.setenv("AGENT_TOKN", TOKEN)
    assert main(["--check"]) == 78
    missing, slip = capsys.readouterr().err.splitlines()
    assert missing.startswith("instadeploy-agent: AGENT_SECRET_TOKEN: is missing")
    assert slip == (
        "instadeploy-agent: warning: AGENT_TOKN is no setting of this agent; did you mean AGENT_TOKEN?"
    )


def test_the_debug_transport_says_where_it_would_listen(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("AGENT_TRANSPORT", "http")
    environment.setenv("AGENT_HTTP_PORT", "8123")
    assert main(["--check"]) == 0
    assert "Debug transport on 127.0.0.1:8123;" in capsys.readouterr().out


@pytest.mark.usefixtures("logging_left_alone")
def test_a_state_directory_that_cannot_be_used_exits_with_1(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file stands in the way")
    assert main([]) == 1
    assert "AGENT_STATE_DIR: " in capsys.readouterr().err


@pytest.mark.usefixtures("logging_left_alone")
def test_a_second_agent_with_the_same_state_directory_exits_with_1(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    InstanceLock(tmp_path / "state").acquire()
    assert main([]) == 1
    assert "AGENT_STATE_DIR: another agent is running with" in capsys.readouterr().err


def test_the_version_is_printed_without_any_configuration(
    bare_environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"instadeploy-agent {VERSION}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


def test_help_names_the_options_the_exit_codes_and_how_to_start(
    bare_environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for word in ("--check", "--version", "SERVER_URL", "AGENT_SECRET_TOKEN", "78"):
        assert word in printed


@pytest.mark.parametrize("arguments", [["--nonsense"], ["start"]])
def test_an_argument_that_it_does_not_know_is_refused(
    bare_environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err
