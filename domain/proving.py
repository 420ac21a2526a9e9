"""How an agent proves who it is on one link, and has the control plane prove who it is. Sans-I/O."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final, Protocol

from domain.identity import (
    Membership,
    enroll_text,
    enrolled_text,
    fingerprint_of,
    hello_text,
    is_pinned,
    key_of,
    token_hash_of,
    welcome_text,
)
from domain.link_messages import Challenge, Enroll, Enrolled, Hello, Welcome
from domain.session_effects import Distrust, Pin

_NO_KEY: Final = "the control plane shows no key, and this host has to do with one that has"
_SIGNED_WRONG: Final = (
    "the control plane has not proven that it has its key: the signature in {} is {}"
)


@dataclass(frozen=True, slots=True)
class Introduction:
    """What an agent says of itself that is in no ledger. `nonce` is fresh for each link."""

    nonce: str
    version: str
    architecture: str
    hostname: str
    capabilities: tuple[str, ...] = ("output", "cancel")


class Keys(Protocol):
    """What is needed of the agent's key."""

    @property
    def public_key(self) -> str:
        """The agent's."""
        ...

    def sign(self, text: bytes) -> str:
        """With the agent's key."""
        ...

    def is_signed(self, text: bytes, signature: str, public_key: str) -> bool:
        """Whether it is a signature of that key; False, too, for what is none."""
        ...


class Proof(Protocol):
    """One link's; what is wrong with the control plane is a `Distrust`."""

    @property
    def is_enrolling(self) -> bool:
        """Whether ENROLL has to be said, and answered, before HELLO."""
        ...

    def meet(self, challenge: Challenge) -> Distrust | None:
        """Look at who asks."""
        ...

    def enroll(self, who: Introduction) -> Enroll:
        """What to say to become a host."""
        ...

    def accept(self, enrolled: Enrolled) -> Pin | Distrust:
        """Look at the answer; what is pinned is in force from now on."""
        ...

    def sign(self, hello: Hello) -> Hello:
        """Make a HELLO one that proves who says it."""
        ...

    def doubt(self, welcome: Welcome) -> Distrust | None:
        """Look at whether WELCOME proves who says it."""
        ...


class ByToken:
    """The bearer token in the upgrade request is all the proof there is, and the agent's alone."""

    is_enrolling = False

    def meet(self, _challenge: Challenge) -> None:
        """See `Proof`."""

    def enroll(self, _who: Introduction) -> Enroll:
        """See `Proof`; never asked for."""
        raise AssertionError("an agent that uses a bearer token enrols nowhere")

    def accept(self, _enrolled: Enrolled) -> Distrust:
        """See `Proof`."""
        return Distrust("the control plane answers an ENROLL that was not sent")

    def sign(self, hello: Hello) -> Hello:
        """See `Proof`."""
        return hello

    def doubt(self, _welcome: Welcome) -> None:
        """See `Proof`."""


class ByKey:
    """By signatures of both sides.

    Without a `membership` the agent enrols first, with `token`, at the control plane that it meets:
    it has to have the key that `pin` is or is the fingerprint of, or where that is None, any.
    """

    def __init__(
        self, keys: Keys, membership: Membership | None, *, token: str = "", pin: str | None = None
    ) -> None:
        self._keys = keys
        self._membership = membership
        self._token = token
        self._pin = pin if membership is None else membership.control_plane_key
        self._peer_key = ""
        self._challenge_nonce = ""
        self._nonce = ""
        """Of what was said last and is to be answered; empty where there is nothing to answer."""

    @property
    def is_enrolling(self) -> bool:
        """See `Proof`."""
        return self._membership is None

    def meet(self, challenge: Challenge) -> Distrust | None:
        """See `Proof`."""
        key = challenge.public_key
        if key_of(key) is None:
            return Distrust(_NO_KEY)
        if self._pin is not None and not is_pinned(self._pin, key):
            wanted = self._pin if key_of(self._pin) is None else fingerprint_of(self._pin)
            return Distrust(
                f"the control plane shows the key {fingerprint_of(key)}, and this host has to do "
                f"with {wanted}"
            )
        self._peer_key, self._challenge_nonce = key, challenge.nonce
        return None

    def enroll(self, who: Introduction) -> Enroll:
        """See `Proof`."""
        self._nonce = who.nonce
        own = self._keys.public_key
        text = enroll_text(
            self._challenge_nonce, who.nonce, token_hash_of(self._token), own, self._peer_key
        )
        return Enroll(
            nonce=who.nonce,
            token=self._token,
            public_key=own,
            signature=self._keys.sign(text),
            version=who.version,
            architecture=who.architecture,
            hostname=who.hostname,
        )

    def accept(self, enrolled: Enrolled) -> Pin | Distrust:
        """See `Proof`."""
        text = enrolled_text(
            self._challenge_nonce, self._nonce, enrolled.host_id, self._keys.public_key
        )
        if not self._is_proven(text, enrolled.signature):
            return Distrust(_SIGNED_WRONG.format("ENROLLED", "wrong"))
        self._nonce = ""
        self._membership = Membership(enrolled.host_id, self._peer_key)
        return Pin(self._membership)

    def sign(self, hello: Hello) -> Hello:
        """See `Proof`."""
        assert self._membership is not None
        self._nonce = hello.nonce
        host_id = self._membership.host_id
        text = hello_text(self._challenge_nonce, hello.nonce, host_id, hello.epoch, self._peer_key)
        return dataclasses.replace(hello, host_id=host_id, signature=self._keys.sign(text))

    def doubt(self, welcome: Welcome) -> Distrust | None:
        """See `Proof`."""
        assert self._membership is not None
        text = welcome_text(
            self._challenge_nonce,
            self._nonce,
            self._membership.host_id,
            welcome.session,
            welcome.epoch,
        )
        if self._is_proven(text, welcome.signature):
            return None
        return Distrust(
            _SIGNED_WRONG.format("WELCOME", "wrong" if welcome.signature else "missing")
        )

    def _is_proven(self, text: bytes, signature: str) -> bool:
        return bool(self._nonce) and self._keys.is_signed(text, signature, self._peer_key)
