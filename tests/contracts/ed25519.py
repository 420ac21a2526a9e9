"""What every library that is used for Ed25519 must do. The vectors are those of RFC 8032, section 7.1."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

import pytest

from adapters.identity.ed25519 import Ed25519, KeySigner, KeyVerifier
from domain.identity import encoded, key_of, signature_of

ORDER: Final = 2**252 + 27742317777372353535851937790883648493


class Vector(NamedTuple):
    secret: bytes
    public: bytes
    text: bytes
    signature: bytes


def _vector(secret: str, public: str, text: str, signature: str) -> Vector:
    return Vector(*map(bytes.fromhex, (secret, public, text, signature)))


VECTORS: Final = [
    _vector(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
        "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    _vector(
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    _vector(
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    _vector(
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]
ONE: Final = VECTORS[0]


class Ed25519Contract:
    """Give the `ed25519`."""

    @pytest.fixture
    def ed25519(self) -> Ed25519:
        raise NotImplementedError

    @pytest.mark.parametrize("vector", VECTORS, ids=["empty", "one byte", "two bytes", "a hash"])
    def test_it_does_what_the_rfc_says(self, ed25519: Ed25519, vector: Vector) -> None:
        assert ed25519.public_key_of(vector.secret) == vector.public
        assert ed25519.sign(vector.secret, vector.text) == vector.signature
        assert ed25519.is_signed(vector.text, vector.signature, vector.public)

    @pytest.mark.parametrize("size", [0, 1, 1023, 1024, 200_000])
    def test_texts_of_all_lengths_are_signed(self, ed25519: Ed25519, size: int) -> None:
        secret, text = os.urandom(32), os.urandom(size)
        public, signature = ed25519.public_key_of(secret), ed25519.sign(secret, text)
        assert ed25519.is_signed(text, signature, public)
        assert not ed25519.is_signed(text + b"\0", signature, public)

    def test_any_bit_that_is_changed_is_noticed(self, ed25519: Ed25519) -> None:
        for place in range(0, 64 * 8, 7):
            changed = flipped(ONE.signature, place)
            assert not ed25519.is_signed(ONE.text, changed, ONE.public)
        for place in range(0, 32 * 8, 5):
            assert not ed25519.is_signed(ONE.text, ONE.signature, flipped(ONE.public, place))

    def test_a_signature_is_nobody_elses(self, ed25519: Ed25519) -> None:
        other = ed25519.public_key_of(VECTORS[1].secret)
        assert not ed25519.is_signed(ONE.text, ONE.signature, other)

    def test_a_signature_has_no_second_form(self, ed25519: Ed25519) -> None:
        """RFC 8032, section 5.1.7: S is below the order of the group."""
        s = int.from_bytes(ONE.signature[32:], "little") + ORDER
        assert not ed25519.is_signed(
            ONE.text, ONE.signature[:32] + s.to_bytes(32, "little"), ONE.public
        )

    @pytest.mark.parametrize("key", [bytes([2]) + bytes(31), b"\xff" * 32])
    def test_what_is_no_point_has_signed_nothing(self, ed25519: Ed25519, key: bytes) -> None:
        assert not ed25519.is_signed(ONE.text, ONE.signature, key)

    @pytest.mark.parametrize("size", [0, 1, 63, 65, 4096])
    def test_what_is_no_signature_is_none(self, ed25519: Ed25519, size: int) -> None:
        assert not ed25519.is_signed(ONE.text, bytes(size), ONE.public)

    @pytest.mark.parametrize("size", [0, 31, 33])
    def test_a_secret_of_another_length_is_refused(self, ed25519: Ed25519, size: int) -> None:
        with pytest.raises(ValueError, match="32"):
            ed25519.sign(bytes(size), b"text")

    def test_a_signer_speaks_base64(self, ed25519: Ed25519) -> None:
        signer = KeySigner(ed25519, ONE.secret)
        assert key_of(signer.public_key) == ONE.public
        assert signature_of(signer.sign(ONE.text)) == ONE.signature
        assert signer.is_signed(ONE.text, encoded(ONE.signature), encoded(ONE.public))

    @pytest.mark.parametrize(
        ("signature", "key"),
        [
            ("", encoded(ONE.public)),
            (encoded(ONE.signature), ""),
            (encoded(ONE.signature)[:-2], encoded(ONE.public)),
            (encoded(ONE.signature) + "\n", encoded(ONE.public)),
            (encoded(ONE.signature), encoded(ONE.public)[:-1]),
            (encoded(ONE.signature), "é" * 44),
            (encoded(ONE.public), encoded(ONE.signature)),
        ],
    )
    def test_what_is_no_base64_of_the_right_length_has_signed_nothing(
        self, ed25519: Ed25519, signature: str, key: str
    ) -> None:
        assert not KeyVerifier(ed25519).is_signed(ONE.text, signature, key)


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)
