"""Hosts as operators see and change them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from application.control_plane.enrolments import Enrolments, HostToken
from application.control_plane.happenings import Happenings
from application.control_plane.live_hosts import HostLinks
from application.control_plane.reaching import check_labels
from application.control_plane.times import seconds_now
from application.ports.clock import Clock
from application.ports.host_directory import HostDirectory
from domain.errors import NotFound, StorageUnavailable
from domain.fleet.abilities import Abilities, abilities_of
from domain.fleet.access import EVERYWHERE, Permission, Principal, Reach
from domain.fleet.audit import Noted, noted_by
from domain.fleet.host import Host, HostId, HostName
from domain.fleet.host_effects import LinkEnd
from domain.fleet.labels import NO_LABELS, Labels
from domain.fleet.page import Page, PageRequest

logger = logging.getLogger(__name__)

NAMES_KEPT: Final = 50_000
"""In memory; nobody but this program changes them."""


@dataclass(frozen=True, slots=True)
class HostView:
    """A host, and what is known of it at this moment."""

    host: Host
    is_online: bool
    abilities: Abilities | None


class Hosts:
    """Reading, naming, labelling and revoking hosts. A host is named by its name or its id."""

    def __init__(
        self,
        *,
        directory: HostDirectory,
        enrolments: Enrolments,
        links: HostLinks,
        happenings: Happenings,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._enrolments = enrolments
        self._links = links
        self._happenings = happenings
        self._clock = clock
        self._names: dict[HostId, str] = {}
        self._renamed = 0
        """How many names were forgotten: what was read before one was may be what it was called."""

    async def list(
        self,
        page: PageRequest,
        labels: Labels = NO_LABELS,
        *,
        with_revoked: bool = False,
        within: Reach = EVERYWHERE,
    ) -> Page[HostView]:
        """Those in reach that have all of the labels, by name."""
        found = await self._directory.hosts(page, labels, with_revoked=with_revoked, within=within)
        return Page([self.view(host) for host in found.items], found.next)

    async def show(self, name_or_id: str) -> HostView:
        """Raises `NotFound`."""
        return self.view(await self._directory.named(name_or_id))

    async def change(
        self,
        name_or_id: str,
        by: Principal,
        *,
        name: HostName | None = None,
        labels: Labels | None = None,
    ) -> HostView:
        """Rename it, or replace its labels, or both.

        Raises `NotFound`, `Conflict` where the name is taken, and `NotPermitted` where the host would
        be out of their reach with these labels. Whatever it raises, nothing is
        changed, but where the database cannot say whether it has done it: then all of it or nothing.
        """
        host = await self._present(name_or_id)
        new_name = None if name == host.name else name
        new_labels = None if labels == host.labels else labels
        if new_name is None and new_labels is None:
            return self.view(host)
        detail: dict[str, object] = {}
        if new_name is not None:
            detail["name"] = new_name.value
        if new_labels is not None:
            check_labels(new_labels, by, Permission.HOSTS_WRITE, had=host.labels)
            detail["labels"] = new_labels.as_mapping()
        noted = self._noted(by, "host.change", host, detail)
        try:
            return self.view(
                await self._directory.change(host.id, name=new_name, labels=new_labels, noted=noted)
            )
        finally:
            if new_name is not None:
                self._forget_name(host.id)

    async def revoke(self, name_or_id: str, by: Principal) -> HostView:
        """Let nobody connect as this host any more, from this moment on. Again is harmless.

        Raises `NotFound`.
        """
        host = await self._directory.named(name_or_id)
        try:
            revoked = await self._directory.revoke(
                host.id, seconds_now(self._clock), self._noted(by, "host.revoke", host)
            )
        except StorageUnavailable:
            # It may have been done. An agent that was not revoked comes back by itself.
            self._links.dismiss(host.id, LinkEnd.GOING_AWAY)
            raise
        self._links.dismiss(host.id, LinkEnd.REVOKED)
        self._happenings.tell(revoked.ended)
        logger.info("host %s (%s) is revoked", host.name, host.id)
        return self.view(revoked.host)

    async def new_token(self, name_or_id: str, by: Principal) -> HostToken:
        """Give a host that uses a token another one; who uses the old one is put out at once.

        Raises `NotFound`, and `Conflict` for a host that has a key.
        """
        made = await self._enrolments.new_token(name_or_id, by)
        self._links.dismiss(made.host.id, LinkEnd.UNPROVEN)
        return made

    async def settle_clone(self, name_or_id: str, by: Principal) -> HostView:
        """Note that no two machines use the host's identity any more. Raises `NotFound`."""
        host = await self._present(name_or_id)
        await self._directory.suspect_clone(
            host.id, None, self._noted(by, "host.settle_clone", host)
        )
        return self.view(await self._directory.host(host.id))

    async def names(self, host_ids: Iterable[HostId]) -> Mapping[HostId, str]:
        """What these hosts are called, also revoked ones; unknown ones are left out."""
        wanted = set(host_ids)
        unknown = wanted - self._names.keys()
        if len(self._names) + len(unknown) > NAMES_KEPT:
            self._names.clear()
            unknown = wanted
        found = {host_id: self._names[host_id] for host_id in wanted - unknown}
        renamed = self._renamed
        read = await self._directory.names(unknown) if unknown else {}
        if renamed == self._renamed:
            self._names.update(read)
        return {**found, **read}

    def _noted(
        self, by: Principal, action: str, host: Host, detail: Mapping[str, object] | None = None
    ) -> Noted:
        return noted_by(
            by,
            seconds_now(self._clock),
            action,
            host_id=host.id,
            host=host.name.value,
            detail=detail or {},
        )

    def _forget_name(self, host_id: HostId) -> None:
        self._names.pop(host_id, None)
        self._renamed += 1

    def view(self, host: Host) -> HostView:
        """What there is to say of a host."""
        report = self._links.report_of(host.id)
        if report is not None:
            host = replace(host, report=report)
        return HostView(host, self._links.is_online(host.id), abilities_of(host))

    async def _present(self, name_or_id: str) -> Host:
        host = await self._directory.named(name_or_id)
        if host.is_revoked:
            raise NotFound(f"host {name_or_id!r} is revoked")
        return host
