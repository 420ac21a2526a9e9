"""The upgrade request of an agent, and what a server makes of it (docs/protocol.md). Sans-I/O."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

V1: Final = "instadeploy.v1"
V2: Final = "instadeploy.v2"
BOTH: Final = (V2, V1)

MAX_HEAD_BYTES: Final = 64 << 10
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class UpgradeFault(Exception):
    """What came is no answer to an upgrade request."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a fleet dials to."""

    host: str
    port: int
    path: str
    is_secure: bool

    @classmethod
    def of(cls, url: str) -> Target:
        """Of `ws://host:port/path?query`."""
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError(f"{url} is no address of a WebSocket")
        is_secure = parts.scheme == "wss"
        path = parts.path or "/"
        return cls(
            parts.hostname,
            parts.port or (443 if is_secure else 80),
            f"{path}?{parts.query}" if parts.query else path,
            is_secure,
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """What an upgrade request says of an agent; no `token` where a key is to prove it."""

    hostname: str
    token: str = ""
    version: str = "1.0.0"
    architecture: str = "linux-amd64"
    offer: tuple[str, ...] = BOTH

    def headers(self) -> dict[str, str]:
        """Those that are an agent's."""
        headers = {
            "X-Agent-Version": self.version,
            "X-Agent-Architecture": self.architecture,
            "X-Agent-Hostname": self.hostname,
            "User-Agent": f"instadeploy-agent/{self.version}",
        }
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.offer:
            headers["Sec-WebSocket-Protocol"] = ", ".join(self.offer)
        return headers


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of a server's answer; `rest` is what came behind it."""

    status: int
    headers: Mapping[str, str]
    rest: bytes

    @property
    def retry_after_s(self) -> float:
        """0 where it says nothing, or a date."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdecimal() else 0.0


def new_key() -> str:
    """A key for one upgrade request."""
    return base64.b64encode(secrets.token_bytes(16)).decode()


def request(target: Target, caller: Caller, key: str) -> bytes:
    """The bytes of an upgrade request."""
    headers = {
        "Host": f"{target.host}:{target.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        **caller.headers(),
    }
    lines = [
        f"GET {target.path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def read_answer(data: bytes) -> Answer | None:
    """The answer, or None where its head has not all come."""
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        if len(data) > MAX_HEAD_BYTES:
            raise UpgradeFault("a head without an end")
        return None
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, _, status = status_line.partition(" ")
    if version != "HTTP/1.1" or not status[:3].isdecimal():
        raise UpgradeFault(f"an answer that begins with {status_line[:80]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            raise UpgradeFault(f"a header that reads {line[:80]!r}")
        headers[name.lower()] = value.strip()
    return Answer(int(status[:3]), headers, rest)


def chosen(answer: Answer, key: str, offer: tuple[str, ...]) -> str:
    """The subprotocol that an answer with status 101 selects, "" for none; raises `UpgradeFault`."""
    expected = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()
    headers = answer.headers
    if headers.get("sec-websocket-accept") != expected:
        raise UpgradeFault("Sec-WebSocket-Accept is not that of the key")
    if headers.get("upgrade", "").lower() != "websocket":
        raise UpgradeFault("Upgrade is not websocket")
    if "upgrade" not in headers.get("connection", "").lower():
        raise UpgradeFault("Connection is not Upgrade")
    if "sec-websocket-extensions" in headers:
        raise UpgradeFault("an extension that nobody offered")
    subprotocol = headers.get("sec-websocket-protocol", "")
    if subprotocol and subprotocol not in offer:
        raise UpgradeFault(f"selects {subprotocol!r}, which was not offered")
    return subprotocol
