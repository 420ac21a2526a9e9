"""`instadeploy-agent doctor`."""

from __future__ import annotations

import argparse
import os
import pwd
import ssl
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from adapters.clock.system import SystemClock
from adapters.engine.client import SocketEngine
from adapters.engine.root import SocketEngineRoot
from adapters.filesystem.registry_names import LocalRegistryNames
from adapters.host.aside import in_daemon_thread
from adapters.machine.local_machine import LocalMachine
from adapters.machine.unit_log import JournalctlLog
from adapters.policy_file import load_policy
from adapters.websocket.probing import WebSocketWay
from application.inspecting import agent_checks as of_agent
from application.inspecting import engine_checks as of_engine
from application.inspecting import machine_checks as of_machine
from application.inspecting import network_checks as of_network
from application.inspecting.doctor import USUAL_S, Check, Doctor
from application.ports.agent_records import AgentRecords
from application.ports.aside import Aside
from application.ports.clock import Clock
from application.ports.control_plane_way import ControlPlaneWay
from application.ports.engine import Engine
from application.ports.engine_root import EngineRoot
from application.ports.machine import Machine
from application.ports.machine_facts import MachineFacts
from application.ports.registry_names import RegistryNames
from application.ports.unit_log import UnitLog
from domain.errors import RuntimeUnavailable
from domain.inspection import Examined, Verdict, worst
from domain.installation import UNIT, Layout
from entrypoints.agent.commands.looking import (
    ENGINE_S,
    compose_of,
    docker_config_of,
    facts_of_this_machine,
    print_json,
    print_lines,
    records_of,
    run_to_the_end,
    shown,
)
from entrypoints.agent.commands.surroundings import Surroundings, surroundings
from entrypoints.agent.commands.telling import EXIT_FAILED, EXIT_OK, CannotBegin, complain, seconds
from entrypoints.agent.transports import tls_context
from entrypoints.configuration import SettingsError
from entrypoints.version import VERSION

ASIDE: Final[Aside] = in_daemon_thread
_COMPOSE_HANGS: Final = (
    "see what docker compose version waits for; mostly it is a disk that hangs: dmesg"
)
_START_ENGINE: Final = "systemctl restart docker"
_NETWORK: Final = of_network.UNREACHED


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        with surroundings(Layout()) as around:
            checks = checks_of(around, options.idle)
            found = run_to_the_end(Doctor(checks, SystemClock()).examine())
    except SettingsError as exc:
        return complain(exc)
    except KeyboardInterrupt:
        return complain(CannotBegin("interrupted"))
    verdict = worst(one.verdict for one in found)
    if options.json:
        print_json(document_of(found))
    else:
        print_lines(lines_of(found))
    return EXIT_FAILED if verdict is Verdict.FAILURE else EXIT_OK


def checks_of(around: Surroundings, idle_s: float | None = None) -> list[Check]:
    """All checks, in the order in which they are told."""
    facts, machine = facts_of_this_machine(), LocalMachine()
    tls, problems = _tls(around)
    settings = of_agent.Settings(around.source, (*around.problems, *problems), around.slips)
    python = of_machine.PythonCheck(facts, ASIDE)
    return [
        Check("Python", python),
        Check("settings", settings),
        Check("unit", of_agent.Unit(machine, ASIDE)),
        Check(
            "policy", of_agent.PolicyFile(lambda: load_policy(around.settings.policy_file), ASIDE)
        ),
        *_engine_checks(around, facts, machine),
        *_network_checks(around, tls, idle_s),
        *_room_checks(around, facts, machine),
    ]


def _engine_checks(around: Surroundings, facts: MachineFacts, machine: Machine) -> list[Check]:
    settings = around.settings
    address = urlsplit(settings.docker_host)
    path = address.path if address.scheme == "unix" else ""
    engine: Engine = SocketEngine(settings.docker_host, answer_s=ENGINE_S)
    names: RegistryNames = LocalRegistryNames(
        docker_config_of(settings), os.environ.get("PATH", os.defpath)
    )
    rights = of_engine.SocketRights(path, around.user, facts, machine, ASIDE)
    why = of_engine.NOTHING_RUNS
    return [
        Check(
            "engine",
            of_engine.EngineAnswers(engine, _may_ask(path, around.user)),
            why,
            _START_ENGINE,
        ),
        Check("engine socket", rights, why, _START_ENGINE),
        Check(
            "Compose",
            of_engine.ComposeVersion(compose_of(around)),
            why,
            _COMPOSE_HANGS,
        ),
        Check("registries", of_engine.Registries(names, ASIDE)),
    ]


def _may_ask(path: str, user: str) -> bool:
    """Whether what this user may not do would say something of the agent's rights."""
    is_agent = os.geteuid() == 0 or pwd.getpwuid(os.geteuid()).pw_name == user
    return is_agent or not os.path.exists(path) or os.access(path, os.R_OK | os.W_OK)  # noqa: PTH110


