"""Hosts, and leave to become one."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.api_client.documents import Enrolment, Host, NewEnrolment
from adapters.api_client.resources import Resource, part


class HostsApi(Resource):
    """/api/v1/hosts and /api/v1/enrolments. `host` is a name or an id."""

    async def listed(
        self, labels: Mapping[str, str] | None = None, *, with_revoked: bool = False
    ) -> list[Host]:
        """All hosts that have all of these labels, by name."""
        query = [("label", f"{key}={value}") for key, value in (labels or {}).items()]
        if with_revoked:
            query.append(("with_revoked", "true"))
        found: list[Host] = await self._list("/hosts", query)
        return found

    async def show(self, host: str) -> Host:
        """One host."""
        found: Host = await self._get(f"/hosts/{part(host)}")
        return found

    async def change(
        self, host: str, *, name: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Host:
        """Rename it, or replace all of its labels."""
        body = {"name": name, "labels": None if labels is None else dict(labels)}
        given = {key: value for key, value in body.items() if value is not None}
        found: Host = await self._change("PATCH", f"/hosts/{part(host)}", given)
        return found

    async def revoke(self, host: str) -> Host:
        """Let nobody connect as it any more, for good."""
        found: Host = await self._change("POST", f"/hosts/{part(host)}/revoke")
        return found

    async def enrol(
        self, name: str, labels: Mapping[str, str], *, ttl_s: float | None = None
    ) -> NewEnrolment:
        """Let a machine become a host; never repeated, as the answer has a secret."""
        body: dict[str, object] = {"name": name, "labels": dict(labels)}
        if ttl_s is not None:
            body["ttl_s"] = ttl_s
        made: NewEnrolment = await self._change("POST", "/enrolments", body)
        return made

    async def withdraw(self, enrolment_id: str) -> None:
        """Make an enrolment that was not used worth nothing."""
        await self._change("DELETE", f"/enrolments/{part(enrolment_id)}")

    async def enrolments(self, *, limit: int | None = None) -> list[Enrolment]:
        """The newest first."""
        found: list[Enrolment] = await self._list("/enrolments", limit=limit)
        return found
