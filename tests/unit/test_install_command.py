"""`instadeploy-agent install` and `uninstall`, as they are called."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pytest

from application.ports.machine import Kept
from domain.installation import UNIT, Layout
from entrypoints.agent.__main__ import main
from entrypoints.agent.commands import install, telling, uninstall
from tests.fakes.local_machine import FakeLocalMachine

AT = Layout()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeLocalMachine:
    """What is installed is installed in memory, by root, where systemd runs."""
    machine = FakeLocalMachine()
    for command in (install, uninstall):
        monkeypatch.setattr(command, "LocalMachine", lambda: machine)
    monkeypatch.setattr(telling, "SYSTEMD", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(install, "ROOM_BYTES", 0)
    agent = tmp_path / "agent"
    agent.write_bytes(b"an agent")
    monkeypatch.setenv("PEX", str(agent))
    for name in (install.ENROLL_VARIABLE, install.SECRET_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    return machine


OPTIONS = ("install", "--server-url", "wss://cp.example/ws")


def test_it_installs_with_the_token_of_the_environment(
    machine: FakeLocalMachine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(install.ENROLL_VARIABLE, "ide_secret")
    assert main([*OPTIONS, "--control-plane-key", f"sha256:{'a' * 64}"]) == 0
    assert install.ENROLL_VARIABLE not in os.environ
    printed = capsys.readouterr()
    assert "Connected: since now" in printed.out
    assert "ide_secret" not in printed.out + printed.err
    (release,) = machine.names_in(AT.releases)
    assert release.startswith("1.0.0-")
    assert machine.enabled == {UNIT}
    machine.paths[f"{AT.state}/identity.json"] = Kept(0o600, "instadeploy", b'{"host_id": "h"}')
    assert main(["install"]) == 0


def test_it_reads_the_token_from_standard_input(
    machine: FakeLocalMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("  ide_secret \nmore\n"))
    machine.statuses = ["Connecting"]
    written: list[bytes] = []
    restart = machine.restart

    def looking(unit: str) -> None:
        found = machine.look(f"{AT.credentials}/enroll_token")
        assert found is not None
        assert found.content is not None
        written.append(found.content)
        machine.statuses = ["Connected: since now"]
        restart(unit)

    monkeypatch.setattr(machine, "restart", looking)
    assert main([*OPTIONS, "--token-stdin"]) == 0
    assert written == [b"ide_secret\n"]


def test_a_dry_run_changes_nothing(
    machine: FakeLocalMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    before = machine.picture()
    assert main([*OPTIONS, "--dry-run"]) == 0
    assert machine.picture() == before
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "would make the system user instadeploy, in the group docker"
    assert all(line.startswith("would ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "token", "says"),
    [
        (OPTIONS, None, "INSTADEPLOY_ENROLL_TOKEN: is missing"),
        (OPTIONS, "two words", "INSTADEPLOY_ENROLL_TOKEN: must be printable ASCII"),
        (("install",), "t", "--server-url: is missing"),
        (("install", "--server-url", "https://x"), "t", "--server-url: must begin with ws://"),
        ((*OPTIONS, "--control-plane-key", "x"), "t", "--control-plane-key: "),
        ((*OPTIONS, "--ca-file", "/nowhere"), "t", "--ca-file: /nowhere cannot be read"),
        ((*OPTIONS, "--ca-file", "/etc/passwd"), "t", "has no certificate in it"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(
    machine: FakeLocalMachine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    token: str | None,
    says: str,
) -> None:
    if token is not None:
        monkeypatch.setenv(install.ENROLL_VARIABLE, token)
    before = machine.picture()
    assert main(list(arguments)) == 1
    said = capsys.readouterr().err
    assert says in said
    assert "two words" not in said
    assert machine.picture() == before


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_only_root_and_only_with_systemd(
    machine: FakeLocalMachine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.setattr(telling, "SYSTEMD", Path("/nowhere"))
    assert main([command]) == 1
    assert "systemd does not run this machine" in capsys.readouterr().err
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main([command]) == 1
    assert "needs root: run it with sudo" in capsys.readouterr().err
    assert machine.did == []


def test_no_room_is_said_before_anything_is_done(
    machine: FakeLocalMachine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(install.ENROLL_VARIABLE, "t")
    monkeypatch.setattr(install, "ROOM_BYTES", shutil.disk_usage("/").total * 2)
    assert main(list(OPTIONS)) == 1
    assert "make room, and run this again" in capsys.readouterr().err
    assert machine.did == []


def test_what_is_no_single_file_says_what_to_do(
    machine: FakeLocalMachine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PEX")
    assert main(list(OPTIONS)) == 1
    assert "instadeploy-agent-simple.service" in capsys.readouterr().err


def test_a_refusal_says_what_to_do(
    machine: FakeLocalMachine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(install.ENROLL_VARIABLE, "t")
    machine.statuses = ["Refused: HTTP 401: no such token"]
    before = machine.picture()
    assert main(list(OPTIONS)) == 1
    said = capsys.readouterr().err
    assert "no such token" in said
    assert "hosts enroll" in said
    assert machine.picture() == before


def test_taking_away_says_what_is_left(
    machine: FakeLocalMachine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(install.ENROLL_VARIABLE, "t")
    assert main(list(OPTIONS)) == 0
    capsys.readouterr()
    assert main(["uninstall", "--dry-run"]) == 0
    assert "would remove /opt/instadeploy" in capsys.readouterr().out
    assert main(["uninstall"]) == 0
    said = capsys.readouterr().out
    assert f"Projects go on running, and are in {AT.projects}." in said
    assert f"{AT.settings} and {AT.state} are kept" in said
    assert main(["uninstall", "--purge", "--remove-projects"]) == 0
    said = capsys.readouterr().out
    assert "Projects go on" not in said
    assert "are kept" not in said
    assert "hosts revoke" in said
