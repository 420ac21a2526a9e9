"""Payloads sealed with a key in a file, and what is in its way."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from adapters.secrets.cipher import KeyFileCipher
from adapters.secrets.key_file import keys_in
from application.ports.payload_cipher import PayloadCipher
from domain.errors import NoSpace, StorageUnavailable
from tests.contracts.payload_cipher import PayloadCipherContract
from tests.support.small_disk import small_disk


class TestKeyFileCipher(PayloadCipherContract):
    @pytest.fixture
    def cipher(self, tmp_path: Path) -> PayloadCipher:
        return KeyFileCipher(tmp_path / "one" / "payload.key")

    @pytest.fixture
    def another(self, tmp_path: Path) -> PayloadCipher:
        return KeyFileCipher(tmp_path / "another" / "payload.key")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "payload.key"


def test_a_missing_file_is_made_for_its_user_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        KeyFileCipher(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_what_was_sealed_is_opened_by_the_next_program(path: Path) -> None:
    sealed = KeyFileCipher(path).seal(b"content", "job_1")
    before = path.read_bytes()
    assert KeyFileCipher(path).open(sealed, "job_1") == b"content"
    assert path.read_bytes() == before


def test_after_a_rotation_the_new_key_seals_and_the_old_one_still_opens(
    path: Path, tmp_path: Path
) -> None:
    old = KeyFileCipher(path).seal(b"old", "job_1")
    newer = tmp_path / "newer.key"
    KeyFileCipher(newer)
    newer.write_text(newer.read_text() + path.read_text())
    rotated = KeyFileCipher(newer)
    assert rotated.open(old, "job_1") == b"old"
    new = rotated.seal(b"new", "job_1")
    assert new[1:9] == keys_in(newer)[0].id
    with pytest.raises(StorageUnavailable, match=keys_in(newer)[0].id.hex()):
        KeyFileCipher(path).open(new, "job_1")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_file_that_others_may_use_is_refused(path: Path, mode: int) -> None:
    KeyFileCipher(path)
    path.chmod(mode)
    with pytest.raises(StorageUnavailable, match="chmod 600"):
        KeyFileCipher(path)


def test_a_file_that_is_not_to_be_written_is_good(path: Path) -> None:
    KeyFileCipher(path)
    path.chmod(0o400)
    KeyFileCipher(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"# only words\n",
        b"aes-256-gcm c2hvcnQ=\n",
        b"aes-256-gcm not base64 at all, but maybe a secret\n",
        b"chacha " + b"A" * 44 + b"\n",
        b"\xff\xfe\x00",
        b"A" * 100_000,
    ],
)
def test_a_file_that_is_no_key_is_refused_left_as_it_is_and_not_repeated(
    path: Path, content: bytes
) -> None:
    path.parent.mkdir()
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(StorageUnavailable) as failure:
        KeyFileCipher(path)
    assert "secret" not in str(failure.value)
    assert path.read_bytes() == content


def test_what_is_no_file_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StorageUnavailable):
        KeyFileCipher(path)
    path.rmdir()
    os.mkfifo(path, 0o600)
    with pytest.raises(StorageUnavailable):
        KeyFileCipher(path)


def test_those_who_make_it_together_have_one_key(path: Path) -> None:
    keys: list[bytes] = []
    begin = threading.Barrier(8)

    def make() -> None:
        begin.wait()
        keys.append(keys_in(path)[0].secret)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_on_a_full_disk_none_is_made_and_later_one_is(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        path = disk.directory / "payload.key"
        disk.fill()
        with pytest.raises(NoSpace):
            KeyFileCipher(path)
        assert not path.exists()
        disk.empty()
        KeyFileCipher(path)


def test_no_key_is_shown(path: Path) -> None:
    KeyFileCipher(path)
    (key,) = keys_in(path)
    assert key.secret.hex() not in repr(key)
    assert str(key.secret) not in repr(key)
