"""The files of keys: for their owner alone, whole or not at all, and never taken for what they are not."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapters.identity.ed25519 import find_ed25519
from adapters.identity.keys_on_disk import LocalHostIdentity, LocalSigner, membership_in
from application.ports.identity import HostIdentity
from domain.errors import InvalidInput, NoSpace, StorageUnavailable
from domain.identity import Membership, encoded
from tests.contracts.host_identity import MEMBER, OTHER, HostIdentityContract
from tests.integration.project_files.disk import failing_with
from tests.support.dying import killed_at_every_call

LEAST_CALLS = 4


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


Opening = Callable[[], LocalHostIdentity]


@pytest.fixture
def opening(tmp_path: Path, executor: ThreadPoolExecutor) -> Opening:
    return lambda: LocalHostIdentity(tmp_path, find_ed25519(), executor)


@pytest.fixture
def file(tmp_path: Path, opening: Opening) -> Path:
    """The file of an identity that has just been made."""
    opening()
    return tmp_path / "identity.json"


class TestLocalHostIdentity(HostIdentityContract):
    @pytest.fixture
    def identity(self, opening: Opening) -> HostIdentity:
        return opening()

    @pytest.fixture
    def again(self, opening: Opening) -> Callable[[], HostIdentity]:
        return opening

    @pytest.fixture
    def fill_disk(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        return lambda: monkeypatch.setattr(os, "write", failing_with(errno.ENOSPC))


def names_in(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def test_it_is_for_its_owner_alone_whatever_the_umask(file: Path) -> None:
    file.unlink()
    before = os.umask(0)
    try:
        with ThreadPoolExecutor(1) as executor:
            LocalHostIdentity(file.parent, find_ed25519(), executor)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert names_in(file.parent) == [file.name]


async def test_it_stays_for_its_owner_alone_when_it_is_written_again(
    file: Path, opening: Opening
) -> None:
    await opening().pin(MEMBER)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert names_in(file.parent) == [file.name]


def test_two_machines_have_two_keys(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    keys = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        keys.add(LocalHostIdentity(tmp_path / name, find_ed25519(), executor).public_key)
    assert len(keys) == 2


def test_the_secret_is_in_nothing_that_is_shown(file: Path, opening: Opening) -> None:
    secret = json.loads(file.read_text(encoding="ascii"))["secret_key"]
    identity = opening()
    assert secret not in repr(identity)
    assert secret not in repr(vars(identity)["_key"])


async def test_who_only_looks_makes_and_changes_nothing(tmp_path: Path, opening: Opening) -> None:
    assert membership_in(tmp_path) is None
    assert membership_in(tmp_path / "nowhere") is None
    assert names_in(tmp_path) == []
    identity = opening()
    assert membership_in(tmp_path) is None
    await identity.pin(MEMBER)
    assert membership_in(tmp_path) == MEMBER


# What a person has to look at.


def changed(**fields: object) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps(json.loads(content) | fields).encode()


def without(field: str) -> Callable[[bytes], bytes]:
    def take_away(content: bytes) -> bytes:
        document: dict[str, Any] = json.loads(content)
        del document[field]
        return json.dumps(document).encode()

    return take_away


KEY = encoded(bytes(range(32)))
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "zeros": lambda content: bytes(len(content)),
    "cut short": lambda content: content[:-10],
    "no JSON": lambda _: b"secret",
    "not UTF-8": lambda content: b"\xff" + content,
    "no object": lambda _: b"[1]",
    "deep": lambda _: b"[" * 16_000,
    "no version": without("version"),
    "no secret": without("secret_key"),
    "no public key": without("public_key"),
    "a secret that is a number": changed(secret_key=7),
    "a secret that is none": changed(secret_key="x"),
    "a short secret": changed(secret_key=encoded(bytes(31))),
    "another secret": changed(secret_key=KEY),
    "another public key": changed(public_key=KEY),
    "a public key that is none": changed(public_key=None),
    "an id without a key": changed(host_id="host_1"),
    "a key without an id": changed(control_plane_key=KEY),
    "an id that is a number": changed(host_id=1, control_plane_key=KEY),
    "an empty id": changed(host_id="", control_plane_key=KEY),
    "an endless id": changed(host_id="x" * 257, control_plane_key=KEY),
    "a control plane without a key": changed(host_id="host_1", control_plane_key="key"),
    "very long": lambda content: content + b" " * 16_384,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_refused_and_left_as_it_is(
    file: Path, opening: Opening, damage: Callable[[bytes], bytes]
) -> None:
    content = damage(file.read_bytes())
    secret = json.loads(file.read_bytes())["secret_key"]
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"identity\.json: is damaged") as refused:
        opening()
    assert file.read_bytes() == content
    assert secret not in repr(refused.value)
    assert names_in(file.parent) == [file.name]


def test_a_file_of_a_later_version_is_refused(file: Path, opening: Opening) -> None:
    content = changed(version=2)(file.read_bytes())
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match="has the version 2, and not 1"):
        opening()
    assert file.read_bytes() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700 | 0o001, 0o644])
def test_a_file_that_others_may_use_is_refused(file: Path, opening: Opening, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(InvalidInput, match=rf"has the mode {mode:04o}, so that others may have"):
        opening()
    with pytest.raises(InvalidInput):
        membership_in(file.parent)
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_a_file_of_another_user_is_refused(
    file: Path, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(InvalidInput, match=f"belongs to the user {me}, and this is"):
        opening()


def test_a_link_is_not_followed(file: Path, opening: Opening) -> None:
    elsewhere = file.with_name("elsewhere")
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    with pytest.raises(InvalidInput, match="must be a file, and no link to one"):
        opening()


def test_a_link_to_nowhere_is_not_written_through(tmp_path: Path, opening: Opening) -> None:
    (tmp_path / "identity.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="no link"):
        opening()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, opening: Opening, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "identity.json")
    with pytest.raises((InvalidInput, StorageUnavailable)):
        opening()


def test_a_directory_that_is_not_there_is_said(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    with pytest.raises(StorageUnavailable):
        LocalHostIdentity(tmp_path / "nowhere", find_ed25519(), executor)


def test_a_full_disk_makes_no_key(
    tmp_path: Path, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(os, "write", failing_with(errno.ENOSPC))
        with pytest.raises(NoSpace):
            opening()
    assert names_in(tmp_path) == []
    opening()


def test_a_disk_that_does_not_sync_makes_no_key(
    tmp_path: Path, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", failing_with(errno.EIO))
        with pytest.raises(StorageUnavailable):
            opening()
    assert not (tmp_path / "identity.json").exists()


def test_a_key_is_never_written_over(
    file: Path, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where it comes between the look and the write."""
    before = file.read_bytes()
    monkeypatch.setattr("adapters.identity.keys_on_disk.read_key", lambda _path: None)
    with pytest.raises(StorageUnavailable):
        opening()
    assert file.read_bytes() == before


