"""Hosts and enrolments as rows, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from adapters.storage.job_rows import by_values
from adapters.storage.statements import among
from adapters.storage.tables import HOSTS
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

_NAMES: Final = select(HOSTS.c.id, HOSTS.c.name).where(among(HOSTS.c.id))


def host_row(host: Host, token_hash: str | None) -> dict[str, object]:
    """The row of a host that is new."""
    return {
        "id": host.id,
        "name": host.name.value,
        "name_key": host.name.key,
        "labels": host.labels.as_mapping(),
        "credential": host.credential,
        "created_at": host.created_at,
        "public_key": host.public_key,
        "token_hash": token_hash,
        "revoked_at": host.revoked_at,
        "clone_suspected_at": host.clone_suspected_at,
        "report": None if host.report is None else report_document(host.report),
    }


def host_of(row: Row[Any]) -> Host:
    """The host of a row of `HOSTS`."""
    return Host(
        id=HostId(row.id),
        name=HostName(row.name),
        labels=Labels.of(row.labels),
        credential=Credential(row.credential),
        created_at=row.created_at,
        public_key=row.public_key,
        revoked_at=row.revoked_at,
        clone_suspected_at=row.clone_suspected_at,
        report=None if row.report is None else _report_of(row.report),
    )


def report_document(report: AgentReport) -> dict[str, object]:
    """What is kept of a report; fields may be added to it, with a default for those that lack them."""
    return {
        "protocol": report.protocol,
        "version": report.version,
        "architecture": report.architecture,
        "hostname": report.hostname,
        "address": report.address,
        "connected_at": report.connected_at,
        "last_seen_at": report.last_seen_at,
        "facts": report.facts,
    }


def enrolment_row(enrolment: Enrolment, place: int, token_hash: str) -> dict[str, object]:
    """The row of an enrolment that is new."""
    return {
        "place": place,
        "id": enrolment.id,
        "name": enrolment.name.value,
        "name_key": enrolment.name.key,
        "labels": enrolment.labels.as_mapping(),
        "token_hash": token_hash,
        "created_at": enrolment.created_at,
        "expires_at": enrolment.expires_at,
        "created_by": enrolment.created_by,
        "used_at": enrolment.used_at,
        "host_id": enrolment.host_id,
        "is_withdrawn": enrolment.is_withdrawn,
    }


def enrolment_of(row: Row[Any]) -> Enrolment:
    """The enrolment of a row of `ENROLMENTS`."""
    return Enrolment(
        id=EnrolmentId(row.id),
        name=HostName(row.name),
        labels=Labels.of(row.labels),
        created_at=row.created_at,
        expires_at=row.expires_at,
        created_by=row.created_by,
        used_at=row.used_at,
        host_id=None if row.host_id is None else HostId(row.host_id),
        is_withdrawn=row.is_withdrawn,
    )


def _report_of(document: Mapping[str, Any]) -> AgentReport:
    return AgentReport(
        protocol=document["protocol"],
        version=document["version"],
        architecture=document["architecture"],
        hostname=document["hostname"],
        address=document["address"],
        connected_at=document["connected_at"],
        last_seen_at=document["last_seen_at"],
        facts=document["facts"],
    )


def names_of(connection: Connection, host_ids: Iterable[HostId]) -> dict[HostId, str]:
    """What hosts are called, also revoked ones; unknown ones are left out."""
    return {
        HostId(row.id): row.name
        for some in by_values(host_ids)
        for row in connection.execute(_NAMES, {"some": some})
    }
