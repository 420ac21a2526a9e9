"""Ed25519 (RFC 8032), from the library that costs least of those that are there.

The agent has `ssl` loaded, and with it OpenSSL, which can do all of it: through ctypes that costs a
third of a megabyte, where `cryptography` costs more than seven (docs/adr/0030). Some Pythons have
OpenSSL built in and show nothing of it; there the system's own is taken, and after that
`cryptography`, where it is installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Protocol

from domain.identity import encoded, key_of, signature_of

_SONAMES: Final = ("libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.so")

# RFC 8032, section 7.1, test 3.
_SECRET: Final = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
_PUBLIC: Final = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
_TEXT: Final = bytes.fromhex("af82")
_SIGNATURE: Final = bytes.fromhex(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)


class NoEd25519(Exception):
    """Nothing that is installed here can sign."""

    def __init__(self) -> None:
        super().__init__(
            "no library with Ed25519 was found for a key of this host's own: install OpenSSL's "
            "libcrypto, 1.1.1 or later, or the package 'cryptography' beside the agent"
        )


class Ed25519(Protocol):
    """A library. Secrets and public keys have 32 bytes, signatures 64."""

    def public_key_of(self, secret: bytes) -> bytes:
        """The public key that belongs to a secret, which may be any 32 bytes."""
        ...

    def sign(self, secret: bytes, text: bytes) -> bytes:
        """Sign; the same text gets the same signature."""
        ...

    def is_signed(self, text: bytes, signature: bytes, public_key: bytes) -> bool:
        """Whether the signature is of the text and by the key; False, too, for what is no point."""
        ...


class KeyVerifier:
    """See `Verifier`."""

    def __init__(self, ed25519: Ed25519) -> None:
        self._ed25519 = ed25519

    def is_signed(self, text: bytes, signature: str, public_key: str) -> bool:
        """See `Verifier`."""
        key, signed = key_of(public_key), signature_of(signature)
        if key is None or signed is None:
            return False
        return self._ed25519.is_signed(text, signed, key)


class KeySigner(KeyVerifier):
    """See `Signer`; with the secret that it is given."""

    def __init__(self, ed25519: Ed25519, secret: bytes) -> None:
        super().__init__(ed25519)
        self._secret = secret
        self._public_key = encoded(ed25519.public_key_of(secret))

    @property
    def public_key(self) -> str:
        """See `Signer`."""
        return self._public_key

    def sign(self, text: bytes) -> str:
        """See `Signer`."""
        return encoded(self._ed25519.sign(self._secret, text))


def find_ed25519() -> Ed25519:
    """The first library that does what RFC 8032 says; raises `NoEd25519` where there is none."""
    for load in _loaders():
        try:
            found = load()
        except (ImportError, OSError, AttributeError):
            continue
        if _does_as_it_should(found):
            return found
    raise NoEd25519


def _loaders() -> Iterator[Callable[[], Ed25519]]:
    yield from (partial(_openssl_of, module) for module in ("_ssl", "_hashlib"))
    yield partial(_openssl, None)  # Built into the interpreter, and not hidden.
    yield from (partial(_openssl, name) for name in _SONAMES)
    yield _cryptography


def _openssl_of(module: str) -> Ed25519:
    """What a module of Python's has loaded: a shared object is asked for what its libraries have."""
    return _openssl(importlib.import_module(module).__file__)


def _openssl(library: str | None) -> Ed25519:
    from adapters.identity.openssl import OpenSslEd25519  # noqa: PLC0415 - Not in every Python.

    return OpenSslEd25519(library)


def _cryptography() -> Ed25519:
    # Imported last, and only here: it is large, and no agent has to have it.
    from adapters.identity.cryptography_keys import CryptographyEd25519  # noqa: PLC0415

    return CryptographyEd25519()


def _does_as_it_should(found: Ed25519) -> bool:
    """Whether it passes a test of the RFC: a library may be built without, or be another's."""
    try:
        return (
            found.public_key_of(_SECRET) == _PUBLIC
            and found.sign(_SECRET, _TEXT) == _SIGNATURE
            and found.is_signed(_TEXT, _SIGNATURE, _PUBLIC)
            and not found.is_signed(_TEXT + b"\0", _SIGNATURE, _PUBLIC)
        )
    except RuntimeError:
        return False
