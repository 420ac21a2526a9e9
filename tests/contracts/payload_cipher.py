"""What every `PayloadCipher` must do."""

from __future__ import annotations

import pytest

from application.ports.payload_cipher import PayloadCipher
from domain.errors import StorageUnavailable

CONTENT = b"services: {web: {environment: {PASSWORD: correct horse}}}\n" * 3


class PayloadCipherContract:
    """Give the `cipher`, and `another` one that has another key."""

    @pytest.fixture
    def cipher(self) -> PayloadCipher:
        raise NotImplementedError

    @pytest.fixture
    def another(self) -> PayloadCipher:
        raise NotImplementedError

    @pytest.mark.parametrize("content", [b"", b"x", CONTENT, bytes(range(256)) * 4096])
    @pytest.mark.parametrize("context", ["dep_1", "", "☃\0\ud800"])
    def test_what_was_sealed_is_opened_for_the_same_context(
        self, cipher: PayloadCipher, content: bytes, context: str
    ) -> None:
        assert cipher.open(cipher.seal(content, context), context) == content

    def test_nothing_of_the_content_is_seen_nor_whether_it_is_the_same(
        self, cipher: PayloadCipher
    ) -> None:
        sealed = cipher.seal(CONTENT, "dep_1")
        assert b"correct horse" not in sealed
        assert sealed != cipher.seal(CONTENT, "dep_1")

    @pytest.mark.parametrize("context", ["dep_2", "", "dep_1 "])
    def test_it_is_not_opened_for_another_context(
        self, cipher: PayloadCipher, context: str
    ) -> None:
        sealed = cipher.seal(CONTENT, "dep_1")
        with pytest.raises(StorageUnavailable):
            cipher.open(sealed, context)

    def test_it_is_not_opened_under_another_key(
        self, cipher: PayloadCipher, another: PayloadCipher
    ) -> None:
        with pytest.raises(StorageUnavailable):
            another.open(cipher.seal(CONTENT, "dep_1"), "dep_1")

    def test_what_is_spoilt_anywhere_is_not_opened(self, cipher: PayloadCipher) -> None:
        sealed = cipher.seal(b"a secret", "dep_1")
        for place in range(len(sealed)):
            for bit in (1, 128):
                spoilt = bytearray(sealed)
                spoilt[place] ^= bit
                with pytest.raises(StorageUnavailable) as failure:
                    cipher.open(bytes(spoilt), "dep_1")
                assert "secret" not in str(failure.value)

    def test_what_is_cut_or_too_long_is_not_opened(self, cipher: PayloadCipher) -> None:
        sealed = cipher.seal(b"a secret", "dep_1")
        for length in range(len(sealed)):
            with pytest.raises(StorageUnavailable):
                cipher.open(sealed[:length], "dep_1")
        with pytest.raises(StorageUnavailable):
            cipher.open(sealed + b"\0", "dep_1")
