"""Which hosts there are, and who may become one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.fleet.access import EVERYWHERE, Reach
from domain.fleet.audit import Noted
from domain.fleet.host import AgentReport, Enrolment, EnrolmentId, Host, HostId, HostName
from domain.fleet.labels import NO_LABELS, Labels, Selector
from domain.fleet.page import Page, PageRequest


@dataclass(frozen=True, slots=True)
class Revoked:
    """A host that was revoked, and the ids of the jobs that this has ended."""

    host: Host
    ended: tuple[str, ...] = ()


class HostDirectory(Protocol):
    """Hosts and enrolments; durability, errors and cancelling are as `JobStore` says.

    Tokens are known here by their SHA-256 in hex alone. A host is never forgotten: one that is
    revoked is found by its id, and stays as it is.
    """

    async def add_enrolment(
        self, enrolment: Enrolment, token_hash: str, noted: Noted | None = None
    ) -> None:
        """Keep it.

        Raises `Conflict` where a host, or an enrolment that is open when this one is made, has the
        name.
        """
        ...

    async def enrolments(self, page: PageRequest) -> Page[Enrolment]:
        """All, the newest first, also those that are used, withdrawn or over their time."""
        ...

    async def enrolment_with(self, token_hash: str) -> Enrolment | None:
        """The enrolment whose token this is, open or not; None where there is none, or none any more."""
        ...

    async def withdraw(self, enrolment_id: EnrolmentId, noted: Noted | None = None) -> None:
        """Make an unused one useless; harmless again. Raises `NotFound`; `Conflict` where it is used."""
        ...

    async def redeem(self, token_hash: str, host: Host, now: float, address: str = "") -> Host:
        """Use an enrolment up: its host exists from then on, with this id and public key.

        Name and labels are the enrolment's. With the token and the key of one that was used before,
        whenever that was, the host that it became is returned, also a revoked one: the agent did not
        hear the answer. Raises `Forbidden` where the token is unknown, also as its enrolment is
        forgotten, withdrawn, over its time, or was used with another key, all in one sentence; and
        `Conflict` where another host has this key, or had it when it was revoked, or where another
        host has taken the name since.
        """
        ...

    async def add(self, host: Host, token_hash: str, noted: Noted | None = None) -> None:
        """Add a host that uses a token. Raises `Conflict` where the name is taken."""
        ...

    async def host(self, host_id: HostId) -> Host:
        """Raises `NotFound`."""
        ...

    async def names(self, host_ids: Collection[HostId]) -> Mapping[HostId, str]:
        """What these hosts are called, revoked ones too; unknown ones are left out."""
        ...

    async def named(self, name_or_id: str) -> Host:
        """The host of an id, or else one that is not revoked of a name in whatever case.

        Raises `NotFound`.
        """
        ...

    async def with_token(self, token_hash: str) -> Host | None:
        """The host whose token this is, also a revoked one."""
        ...

    async def hosts(
        self,
        page: PageRequest,
        labels: Labels = NO_LABELS,
        *,
        with_revoked: bool = False,
        within: Reach = EVERYWHERE,
    ) -> Page[Host]:
        """Those that have all of the labels, by name in whatever case."""
        ...

    async def selected(self, selector: Selector, within: Reach = EVERYWHERE) -> Sequence[Host]:
        """The hosts that are meant, each once, without revoked ones.

        By name for labels, else as they are named.

        Raises `NotFound` that lists the names of which there is no host; `NotFound` too where no
        host has the labels.
        """
        ...

    async def change(
        self,
        host_id: HostId,
        *,
        name: HostName | None = None,
        labels: Labels | None = None,
        noted: Noted | None = None,
    ) -> Host:
        """Rename it, or replace all its labels, or both: all of it or nothing.

        Raises `NotFound`; `Conflict` where another host has the name, or this one is revoked.
        """
        ...

    async def set_token(self, host_id: HostId, token_hash: str, noted: Noted | None = None) -> Host:
        """Give a host that uses a token another one; the old one is worth nothing from then on.

        Raises `NotFound`, and `Conflict` for a host that uses a key, or is revoked.
        """
        ...

    async def revoke(self, host_id: HostId, at: float, noted: Noted | None = None) -> Revoked:
        """Let nobody connect as this host any more, and free its name. Again changes nothing.

        Its jobs that are not over end as failed, with the reason `revoked`, and nothing is outgoing to
        it any more. Raises `NotFound`.
        """
        ...

    async def suspect_clone(
        self, host_id: HostId, at: float | None, noted: Noted | None = None
    ) -> None:
        """Note that two machines come with one identity, or with None that this is settled.

        Raises `NotFound`.
        """
        ...

    async def note_reports(self, reports: Mapping[HostId, AgentReport]) -> None:
        """Keep what agents last said of themselves; of many hosts at once. Unknown ones are skipped."""
        ...

    async def forget_enrolments(self, expired_before: float, limit: int) -> int:
        """Forget at most `limit` enrolments whose time was over before; return how many.

        Also those that were used or withdrawn. The hosts that they became stay.
        """
        ...
