"""The machine in memory is one."""

from __future__ import annotations

import pytest

from application.ports.machine import Kept
from tests.contracts.local_machine import MachineContract
from tests.fakes.local_machine import FakeLocalMachine


class TestFakeLocalMachine(MachineContract):
    @pytest.fixture
    def machine(self) -> FakeLocalMachine:
        machine = FakeLocalMachine()
        machine.paths["/root"] = Kept(0o700, "root")
        return machine

    @pytest.fixture
    def root(self) -> str:
        return "/root"
