"""When it happens, and the hosts: one that is enrolled, and one with a token that has not connected yet."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from adapters.secrets.randomness import SystemRandomness
from application.control_plane.access import ADMINISTRATOR
from domain.fleet.host import (
    ENROLMENT_TTL_S,
    AgentReport,
    Credential,
    Enrolment,
    EnrolmentId,
    Host,
    HostId,
    HostName,
)
from domain.fleet.labels import Labels
from domain.identity import encoded, fingerprint_of
from entrypoints.control_plane.rest.requests import HostChange, HostToEnrol, NewHost
from entrypoints.version import VERSION

NOON: Final = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
CONTROL_PLANE_URL: Final = "wss://control-plane.example/ws"
INSTALL_URL: Final = "https://control-plane.example/install.sh"

_RANDOM: Final = "8Z3KX5V0T9QMC7RW"


def at(minutes: float) -> float:
    """So long after noon."""
    return NOON + minutes * 60


def id_of(prefix: str, moment: float) -> str:
    """An id of that moment; what is random of it is always the same here."""
    made = SystemRandomness(lambda: round(moment * 1000)).new_id(prefix)
    return made[: -len(_RANDOM)] + _RANDOM


def token_of(prefix: str) -> str:
    """What looks like a token, and is none."""
    return prefix + "x" * 43


def _key_of(whom: str) -> str:
    return encoded(hashlib.sha256(whom.encode()).digest())


CONTROL_PLANE_KEY: Final = fingerprint_of(_key_of("control plane"))

TO_ENROL: Final = HostToEnrol(name="web-1", labels={"env": "prod"}, ttl_s=ENROLMENT_TTL_S)
ENROLMENT: Final = Enrolment(
    EnrolmentId(id_of("enr", at(-30))),
    HostName(TO_ENROL.name),
    Labels.of(TO_ENROL.labels),
    created_at=at(-30),
    expires_at=at(-30) + ENROLMENT_TTL_S,
    created_by=ADMINISTRATOR.value,
)
WEB_1: Final = Host(
    HostId(id_of("host", at(-28))),
    ENROLMENT.name,
    ENROLMENT.labels,
    Credential.KEY,
    created_at=at(-28),
    public_key=_key_of("web-1"),
    report=AgentReport(
        protocol=2,
        version=VERSION,
        architecture="linux-amd64",
        hostname="web-1",
        address="203.0.113.7",
        connected_at=at(-28),
        last_seen_at=at(15),
        facts={
            "load": [0.5, 0.25, 0.1],
            "disk_free_bytes": 42_000_000_000,
            "engine_reachable": True,
            "open_jobs": 0,
            "loop_lag_s": 0.001,
        },
    ),
)
USED_ENROLMENT: Final = replace(ENROLMENT, used_at=WEB_1.created_at, host_id=WEB_1.id)

HOST_CHANGE: Final = HostChange(labels={"env": "prod", "zone": "b"})
CHANGED_WEB_1: Final = replace(WEB_1, labels=Labels.of(HOST_CHANGE.labels or {}))

NEW_TOKEN_HOST: Final = NewHost(name="web-2", labels={"env": "test"})
WEB_2: Final = Host(
    HostId(id_of("host", at(-20))),
    HostName(NEW_TOKEN_HOST.name),
    Labels.of(NEW_TOKEN_HOST.labels),
    Credential.TOKEN,
    created_at=at(-20),
)
REVOKED_WEB_2: Final = replace(WEB_2, revoked_at=at(90))
