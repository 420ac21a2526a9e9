"""Where tokens are kept: a keyring where one is usable, otherwise a file."""

from __future__ import annotations

import threading
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringError, PasswordDeleteError

from adapters.contexts.context_file import Context, ContextFile
from adapters.contexts.token_stores import (
    FileTokens,
    KeyringTokens,
    TokenStore,
    is_keyring_usable,
    put_new,
    store_of,
)
from domain.errors import InvalidInput, StorageUnavailable

ONE = Context("prod", "https://cp.example")
OTHER = Context("test", "https://other.example")


class MemoryKeyring(KeyringBackend):
    """A keyring of this test's own."""

    priority = 5.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}
        self.is_locked = False

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.is_locked:
            raise KeyringError(f"cannot keep {password}")
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.kept:
            raise PasswordDeleteError
        del self.kept[service, username]


@pytest.fixture
def ring() -> object:
    before = keyring.get_keyring()
    ring = MemoryKeyring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


@pytest.fixture(params=["file", "keyring"])
def store(request: pytest.FixtureRequest, tmp_path: Path, ring: MemoryKeyring) -> TokenStore:
    return FileTokens(tmp_path / "config") if request.param == "file" else KeyringTokens()


class TestAnyStore:
    def test_it_keeps_one_token_for_each_context(self, store: TokenStore) -> None:
        assert store.get(ONE) is None
        store.put(ONE, "ida_1")
        store.put(OTHER, "ida_2")
        store.put(ONE, "ida_3")
        assert (store.get(ONE), store.get(OTHER)) == ("ida_3", "ida_2")
        store.remove(ONE)
        store.remove(ONE)
        assert (store.get(ONE), store.get(OTHER)) == (None, "ida_2")

    def test_a_context_that_goes_elsewhere_has_none(self, store: TokenStore) -> None:
        store.put(ONE, "ida_1")
        assert store.get(Context(ONE.name, "https://evil.example")) is None

    def test_forgetting_where_there_is_nothing(self, store: TokenStore) -> None:
        store.remove(ONE)


class TestWhichStore:
    def test_a_keyring_that_is_usable(self, ring: MemoryKeyring, tmp_path: Path) -> None:
        assert put_new("auto", tmp_path, ONE, "ida_1") == "keyring"
        assert list(ring.kept.values()) == ["ida_1"]
        assert list(tmp_path.iterdir()) == []

    def test_without_one_a_file(self, ring: MemoryKeyring, tmp_path: Path) -> None:
        keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
        assert not is_keyring_usable()
        assert put_new("auto", tmp_path, ONE, "ida_1") == "file"
        assert store_of(Context("prod", ONE.url, token_store="file"), tmp_path).get(ONE) == "ida_1"

    def test_one_that_fails_is_done_without(self, ring: MemoryKeyring, tmp_path: Path) -> None:
        ring.is_locked = True
        assert put_new("auto", tmp_path, ONE, "ida_1") == "file"
        with pytest.raises(StorageUnavailable, match="INSTADEPLOY_TOKEN_STORE=file") as caught:
            put_new("keyring", tmp_path, ONE, "ida_1")
        assert "ida_1" not in str(caught.value)

    def test_as_it_is_chosen(self, ring: MemoryKeyring, tmp_path: Path) -> None:
        assert put_new("file", tmp_path, ONE, "ida_1") == "file"
        with pytest.raises(InvalidInput):
            put_new("cloud", tmp_path, ONE, "ida_1")


def test_a_link_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "tokens").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="must be a directory"):
        FileTokens(tmp_path).put(ONE, "ida_1")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def add_context(path: Path, name: str) -> None:
    with ContextFile(path).changing() as contexts:
        contexts.by_name[name] = Context(name, "https://cp.example")


def test_programs_that_change_it_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config" / "config.json"
    other = threading.Thread(target=add_context, args=(path, "other"))
    with ContextFile(path).changing() as contexts:
        other.start()
        other.join(0.1)  # It would be through by then, and what it has written lost.
        contexts.by_name["mine"] = ONE
    other.join()
    assert set(ContextFile(path).read().by_name) == {"mine", "other"}


def test_a_change_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    add_context(path, "one")
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        fail_to_change(path)
    assert path.read_bytes() == before


def fail_to_change(path: Path) -> None:
    with ContextFile(path).changing() as contexts:
        contexts.by_name.clear()
        raise ZeroDivisionError
