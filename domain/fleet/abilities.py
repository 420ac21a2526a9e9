"""What can be asked of a host, and relied on, by the protocol that its agent speaks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.fleet.host import Credential, Host


class Guarantee(StrEnum):
    """How often a command may come to be carried out when links and programs fail."""

    EXACTLY_ONCE = "exactly_once"
    """Sent again until it is acknowledged, and carried out once: protocol v2."""
    AT_LEAST_ONCE = "at_least_once"
    """Sent again under the same id where no answer came: protocol v1, whoever's agent it is.

    What must not be done twice is not sent again there, and so done at most once: restarts, removals
    and rollbacks (`domain.fleet.plain_results.CONVERGING` has the others).
    """


@dataclass(frozen=True, slots=True)
class Abilities:
    """`cancel` is of a job that was sent; one that was not can be canceled whoever it is for."""

    delivery: Guarantee
    cancel: bool
    live_output: bool


_OF_V1: Final = Abilities(Guarantee.AT_LEAST_ONCE, cancel=False, live_output=False)
_OF_V2: Final = Abilities(Guarantee.EXACTLY_ONCE, cancel=True, live_output=True)


def protocol_of(host: Host) -> int | None:
    """The protocol that the host's agent speaks; None while that is not known."""
    if host.report is not None:
        return host.report.protocol
    return 2 if host.credential is Credential.KEY else None


def abilities_of(host: Host) -> Abilities | None:
    """None for a host of which it is not known yet, as it has never connected."""
    protocol = protocol_of(host)
    if protocol is None:
        return None
    return _OF_V1 if protocol == 1 else _OF_V2
