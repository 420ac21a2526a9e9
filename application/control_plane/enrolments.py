"""Letting machines become hosts: one-use tokens, which are shown once and kept as hashes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from application.control_plane.reaching import check_labels, is_in_reach
from application.control_plane.times import seconds_now
from application.ports.clock import Clock
from application.ports.host_directory import HostDirectory
from application.ports.randomness import Randomness
from domain.errors import Conflict, InvalidInput, NotFound
from domain.fleet.access import ENROLMENT_PREFIX, HOST_PREFIX, Permission, Principal
from domain.fleet.audit import noted_by
from domain.fleet.host import (
    ENROLMENT_TTL_S,
    LONGEST_ENROLMENT_S,
    SHORTEST_ENROLMENT_S,
    Credential,
    Enrolment,
    EnrolmentId,
    Host,
    HostId,
    HostName,
)
from domain.fleet.labels import Labels
from domain.fleet.page import Page, PageRequest
from domain.identity import token_hash_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    """A new enrolment, and what the machine has to present; nobody can show it again."""

    enrolment: Enrolment
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class HostToken:
    """A host that uses a token, and its new token; nobody can show it again."""

    host: Host
    token: str = field(repr=False)


class Enrolments:
    """Leave to become a host."""

    def __init__(
        self,
        *,
        directory: HostDirectory,
        randomness: Randomness,
        clock: Clock,
        ttl_s: float = ENROLMENT_TTL_S,
    ) -> None:
        self._directory = directory
        self._randomness = randomness
        self._clock = clock
        self._ttl_s = ttl_s

    async def create(
        self, name: HostName, labels: Labels, by: Principal, *, ttl_s: float | None = None
    ) -> EnrolmentToken:
        """Make one, good for `ttl_s` or as long as usual.

        Raises `Conflict` where the name is taken, `NotPermitted`, and `InvalidInput`.
        """
        if ttl_s is not None and not SHORTEST_ENROLMENT_S <= ttl_s <= LONGEST_ENROLMENT_S:
            bounds = f"{SHORTEST_ENROLMENT_S:g} to {LONGEST_ENROLMENT_S:g}"
            raise InvalidInput("ttl_s", f"must be {bounds} seconds")
        check_labels(labels, by, Permission.ENROLMENTS_WRITE)
        now = seconds_now(self._clock)
        token = ENROLMENT_PREFIX + self._randomness.token()
        enrolment = Enrolment(
            EnrolmentId(self._randomness.new_id("enr")),
            name,
            labels,
            created_at=now,
            expires_at=now + (ttl_s or self._ttl_s),
            created_by=by.name,
        )
        noted = noted_by(
            by,
            now,
            "enrolment.add",
            host=name.value,
            target=enrolment.id,
            detail={"labels": labels.as_mapping()},
        )
        await self._directory.add_enrolment(enrolment, token_hash_of(token), noted)
        logger.info("enrolment %s of host %s is open, for %s", enrolment.id, name, by.name)
        return EnrolmentToken(enrolment, token)

    async def list(self, page: PageRequest, by: Principal) -> Page[Enrolment]:
        """Those in reach, the newest first: a page may have fewer than were asked for."""
        found = await self._directory.enrolments(page)
        return Page([one for one in found.items if is_in_reach(one, by)], found.next)

    async def withdraw(self, enrolment_id: str, by: Principal) -> None:
        """Make an unused one useless. Raises `NotFound`, and `Conflict` where it is used."""
        noted = noted_by(by, seconds_now(self._clock), "enrolment.withdraw", target=enrolment_id)
        await self._directory.withdraw(EnrolmentId(enrolment_id), noted)
        logger.info("enrolment %s is withdrawn", enrolment_id)

    def is_open(self, enrolment: Enrolment) -> bool:
        """Whether it can still be used."""
        return enrolment.is_open(seconds_now(self._clock))

    async def add_host(self, name: HostName, labels: Labels, by: Principal) -> HostToken:
        """Add a host whose agent presents a token each time, for agents that speak v1 alone.

        Raises `Conflict` where the name is taken, and `NotPermitted`.
        """
        check_labels(labels, by, Permission.HOSTS_TRUST)
        token = HOST_PREFIX + self._randomness.token()
        host = Host(
            HostId(self._randomness.new_id("host")),
            name,
            labels,
            Credential.TOKEN,
            created_at=seconds_now(self._clock),
        )
        noted = noted_by(
            by,
            host.created_at,
            "host.add",
            host_id=host.id,
            host=name.value,
            detail={"labels": labels.as_mapping()},
        )
        await self._directory.add(host, token_hash_of(token), noted)
        logger.info("host %s (%s) is added, with a token", name, host.id)
        return HostToken(host, token)

    async def new_token(self, name_or_id: str, by: Principal) -> HostToken:
        """Give a host that uses a token another one. Raises `NotFound`; `Conflict` where it has a key."""
        host = await self._directory.named(name_or_id)
        if host.is_revoked:
            raise NotFound(f"there is no host {name_or_id!r}")
        if host.credential is not Credential.TOKEN:
            raise Conflict(
                f"host {host.name} proves itself by a key of its own, and has no token; to give it "
                "another key, revoke it and enrol the machine again"
            )
        token = HOST_PREFIX + self._randomness.token()
        noted = noted_by(
            by,
            seconds_now(self._clock),
            "host.token",
            host_id=host.id,
            host=host.name.value,
        )
        host = await self._directory.set_token(host.id, token_hash_of(token), noted)
        logger.info("host %s (%s) has another token", host.name, host.id)
        return HostToken(host, token)
