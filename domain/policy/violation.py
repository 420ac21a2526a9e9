"""What a compose file asks for and the policy does not allow: said so that somebody can act on it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from domain.compose_model import Place

_SHOWN_LENGTH: Final = 160


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule, broken in one place."""

    rule: str
    """The policy's key: `containers.privileged`."""
    service: str | None
    """None for what stands outside of the services; `where` begins with what it is."""
    where: str
    """The place in the compose file: `services.web.privileged`."""
    allowed_by: str
    """The line of the policy that would have to change: `[containers] privileged = true`."""
    message: str
    """All of this in one sentence."""
    path: tuple[str, ...] = ()
    """The keys that lead to the place."""

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule has found, before it is put into words."""

    rule: str
    place: Place
    what: str
    """What is asked for there, as the rest of a sentence: `asks for a privileged container`."""
    needed: str | bool | float
    """What the policy's key would have to be, or have among its entries."""
    lifted_by: str = ""
    """The key that lifts the rule, where it is another one."""


def shown(value: str) -> str:
    """A value from a compose file, in quotes, in printable ASCII, and not for ever."""
    cut = value if len(value) <= _SHOWN_LENGTH else value[:_SHOWN_LENGTH] + "..."
    return json.dumps(cut)


def put_into_words(finding: Finding, policy_name: str) -> Violation:
    """The violation that a finding is."""
    path = finding.place.path
    where = ".".join(path)
    line = _line(finding)
    in_service = len(path) > 1 and path[0] == "services"
    return Violation(
        rule=finding.rule,
        service=path[1] if in_service else None,
        where=where,
        allowed_by=line,
        message=(
            f"{where} {finding.what}, which this host's policy ({policy_name}) does not allow: "
            f"{finding.rule}; the line to change there is: {line}"
        ),
        path=path,
    )


def _line(finding: Finding) -> str:
    section, _, key = (finding.lifted_by or finding.rule).rpartition(".")
    match finding.needed:
        case bool():
            value = str(finding.needed).lower()
        case str():
            value = shown(finding.needed) if not section else f"[..., {shown(finding.needed)}]"
        case _:
            value = f"{finding.needed:g}"
    return f"[{section}] {key} = {value}" if section else f"{key} = {value}"
