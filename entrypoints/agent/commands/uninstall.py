"""`instadeploy-agent uninstall`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from adapters.machine.local_machine import LocalMachine
from application.installing.uninstall import Uninstaller
from domain.installation import Layout
from entrypoints.agent.commands.telling import (
    EXIT_OK,
    EXPECTED,
    complain,
    require_root,
    require_systemd,
    say,
)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(arguments)
    layout = Layout()
    wanted = {"purge": options.purge, "projects": options.remove_projects}
    try:
        require_root("uninstall")
        require_systemd("uninstall")
        uninstaller = Uninstaller(LocalMachine(), say, layout)
        if options.dry_run:
            for what in uninstaller.plan(**wanted):
                say(f"would {what}")
            return EXIT_OK
        uninstaller.uninstall(**wanted, force=options.force)
    except EXPECTED as exc:
        return complain(exc)
    say(_what_is_left(layout, **wanted))
    return EXIT_OK


def _what_is_left(layout: Layout, *, purge: bool, projects: bool) -> str:
    said = ["The agent is gone."]
    if not projects:
        said.append(f"Projects go on running, and are in {layout.projects}.")
    if not purge:
        said.append(f"{layout.settings} and {layout.state} are kept for another install.")
    said.append("The control plane forgets this host with `instadeploy hosts revoke NAME`.")
    return "\n".join(said)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="instadeploy-agent uninstall",
        description="Takes the agent away: unit, programs and command. Projects go on running, and "
        "settings and state are kept, unless told otherwise. Run again, it goes on where it failed.",
    )
    parser.add_argument(
        "--purge",
        action="store_true",
        help="also settings, identity, jobs, revisions, and the user",
    )
    parser.add_argument(
        "--remove-projects",
        action="store_true",
        help="also take all projects down and remove their files; volumes stay",
    )
    parser.add_argument(
        "--force", action="store_true", help="also while something is being deployed"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    return parser
