"""Keys, enrolments and proofs of the control plane that tests use, read from docs/protocol-v2.md.

It shares no code with the agent: what is signed is put together here a second time.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.support.agent_frames import Message
from tests.support.peer_terms import LinkOver

PURPOSE: Final = "instadeploy.v2 {}"


@dataclass
class EnrolledHost:
    """A host that proves who it is by its key."""

    public_key: str
    is_revoked: bool = False


class PeerKeys:
    """Durable, like the database that has it."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.hosts: dict[str, EnrolledHost] = {}
        self.enrolments: list[str] = []
        """The ids of the hosts, once for each ENROLL that was answered."""
        self._tokens: dict[str, str | None] = {}

    @property
    def public_key(self) -> str:
        """As it is in CHALLENGE."""
        return _text_of(self._key.public_key().public_bytes_raw())

    @property
    def fingerprint(self) -> str:
        """What people compare."""
        return f"sha256:{hashlib.sha256(self._key.public_key().public_bytes_raw()).hexdigest()}"

    def new_token(self) -> str:
        """A token that makes a host, once."""
        token = secrets.token_urlsafe(32)
        self._tokens[token] = None
        return token

    def enroll(self, challenge_nonce: str, message: Message) -> Message:
        """Use a token up, and return the answer; raises `LinkOver` where it does not do."""
        public_key, nonce = message["public_key"], message["nonce"]
        token_hash = hashlib.sha256(message["token"].encode()).hexdigest()
        text = signed_text(
            "enroll", challenge_nonce, nonce, token_hash, public_key, self.public_key
        )
        if message["token"] not in self._tokens or not _is_signed(text, message, public_key):
            raise LinkOver(4401, "who are you?")
        host_id = self._tokens[message["token"]]
        if host_id is None:
            host_id = f"host-{secrets.token_hex(4)}"
            self._tokens[message["token"]] = host_id
            self.hosts[host_id] = EnrolledHost(public_key)
        elif self.hosts[host_id].public_key != public_key:
            raise LinkOver(4401, "the token was used")
        self.enrolments.append(host_id)
        signature = self.sign_enrolled(challenge_nonce, message, host_id)
        return {"type": "ENROLLED", "host_id": host_id, "signature": signature}

    def check_hello(self, challenge_nonce: str, hello: Message) -> None:
        """Raise `LinkOver` where a HELLO does not prove who says it."""
        host = self.hosts.get(hello.get("host_id", ""))
        if host is None:
            raise LinkOver(4401, "who are you?")
        text = signed_text(
            "hello",
            challenge_nonce,
            hello["nonce"],
            hello["host_id"],
            hello["epoch"],
            self.public_key,
        )
        if not _is_signed(text, hello, host.public_key):
            raise LinkOver(4401, "who are you?")
        if host.is_revoked:
            raise LinkOver(4403, "revoked")

    def sign_enrolled(self, challenge_nonce: str, enroll: Message, host_id: str) -> str:
        """The signature of an ENROLLED."""
        return self._sign(
            "enrolled", challenge_nonce, enroll["nonce"], host_id, enroll["public_key"]
        )

    def sign_welcome(self, challenge_nonce: str, hello: Message, welcome: Message) -> str:
        """The signature of a WELCOME."""
        return self._sign(
            "welcome",
            challenge_nonce,
            hello["nonce"],
            hello["host_id"],
            welcome["session"],
            welcome["epoch"],
        )

    def _sign(self, purpose: str, *fields: str) -> str:
        return _text_of(self._key.sign(signed_text(purpose, *fields)))


def signed_text(purpose: str, *fields: str) -> bytes:
    """Each field as the number of its bytes, in four, and its UTF-8."""
    text = b""
    for field in (PURPOSE.format(purpose), *fields):
        text += len(field.encode()).to_bytes(4, "big") + field.encode()
    return text


def _text_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _is_signed(text: bytes, message: Message, public_key: str) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
        key.verify(base64.b64decode(message.get("signature", "")), text)
    except (InvalidSignature, ValueError):
        return False
    return True
