"""The hosts in a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, or_, select

from adapters.storage import host_changes
from adapters.storage.host_rows import enrolment_of, host_of, names_of
from adapters.storage.job_rows import by_values
from adapters.storage.pages import by_name, newest_first
from adapters.storage.reaching import has_labels, hosts_within
from adapters.storage.reader import Reader
from adapters.storage.shared_reading import SharedReading
from adapters.storage.statements import among
from adapters.storage.tables import ENROLMENTS, HOSTS
from adapters.storage.writer import Writer
from application.ports.host_directory import Revoked
from domain.errors import NotFound
from domain.fleet.access import EVERYWHERE, Reach
from domain.fleet.audit import Noted
from domain.fleet.host import AgentReport, Enrolment, EnrolmentId, Host, HostId, HostName
from domain.fleet.labels import NO_LABELS, Labels, Selector
from domain.fleet.missing import no_host
from domain.fleet.page import Page, PageRequest

_BY_NAME = (HOSTS.c.name_key, HOSTS.c.id)
_IS_LIVE = HOSTS.c.revoked_at.is_(None)
_WITH_IDS = select(HOSTS).where(among(HOSTS.c.id))
_CALLED = select(HOSTS).where(or_(among(HOSTS.c.id), among(HOSTS.c.name_key, "keys") & _IS_LIVE))


class SqlHostDirectory:
    """See `HostDirectory`."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader
        self._host = SharedReading(reader.of_all(_hosts_with_ids))

    async def add_enrolment(
        self, enrolment: Enrolment, token_hash: str, noted: Noted | None = None
    ) -> None:
        """See `HostDirectory`."""
        await self._writer.carry_out(
            lambda tx: host_changes.add_enrolment(tx, enrolment, token_hash, noted),
            host_ids=(),
        )

    async def enrolments(self, page: PageRequest) -> Page[Enrolment]:
        """See `HostDirectory`."""
        return await self._reader(
            lambda connection: newest_first(
                connection, [select(ENROLMENTS)], ENROLMENTS.c.place, page, enrolment_of
            )
        )

    async def enrolment_with(self, token_hash: str) -> Enrolment | None:
        """See `HostDirectory`."""
        return await self._reader(
            lambda connection: host_changes.enrolment_with(connection, token_hash)
        )

    async def withdraw(self, enrolment_id: EnrolmentId, noted: Noted | None = None) -> None:
        """See `HostDirectory`."""
        await self._writer.carry_out(
            lambda tx: host_changes.withdraw(tx, enrolment_id, noted), host_ids=()
        )

    async def redeem(self, token_hash: str, host: Host, now: float, address: str = "") -> Host:
        """See `HostDirectory`."""
        return await self._writer.carry_out(
            lambda tx: host_changes.redeem(tx, token_hash, host, now, address),
            host_ids=[host.id],
        )

    async def add(self, host: Host, token_hash: str, noted: Noted | None = None) -> None:
        """See `HostDirectory`."""
        await self._writer.carry_out(
            lambda tx: host_changes.add(tx, host, token_hash, noted),
            host_ids=[host.id],
        )

    async def host(self, host_id: HostId) -> Host:
        """See `HostDirectory`."""
        host = await self._host(host_id)
        if host is None:
            raise no_host(host_id)
        return host

    async def names(self, host_ids: Collection[HostId]) -> Mapping[HostId, str]:
        """See `HostDirectory`."""
        return await self._reader(lambda connection: names_of(connection, host_ids))

    async def named(self, name_or_id: str) -> Host:
        """See `HostDirectory`."""
        found = await self._reader(lambda connection: _found(connection, [name_or_id]))
        if name_or_id not in found:
            raise no_host(name_or_id)
        return found[name_or_id]

    async def with_token(self, token_hash: str) -> Host | None:
        """See `HostDirectory`."""
        return await self._reader(lambda connection: _with_token(connection, token_hash))

    async def hosts(
        self,
        page: PageRequest,
        labels: Labels = NO_LABELS,
        *,
        with_revoked: bool = False,
        within: Reach = EVERYWHERE,
    ) -> Page[Host]:
        """See `HostDirectory`."""
        query = hosts_within(select(HOSTS).where(*has_labels(labels)), within)
        if not with_revoked:
            query = query.where(_IS_LIVE)
        return await self._reader(
            lambda connection: by_name(connection, query, _BY_NAME, page, host_of)
        )

    async def selected(self, selector: Selector, within: Reach = EVERYWHERE) -> Sequence[Host]:
        """See `HostDirectory`."""
        return await self._reader(lambda connection: _selected(connection, selector, within))

    async def change(
        self,
        host_id: HostId,
        *,
        name: HostName | None = None,
        labels: Labels | None = None,
        noted: Noted | None = None,
    ) -> Host:
        """See `HostDirectory`."""
        return await self._writer.carry_out(
            lambda tx: host_changes.change(tx, host_id, name, labels, noted),
            host_ids=[host_id],
        )

    async def set_token(self, host_id: HostId, token_hash: str, noted: Noted | None = None) -> Host:
        """See `HostDirectory`."""
        return await self._writer.carry_out(
            lambda tx: host_changes.set_token(tx, host_id, token_hash, noted),
            host_ids=[host_id],
        )

    async def revoke(self, host_id: HostId, at: float, noted: Noted | None = None) -> Revoked:
        """See `HostDirectory`."""
        return await self._writer.carry_out(
            lambda tx: host_changes.revoke(tx, host_id, at, noted), host_ids=[host_id]
        )

    async def suspect_clone(
        self, host_id: HostId, at: float | None, noted: Noted | None = None
    ) -> None:
        """See `HostDirectory`."""
        await self._writer.carry_out(
            lambda tx: host_changes.suspect_clone(tx, host_id, at, noted),
            host_ids=[host_id],
        )

    async def note_reports(self, reports: Mapping[HostId, AgentReport]) -> None:
        """See `HostDirectory`."""
        await self._writer.carry_out(
            lambda tx: host_changes.note_reports(tx, reports),
            weight=1024 * (1 + len(reports)),
            host_ids=(),  # No job depends on it.
        )

    async def forget_enrolments(self, expired_before: float, limit: int) -> int:
        """See `HostDirectory`."""
        return await self._writer.carry_out(
            lambda tx: host_changes.forget_enrolments(tx, expired_before, limit), host_ids=()
        )


