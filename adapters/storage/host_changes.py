"""What changes which hosts there are, and who may become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from adapters.storage.audit import note
from adapters.storage.host_rows import (
    enrolment_of,
    enrolment_row,
    host_of,
    host_row,
    report_document,
)
from adapters.storage.job_rows import by_values
from adapters.storage.repeated import Repeated
from adapters.storage.submitting import end_all_of
from adapters.storage.tables import ENROLMENTS, HOST_LABELS, HOSTS, OUTGOING
from adapters.storage.transaction import Transaction
from application.ports.host_directory import Revoked
from domain.errors import Conflict, Forbidden
from domain.fleet.audit import Noted
from domain.fleet.host import (
    AgentReport,
    Credential,
    Enrolment,
    EnrolmentId,
    Host,
    HostId,
    HostName,
)
from domain.fleet.labels import Labels
from domain.fleet.missing import no_enrolment, no_host
from domain.fleet.noting import enrolled_noted

_REPORTED: Final = Repeated(
    update(HOSTS).where(HOSTS.c.id == bindparam("of_host")).values(report=bindparam("new_report"))
)

_NEW_LABEL: Final = Repeated(insert(HOST_LABELS))


def add_enrolment(
    tx: Transaction, enrolment: Enrolment, token_hash: str, noted: Noted | None
) -> None:
    """See `HostDirectory`."""
    _require_free(tx, enrolment.name)
    named = select(ENROLMENTS).where(ENROLMENTS.c.name_key == enrolment.name.key)
    for row in tx.connection.execute(named):
        if enrolment_of(row).is_open(enrolment.created_at):
            raise Conflict(f"name: an enrolment is open for {enrolment.name}")
    same = (ENROLMENTS.c.id == enrolment.id) | (ENROLMENTS.c.token_hash == token_hash)
    if tx.connection.execute(select(ENROLMENTS.c.id).where(same)).first() is not None:
        raise Conflict("enrolment: there is one with this id, or this token")
    tx.write(insert(ENROLMENTS), enrolment_row(enrolment, tx.next_number(), token_hash))
    note(tx, [noted])


def withdraw(tx: Transaction, enrolment_id: EnrolmentId, noted: Noted | None) -> None:
    """See `HostDirectory`."""
    of_it = ENROLMENTS.c.id == enrolment_id
    row = tx.connection.execute(select(ENROLMENTS).where(of_it)).one_or_none()
    if row is None:
        raise no_enrolment(enrolment_id)
    if row.used_at is not None:
        raise Conflict("enrolment: it was used; revoke the host that it became")
    if not row.is_withdrawn:
        tx.write(update(ENROLMENTS).where(of_it).values(is_withdrawn=True))
        note(tx, [noted])


def redeem(tx: Transaction, token_hash: str, host: Host, now: float, address: str) -> Host:
    """See `HostDirectory`."""
    enrolment = enrolment_with(tx.connection, token_hash)
    if enrolment is not None and enrolment.host_id is not None:
        known = host_with_id(tx.connection, enrolment.host_id)
        if known.public_key == host.public_key:
            return known
    if enrolment is None or not enrolment.is_open(now):
        raise Forbidden("the enrolment's token is unknown, over its time, or was used")
    with_key = select(HOSTS.c.id).where(
        HOSTS.c.public_key == host.public_key, HOSTS.c.public_key != ""
    )
    if tx.connection.execute(with_key).first() is not None:
        raise Conflict("public_key: another host has this key, or had it")
    _require_free(tx, enrolment.name)
    host = replace(host, name=enrolment.name, labels=enrolment.labels)
    _add(tx, host, None)
    used = {"used_at": now, "host_id": host.id}
    tx.write(update(ENROLMENTS).where(ENROLMENTS.c.id == enrolment.id).values(used))
    note(tx, [enrolled_noted(host, enrolment, now, address)])
    return host


def add(tx: Transaction, host: Host, token_hash: str, noted: Noted | None) -> None:
    """See `HostDirectory`."""
    _require_free(tx, host.name)
    _require_unused(tx, token_hash)
    _add(tx, host, token_hash)
    note(tx, [noted])


def change(
    tx: Transaction,
    host_id: HostId,
    name: HostName | None,
    labels: Labels | None,
    noted: Noted | None,
) -> Host:
    """See `HostDirectory`."""
    host = _unrevoked(tx, host_id)
    of_it = HOSTS.c.id == host_id
    if name is not None:
        _require_free(tx, name, but_for=host_id)
        tx.write(update(HOSTS).where(of_it).values(name=name.value, name_key=name.key))
        host = replace(host, name=name)
    if labels is not None:
        tx.write(update(HOSTS).where(of_it).values(labels=labels.as_mapping()))
        tx.write(delete(HOST_LABELS).where(HOST_LABELS.c.host_id == host_id))
        _add_labels(tx, host_id, labels)
        host = replace(host, labels=labels)
    note(tx, [noted])
    return host


def set_token(tx: Transaction, host_id: HostId, token_hash: str, noted: Noted | None) -> Host:
    """See `HostDirectory`."""
    host = _unrevoked(tx, host_id)
    if host.credential is not Credential.TOKEN:
        raise Conflict("host: it proves itself by a key, and has no token")
    _require_unused(tx, token_hash)
    tx.write(update(HOSTS).where(HOSTS.c.id == host_id).values(token_hash=token_hash))
    note(tx, [noted])
    return host


def revoke(tx: Transaction, host_id: HostId, at: float, noted: Noted | None) -> Revoked:
    """See `HostDirectory`."""
    host = host_with_id(tx.connection, host_id)
    if host.is_revoked:
        return Revoked(host)
    tx.write(update(HOSTS).where(HOSTS.c.id == host_id).values(revoked_at=at))
    note(tx, [noted])
    ended = end_all_of(tx, host_id, at)
    # Nobody will ever acknowledge it.
    tx.write(delete(OUTGOING).where(OUTGOING.c.host_id == host_id))
    return Revoked(replace(host, revoked_at=at), tuple(job.id for job in ended))


def suspect_clone(tx: Transaction, host_id: HostId, at: float | None, noted: Noted | None) -> None:
    """See `HostDirectory`."""
    if host_with_id(tx.connection, host_id).clone_suspected_at == at:
        return
    note(tx, [noted])
    tx.write(update(HOSTS).where(HOSTS.c.id == host_id).values(clone_suspected_at=at))


def note_reports(tx: Transaction, reports: Mapping[HostId, AgentReport]) -> None:
    """See `HostDirectory`."""
    rows = [
        {"of_host": host_id, "new_report": report_document(report)}
        for host_id, report in reports.items()
    ]
    tx.repeat(_REPORTED, rows)


def forget_enrolments(tx: Transaction, expired_before: float, limit: int) -> int:
    """See `HostDirectory`."""
    query = (
        select(ENROLMENTS.c.place)
        .where(ENROLMENTS.c.expires_at < expired_before)
        .order_by(ENROLMENTS.c.place)
        .limit(limit)
    )
    old = tx.connection.execute(query).scalars().all()
    for places in by_values(old):
        tx.write(delete(ENROLMENTS).where(ENROLMENTS.c.place.in_(places)))
    return len(old)


def host_with_id(connection: Connection, host_id: HostId) -> Host:
    """The host; raises `NotFound`."""
    row: Row[Any] | None = connection.execute(
        select(HOSTS).where(HOSTS.c.id == host_id)
    ).one_or_none()
    if row is None:
        raise no_host(host_id)
    return host_of(row)


def enrolment_with(connection: Connection, token_hash: str) -> Enrolment | None:
    """See `HostDirectory`."""
    query = select(ENROLMENTS).where(ENROLMENTS.c.token_hash == token_hash)
    row = connection.execute(query).one_or_none()
    return None if row is None else enrolment_of(row)


def _unrevoked(tx: Transaction, host_id: HostId) -> Host:
    host = host_with_id(tx.connection, host_id)
    if host.is_revoked:
        raise Conflict("host: it is revoked, and stays as it is")
    return host


def _add(tx: Transaction, host: Host, token_hash: str | None) -> None:
    same = select(HOSTS.c.id).where(HOSTS.c.id == host.id)
    if tx.connection.execute(same).first() is not None:
        raise Conflict(f"host: there is one with the id {host.id}")
    tx.write(insert(HOSTS), host_row(host, token_hash))
    _add_labels(tx, host.id, host.labels)


def _add_labels(tx: Transaction, host_id: HostId, labels: Labels) -> None:
    rows = [{"host_id": host_id, "key": key, "value": value} for key, value in labels.pairs]
    tx.repeat(_NEW_LABEL, rows)


def _require_free(tx: Transaction, name: HostName, *, but_for: HostId | None = None) -> None:
    named = select(HOSTS.c.id, HOSTS.c.name).where(
        HOSTS.c.name_key == name.key, HOSTS.c.revoked_at.is_(None)
    )
    row = tx.connection.execute(named).one_or_none()
    if row is not None and row.id != but_for:
        raise Conflict("name: it is taken")


def _require_unused(tx: Transaction, token_hash: str) -> None:
    with_token = select(HOSTS.c.id).where(HOSTS.c.token_hash == token_hash)
    if tx.connection.execute(with_token).first() is not None:
        raise Conflict("token: another host has it")
