"""A host: a machine on which an agent runs, as the control plane knows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NewType

from domain.errors import InvalidInput
from domain.fleet.labels import Labels

HostId = NewType("HostId", str)
EnrolmentId = NewType("EnrolmentId", str)

ENROLMENT_TTL_S: Final = 600.0
SHORTEST_ENROLMENT_S: Final = 60.0
LONGEST_ENROLMENT_S: Final = 86_400.0
"""So long a one-use token is good: long enough to be pasted, too short to be found."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class HostName:
    """What operators call a host; unique in a fleet, whatever the case of its letters."""

    value: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.value):
            raise InvalidInput(
                "name",
                "a host's name has 1 to 63 characters A-Z, a-z, 0-9, '.', '_' and '-', "
                "and begins and ends with a letter or a digit",
            )

    def __str__(self) -> str:
        return self.value

    @property
    def key(self) -> str:
        """What two names must not share."""
        return self.value.lower()


class Credential(StrEnum):
    """How the agent of a host proves who it is."""

    KEY = "key"
    """By its signature over a nonce, with a key that never leaves the host; protocol v2 only."""
    TOKEN = "token"  # noqa: S105 - a kind of credential, and none
    """By a bearer token in each upgrade request; for agents that speak v1."""


@dataclass(frozen=True, slots=True)
class AgentReport:
    """What a host's agent last said of itself. Times are seconds since 1970; `protocol` is 1 or 2."""

    protocol: int
    version: str
    architecture: str
    hostname: str
    address: str
    connected_at: float
    last_seen_at: float
    facts: Mapping[str, object] = field(default_factory=dict)
    """Of its last heartbeat: load, disk, engine and so on, as docs/protocol-v2.md names them."""


@dataclass(frozen=True, slots=True)
class Host:
    """One host. What is secret of its credential is not here: not even a hash."""

    id: HostId
    name: HostName
    labels: Labels
    credential: Credential
    created_at: float
    public_key: str = ""
    """Ed25519, 32 bytes in base64; empty for one that uses a token."""
    revoked_at: float | None = None
    clone_suspected_at: float | None = None
    """When two machines were last seen to come back again and again with this identity."""
    report: AgentReport | None = None
    """None until its agent connects for the first time."""

    @property
    def is_revoked(self) -> bool:
        """Whether nobody may connect as this host any more."""
        return self.revoked_at is not None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Leave to become a host, once, before `expires_at`. Its token is kept as a hash alone."""

    id: EnrolmentId
    name: HostName
    labels: Labels
    created_at: float
    expires_at: float
    created_by: str
    used_at: float | None = None
    host_id: HostId | None = None
    """The host that it became."""
    is_withdrawn: bool = False
    """Whether an operator has made it useless before it was used."""

    def is_open(self, now: float) -> bool:
        """Whether it can still be used."""
        return self.used_at is None and not self.is_withdrawn and now < self.expires_at
