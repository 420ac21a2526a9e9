"""The agent itself: its unit, its settings, and the host's policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from application.ports.aside import Aside
from application.ports.machine import Machine
from domain.errors import InvalidInput, RuntimeUnavailable
from domain.inspection import Finding, failure, unknown, warning, well
from domain.installation import MANY_RESTARTS, UNIT, UnitActivity, UnitState
from domain.link_status import Standing
from domain.policy import PERMISSIVE, Policy

WRONG_SETTINGS: Final = 78
_LOG: Final = f"journalctl -u {UNIT} -n 50"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where they were found, and what is wrong with them; a sentence each, which quotes no value."""

    source: str
    problems: Sequence[str]
    slips: Sequence[str]

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        why = "the agent does not start"
        remedy = f"change {self.source}, and start the agent again"
        if self.source.startswith("/"):
            remedy = f"change {self.source}, and systemctl restart {UNIT.removesuffix('.service')}"
        findings = [failure(problem, why, remedy) for problem in self.problems]
        why = "it does nothing, and what was meant by it is missing"
        findings += [warning(slip, why, remedy) for slip in self.slips]
        return findings or [well(f"from {self.source}")]


@dataclass(frozen=True, slots=True)
class Unit:
    """Whether systemd runs the agent, and how its link stands."""

    machine: Machine
    aside: Aside

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        try:
            unit = await self.aside(lambda: self.machine.unit(UNIT))
        except RuntimeUnavailable as exc:
            return [unknown(f"systemd cannot be asked: {exc}")]
        if unit is None:
            return [unknown(f"systemd has no {UNIT}", "instadeploy-agent install makes one")]
        return [_activity(unit), *_at_boot(unit), *_link(unit)]


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """Whether the policy can be read, is root's alone, and limits anything."""

    load: Callable[[], Policy]
    aside: Aside

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        try:
            policy = await self.aside(self.load)
        except InvalidInput as exc:
            return [
                failure(
                    str(exc),
                    "the agent does not start with a policy that may be another's",
                    _POLICY,
                )
            ]
        if policy == PERMISSIVE:
            why = "whoever commands this agent can become root on this host"
            return [well(f"permissive: {why}; docs/policy.md has stricter ones")]
        if policy.warnings():
            return [well(f"{policy.name}: {policy.warnings()[0]}")]
        return [well(policy.name)]


def _activity(unit: UnitState) -> Finding:
    what = f"{UNIT} is {unit.activity}"
    why = "commands for this host wait at the control plane"
    if unit.activity is UnitActivity.FAILED and unit.exit_status == WRONG_SETTINGS:
        return failure(f"{what}: its settings are wrong", why, _LOG)
    if unit.is_failing:
        return failure(
            f"{what}, with exit status {unit.exit_status}", why, f"systemctl start {UNIT}; {_LOG}"
        )
    if unit.restarts >= MANY_RESTARTS:
        why = "what ends an agent again and again should be looked at; jobs outlive it"
        return warning(f"{what}, started again {unit.restarts} times by systemd", why, _LOG)
    since = f" since {unit.since}" if unit.since else ""
    return well(f"{what}{since}, started again {unit.restarts} times")


def _at_boot(unit: UnitState) -> Sequence[Finding]:
    if unit.is_enabled:
        return []
    why = "after the next boot, this host gets no commands"
    return [warning(f"{UNIT} is not started at boot", why, f"systemctl enable {UNIT}")]


def _link(unit: UnitState) -> Sequence[Finding]:
    link = unit.link
    if link is None or unit.is_failing:
        return []
    text = str(link)
    match link.standing:
        case Standing.CONNECTED:
            return [well(text)]
        case Standing.REFUSED:
            why = "the control plane was reached, and said no"
            return [
                failure(
                    text,
                    why,
                    "what stands behind the colon; then systemctl restart instadeploy-agent",
                )
            ]
        case Standing.LOST:
            why = "this host gets no commands, and its results wait"
            return [
                failure(text, why, "see the checks of the network above; the agent goes on trying")
            ]
        case _:
            return [warning(text, "it is about to be something else", "look again")]


_POLICY: Final = "what the sentence says; docs/policy.md has the rules"
