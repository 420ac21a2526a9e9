"""Python, disks, open files, unit, settings and policy: each outcome of each check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from application.inspecting.agent_checks import PolicyFile, Settings, Unit
from application.inspecting.machine_checks import (
    EngineRoom,
    OpenFiles,
    PythonCheck,
    Room,
    findings_of_room,
    readable,
)
from application.ports.machine_facts import DiskRoom, Interpreter, ProcessUse
from domain.errors import InvalidInput, RuntimeUnavailable
from domain.inspection import Finding, Verdict
from domain.installation import UnitActivity, UnitState
from domain.policy import PERMISSIVE, STRICT, Policy
from tests.fakes.inspection import ROOMY, WELL, FakeEngineRoot, FakeMachineFacts, at_once

GB = 1000**3


@pytest.mark.parametrize(
    ("found", "verdict", "said"),
    [
        (WELL, Verdict.OK, "Python 3.11.7, glibc 2.36, OpenSSL 3.0.19, with Ed25519"),
        (replace(WELL, python=(3, 13, 9)), Verdict.OK, "Python 3.13.9"),
        (replace(WELL, python=(3, 10, 1)), Verdict.FAILURE, "Python 3.10.1 is too old"),
        (replace(WELL, python=(3, 14, 0)), Verdict.WARNING, "newer"),
        (replace(WELL, libc_version="2.27"), Verdict.FAILURE, "glibc 2.27 is too old"),
        (replace(WELL, libc="", libc_version=""), Verdict.WARNING, "is not glibc"),
        (replace(WELL, signs=False), Verdict.FAILURE, "Ed25519"),
    ],
)
async def test_what_the_agent_runs_on(found: Interpreter, verdict: Verdict, said: str) -> None:
    facts = FakeMachineFacts()
    facts.python = found
    (finding,) = await PythonCheck(facts, at_once)()
    assert finding.verdict is verdict
    assert said in finding.found


@pytest.mark.parametrize(
    ("room", "verdict"),
    [
        (ROOMY, Verdict.OK),
        (replace(ROOMY, free_bytes=400 * 1000**2, total_bytes=GB), Verdict.WARNING),
        (replace(ROOMY, free_bytes=9 * GB, total_bytes=200 * GB), Verdict.WARNING),
        (replace(ROOMY, free_bytes=49 * 1000**2), Verdict.FAILURE),
        (replace(ROOMY, free_inodes=0), Verdict.FAILURE),
        (replace(ROOMY, free_inodes=40_000), Verdict.WARNING),
        (replace(ROOMY, free_inodes=9_000, total_inodes=65_536), Verdict.WARNING),
        (replace(ROOMY, free_inodes=0, total_inodes=0), Verdict.OK),
    ],
)
def test_room_of_disks(room: DiskRoom, verdict: Verdict) -> None:
    (found,) = findings_of_room("the disk", room)
    assert found.verdict is verdict


def test_bytes_and_inodes_are_told_apart() -> None:
    both = findings_of_room("the disk", DiskRoom(0, GB, 0, 1000, 1))
    assert [one.verdict for one in both] == [Verdict.FAILURE, Verdict.FAILURE]


async def test_a_disk_that_may_not_be_looked_at_is_said() -> None:
    facts = FakeMachineFacts()
    (well,) = await Room(facts, "/state", "the state", at_once)()
    assert well.found == "the state (/state) has 100 GB free of 200 GB"
    facts.may_look = False
    (hidden,) = await Room(facts, "/state", "the state", at_once)()
    assert (hidden.verdict, hidden.remedy) == (Verdict.UNKNOWN, "run it with sudo")


async def test_the_engines_disk_is_where_the_engine_says() -> None:
    facts = FakeMachineFacts()
    facts.rooms["/var/lib/docker"] = replace(ROOMY, free_bytes=1)
    (full,) = await EngineRoom(facts, FakeEngineRoot(), at_once)()
    assert full.verdict is Verdict.FAILURE
    (down,) = await EngineRoom(facts, FakeEngineRoot(RuntimeUnavailable("down")), at_once)()
    assert down.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1500, "1.5 kB"), (72_400_000_000, "72 GB"), (10**12, "1.0 TB")]
)
def test_bytes_are_readable(size: int, text: str) -> None:
    assert readable(size) == text


@pytest.mark.parametrize(
    ("use", "verdict"),
    [
        (ProcessUse(30, 4, 1024), Verdict.OK),
        (ProcessUse(819, 4, 1024), Verdict.OK),
        (ProcessUse(820, 600, 1024), Verdict.WARNING),
        (ProcessUse(5000, 600, None), Verdict.OK),
    ],
)
async def test_open_files_are_compared_with_their_limit(use: ProcessUse, verdict: Verdict) -> None:
    (found,) = await open_files(4711, {4711: use})
    assert found.verdict is verdict
    assert f"{use.sockets} of them sockets" in found.found


async def test_no_agent_and_one_that_has_just_ended_are_said() -> None:
    for pid in (None, 4711):
        (found,) = await open_files(pid, {})
        assert found.verdict is Verdict.UNKNOWN


async def open_files(pid: int | None, uses: dict[int, ProcessUse]) -> list[Finding]:
    facts = FakeMachineFacts()
    facts.processes = uses

    async def running() -> int | None:
        return pid

    return list(await OpenFiles(facts, running, at_once)())


RUNNING = UnitState(
    UnitActivity.ACTIVE,
    is_enabled=True,
    main_pid=1,
    status_text="Connected: since 2026-01-31T12:00:00Z, over protocol v2",
)


class OneUnit:
    """A machine of which only a unit is asked for."""

    def __init__(self, unit: UnitState | None) -> None:
        self._unit = unit

    def unit(self, name: str) -> UnitState | None:
        return self._unit


@pytest.mark.parametrize(
    ("unit", "verdicts", "said"),
    [
        (RUNNING, [Verdict.OK, Verdict.OK], "is active"),
        (replace(RUNNING, restarts=7), [Verdict.WARNING, Verdict.OK], "started again 7 times"),
        (replace(RUNNING, is_enabled=False), [Verdict.OK, Verdict.WARNING, Verdict.OK], ""),
        (replace(RUNNING, status_text="Refused: no"), [Verdict.OK, Verdict.FAILURE], ""),
        (replace(RUNNING, status_text="Not connected: x"), [Verdict.OK, Verdict.FAILURE], ""),
        (replace(RUNNING, status_text="Connecting"), [Verdict.OK, Verdict.WARNING], ""),
        (replace(RUNNING, status_text=""), [Verdict.OK], ""),
        (
            UnitState(UnitActivity.FAILED, is_enabled=True, exit_status=78),
            [Verdict.FAILURE],
            "its settings are wrong",
        ),
        (UnitState(UnitActivity.INACTIVE, is_enabled=True), [Verdict.FAILURE], "is inactive"),
        (None, [Verdict.UNKNOWN], "systemd has no"),
    ],
)
async def test_the_unit(unit: UnitState | None, verdicts: list[Verdict], said: str) -> None:
    found = await Unit(OneUnit(unit), at_once)()  # type: ignore[arg-type]
    assert [one.verdict for one in found] == verdicts
    assert said in found[0].found


async def test_a_machine_without_systemd_is_said() -> None:
    class Without:
        def unit(self, name: str) -> UnitState | None:
            raise RuntimeUnavailable("systemctl is not there")

    (found,) = await Unit(Without(), at_once)()  # type: ignore[arg-type]
    assert found.verdict is Verdict.UNKNOWN


async def test_wrong_settings_are_failures_and_slips_warnings() -> None:
    found = await Settings("/etc/x", ["SERVER_URL: names no host"], ["AGENT_X is no setting"])()
    assert [one.verdict for one in found] == [Verdict.FAILURE, Verdict.WARNING]
    (well,) = await Settings("/etc/x", [], [])()
    assert well.found == "from /etc/x"


def _refused() -> Policy:
    raise InvalidInput("AGENT_POLICY_FILE", "/p can be written by others than root")


@pytest.mark.parametrize(
    ("load", "verdict", "said"),
    [
        (lambda: PERMISSIVE, Verdict.OK, "permissive: whoever commands this agent can become root"),
        (lambda: STRICT, Verdict.OK, "strict"),
        (
            lambda: replace(PERMISSIVE, name="mine", unknown_keys="refuse"),
            Verdict.OK,
            "mine: the host's policy (mine) lets",
        ),
        (_refused, Verdict.FAILURE, "can be written by others than root"),
    ],
)
async def test_the_policy(load: Callable[[], Policy], verdict: Verdict, said: str) -> None:
    (found,) = await PolicyFile(load, at_once)()
    assert found.verdict is verdict
    assert said in found.found
