"""The machine that the tests run on, of which they change a directory alone. Only root may."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from adapters.machine import local_machine
from adapters.machine.local_machine import LocalMachine
from adapters.machine.programs import output_of
from application.ports.machine import Kept
from domain.errors import RuntimeUnavailable, StorageUnavailable
from tests.contracts.local_machine import MachineContract


@pytest.fixture
def root(tmp_path: Path) -> str:
    assert os.geteuid() == 0, "the tests of the machine have to run as root"
    return str(tmp_path)


@pytest.fixture
def machine(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> LocalMachine:
    monkeypatch.setattr(local_machine, "LOCK", tmp_path_factory.mktemp("lock") / "lock")
    return LocalMachine()


class TestLocalMachine(MachineContract):
    def test_a_file_is_private_until_it_has_its_mode(
        self, machine: LocalMachine, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[int] = []
        chown = os.fchown

        def looking(fd: int, user: int, group: int) -> None:
            seen.append(stat.S_IMODE(os.fstat(fd).st_mode))
            chown(fd, user, group)

        monkeypatch.setattr(os, "fchown", looking)
        machine.write(f"{root}/file", Kept(0o644, "root", b"x"))
        assert seen == [0o600]

    def test_whoever_wants_it_to_end_waits(self, machine: LocalMachine) -> None:
        heard: list[int] = []
        before = signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
        try:
            with machine.uninterrupted():
                os.kill(os.getpid(), signal.SIGHUP)
                assert heard == []
            assert heard == [signal.SIGHUP]
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_a_user_that_is_not_there(self, machine: LocalMachine, root: str) -> None:
        assert machine.groups_of("nobody-here") is None
        assert machine.count_of(root, "nobody-here") == 0
        with pytest.raises(StorageUnavailable, match="nobody-here"):
            machine.write(f"{root}/file", Kept(0o600, "nobody-here", b"x"))
        assert machine.names_in(root) == []

    def test_what_is_no_program_leaves_nothing(self, machine: LocalMachine, root: str) -> None:
        Path(root, "agent").write_text("raise SystemExit('no agent')")
        with pytest.raises(RuntimeUnavailable, match="no agent"):
            machine.unpack(f"{root}/agent", f"{root}/release")
        assert machine.names_in(root) == ["agent"]


def test_a_program_is_quoted_and_has_a_deadline() -> None:
    assert output_of("echo", "x; y").strip() == "x; y"
    with pytest.raises(RuntimeUnavailable, match="not there"):
        output_of("no-such-program")
    with pytest.raises(RuntimeUnavailable, match=r"sh failed \(3\): why"):
        output_of("sh", "-c", "echo why >&2; exit 3")
    assert output_of("sh", "-c", "exit 3", allowed=(0, 3)) == ""
    with pytest.raises(RuntimeUnavailable, match="did not end"):
        output_of("sleep", "60", timeout_s=0.05)
