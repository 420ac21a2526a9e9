"""`instadeploy-agent status`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from adapters.clock.system import SystemClock
from adapters.engine.client import SocketEngine
from adapters.engine.state import SocketEngineState
from adapters.host.aside import in_daemon_thread
from adapters.machine.local_machine import LocalMachine
from adapters.policy_file import load_policy
from adapters.websocket.client import public_address
from application.inspecting.machine_checks import readable
from application.inspecting.status import HostStatus, ShownJob, StatusReport
from domain.installation import Layout
from entrypoints.agent.commands.looking import (
    ENGINE_S,
    compose_of,
    facts_of_this_machine,
    print_json,
    print_lines,
    records_of,
    run_to_the_end,
    shown,
)
from entrypoints.agent.commands.surroundings import Surroundings, surroundings
from entrypoints.agent.commands.telling import EXIT_OK, CannotBegin, complain
from entrypoints.configuration import SettingsError
from entrypoints.version import VERSION

LONGEST_WHY: Final = 100
"""Of a job's error; the control plane has all of it."""


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 0 where it could be told how the host is, well or not."""
    options = _parser().parse_args(arguments)
    try:
        with surroundings(Layout()) as around:
            found = run_to_the_end(report_of(around)())
    except SettingsError as exc:
        return complain(exc)
    except KeyboardInterrupt:
        return complain(CannotBegin("interrupted"))
    if options.json:
        print_json(document_of(found))
    else:
        print_lines(lines_of(found))
    return EXIT_OK


def report_of(around: Surroundings) -> StatusReport:
    """What is asked about the agent with these settings."""
    settings = around.settings
    url = settings.server_url
    return StatusReport(
        version=VERSION,
        control_plane="" if url is None else public_address(url),
        machine=LocalMachine(),
        records=records_of(settings),
        facts=facts_of_this_machine(),
        engine=SocketEngine(settings.docker_host, answer_s=ENGINE_S),
        engine_state=SocketEngineState(settings.docker_host, answer_s=ENGINE_S),
        runtime=compose_of(around),
        policy=lambda: load_policy(settings.policy_file),
        disks={"state": str(settings.state_dir), "projects": str(settings.projects_dir)},
        clock=SystemClock(),
        aside=in_daemon_thread,
    )


def document_of(found: HostStatus) -> dict[str, object]:
    """What `--json` prints; docs/operate.md has its keys."""
    unit = found.unit
    return {
        "version": found.version,
        "release": found.release,
        "control_plane": found.control_plane,
        "host_id": found.host_id,
        "policy": found.policy,
        "link": _link(found),
        "unit": None
        if unit is None
        else {
            "activity": unit.activity.value,
            "enabled": unit.is_enabled,
            "pid": unit.main_pid,
            "restarts": unit.restarts,
            "since": unit.since,
        },
        "pid": found.pid,
        "engine": None if found.engine is None else asdict(found.engine),
        "compose": found.compose,
        "projects": [asdict(one) for one in found.projects],
        "running": [asdict(one) for one in found.running],
        "jobs": [asdict(one) for one in found.jobs],
        "disks": {
            what: {"free_bytes": room.free_bytes, "total_bytes": room.total_bytes}
            for what, room in found.disks.items()
        },
        "unsaid": found.unsaid,
    }


def lines_of(found: HostStatus) -> list[str]:
    """For people."""
    engine = "not known" if found.engine is None else found.engine.version
    rows = [
        ("agent", _agent(found)),
        ("link", _link(found) or "not known"),
        ("version", " in ".join(filter(None, [found.version, found.release]))),
        ("control plane", found.control_plane or "none"),
        (
            "host id",
            found.host_id
            or ("not known" if "host id" in found.unsaid else "none: not enrolled with a key"),
        ),
        ("policy", found.policy or "not known"),
        ("engine", f"{engine}, Compose {found.compose or 'not known'}"),
        *(
            (f"disk: {what}", f"{readable(room.free_bytes)} free of {readable(room.total_bytes)}")
            for what, room in found.disks.items()
        ),
    ]
    lines = [f"{name:<15} {shown(text)}" for name, text in rows]
    lines += _section(
        "PROJECT", ("REVISION", "STATE", "CONTAINERS"), _project_rows(found), "no projects"
    )
    if found.running:
        head = ("COMMAND", "PROJECT", "STATE", "FOR", "")
        lines += _section("RUNNING JOB", head, [_job_row(one) for one in found.running], "")
    head = ("COMMAND", "PROJECT", "STATE", "WHEN", "WHY")
    lines += _section(
        "LAST JOB", head, [_job_row(one) for one in found.jobs], "no jobs that are known"
    )
    if found.unsaid:
        lines += ["", "What could not be said:"]
        lines += [f"  {part}: {shown(why)}" for part, why in sorted(found.unsaid.items())]
        if any("Permission denied" in why for why in found.unsaid.values()):
            lines.append("The agent's state is for its user and root: run it with sudo to see all.")
    return lines


def _agent(found: HostStatus) -> str:
    unit = found.unit
    if unit is not None:
        since = f" since {unit.since}" if unit.since else ""
        boot = "" if unit.is_enabled else ", not started at boot"
        return f"{unit.activity}{since}, restarts: {unit.restarts}{boot}"
    if found.pid is not None:
        return f"runs as process {found.pid}, without a unit of systemd's"
    return "not known" if "process" in found.unsaid else "does not run"


def _link(found: HostStatus) -> str:
    return "" if found.unit is None or found.unit.link is None else str(found.unit.link)


def _project_rows(found: HostStatus) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in found.projects:
        containers = "not known" if one.total is None else f"{one.running} of {one.total} running"
        revision = "-" if one.revision is None else str(one.revision)
        rows.append((one.name, revision, one.state or "-", containers))
    return rows


def _job_row(job: ShownJob) -> tuple[str, ...]:
    when = "-" if job.open_for_s is None else f"{job.open_for_s:.0f} s"
    if job.finished_at is not None:
        when = datetime.fromtimestamp(job.finished_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return (
        job.id,
        job.command or "-",
        job.project or "-",
        job.state,
        when,
        job.error[:LONGEST_WHY],
    )


def _section(
    first: str, others: Sequence[str], rows: Sequence[Sequence[str]], nothing: str
) -> list[str]:
    """A table below an empty line, as wide as what is in it."""
    if not rows:
        return ["", nothing]
    table = [(first, *others), *(tuple(map(shown, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        for row in table
    ]
    return ["", *(line.rstrip() for line in lines)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="instadeploy-agent status",
        description="Says how the agent of this machine is: its link, projects, jobs and disks. It takes "
        "no lock and changes nothing, and works while the agent or the engine is stopped.",
    )
    parser.add_argument("--json", action="store_true", help="print it for programs")
    return parser