# Killed.


def left_by(scenario: str, root: Path) -> list[Path]:
    left = killed_at_every_call("tests.integration.identity.dying", scenario, root)
    assert len(left) > LEAST_CALLS
    return left


def test_who_is_killed_making_a_key_leaves_it_or_none(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    outcomes = set()
    for path in left_by("make", tmp_path):
        path.mkdir(exist_ok=True)
        file = path / "identity.json"
        content = file.read_bytes() if file.exists() else None
        outcomes.add(content is None)
        identity = LocalHostIdentity(path, find_ed25519(), executor)
        assert content in (None, file.read_bytes())
        assert identity.membership is None
    assert outcomes == {True, False}


async def test_who_is_killed_pinning_has_pinned_or_not_and_the_key_stays(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    (tmp_path / "start").mkdir()
    key = LocalHostIdentity(tmp_path / "start", find_ed25519(), executor).public_key
    outcomes = set[Membership | None]()
    for path in left_by("pin", tmp_path):
        identity = LocalHostIdentity(path, find_ed25519(), executor)
        assert identity.public_key == key
        outcomes.add(identity.membership)
        await identity.pin(OTHER)
        assert membership_in(path) == OTHER
        assert names_in(path) == ["identity.json"]
    assert outcomes == {None, MEMBER}


# A control plane's.


def test_a_signer_keeps_its_key(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    first, second = LocalSigner(path, find_ed25519()), LocalSigner(path, find_ed25519())
    assert first.public_key == second.public_key
    assert second.is_signed(b"text", first.sign(b"text"), first.public_key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_signers_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    LocalSigner(path, find_ed25519())
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InvalidInput, match="is damaged"):
        LocalSigner(path, find_ed25519())
