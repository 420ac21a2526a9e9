"""What every `MachineFacts` must do."""

from __future__ import annotations

import pytest

from application.ports.machine_facts import MachineFacts
from domain.errors import StorageUnavailable


class MachineFactsContract:
    """Give the `facts` of a machine, a `pid` that runs, a `gone_pid`, and a `socket_path`."""

    @pytest.fixture
    def facts(self) -> MachineFacts:
        raise NotImplementedError

    @pytest.fixture
    def pid(self) -> int:
        raise NotImplementedError

    @pytest.fixture
    def gone_pid(self) -> int:
        raise NotImplementedError

    @pytest.fixture
    def socket_path(self) -> str:
        raise NotImplementedError

    def test_the_interpreter_is_one_that_tests_run_on(self, facts: MachineFacts) -> None:
        found = facts.interpreter()
        assert found.python >= (3, 11, 0)
        assert found.openssl

    def test_there_is_less_free_than_there_is(self, facts: MachineFacts) -> None:
        room = facts.room("/")
        assert 0 < room.free_bytes <= room.total_bytes
        assert room.free_inodes <= room.total_inodes

    def test_what_is_not_there_yet_has_the_room_of_what_is_above_it(
        self, facts: MachineFacts
    ) -> None:
        assert facts.room("/no-such-directory/at/all").total_bytes == facts.room("/").total_bytes

    def test_a_process_has_files_open(self, facts: MachineFacts, pid: int) -> None:
        use = facts.process(pid)
        assert 0 <= use.sockets <= use.open_files
        assert use.most_files is None or use.open_files <= use.most_files

    def test_a_process_that_has_ended_is_said(self, facts: MachineFacts, gone_pid: int) -> None:
        with pytest.raises(StorageUnavailable, match="has ended"):
            facts.process(gone_pid)

    def test_a_socket_is_told_from_nothing(self, facts: MachineFacts, socket_path: str) -> None:
        found = facts.socket(socket_path)
        assert found is not None
        assert found.is_socket
        assert facts.socket(f"{socket_path}-not") is None
