"""What the agent of a machine is set to."""

from __future__ import annotations

from application.ports.machine import Machine
from domain.environment_file import variables_of
from domain.installation import Layout


def settings_of(machine: Machine, at: Layout) -> dict[str, str]:
    """The variables that the settings file gives the unit; none where there is no file."""
    found = machine.look(at.settings_file)
    return variables_of(((found.content if found else None) or b"").decode("utf-8", "replace"))
