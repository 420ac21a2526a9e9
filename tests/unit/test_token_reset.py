"""Another administrator's token, left in the state directory."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from domain.errors import StorageUnavailable
from entrypoints.control_plane.token_reset import FILE, TokenReset, leave_hash
from tests.contracts.fleet import hashed
from tests.support.control_plane_parts import ADMIN, ControlPlane

HASH = hashed("ida_other")


@pytest.fixture
def plane() -> ControlPlane:
    return ControlPlane()


def reset_of(plane: ControlPlane, directory: Path) -> TokenReset:
    return TokenReset(directory, plane.access, plane.clock)


def test_a_hash_is_left_for_this_user_alone_and_the_last_one_counts(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    leave_hash(directory, hashed("ida_first"))
    leave_hash(directory, HASH)
    assert [path.name for path in directory.iterdir()] == [FILE]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / FILE).stat().st_mode) == 0o600
    assert (directory / FILE).read_text() == f"{HASH}\n"


def test_it_is_for_whoever_owns_the_directory(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, 12346)
    leave_hash(tmp_path, HASH)
    left, directory = (tmp_path / FILE).stat(), tmp_path.stat()
    assert (left.st_uid, left.st_gid) == (directory.st_uid, directory.st_gid)


def test_a_link_that_somebody_has_laid_there_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / FILE).with_suffix(".new").symlink_to(victim)
    leave_hash(tmp_path, HASH)
    assert victim.read_text() == "untouched"


def test_where_it_cannot_be_left_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StorageUnavailable, match="cannot be used"):
        leave_hash(tmp_path / "state", HASH)


async def test_what_is_left_is_taken_over_once(plane: ControlPlane, tmp_path: Path) -> None:
    await plane.with_administrator()
    leave_hash(tmp_path, HASH)
    reset = reset_of(plane, tmp_path)
    assert reset.is_left()
    await reset.look()
    assert await plane.access.principal(ADMIN) is None
    assert await plane.access.principal("ida_other") is not None
    assert not (tmp_path / FILE).exists()
    assert not reset.is_left()
    await reset.look()


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 64, f"{HASH}x".encode(), b"a" * 10_000])
async def test_what_is_no_hash_changes_nothing(
    plane: ControlPlane, tmp_path: Path, content: bytes
) -> None:
    await plane.with_administrator()
    (tmp_path / FILE).write_bytes(content)
    reset = reset_of(plane, tmp_path)
    assert not reset.is_left()
    await reset.look()
    assert await plane.access.principal(ADMIN) is not None
    assert not (tmp_path / FILE).exists()


async def test_it_is_looked_for_every_two_seconds_and_kept_while_the_database_fails(
    plane: ControlPlane, tmp_path: Path
) -> None:
    await plane.with_administrator()
    running = asyncio.create_task(reset_of(plane, tmp_path).run())
    await plane.clock.advance(2)
    leave_hash(tmp_path, HASH)
    plane.fleet.reach.failure = StorageUnavailable("the disk is gone")
    await plane.clock.advance(2)
    assert (tmp_path / FILE).exists()
    plane.fleet.reach.failure = None
    await plane.clock.advance(2)
    assert await plane.access.principal("ida_other") is not None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
