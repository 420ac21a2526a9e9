"""Engine, socket, Compose and registries: each outcome of each check."""

from __future__ import annotations

import pytest

from application.inspecting.engine_checks import (
    ComposeVersion,
    EngineAnswers,
    Registries,
    SocketRights,
)
from application.ports.machine_facts import SocketFile
from application.ports.registry_names import RegistryFile
from domain.errors import RuntimeUnavailable, StorageUnavailable
from domain.inspection import Finding, Verdict
from tests.fakes.engine import FakeEngine
from tests.fakes.inspection import FakeMachineFacts, FakeRegistryNames, at_once
from tests.fakes.local_machine import FakeLocalMachine
from tests.fakes.machine import FakeMachine

PATH = "/run/docker.sock"
RIGHT = SocketFile(is_socket=True, mode=0o660, owner="root", group="docker")


@pytest.mark.parametrize(
    ("api", "verdict"),
    [
        ("1.23", Verdict.FAILURE),
        ("1.24", Verdict.WARNING),
        ("1.40", Verdict.WARNING),
        ("1.41", Verdict.OK),
        ("1.52", Verdict.OK),
    ],
)
async def test_an_engine_is_new_enough_or_not(api: str, verdict: Verdict) -> None:
    engine = FakeEngine()
    engine.api_version = api
    (found,) = await EngineAnswers(engine)()
    assert found.verdict is verdict
    assert found.found.startswith(f"Docker Engine 20.10.24, API {api}")


async def test_who_may_not_ask_the_engine_is_told_so() -> None:
    engine = FakeEngine()
    (found,) = await EngineAnswers(engine, may_ask=False)()
    assert (found.verdict, found.remedy, engine.asked) == (Verdict.UNKNOWN, "run it with sudo", 0)


async def test_an_engine_that_is_down_raises_what_to_do() -> None:
    with pytest.raises(RuntimeUnavailable, match="systemctl start docker"):
        await EngineAnswers(FakeEngine(is_down=True))()


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ("2.19.9", Verdict.FAILURE),
        ("2.20.0", Verdict.WARNING),
        ("2.40.1", Verdict.WARNING),
        ("2.40.2", Verdict.OK),
        ("5.0.0", Verdict.OK),
    ],
)
async def test_compose_is_new_enough_or_not(version: str, verdict: Verdict) -> None:
    class Runtime:
        async def version(self) -> str:
            return version

    (found,) = await ComposeVersion(Runtime())()  # type: ignore[arg-type]
    assert found.verdict is verdict
    assert ("CVE-2025-62725" in found.why) is (verdict is Verdict.WARNING)


async def test_the_runtime_of_the_other_tests_is_asked() -> None:
    (found,) = await ComposeVersion(FakeMachine().runtime)()
    assert found.found.startswith("Docker Compose ")


async def rights(
    socket: SocketFile | None, user: str = "instadeploy", groups: tuple[str, ...] = ("docker",)
) -> Finding:
    facts, machine = FakeMachineFacts(), FakeLocalMachine()
    if socket is not None:
        facts.sockets[PATH] = socket
    machine.users["instadeploy"] = frozenset(groups)
    (found,) = await SocketRights(PATH, user, facts, machine, at_once)()
    return found


async def test_a_socket_of_a_group_of_the_users_is_well() -> None:
    found = await rights(RIGHT)
    assert found.verdict is Verdict.OK
    assert found.found == f"{PATH}, of root:docker, 0660, can be used by instadeploy"
    assert (await rights(RIGHT, "root", ())).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("socket", "groups", "said", "remedy"),
    [
        (None, ("docker",), "is not there", "systemctl start docker"),
        (SocketFile(False, 0o644, "root", "root"), (), "is no socket", "AGENT_DOCKER_HOST"),
        (RIGHT, ("instadeploy",), "cannot be used by", "usermod --append --groups docker"),
        (SocketFile(True, 0o600, "root", "docker"), ("docker",), "cannot be", "chmod g+rw"),
    ],
)
async def test_a_socket_that_cannot_be_used_is_a_failure(
    socket: SocketFile | None, groups: tuple[str, ...], said: str, remedy: str
) -> None:
    found = await rights(socket, groups=groups)
    assert found.verdict is Verdict.FAILURE
    assert said in found.found
    assert remedy in found.remedy


async def test_a_socket_for_everybody_and_one_over_tcp_are_warned_of() -> None:
    found = await rights(SocketFile(True, 0o666, "root", "docker"))
    assert (found.verdict, found.remedy) == (Verdict.WARNING, f"chmod o-rw {PATH}")
    facts, machine = FakeMachineFacts(), FakeLocalMachine()
    (over_tcp,) = await SocketRights("", "instadeploy", facts, machine, at_once)()
    assert over_tcp.verdict is Verdict.WARNING


async def test_a_user_that_is_not_there_is_a_failure() -> None:
    facts = FakeMachineFacts()
    facts.sockets[PATH] = RIGHT
    (found,) = await SocketRights(PATH, "nobody-here", facts, FakeLocalMachine(), at_once)()
    assert found.found == "there is no user nobody-here"


@pytest.mark.parametrize(
    ("read", "verdict", "said"),
    [
        (None, Verdict.OK, "none of this host's own"),
        (RegistryFile("/c", ["a.example", "docker.io"]), Verdict.OK, "/c has a.example, docker.io"),
        (
            RegistryFile("/c", [], ["docker-credential-x"]),
            Verdict.OK,
            "through docker-credential-x",
        ),
        (
            RegistryFile("/c", ["a"], ["docker-credential-x"], ["docker-credential-x"]),
            Verdict.WARNING,
            "docker-credential-x, which is not there",
        ),
        (RegistryFile("/c", malformed="it is not valid JSON"), Verdict.FAILURE, "not valid JSON"),
        (StorageUnavailable("denied"), Verdict.UNKNOWN, "denied"),
    ],
)
async def test_registries_are_named(
    read: RegistryFile | StorageUnavailable | None, verdict: Verdict, said: str
) -> None:
    (found,) = await Registries(FakeRegistryNames(read), at_once)()
    assert found.verdict is verdict
    assert said in found.found
