"""Sizes, ports and other small languages inside a compose file's strings."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from domain.compose_model.place import Place

MAX_PORT: Final = 65535
_SIZE = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_POWER: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def size_of(place: Place) -> int | None:
    """Bytes; None where there is no size. Compose prints them as a number in a string."""
    text = place.text().strip()
    if not text:
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise place.wrong("a size such as 512m")
    return int(float(match[1]) * 1024 ** _POWER[match[2].lower()])


def ports_of(text: str, place: Place) -> tuple[int, int]:
    """The first and the last port of `80` or `8000-8010`."""
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise place.wrong("a port or a range of ports")
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last <= MAX_PORT:
        raise place.wrong(f"a port or a range of ports up to {MAX_PORT}")
    return first, last


def address_of(text: str, place: Place) -> str:
    """A host address in its one canonical spelling; empty means every address of the host."""
    bare = text.strip().removeprefix("[").removesuffix("]")
    if not bare or bare == "*":
        return ""
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        raise place.wrong("an IP address of the host") from None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    return "" if address.is_unspecified else str(address)