def _hosts_with_ids(
    connection: Connection, host_ids: Sequence[HostId]
) -> dict[HostId, Host | None]:
    rows = connection.execute(_WITH_IDS, {"some": host_ids})
    found = {HostId(row.id): host_of(row) for row in rows}
    return {host_id: found.get(host_id) for host_id in host_ids}


def _with_token(connection: Connection, token_hash: str) -> Host | None:
    row = connection.execute(select(HOSTS).where(HOSTS.c.token_hash == token_hash)).one_or_none()
    return None if row is None else host_of(row)


def _selected(connection: Connection, selector: Selector, within: Reach) -> Sequence[Host]:
    if not selector.hosts:
        having = select(HOSTS).where(*has_labels(selector.labels), _IS_LIVE).order_by(*_BY_NAME)
        query = hosts_within(having, within)
        hosts = [host_of(row) for row in connection.execute(query)]
        if not hosts:
            raise NotFound("no host has these labels")
        return hosts
    found = _found(connection, selector.hosts)
    missing = [
        name
        for name in selector.hosts
        if name not in found or found[name].is_revoked or not within.covers(found[name].labels)
    ]
    if missing:
        raise NotFound(f"there is no host {', '.join(missing)}")
    return list({found[name].id: found[name] for name in selector.hosts}.values())


def _found(connection: Connection, names_or_ids: Sequence[str]) -> dict[str, Host]:
    """The hosts of these ids, and of what is no id the live ones of these names."""
    hosts: dict[str, Host] = {}
    for some in by_values(names_or_ids):
        keys = [name.lower() for name in some]
        rows = connection.execute(_CALLED, {"some": some, "keys": keys})
        found = [host_of(row) for row in rows]
        by_key = {host.name.key: host for host in found if not host.is_revoked}
        by_id: dict[str, Host] = {host.id: host for host in found}
        for name in some:
            host = by_id.get(name) or by_key.get(name.lower())
            if host is not None:
                hosts[name] = host
    return hosts
