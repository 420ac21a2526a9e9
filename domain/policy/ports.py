"""What a policy says of published ports: `443`, `8000-8999/tcp`, `127.0.0.1:*`, `[::1]:53/udp`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from domain.compose_model import Port

_RULE = re.compile(
    r"(?:(?P<address>[0-9./]+|\[[0-9a-fA-F:./]+\]):)?"
    r"(?P<ports>\*|[0-9]{1,5}(?:-[0-9]{1,5})?)(?:/(?P<protocol>tcp|udp|sctp))?"
)
_HIGHEST: Final = 65535


@dataclass(frozen=True, slots=True)
class PortRule:
    """Ports that may be published, on which addresses, for which protocol; None is any."""

    first: int
    last: int
    addresses: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    protocol: str | None

    @classmethod
    def of(cls, text: str) -> PortRule:
        """Raises `ValueError` that says how a rule is written."""
        match = _RULE.fullmatch(text)
        if match is None:
            raise ValueError(_HOW)
        first, last = 0, _HIGHEST
        if match["ports"] != "*":
            low, _, high = match["ports"].partition("-")
            first, last = int(low), int(high or low)
            if not 0 < first <= last <= _HIGHEST:
                raise ValueError(_HOW)
        try:
            address = match["address"] and ipaddress.ip_network(match["address"].strip("[]"))
        except ValueError:
            raise ValueError(_HOW) from None
        return cls(first, last, address or None, match["protocol"])

    def is_about(self, port: Port) -> bool:
        """Whether it allows the port's address and protocol, whatever the number."""
        if self.protocol not in (None, port.protocol):
            return False
        if self.addresses is None:
            return True
        return bool(port.address) and ipaddress.ip_address(port.address) in self.addresses

    @property
    def is_everything(self) -> bool:
        """Whether nothing is forbidden that a host's network could be used for."""
        return self == PortRule(0, _HIGHEST, None, None)


def covered(port: Port, rules: Iterable[PortRule]) -> bool:
    """Whether the rules together allow all of a range; where the engine chooses, any of them."""
    about = [rule for rule in rules if rule.is_about(port)]
    if not port.first:
        return bool(about)
    following = port.first
    while following <= port.last:
        reached = max((rule.last for rule in about if rule.first <= following), default=0)
        if reached < following:
            return False
        following = reached + 1
    return True


_HOW: Final = (
    "is no rule for ports; write 443, 8000-8999, 53/udp, 127.0.0.1:8080, 10.0.0.0/8:*, [::1]:* or *"
)
