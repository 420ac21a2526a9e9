"""What an upgrade request asks for, and from whom; pure. Nothing here says who that really is."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Literal

from websockets.datastructures import Headers, MultipleValuesError
from websockets.exceptions import InvalidHeader
from websockets.headers import parse_subprotocol
from websockets.typing import Subprotocol

from adapters.wire.url_tokens import has_token
from application.ports.agent_link import UpgradeRequest

PATH: Final = "/ws"
LONGEST_TEXT: Final = 256
LONGEST_TOKEN: Final = 4096
V1: Final = Subprotocol("instadeploy.v1")
V2: Final = Subprotocol("instadeploy.v2")
MOST_PROXIES: Final = 32

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Refused:
    """How an upgrade is answered that is not carried out; `text` says nothing of what was asked."""

    status: HTTPStatus
    text: str
    headers: dict[str, str] = field(default_factory=dict)


def selected(offered: Sequence[str]) -> Subprotocol | None:
    """Of what an agent offers, what is spoken; None means v1, as it does to both sides."""
    for each in (V2, V1):
        if each in offered:
            return each
    return None


def request_of(
    path: str, headers: Headers, peer: str, trusted: Iterable[Network]
) -> UpgradeRequest | Refused:
    """Who asks for what. `peer` is the address of the other end of the connection."""
    path, _, query = path.partition("?")
    if has_token(path, query):
        return Refused(
            HTTPStatus.BAD_REQUEST,
            "A token does not belong into a URL, where it ends up in logs: send it in the "
            "Authorization header, and replace this one.\n",
        )
    if path != PATH:
        return Refused(HTTPStatus.NOT_FOUND, "There is nothing here; agents connect to /ws.\n")
    try:
        offered = [
            each
            for value in headers.get_all("Sec-WebSocket-Protocol")
            for each in parse_subprotocol(value)
        ]
        token = _token_in(headers.get("Authorization"))
        said = {
            name: _text(headers.get(f"X-Agent-{name.title()}"))
            for name in ("version", "architecture", "hostname")
        }
    except (MultipleValuesError, InvalidHeader):
        return Refused(HTTPStatus.BAD_REQUEST, "A header is malformed, or there twice.\n")
    protocol: Literal[1, 2] = 2 if selected(offered) == V2 else 1
    address = client_address(peer, headers.get_all("X-Forwarded-For"), trusted)
    return UpgradeRequest(protocol, address, token, **said)


def client_address(peer: str, forwarded: Iterable[str], trusted: Iterable[Network]) -> str:
    """The address behind all proxies that are trusted, from the nearest on."""
    trusted = tuple(trusted)
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    address = peer
    for hop in reversed(hops[-MOST_PROXIES:]):
        if not _is_in(address, trusted):
            break
        try:
            address = str(ipaddress.ip_address(hop.strip("[]")))
        except ValueError:
            break  # Whoever wrote that, it is no address.
    return address


def _token_in(value: str | None) -> str:
    """The token of `Bearer <token>`; empty where there is none, which is good for nobody."""
    scheme, _, token = (value or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token.isascii() or len(token) > LONGEST_TOKEN:
        return ""
    return token


def _text(value: str | None) -> str:
    return "".join(each if each.isprintable() else "?" for each in (value or "")[:LONGEST_TEXT])


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        # A socket of this machine: who may use it was decided by its permissions.
        return address == "" and bool(networks)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in networks)
