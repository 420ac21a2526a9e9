"""Ed25519 from `cryptography`: what the control plane uses, and an agent where nothing else is."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class CryptographyEd25519:
    """See `Ed25519`. All methods raise `RuntimeError` where its OpenSSL is built without."""

    def public_key_of(self, secret: bytes) -> bytes:
        """See `Ed25519`."""
        return _private(secret).public_key().public_bytes_raw()

    def sign(self, secret: bytes, text: bytes) -> bytes:
        """See `Ed25519`."""
        return _private(secret).sign(text)

    def is_signed(self, text: bytes, signature: bytes, public_key: bytes) -> bool:
        """See `Ed25519`."""
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
        except InvalidSignature:
            return False
        except UnsupportedAlgorithm as exc:
            raise RuntimeError("cryptography does not do Ed25519 here") from exc
        return True


# To make a key of its secret takes longer than to sign with it, and most have one of their own.
@lru_cache(maxsize=2)
def _private(secret: bytes) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(secret)
    except UnsupportedAlgorithm as exc:
        raise RuntimeError("cryptography does not do Ed25519 here") from exc
