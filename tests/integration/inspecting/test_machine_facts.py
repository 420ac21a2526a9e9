"""What this machine tells: disks, processes, sockets, registries, and work that hangs."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.engine.root import SocketEngineRoot
from adapters.filesystem.registry_names import LocalRegistryNames
from adapters.host.aside import LoopThatEnds, in_daemon_thread
from adapters.host.facts import LocalFacts
from adapters.machine.journal import lines_in
from application.inspecting.machine_checks import findings_of_room
from application.ports.engine_root import EngineRoot
from application.ports.machine_facts import MachineFacts
from application.ports.registry_names import RegistryFile, RegistryNames
from domain.errors import StorageUnavailable
from domain.idle_links import LogLine
from domain.inspection import Verdict
from tests.contracts.engine_root import EngineRootContract
from tests.contracts.machine_facts import MachineFactsContract
from tests.contracts.registry_names import RegistryNamesContract
from tests.integration.scripted_engine import ScriptedEngine
from tests.support.small_disk import small_disk

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@pytest.fixture
def local() -> LocalFacts:
    return LocalFacts(lambda: True)


class TestLocalFacts(MachineFactsContract):
    @pytest.fixture
    def facts(self, local: LocalFacts) -> MachineFacts:
        return local

    @pytest.fixture
    def pid(self) -> int:
        return os.getpid()

    @pytest.fixture
    def gone_pid(self) -> int:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        return ended.pid

    @pytest.fixture
    def socket_path(self, tmp_path: Path) -> Iterator[str]:
        path = str(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            yield path


def test_a_file_in_a_sockets_place_is_no_socket(local: LocalFacts, tmp_path: Path) -> None:
    (tmp_path / "f").touch(mode=0o640)
    found = local.socket(str(tmp_path / "f"))
    assert found is not None
    assert not found.is_socket
    assert found.mode == 0o640


def test_open_sockets_are_counted(local: LocalFacts) -> None:
    before = local.process(os.getpid())
    with socket.socket(), socket.socket():
        after = local.process(os.getpid())
    assert after.sockets == before.sockets + 2
    assert after.open_files == before.open_files + 2
    assert after.most_files is None or after.most_files > 0


@needs_root
def test_a_full_disk_is_a_failure(local: LocalFacts, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        disk.fill()
        found = findings_of_room("the state", local.room(str(disk.directory / "not" / "there")))
        assert found[0].verdict is Verdict.FAILURE
        assert "has 0 B free of 2.1 MB" in found[0].found


@needs_root
def test_a_disk_without_inodes_is_a_failure(local: LocalFacts, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "600m,nr_inodes=20") as disk:
        for number in range(19):
            (disk.directory / str(number)).touch()
        (found,) = findings_of_room("the state", local.room(str(disk.directory)))
        assert found.verdict is Verdict.FAILURE
        assert "0 inodes free of 20" in found.found


def registries(directory: Path, config: object, path: str = "/nowhere") -> RegistryFile | None:
    (directory / "config.json").write_text(
        config if isinstance(config, str) else json.dumps(config)
    )
    return LocalRegistryNames(directory, path).read()


def test_registries_are_named_and_their_secrets_are_not(tmp_path: Path) -> None:
    auths = {"https://index.docker.io/v1/": {"auth": "czNjcjN0"}, "r.example:5000": {}}
    found = registries(tmp_path, {"auths": auths})
    assert found is not None
    assert list(found.registries) == ["docker.io", "r.example:5000"]
    assert "czNjcjN0" not in str(found)
    assert LocalRegistryNames(tmp_path / "none", "").read() is None


def test_a_helper_that_is_not_on_the_path_is_missing(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "docker-credential-here").touch(mode=0o755)
    config = {"credHelpers": {"a.example": "here"}, "credsStore": "gone"}
    found = registries(tmp_path, config, str(programs))
    assert found is not None
    assert list(found.registries) == ["a.example"]
    assert list(found.helpers) == ["docker-credential-gone", "docker-credential-here"]
    assert list(found.missing_helpers) == ["docker-credential-gone"]


@pytest.mark.parametrize("config", ["{", "[]", '{"auths": 1}', "[" * 100_000])
def test_what_is_no_configuration_is_said(tmp_path: Path, config: str) -> None:
    found = registries(tmp_path, config)
    assert found is not None
    assert found.malformed


class TestLocalRegistryNames(RegistryNamesContract):
    @pytest.fixture
    def names(self, tmp_path: Path) -> RegistryNames:
        (tmp_path / "docker-credential-here").touch(mode=0o755)
        config = {"auths": {"a.example": {"auth": "czNjcjN0"}}, "credsStore": "here"}
        (tmp_path / "config.json").write_text(json.dumps(config))
        return LocalRegistryNames(tmp_path, str(tmp_path))

    @pytest.fixture
    def none(self, tmp_path: Path) -> RegistryNames:
        return LocalRegistryNames(tmp_path / "not-there", "")

    @pytest.fixture
    def hidden(self, tmp_path: Path) -> RegistryNames:
        (tmp_path / "config.json").mkdir()
        return LocalRegistryNames(tmp_path, "")


class TestSocketEngineRoot(EngineRootContract):
    @pytest.fixture
    async def root(self, tmp_path: Path) -> AsyncIterator[EngineRoot]:
        engine = ScriptedEngine(**{"/info": {"DockerRootDir": "/data/docker"}})
        path = tmp_path / "engine.sock"
        async with await asyncio.start_unix_server(engine.serve, path):
            yield SocketEngineRoot(f"unix://{path}")

    @pytest.fixture
    def absent_engine(self, tmp_path: Path) -> EngineRoot:
        return SocketEngineRoot(f"unix://{tmp_path}/none.sock")


def test_what_journalctl_prints_is_read() -> None:
    text = "\n".join(
        json.dumps(entry)
        for entry in (
            {"__REALTIME_TIMESTAMP": "1500000", "MESSAGE": "a", "PRIORITY": "4"},
            {"__REALTIME_TIMESTAMP": "2000000", "MESSAGE": [1, 2]},
            {"__REALTIME_TIMESTAMP": "2000000", "MESSAGE": "b"},
        )
    )
    assert list(lines_in(text)) == [LogLine(1.5, "a", 4), LogLine(2.0, "b", 6)]


async def test_work_aside_gives_what_it_gives_or_raises() -> None:
    assert await in_daemon_thread(lambda: 7) == 7
    with pytest.raises(StorageUnavailable, match="no"):
        await in_daemon_thread(_refuse)


def _refuse() -> None:
    raise StorageUnavailable("no")


async def test_work_aside_that_hangs_can_be_left() -> None:
    released = threading.Event()
    hanging = asyncio.create_task(in_daemon_thread(released.wait))
    await asyncio.sleep(0)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    released.set()


def test_a_loop_looks_names_up_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def looked_up(host: str, port: int, **options: object) -> list[object]:
        asked.append(threading.current_thread().name)
        return [(host, port)]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)

    async def look_up() -> object:
        return await asyncio.get_running_loop().getaddrinfo("cp.example", 443)

    with asyncio.Runner(loop_factory=LoopThatEnds) as runner:
        assert runner.run(look_up()) == [("cp.example", 443)]
    assert asked == ["aside"]
