"""`backup`, `restore` and `migrate`: what they write, where, and what they refuse."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from adapters.storage.database import Database
from adapters.storage.schema import Schema
from domain.errors import Conflict, InvalidInput, StorageUnavailable
from tests.integration.backup.conftest import KINDS, NewUrl
from tests.integration.backup.content import book, rows_of, without_book
from tests.integration.backup.home import Home, make_locks_impatient, make_passphrases_cheap
from tests.integration.storage.migrating import migrated_to
from tests.integration.storage.test_upgrade import FIRST, ROWS


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_passphrases_cheap(monkeypatch)
    make_locks_impatient(monkeypatch)


@pytest.fixture
async def home(tmp_path: Path, new_url: NewUrl) -> Home:
    home = Home(tmp_path / "home", new_url("sqlite"))
    await home.begin()
    return home


@pytest.fixture
def empty(tmp_path: Path, new_url: NewUrl) -> Home:
    return Home(tmp_path / "empty", new_url("sqlite"))


async def test_a_backup_is_private_whole_and_says_no_secret(
    home: Home, empty: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "backup"
    before = os.umask(0)
    try:
        await home.backup(file)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "2 hosts, 1 deployment, 5 jobs" in capsys.readouterr().err
    await home.backup(file, verify=True)
    assert "whole: 2 hosts" in capsys.readouterr().out
    content = file.read_bytes()
    secret = json.loads(home.keys["identity.json"])["secret_key"].encode()
    for one in (secret, home.keys["payload.key"].split()[-1], b"host_1", b"sealed", b"Web-1"):
        assert one not in content
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == ["backup"]
    await empty.restore(file)
    said = capsys.readouterr().out
    assert "Restored: 2 hosts, 1 deployment, 5 jobs" in said
    assert empty.keys == home.keys
    assert stat.S_IMODE((empty.state / "payload.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(empty.state.stat().st_mode) == 0o700
    assert without_book(await rows_of(empty.url)) == without_book(await rows_of(home.url))


async def test_a_file_that_is_there_is_replaced_only_by_force(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_bytes(b"another")
    with pytest.raises(Conflict, match="--force"):
        await home.backup(file)
    assert file.read_bytes() == b"another"
    await home.backup(file, force=True)
    await home.backup(file, verify=True)
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    with pytest.raises(Conflict):
        await home.backup(link)


async def test_passphrases_that_are_wrong_short_or_missing_are_refused(
    home: Home, empty: Home, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    await home.backup(file)
    empty.passphrase.write_text("another one, which is long")
    with pytest.raises(InvalidInput, match="passphrase"):
        await empty.restore(file)
    assert not empty.state.exists()
    for wrong in ("short", "", "x" * 5000):
        home.passphrase.write_text(wrong)
        with pytest.raises(InvalidInput):
            await home.backup(tmp_path / "other")
    home.passphrase.chmod(0o640)
    with pytest.raises(InvalidInput, match="can be read by others"):
        await home.backup(tmp_path / "other")
    home.passphrase.unlink()
    with pytest.raises(StorageUnavailable, match="passphrase"):
        await home.backup(tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["identity.json", "payload.key"])
async def test_other_keys_are_not_written_over_and_nothing_is_changed(
    home: Home, empty: Home, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "backup"
    await home.backup(file)
    await empty.begin(jobs=1)
    others = empty.keys
    (empty.state / ({"identity.json", "payload.key"} - {name}).pop()).unlink()
    before = await rows_of(empty.url)
    with pytest.raises(Conflict, match=f"{name}.*another key"):
        await empty.restore(file, replace=True)
    assert empty.keys == {name: others[name]}
    assert await rows_of(empty.url) == before
    (empty.state / name).unlink()
    await empty.restore(file, replace=True)
    assert empty.keys == home.keys


async def test_a_key_file_that_has_the_backups_keys_and_more_stays(
    home: Home, empty: Home, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    await home.backup(file)
    rotated = home.state / "payload.key"
    more = b"# newer\naes-256-gcm " + b"QUFB" * 10 + b"QUE=\n" + rotated.read_bytes()
    rotated.write_bytes(more)
    await home.restore(file, replace=True)
    assert rotated.read_bytes() == more


async def test_a_backup_without_keys_is_not_made(home: Home, tmp_path: Path) -> None:
    (home.state / "payload.key").unlink()
    with pytest.raises(StorageUnavailable, match=r"payload\.key"):
        await home.backup(tmp_path / "backup")
    assert not [each for each in tmp_path.iterdir() if each.is_file()]


async def test_there_has_to_be_a_database(empty: Home, tmp_path: Path) -> None:
    for work in (empty.backup(tmp_path / "backup"), empty.migrate()):
        with pytest.raises(StorageUnavailable, match="no database"):
            await work


async def test_a_damaged_backup_changes_nothing(home: Home, empty: Home, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    await home.backup(file)
    content = file.read_bytes()
    file.write_bytes(content[:-20])
    for work in (empty.restore(file), home.backup(file, verify=True)):
        with pytest.raises(StorageUnavailable, match="damaged"):
            await work
    assert empty.keys == {}
    file.write_bytes(content)
    await empty.restore(file)


@pytest.mark.parametrize("kind", KINDS)
async def test_migrate_brings_the_database_up_to_date_and_starts_nothing(
    kind: str, tmp_path: Path, new_url: NewUrl, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path / "home", new_url(kind))
    await migrated_to(home.url, FIRST, ROWS)
    async with Database.opened(home.url):
        with pytest.raises(Conflict):
            await home.migrate()
    await home.migrate()
    assert f"this version's tables already, {Schema().head}" in capsys.readouterr().out


async def test_migrate_to_another_database_and_back(
    home: Home, new_url: NewUrl, capsys: pytest.CaptureFixture[str]
) -> None:
    there, back = new_url("postgres"), new_url("sqlite")
    before = await rows_of(home.url)
    await home.migrate(there)
    assert "Copied: 2 hosts" in capsys.readouterr().out
    assert await rows_of(there) == before
    with pytest.raises(Conflict, match="not empty"):
        await home.migrate(there)
    home.url = there
    await home.migrate(back)
    assert await rows_of(back) == before
    assert book(await rows_of(back)) == book(before)
    with pytest.raises(InvalidInput, match="--to"):
        await home.migrate(there)
    async with Database.opened(there):
        with pytest.raises(Conflict, match="another control plane"):
            await home.migrate(new_url("sqlite"))
