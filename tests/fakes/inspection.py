"""What doctor and status look at, as a test says that it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from application.ports.agent_records import KeptJobs
from application.ports.control_plane_way import WEBSOCKET, Answer, Certificate, IdleEnd, Way
from application.ports.machine_facts import DiskRoom, Interpreter, ProcessUse, SocketFile
from application.ports.registry_names import RegistryFile
from domain.errors import InstaDeployError, StorageUnavailable
from domain.identity import Membership
from domain.idle_links import LogLine
from domain.ledger import Ledger
from domain.project import ProjectName
from domain.revision import ProjectHistory

T = TypeVar("T")

ROOMY = DiskRoom(100 * 1000**3, 200 * 1000**3, 900_000, 1_000_000, device=1)
WELL = Interpreter((3, 11, 7), "glibc", "2.36", "OpenSSL 3.0.19", signs=True)
TRUSTED = Certificate("cp.example", "An authority", 4_000_000_000.0, "TLSv1.3")


async def at_once(work: Callable[[], T]) -> T:
    """See `Aside`; what hangs would hang the test."""
    await asyncio.sleep(0)
    return work()


class FakeControlPlaneWay:
    """All is well. `fails` has what a method raises, by its name; those in `hangs` never come back."""

    def __init__(self) -> None:
        self.leads = Way("wss://cp.example/ws", "cp.example", 443, is_encrypted=True)
        self.certificate = TRUSTED
        self.answer = Answer(401, None)
        self.clock: Callable[[], float | None] = lambda: None
        self.end = IdleEnd(10.0, is_open=True, kind=WEBSOCKET)
        self.fails: dict[str, InstaDeployError] = {}
        self.hangs: set[str] = set()
        self.went: list[str] = []

    async def _go(self, stage: str) -> None:
        self.went.append(stage)
        if stage in self.hangs:
            await asyncio.Event().wait()
        if stage in self.fails:
            raise self.fails[stage]

    def way(self) -> Way:
        """See `ControlPlaneWay`."""
        if "way" in self.fails:
            raise self.fails["way"]
        return self.leads

    async def resolve(self) -> Sequence[str]:
        """See `ControlPlaneWay`."""
        await self._go("resolve")
        return ["192.0.2.1", "2001:db8::1"]

    async def connect(self) -> None:
        """See `ControlPlaneWay`."""
        await self._go("connect")

    async def secure(self) -> Certificate:
        """See `ControlPlaneWay`."""
        await self._go("secure")
        return self.certificate

    async def ask(self) -> Answer:
        """See `ControlPlaneWay`."""
        await self._go("ask")
        return self.answer

    async def date(self) -> float | None:
        """See `ControlPlaneWay`."""
        await self._go("date")
        return self.clock()

    async def idle(self, seconds: float) -> IdleEnd:
        """See `ControlPlaneWay`."""
        await self._go("idle")
        return replace(self.end, seconds=seconds) if self.end.is_open else self.end


class FakeMachineFacts:
    """See `MachineFacts`. Without `may_look`, only root might."""

    def __init__(self) -> None:
        self.python = WELL
        self.rooms: dict[str, DiskRoom] = {}
        self.processes: dict[int, ProcessUse] = {}
        self.sockets: dict[str, SocketFile] = {}
        self.may_look = True

    def interpreter(self) -> Interpreter:
        """See `MachineFacts`."""
        return self.python

    def room(self, path: str) -> DiskRoom:
        """See `MachineFacts`."""
        self._look(path)
        return self.rooms.get(path, ROOMY)

    def process(self, pid: int) -> ProcessUse:
        """See `MachineFacts`."""
        self._look(f"process {pid}")
        if pid not in self.processes:
            raise StorageUnavailable(f"process {pid} has ended")
        return self.processes[pid]

    def socket(self, path: str) -> SocketFile | None:
        """See `MachineFacts`."""
        self._look(path)
        return self.sockets.get(path)

    def _look(self, what: str) -> None:
        if not self.may_look:
            raise StorageUnavailable(f"{what} cannot be used: Permission denied")


class FakeUnitLog:
    """See `UnitLog`."""

    def __init__(
        self, lines: Sequence[LogLine] = (), error: InstaDeployError | None = None
    ) -> None:
        self._lines = lines
        self._error = error

    def lines(self, unit: str, count: int) -> Sequence[LogLine]:
        """See `UnitLog`."""
        if self._error is not None:
            raise self._error
        return self._lines[-count:]


class FakeRegistryNames:
    """See `RegistryNames`."""

    def __init__(self, found: RegistryFile | StorageUnavailable | None = None) -> None:
        self._found = found

    def read(self) -> RegistryFile | None:
        """See `RegistryNames`."""
        if isinstance(self._found, StorageUnavailable):
            raise self._found
        return self._found


class FakeEngineRoot:
    """See `EngineRoot`."""

    def __init__(self, error: InstaDeployError | None = None) -> None:
        self._error = error

    async def directory(self) -> str:
        """See `EngineRoot`."""
        if self._error is not None:
            raise self._error
        return "/var/lib/docker"


class FakeAgentRecords:
    """See `AgentRecords`. Without `may_read`, only root might."""

    def __init__(self) -> None:
        self.host: Membership | None = Membership("host_1", "key")
        self.book = Ledger()
        self.commands: dict[str, str] = {}
        self.names: list[ProjectName] = []
        self.kept: dict[str, ProjectHistory | None] = {}
        self.pid: int | None = 4711
        self.may_read = True

    def membership(self) -> Membership | None:
        """See `AgentRecords`."""
        self._read()
        return self.host

    def jobs(self) -> KeptJobs:
        """See `AgentRecords`."""
        self._read()
        return KeptJobs(self.book, self.commands)

    def projects(self) -> Sequence[ProjectName]:
        """See `AgentRecords`."""
        return self.names

    def histories(self) -> Mapping[str, ProjectHistory | None]:
        """See `AgentRecords`."""
        self._read()
        return self.kept

    def running_pid(self) -> int | None:
        """See `AgentRecords`."""
        self._read()
        return self.pid

    def _read(self) -> None:
        if not self.may_read:
            raise StorageUnavailable("/var/lib/instadeploy cannot be used: Permission denied")
