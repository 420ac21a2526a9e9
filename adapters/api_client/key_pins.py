"""What pins a server for `curl --pinnedpubkey`: the SHA-256 of its certificate's public key.

It is of the certificate that this client sees on its own connection, and verifies with its own trust. The
key is taken out of the certificate here, and not by `cryptography`: that comes with the command line on
Linux alone, through keyring, and would be all of a library for seven steps. OpenSSL has read and verified
the certificate by then; what is no certificate is refused all the same.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Final

import httpx

from adapters.api_client.client import checked_url, trusting
from adapters.api_client.errors import Misunderstood
from adapters.api_client.sending import CONNECT_S, translated

ANSWER_S: Final = 30.0

_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_VERSION: Final = 0xA0
_LONG_FORM: Final = 0x80
_MOST_LENGTH_BYTES: Final = 3
_BEFORE_THE_KEY: Final = 4
"""Signature algorithm, issuer, validity, subject."""


async def key_pin_of(url: str, *, ca_file: Path | None, agent: str) -> str | None:
    """The pin of who serves `url`, as `sha256//BASE64`; None where that is not over TLS.

    Nothing but a question for the headers is sent there, and no token. Raises `ApiFailure` where it
    cannot be reached or trusted or does not serve that, and `InvalidInput`.
    """
    limits = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
    async with httpx.AsyncClient(
        verify=trusting(ca_file),
        timeout=limits,
        follow_redirects=False,
        headers={"User-Agent": agent},
    ) as http:
        with translated(ANSWER_S):
            async with http.stream("HEAD", checked_url(url)) as response:
                if not response.is_success:
                    raise Misunderstood(f"{url} is answered with HTTP {response.status_code}")
                tls = response.extensions["network_stream"].get_extra_info("ssl_object")
                certificate = None if tls is None else tls.getpeercert(binary_form=True)
    if certificate is None:
        if url.lower().startswith("https:"):
            raise Misunderstood(f"{url} shows no certificate")
        return None
    return pin_of(certificate)


def pin_of(certificate: bytes) -> str:
    """The pin of a certificate in DER. Raises `Misunderstood` for what is none."""
    digest = hashlib.sha256(public_key_in(certificate)).digest()
    return f"sha256//{base64.b64encode(digest).decode()}"


def public_key_in(certificate: bytes) -> bytes:
    """Its SubjectPublicKeyInfo, in DER (RFC 5280, 4.1). Raises `Misunderstood`."""
    whole, _ = _content(certificate, 0, len(certificate), _SEQUENCE)
    at, end = _content(certificate, whole, len(certificate), _SEQUENCE)
    if at < end and certificate[at] == _VERSION:
        at = _content(certificate, at, end, _VERSION)[1]
    at = _content(certificate, at, end, _INTEGER)[1]
    for _ in range(_BEFORE_THE_KEY):
        at = _content(certificate, at, end, _SEQUENCE)[1]
    return certificate[at : _content(certificate, at, end, _SEQUENCE)[1]]


def _content(der: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Where the content of the value that stands there begins and ends."""
    if end - at < 2 or der[at] != tag:  # noqa: PLR2004 - a tag and a length
        raise _no_certificate()
    length, start = der[at + 1], at + 2
    if length >= _LONG_FORM:
        count = length - _LONG_FORM
        if not 0 < count <= _MOST_LENGTH_BYTES or end - start < count:
            raise _no_certificate()
        length, start = int.from_bytes(der[start : start + count], "big"), start + count
    if end - start < length:
        raise _no_certificate()
    return start, start + length


def _no_certificate() -> Misunderstood:
    return Misunderstood("what the server shows is no certificate that can be read")
