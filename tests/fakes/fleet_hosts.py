"""Hosts and enrolments in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from application.ports.host_directory import Revoked
from domain.errors import Conflict, Forbidden, NotFound
from domain.fleet.access import EVERYWHERE
from domain.fleet.access import Reach as Reachable
from domain.fleet.audit import Noted
from domain.fleet.changes import revoked
from domain.fleet.host import (
    AgentReport,
    Credential,
    Enrolment,
    EnrolmentId,
    Host,
    HostId,
    HostName,
)
from domain.fleet.labels import NO_LABELS, Labels, Selector
from domain.fleet.missing import no_host
from domain.fleet.noting import enrolled_noted
from domain.fleet.page import Page, PageRequest
from tests.fakes.fleet_state import FleetState, Reach, by_name, newest_first, page_of


class FakeHostDirectory:
    """See `HostDirectory`."""

    def __init__(self, state: FleetState, reach: Reach) -> None:
        self._state = state
        self._reach = reach

    async def add_enrolment(
        self, enrolment: Enrolment, token_hash: str, noted: Noted | None = None
    ) -> None:
        """See `HostDirectory`."""
        await self._reach()
        self._require_free(enrolment.name)
        for other in self._state.enrolments.values():
            if other.is_open(enrolment.created_at) and other.name.key == enrolment.name.key:
                raise Conflict(f"name: an enrolment is open for {enrolment.name}")
        if enrolment.id in self._state.enrolments or token_hash in self._state.enrolment_tokens:
            raise Conflict("enrolment: this one is there")
        self._state.enrolments[enrolment.id] = enrolment
        self._state.places[enrolment.id] = self._state.next_number()
        self._state.enrolment_tokens[token_hash] = enrolment.id
        self._state.note(noted)

    async def enrolments(self, page: PageRequest) -> Page[Enrolment]:
        """See `HostDirectory`."""
        await self._reach()
        places = self._state.places
        found = self._state.enrolments.values()
        return page_of(found, page, lambda enrolment: newest_first(places[enrolment.id]))

    async def enrolment_with(self, token_hash: str) -> Enrolment | None:
        """See `HostDirectory`."""
        await self._reach()
        return self._enrolment_with(token_hash)

    async def withdraw(self, enrolment_id: EnrolmentId, noted: Noted | None = None) -> None:
        """See `HostDirectory`."""
        await self._reach()
        enrolment = self._state.enrolments.get(enrolment_id)
        if enrolment is None:
            raise NotFound(f"there is no enrolment {enrolment_id!r}")
        if enrolment.used_at is not None:
            raise Conflict("enrolment: it was used; revoke the host that it became")
        if not enrolment.is_withdrawn:
            self._state.enrolments[enrolment_id] = replace(enrolment, is_withdrawn=True)
            self._state.note(noted)

    async def redeem(self, token_hash: str, host: Host, now: float, address: str = "") -> Host:
        """See `HostDirectory`."""
        await self._reach()
        enrolment = self._enrolment_with(token_hash)
        if enrolment is not None and enrolment.host_id is not None:
            known = self._state.hosts[enrolment.host_id]
            if known.public_key == host.public_key:
                return known
        if enrolment is None or not enrolment.is_open(now):
            raise Forbidden("the enrolment's token is unknown, over its time, or was used")
        if any(each.public_key == host.public_key for each in self._state.hosts.values()):
            raise Conflict("public_key: another host has this key, or had it")
        self._require_free(enrolment.name)
        self._require_new(host)
        host = replace(host, name=enrolment.name, labels=enrolment.labels)
        self._state.hosts[host.id] = host
        self._state.enrolments[enrolment.id] = replace(enrolment, used_at=now, host_id=host.id)
        self._state.note(enrolled_noted(host, enrolment, now, address))
        return host

    async def add(self, host: Host, token_hash: str, noted: Noted | None = None) -> None:
        """See `HostDirectory`."""
        await self._reach()
        self._require_free(host.name)
        self._require_new(host)
        self._require_unused(token_hash)
        self._state.hosts[host.id] = host
        self._state.host_tokens[host.id] = token_hash
        self._state.note(noted)

    async def host(self, host_id: HostId) -> Host:
        """See `HostDirectory`."""
        await self._reach()
        return self._state.host(host_id)

    async def names(self, host_ids: Collection[HostId]) -> Mapping[HostId, str]:
        """See `HostDirectory`."""
        await self._reach()
        hosts = self._state.hosts
        return {each: hosts[each].name.value for each in host_ids if each in hosts}

    async def named(self, name_or_id: str) -> Host:
        """See `HostDirectory`."""
        await self._reach()
        found = self._find(name_or_id)
        if found is None:
            raise no_host(name_or_id)
        return found

    async def with_token(self, token_hash: str) -> Host | None:
        """See `HostDirectory`."""
        await self._reach()
        for host_id, known in self._state.host_tokens.items():
            if known == token_hash:
                return self._state.hosts[host_id]
        return None

    async def hosts(
        self,
        page: PageRequest,
        labels: Labels = NO_LABELS,
        *,
        with_revoked: bool = False,
        within: Reachable = EVERYWHERE,
    ) -> Page[Host]:
        """See `HostDirectory`."""
        await self._reach()
        having = self._having(labels, with_revoked=with_revoked)
        return page_of([one for one in having if within.covers(one.labels)], page, by_name)

    async def selected(self, selector: Selector, within: Reachable = EVERYWHERE) -> Sequence[Host]:
        """See `HostDirectory`."""
        await self._reach()
        if not selector.hosts:
            having = self._having(selector.labels, with_revoked=False)
            found = [one for one in having if within.covers(one.labels)]
            if not found:
                raise NotFound("no host has these labels")
            return found
        by_name = {name: self._find(name) for name in selector.hosts}
        missing = [
            name
            for name, host in by_name.items()
            if host is None or host.is_revoked or not within.covers(host.labels)
        ]
        if missing:
            raise NotFound(f"there is no host {', '.join(missing)}")
        return list({host.id: host for host in by_name.values() if host is not None}.values())

    async def change(
        self,
        host_id: HostId,
        *,
        name: HostName | None = None,
        labels: Labels | None = None,
        noted: Noted | None = None,
    ) -> Host:
        """See `HostDirectory`."""
        await self._reach()
        host = self._unrevoked(host_id)
        if name is not None:
            self._require_free(name, but_for=host)
            host = replace(host, name=name)
        self._state.note(noted)
        return self._keep(host if labels is None else replace(host, labels=labels))

    async def set_token(self, host_id: HostId, token_hash: str, noted: Noted | None = None) -> Host:
        """See `HostDirectory`."""
        await self._reach()
        host = self._unrevoked(host_id)
        if host.credential is not Credential.TOKEN:
            raise Conflict("host: it proves itself by a key, and has no token")
        self._require_unused(token_hash)
        self._state.host_tokens[host_id] = token_hash
        self._state.note(noted)
        return host

    async def revoke(self, host_id: HostId, at: float, noted: Noted | None = None) -> Revoked:
        """See `HostDirectory`."""
        await self._reach()
        host = self._state.host(host_id)
        if host.is_revoked:
            return Revoked(host)
        self._state.note(noted)
        ends = []
        for kept in self._state.jobs.values():
            if kept.job.host_id == host_id and not kept.job.is_over:
                self._state.change(kept, revoked(kept.job, at), at)
                ends.append(kept.job.id)
        self._state.outgoing.pop(host_id, None)
        return Revoked(self._keep(replace(host, revoked_at=at)), tuple(ends))

    async def suspect_clone(
        self, host_id: HostId, at: float | None, noted: Noted | None = None
    ) -> None:
        """See `HostDirectory`."""
        await self._reach()
        host = self._state.host(host_id)
        if host.clone_suspected_at != at:
            self._keep(replace(host, clone_suspected_at=at))
            self._state.note(noted)

    async def note_reports(self, reports: Mapping[HostId, AgentReport]) -> None:
        """See `HostDirectory`."""
        await self._reach()
        for host_id, report in reports.items():
            if host_id in self._state.hosts:
                self._keep(replace(self._state.hosts[host_id], report=report))

    def _enrolment_with(self, token_hash: str) -> Enrolment | None:
        enrolment_id = self._state.enrolment_tokens.get(token_hash)
        return None if enrolment_id is None else self._state.enrolments[enrolment_id]

    def _keep(self, host: Host) -> Host:
        self._state.hosts[host.id] = host
        return host

    def _unrevoked(self, host_id: HostId) -> Host:
        host = self._state.host(host_id)
        if host.is_revoked:
            raise Conflict("host: it is revoked, and stays as it is")
        return host

    async def forget_enrolments(self, expired_before: float, limit: int) -> int:
        """See `HostDirectory`."""
        await self._reach()
        known, tokens = self._state.enrolments, self._state.enrolment_tokens
        old = [one for one, kept in known.items() if kept.expires_at < expired_before][:limit]
        for enrolment_id in old:
            del known[enrolment_id]
        for token_hash in [token for token, one in tokens.items() if one not in known]:
            del tokens[token_hash]
        return len(old)

    def _find(self, name_or_id: str) -> Host | None:
        if (known := self._state.hosts.get(HostId(name_or_id))) is not None:
            return known
        for host in self._state.hosts.values():
            if host.name.key == name_or_id.lower() and not host.is_revoked:
                return host
        return None

    def _having(self, labels: Labels, *, with_revoked: bool) -> list[Host]:
        return sorted(
            (
                host
                for host in self._state.hosts.values()
                if host.labels.include(labels) and (with_revoked or not host.is_revoked)
            ),
            key=lambda host: (host.name.key, host.id),
        )

    def _require_free(self, name: HostName, *, but_for: Host | None = None) -> None:
        for host in self._state.hosts.values():
            if host.name.key == name.key and not host.is_revoked and host is not but_for:
                raise Conflict("name: it is taken")

    def _require_new(self, host: Host) -> None:
        if host.id in self._state.hosts:
            raise Conflict(f"host: there is one with the id {host.id}")

    def _require_unused(self, token_hash: str) -> None:
        if token_hash in self._state.host_tokens.values():
            raise Conflict("token: another host has it")
