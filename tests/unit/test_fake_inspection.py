"""What doctor and status are tested on behaves as the ports say."""

from __future__ import annotations

import pytest

from application.ports.agent_records import AgentRecords
from application.ports.control_plane_way import ControlPlaneWay
from application.ports.engine_root import EngineRoot
from application.ports.machine_facts import MachineFacts, ProcessUse, SocketFile
from application.ports.registry_names import RegistryFile, RegistryNames
from domain.deploy_options import PLAINLY
from domain.errors import RuntimeUnavailable, StorageUnavailable, TransportLost
from domain.project import ProjectName
from domain.records import JobAccepted, Moment
from domain.revision import ProjectHistory, Revision, RevisionState
from tests.builders import stop
from tests.contracts.agent_records import AgentRecordsContract
from tests.contracts.control_plane_way import ControlPlaneWayContract
from tests.contracts.engine_root import EngineRootContract
from tests.contracts.machine_facts import MachineFactsContract
from tests.contracts.registry_names import RegistryNamesContract
from tests.fakes.engine import DOWN
from tests.fakes.inspection import (
    FakeAgentRecords,
    FakeControlPlaneWay,
    FakeEngineRoot,
    FakeMachineFacts,
    FakeRegistryNames,
)

BLOG = ProjectName("blog")
GOOD = Revision(1, "digest", "job-0", 0.0, PLAINLY, RevisionState.GOOD)


class TestFakeControlPlaneWay(ControlPlaneWayContract):
    @pytest.fixture
    def way(self) -> ControlPlaneWay:
        return FakeControlPlaneWay()

    @pytest.fixture
    def blocked_way(self) -> ControlPlaneWay:
        way = FakeControlPlaneWay()
        way.fails = dict.fromkeys(("connect", "ask", "date"), TransportLost("refused"))
        return way

    @pytest.fixture
    def silent_way(self) -> ControlPlaneWay:
        way = FakeControlPlaneWay()
        way.hangs = {"ask", "date"}
        return way


class TestFakeAgentRecords(AgentRecordsContract):
    @pytest.fixture
    def records(self) -> AgentRecords:
        records = FakeAgentRecords()
        records.book.apply(JobAccepted("job-1", stop(), "d", Moment("b", 1.0), project="blog"))
        records.commands = {"job-1": "STOP_COMPOSE"}
        records.names = [BLOG]
        records.kept = {"blog": ProjectHistory(BLOG, (GOOD,), 1)}
        return records

    @pytest.fixture
    def hidden_records(self) -> AgentRecords:
        records = FakeAgentRecords()
        records.may_read = False
        return records


class TestFakeMachineFacts(MachineFactsContract):
    @pytest.fixture
    def facts(self) -> MachineFacts:
        facts = FakeMachineFacts()
        facts.processes = {7: ProcessUse(12, 3, 1024)}
        facts.sockets = {"/s": SocketFile(is_socket=True, mode=0o660, owner="root", group="docker")}
        return facts

    @pytest.fixture
    def pid(self) -> int:
        return 7

    @pytest.fixture
    def gone_pid(self) -> int:
        return 8

    @pytest.fixture
    def socket_path(self) -> str:
        return "/s"


class TestFakeEngineRoot(EngineRootContract):
    @pytest.fixture
    def root(self) -> EngineRoot:
        return FakeEngineRoot()

    @pytest.fixture
    def absent_engine(self) -> EngineRoot:
        return FakeEngineRoot(RuntimeUnavailable(DOWN))


class TestFakeRegistryNames(RegistryNamesContract):
    @pytest.fixture
    def names(self) -> RegistryNames:
        return FakeRegistryNames(RegistryFile("/c", ["a.example"], ["docker-credential-here"]))

    @pytest.fixture
    def none(self) -> RegistryNames:
        return FakeRegistryNames()

    @pytest.fixture
    def hidden(self) -> RegistryNames:
        return FakeRegistryNames(StorageUnavailable("/c cannot be used: Permission denied"))
