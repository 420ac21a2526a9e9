"""The libraries that can do Ed25519, and which of them is taken."""

from __future__ import annotations

import _ssl
import ctypes
import ssl
import subprocess
import sys

import pytest

from adapters.identity import ed25519 as finding
from adapters.identity.cryptography_keys import CryptographyEd25519
from adapters.identity.ed25519 import Ed25519, NoEd25519, find_ed25519
from adapters.identity.openssl import OpenSslEd25519
from tests.contracts.ed25519 import ONE, Ed25519Contract

SYSTEMS = "libcrypto.so.3"


class TestTheOneThatSslHasLoaded(Ed25519Contract):
    @pytest.fixture
    def ed25519(self) -> Ed25519:
        return OpenSslEd25519(_ssl.__file__)

    def test_a_failure_leaves_nothing_behind_for_ssl_to_find(self, ed25519: Ed25519) -> None:
        assert isinstance(ed25519, OpenSslEd25519)
        peek = ctypes.CDLL(_ssl.__file__).ERR_peek_last_error
        peek.restype = ctypes.c_ulong
        assert not ed25519.is_signed(ONE.text, ONE.signature, b"\xff" * 32)
        assert not ed25519.is_signed(b"another", ONE.signature, ONE.public)
        assert peek() == 0


class TestTheSystems(Ed25519Contract):
    @pytest.fixture
    def ed25519(self) -> Ed25519:
        try:
            return OpenSslEd25519(SYSTEMS)
        except OSError:
            pytest.skip(f"this system has no {SYSTEMS}")


class TestCryptography(Ed25519Contract):
    @pytest.fixture
    def ed25519(self) -> Ed25519:
        return CryptographyEd25519()


class TestTheOneThatIsFound(Ed25519Contract):
    @pytest.fixture
    def ed25519(self) -> Ed25519:
        return find_ed25519()


def without(*names: str) -> str:
    """What finds a library in a new process that cannot load these, and says which."""
    return f"""
import ctypes, sys
hidden = {names!r}
class Hiding(ctypes.CDLL):
    def __init__(self, name, *more):
        if str(name).rpartition("/")[2].partition(".")[0] in hidden or "any" in hidden:
            raise OSError("hidden")
        super().__init__(name, *more)
        print(name)
ctypes.CDLL = Hiding
for name in hidden:
    sys.modules[name] = None
from adapters.identity.ed25519 import NoEd25519, find_ed25519
try:
    print(type(find_ed25519()).__name__)
except NoEd25519 as exc:
    print("NoEd25519", exc)
print("cryptography" in sys.modules)
"""


def found(*hidden: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", without(*hidden)], check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


def test_what_ssl_has_loaded_is_taken_first() -> None:
    assert found() == [_ssl.__file__, "OpenSslEd25519", "False"]


def test_a_python_with_openssl_built_in_takes_the_systems() -> None:
    """Where `_ssl` and `_hashlib` are no files, and the interpreter shows nothing of what it has."""
    lines = found("_ssl", "_hashlib")
    assert lines[0] == "None"  # Asked, and without it.
    assert lines[-3:-1] == [lines[-3], "OpenSslEd25519"]
    assert lines[-3].startswith("libcrypto.so")
    assert lines[-1] == "False"


def test_without_any_openssl_it_is_cryptography() -> None:
    assert found("any") == ["CryptographyEd25519", "True"]


def test_without_ctypes_it_is_cryptography() -> None:
    assert found("_ctypes", "adapters.identity.openssl") == ["CryptographyEd25519", "True"]


def test_without_anything_it_is_said_what_to_install() -> None:
    (line, _) = found("any", "cryptography")
    assert line.startswith("NoEd25519 no library with Ed25519 was found")


class Wrong:
    """One that says yes to everything."""

    def public_key_of(self, secret: bytes) -> bytes:
        return bytes(32)

    def sign(self, secret: bytes, text: bytes) -> bytes:
        return bytes(64)

    def is_signed(self, text: bytes, signature: bytes, public_key: bytes) -> bool:
        return True


class Without(Wrong):
    """One that was built without Ed25519."""

    def public_key_of(self, secret: bytes) -> bytes:
        raise RuntimeError


@pytest.mark.parametrize("library", [Wrong(), Without()])
def test_a_library_that_does_otherwise_than_the_rfc_is_not_taken(
    library: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_loaders", lambda: iter([lambda: library]))
    with pytest.raises(NoEd25519):
        find_ed25519()
    monkeypatch.setattr(finding, "_loaders", lambda: iter([lambda: library, CryptographyEd25519]))
    assert isinstance(find_ed25519(), CryptographyEd25519)


def test_it_signs_beside_tls() -> None:
    """Both use one OpenSSL, and its queue of errors."""
    ed25519 = find_ed25519()
    assert not ed25519.is_signed(ONE.text, ONE.signature, b"\xff" * 32)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="x.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