def _network_checks(
    around: Surroundings, tls: ssl.SSLContext | None, idle_s: float | None
) -> list[Check]:
    url, clock = around.settings.server_url, SystemClock()
    if around.settings.transport != "websocket" or url is None:
        return []
    way: ControlPlaneWay = WebSocketWay(url, version=VERSION, tls=tls)
    log: UnitLog = JournalctlLog()
    return network_checks(way, log, clock, idle_s, around.settings.ping_interval)


def network_checks(
    way: ControlPlaneWay, log: UnitLog, clock: Clock, idle_s: float | None, ping_s: float
) -> list[Check]:
    """The way to the control plane, in the order in which it is gone."""
    reach = "check the network of this machine, its firewall, and SERVER_URL"
    names = "check SERVER_URL and /etc/resolv.conf: getent hosts NAME asks as the agent does"
    clock_why = "certificates and tokens are taken for not yet or no longer good"
    checks = [
        Check("proxy", of_network.Proxy(way), _NETWORK),
        Check("DNS", of_network.Names(way), _NETWORK, names, ("proxy",)),
        Check("TCP", of_network.Reached(way), _NETWORK, reach, ("DNS",)),
        Check("TLS", of_network.Encryption(way, clock), _NETWORK, reach, ("TCP",)),
        Check("WebSocket", of_network.Upgrade(way), _NETWORK, reach, ("TLS",)),
        Check("clock", of_network.Skew(way, clock), clock_why, "timedatectl", ("TCP",)),
        Check("idle links", of_network.PastLinks(log, ASIDE)),
    ]
    if idle_s is not None:
        idle = of_network.Idle(way, idle_s, ping_s)
        within = idle_s + 4 * USUAL_S
        checks.append(Check("idle", idle, _NETWORK, reach, ("WebSocket",), within))
    return checks


def _room_checks(around: Surroundings, facts: MachineFacts, machine: Machine) -> list[Check]:
    settings = around.settings
    records = records_of(settings)
    root: EngineRoot = SocketEngineRoot(settings.docker_host, answer_s=ENGINE_S)

    async def running_pid() -> int | None:
        return await ASIDE(lambda: pid_of(machine, records, is_installed=around.is_installed))

    state = of_machine.Room(facts, str(settings.state_dir), "the agent's state", ASIDE)
    projects = of_machine.Room(facts, str(settings.projects_dir), "the projects' files", ASIDE)
    why, remedy = "a disk that hangs holds up whatever uses it", "dmesg, and mount"
    return [
        Check("open files", of_machine.OpenFiles(facts, running_pid, ASIDE)),
        Check("disk of the state", state, why, remedy),
        Check("disk of the projects", projects, why, remedy),
        Check("disk of the engine", of_machine.EngineRoom(facts, root, ASIDE), why, remedy),
    ]


def pid_of(machine: Machine, records: AgentRecords, *, is_installed: bool) -> int | None:
    """The agent's process: the unit's, or whichever has the lock of the state directory."""
    if is_installed:
        try:
            unit = machine.unit(UNIT)
        except RuntimeUnavailable:
            unit = None
        if unit is not None and unit.main_pid:
            return unit.main_pid
    return records.running_pid()


def _tls(around: Surroundings) -> tuple[ssl.SSLContext | None, Sequence[str]]:
    if not (around.settings.server_url or "").startswith("wss:"):
        return None, ()
    try:
        return tls_context(around.settings), ()
    except SettingsError as exc:
        return ssl.create_default_context(), exc.problems


def document_of(found: Sequence[Examined]) -> dict[str, object]:
    """What `--json` prints; docs/operate.md has its keys."""
    return {
        "version": VERSION,
        "verdict": worst(one.verdict for one in found).value,
        "checks": [
            {
                "check": one.check,
                "verdict": one.verdict.value,
                "findings": [
                    {
                        "verdict": finding.verdict.value,
                        "found": finding.found,
                        "why": finding.why,
                        "remedy": finding.remedy,
                    }
                    for finding in one.findings
                ],
            }
            for one in found
        ],
    }


def lines_of(found: Sequence[Examined]) -> list[str]:
    """For people: a line a finding, and what is to be done below it."""
    lines = []
    for one in found:
        for finding in one.findings:
            lines.append(f"{finding.verdict:<8} {one.check}: {shown(finding.found)}")
            if finding.why:
                lines.append(f"{'':<8}   why: {shown(finding.why)}")
            if finding.remedy:
                lines.append(f"{'':<8}   do:  {shown(finding.remedy)}")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="instadeploy-agent doctor",
        description="Looks for what is wrong with this host, and says why it matters and what to do. It "
        "changes nothing and sends no token. As root it sees all; what another user may not see is said.",
        epilog="Exit codes: 0 nothing has failed, warnings included; 1 something has; 2 wrong usage.",
    )
    parser.add_argument(
        "--idle",
        type=seconds,
        metavar="SECONDS",
        help="say nothing on a connection for so long, to find out what cuts idle ones",
    )
    parser.add_argument("--json", action="store_true", help="print what was found for programs")
    return parser
