"""Waiting until a host that was just installed is one: its agent runs, and the control plane says so."""

from __future__ import annotations

from typing import Final

from application.installing.steps import Say
from application.ports.machine import Machine
from domain.errors import InstaDeployError, RuntimeUnavailable, TransportLost, TransportRefused
from domain.installation import UNIT
from domain.link_status import Standing

LOOK_EVERY_S: Final = 0.5
LAST_LINES: Final = 8
_WHAT_TO_DO: Final = (
    "a token is good once, and for ten minutes: "
    "`instadeploy hosts enroll NAME` gives out another one"
)


def until_connected(machine: Machine, wait_s: float, say: Say) -> str:
    """Wait until the agent's link stands; returns how it does.

    Raises `TransportRefused` and `TransportLost` where it does not, `RuntimeUnavailable` where the agent
    does not run, in its own words.
    """
    until = machine.seconds() + wait_s
    last = ""
    while True:
        unit = machine.unit(UNIT)
        link = unit.link if unit is not None else None
        if unit is None or unit.is_failing:
            raise RuntimeUnavailable(f"the agent does not run: {_words_of(machine)}")
        match link.standing if link else None:
            case Standing.CONNECTED:
                return str(link)
            case Standing.REFUSED:
                raise TransportRefused(str(link), advice=_WHAT_TO_DO)
            case Standing.LOST if str(link) != last:
                last = str(link)
                say(last)
        if machine.seconds() >= until:
            why = last or _words_of(machine)
            raise TransportLost(f"there is no link after {wait_s:.0f} s: {why}")
        machine.pause(LOOK_EVERY_S)


def _words_of(machine: Machine) -> str:
    try:
        lines = machine.last_lines(UNIT, LAST_LINES)
    except InstaDeployError as exc:
        return str(exc)
    return "; ".join(lines) or "it says nothing"
