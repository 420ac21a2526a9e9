"""Who this agent says it is, and how it proves that: by a bearer token, or by a key of the host's own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from application.ports.host import Host
from application.ports.identity import HostIdentity
from domain.identity import Membership, fingerprint_of
from domain.proving import ByKey, ByToken, Introduction, Proof

logger = logging.getLogger(__name__)

WHAT_TO_CHECK: Final = (
    "somebody may stand between this host and its control plane: check SERVER_URL and "
    "AGENT_CONTROL_PLANE_KEY; only where the control plane was set up anew, enrol this host anew, "
    "which is to remove identity.json from AGENT_STATE_DIR and to set a fresh AGENT_ENROLL_TOKEN"
)


def introducing(host: Host, new_nonce: Callable[[], str]) -> Callable[[], Introduction]:
    """What makes an introduction for a new link."""

    def introduce() -> Introduction:
        facts = host.facts()
        return Introduction(new_nonce(), facts.agent_version, facts.architecture, facts.hostname)

    return introduce


class Credential(Protocol):
    """What all links of this agent have in common in that."""

    @property
    def needs_v2(self) -> bool:
        """Whether it proves nothing over protocol v1."""
        ...

    def proof(self) -> Proof:
        """The proof for a new link."""
        ...

    async def pin(self, membership: Membership) -> None:
        """Make durable who this host is. Raises `StorageUnavailable`."""
        ...

    def facts(self) -> Mapping[str, object]:
        """What may be told of it; nothing secret."""
        ...


class BearerToken:
    """The transport sends it with each upgrade request."""

    needs_v2 = False

    def proof(self) -> Proof:
        """See `Credential`."""
        return ByToken()

    async def pin(self, _membership: Membership) -> None:
        """See `Credential`."""
        raise AssertionError("a bearer token is enrolled nowhere")

    def facts(self) -> Mapping[str, object]:
        """See `Credential`."""
        return {"proof": "token"}


class HostKey:
    """Enrolled with `token` where it is not yet, at a control plane that has the key `pin`, if given."""

    needs_v2 = True

    def __init__(self, identity: HostIdentity, *, token: str = "", pin: str | None = None) -> None:
        self._identity = identity
        self._token = token
        self._pin = pin

    def proof(self) -> Proof:
        """See `Credential`."""
        membership = self._identity.membership
        return ByKey(self._identity, membership, token=self._token, pin=self._pin)

    async def pin(self, membership: Membership) -> None:
        """See `Credential`."""
        await self._identity.pin(membership)
        self._token = ""
        logger.info(
            "this host is enrolled as %s, with the key %s; its control plane has the key %s. "
            "AGENT_ENROLL_TOKEN is not needed any more",
            membership.host_id,
            fingerprint_of(self._identity.public_key),
            fingerprint_of(membership.control_plane_key),
        )

    def facts(self) -> Mapping[str, object]:
        """See `Credential`."""
        known: dict[str, object] = {
            "proof": "key",
            "fingerprint": fingerprint_of(self._identity.public_key),
        }
        if (membership := self._identity.membership) is not None:
            known["host_id"] = membership.host_id
            known["control_plane"] = fingerprint_of(membership.control_plane_key)
        return known
