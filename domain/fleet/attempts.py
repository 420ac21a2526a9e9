"""How often somebody may get something wrong, by where they are or what they try to get into."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

from domain.fleet.allowance import Allowance


class Attempts:
    """What each of many has left to get wrong; of the ones not heard of for long nothing is known.

    `most` at once, and in the long run `per_s` a second; at most `kept` of them are known.
    """

    def __init__(self, most: float, per_s: float, kept: int) -> None:
        self._most = most
        self._per_s = per_s
        self._kept = kept
        self._allowances: OrderedDict[str, Allowance] = OrderedDict()

    def may(self, who: str, now: float) -> bool:
        """Note one more; False where that is too much, and then nothing is noted."""
        return self._of(who, now).take(1.0, now)

    def wait_s(self, who: str, now: float) -> float:
        """Seconds until another one is allowed; 0 where it is now."""
        known = self._allowances.get(who)
        return 0.0 if known is None else known.wait_s(1.0, now)

    def give_back(self, who: str, now: float) -> None:
        """What was noted was nothing wrong."""
        known = self._allowances.get(who)
        if known is not None:
            known.take(-1.0, now)

    def _of(self, who: str, now: float) -> Allowance:
        allowance = self._allowances.get(who)
        if allowance is None:
            allowance = self._allowances[who] = Allowance(self._most, self._per_s, now)
            while len(self._allowances) > self._kept:
                self._allowances.popitem(last=False)
        return allowance


def network_of(address: str) -> str:
    """What one person has as a rule: an address of IPv4, a network of 64 bits of IPv6."""
    return _within(address, 32, 64)


def site_of(address: str) -> str:
    """What one customer of a provider may have: 24 bits of IPv4, 48 of IPv6."""
    return _within(address, 24, 48)


def _within(address: str, bits_of_4: int, bits_of_6: int) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(ipaddress.IPv4Network((int(parsed), bits_of_4), strict=False))
    return str(ipaddress.IPv6Network((int(parsed), bits_of_6), strict=False))
