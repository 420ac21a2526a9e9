"""The public key of a certificate, taken out by hand: as another reader finds it, and within bounds."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from adapters.api_client.errors import Misunderstood
from adapters.api_client.key_pins import pin_of, public_key_in


def der_of(kind: trustme.KeyType, *names: str) -> bytes:
    issued = trustme.CA(key_type=kind).issue_cert(*names, key_type=kind)
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


CERTIFICATES = [
    der_of(trustme.KeyType.ECDSA, "cp.example"),
    der_of(trustme.KeyType.RSA, "cp.example", "127.0.0.1", "::1"),
    der_of(trustme.KeyType.ECDSA, *(f"host-{number}.example" for number in range(4000))),
]


@pytest.mark.parametrize("der", CERTIFICATES, ids=["ecdsa", "rsa", "large"])
def test_it_is_what_another_reader_finds(der: bytes) -> None:
    key = x509.load_der_x509_certificate(der).public_key()
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert public_key_in(der) == info
    assert pin_of(der) == "sha256//" + base64.b64encode(hashlib.sha256(info).digest()).decode()


@given(st.binary(max_size=200))
def test_what_is_no_certificate_is_refused(der: bytes) -> None:
    with pytest.raises(Misunderstood):
        public_key_in(der)


@given(st.integers(0, len(CERTIFICATES[0]) - 1), st.integers(0, 255))
def test_one_that_is_spoilt_is_read_within_its_bounds_or_refused(at: int, byte: int) -> None:
    der = bytearray(CERTIFICATES[0])
    der[at] = byte
    with contextlib.suppress(Misunderstood):
        assert len(public_key_in(bytes(der))) <= len(der)


@given(st.integers(0, len(CERTIFICATES[0]) - 1))
def test_one_that_was_cut_is_refused(length: int) -> None:
    with pytest.raises(Misunderstood):
        public_key_in(CERTIFICATES[0][:length])
