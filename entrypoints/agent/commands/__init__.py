"""What `instadeploy-agent` can be asked to do to the machine, or say of it, beside being the agent.

Each command is a module with `main(arguments) -> exit code`, which is loaded when it is asked for: the
agent itself is to stay small.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Final

COMMANDS: Final = {
    "install": "make this machine a host: user, directories, unit, enrolment",
    "uninstall": "take the agent away; projects go on running",
    "status": "say how the agent of this machine is",
    "doctor": "look for what is wrong, and say how to put it right",
}


def run(name: str, arguments: Sequence[str]) -> int:
    """Carry a command out; returns the exit code."""
    found: int = import_module(f"entrypoints.agent.commands.{name}").main(arguments)
    return found
