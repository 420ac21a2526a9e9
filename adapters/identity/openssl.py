"""Ed25519 from OpenSSL's libcrypto (1.1.1 or later), or one that is called alike, through ctypes."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p
from typing import Any, Final

from domain.identity import KEY_BYTES, SIGNATURE_BYTES

_ED25519: Final = 1087
"""NID_ED25519, which is EVP_PKEY_ED25519: part of the binary interface."""
_SUCCESS: Final = 1


class OpenSslEd25519:
    """See `Ed25519`. `library` is the name of a shared object, or None for what is loaded already.

    Raises `OSError` where it cannot be loaded, and `AttributeError` where it is no libcrypto. All
    methods raise `RuntimeError` where OpenSSL does not do what is asked, as one without Ed25519.
    """

    def __init__(self, library: str | None) -> None:
        crypto = ctypes.CDLL(library)

        def function(name: str, result: Any, *arguments: Any) -> Any:
            found = crypto[name]  # An object of our own: the types are not for others' use of it.
            found.restype, found.argtypes = result, arguments
            return found

        key = (c_int, c_void_p, c_char_p, c_size_t)
        length = POINTER(c_size_t)
        init = (c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)
        self._new_private = function("EVP_PKEY_new_raw_private_key", c_void_p, *key)
        self._new_public = function("EVP_PKEY_new_raw_public_key", c_void_p, *key)
        self._raw_public = function(
            "EVP_PKEY_get_raw_public_key", c_int, c_void_p, c_char_p, length
        )
        self._free_key = function("EVP_PKEY_free", None, c_void_p)
        self._new_context = function("EVP_MD_CTX_new", c_void_p)
        self._free_context = function("EVP_MD_CTX_free", None, c_void_p)
        self._sign_init = function("EVP_DigestSignInit", c_int, *init)
        self._sign = function(
            "EVP_DigestSign", c_int, c_void_p, c_char_p, length, c_char_p, c_size_t
        )
        self._verify_init = function("EVP_DigestVerifyInit", c_int, *init)
        self._verify = function(
            "EVP_DigestVerify", c_int, c_void_p, c_char_p, c_size_t, c_char_p, c_size_t
        )
        self._clear_errors = function("ERR_clear_error", None)

    def public_key_of(self, secret: bytes) -> bytes:
        """See `Ed25519`."""
        with self._key(self._new_private, secret) as key:
            public_key = ctypes.create_string_buffer(KEY_BYTES)
            length = c_size_t(KEY_BYTES)
            _check(self._raw_public(key, public_key, byref(length)))
            return public_key.raw

    def sign(self, secret: bytes, text: bytes) -> bytes:
        """See `Ed25519`."""
        with self._key(self._new_private, secret) as key, self._context() as context:
            _check(self._sign_init(context, None, None, None, key))
            signature = ctypes.create_string_buffer(SIGNATURE_BYTES)
            length = c_size_t(SIGNATURE_BYTES)
            _check(self._sign(context, signature, byref(length), text, len(text)))
            return signature.raw

    def is_signed(self, text: bytes, signature: bytes, public_key: bytes) -> bool:
        """See `Ed25519`."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        with self._key(self._new_public, public_key) as key, self._context() as context:
            _check(self._verify_init(context, None, None, None, key))
            verdict = self._verify(context, signature, SIGNATURE_BYTES, text, len(text))
            return bool(verdict == _SUCCESS)

    @contextlib.contextmanager
    def _key(self, new: Any, raw: bytes) -> Iterator[int]:
        if len(raw) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, and not {len(raw)}")
        try:
            key = _there(new(_ED25519, None, raw, KEY_BYTES))
            try:
                yield key
            finally:
                self._free_key(key)
        finally:
            # `ssl` takes what it finds in this thread's queue of errors for its own.
            self._clear_errors()

    @contextlib.contextmanager
    def _context(self) -> Iterator[int]:
        context = _there(self._new_context())
        try:
            yield context
        finally:
            self._free_context(context)


def _there(pointer: int | None) -> int:
    if pointer is None:
        raise RuntimeError("OpenSSL does not do Ed25519 here")
    return pointer


def _check(result: int) -> None:
    if result != _SUCCESS:
        raise RuntimeError("OpenSSL failed in the middle of Ed25519")
