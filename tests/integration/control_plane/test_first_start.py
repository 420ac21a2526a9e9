"""The very first start, killed between two of its steps, or with a full disk: the next one succeeds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import providers

from adapters.storage.database import Database
from domain.errors import StorageUnavailable
from domain.fleet.people import UserName
from entrypoints.control_plane import serving
from entrypoints.control_plane.container import ControlPlaneContainer
from entrypoints.control_plane.settings import ControlPlaneSettings
from entrypoints.control_plane.token_reset import TokenReset

KEYS = ("identity.json", "payload.key")


class Killed(BaseException):
    """Nothing of the program runs after it."""


def _raise(*_: object) -> Any:
    raise Killed


def _full(*_: object) -> Any:
    raise StorageUnavailable("the disk is full")


async def start(state_dir: Path, change: Callable[[ControlPlaneContainer], None]) -> None:
    """All that a start does before it serves."""
    settings = ControlPlaneSettings(state_dir=state_dir)
    async with Database.opened(serving.database_url(settings)) as database:
        container = ControlPlaneContainer(settings=settings, database=database)
        change(container)
        await serving._begin(container, settings, "http://cp.example", new_keys=False)


def nothing(_: ControlPlaneContainer) -> None:
    """The program as it is."""


def keys_of(state_dir: Path) -> dict[str, bytes]:
    return {name: (state_dir / name).read_bytes() for name in KEYS if (state_dir / name).exists()}


def code_in(printed: str) -> str | None:
    found = re.search(r"ids_\S+", printed)
    return None if found is None else found[0]


async def set_up(state_dir: Path) -> None:
    settings = ControlPlaneSettings(state_dir=state_dir)
    async with Database.opened(serving.database_url(settings)) as database:
        logins = ControlPlaneContainer(settings=settings, database=database).logins()
        await logins.set_up(logins.new_code(), UserName("ann"), "correct horse", "192.0.2.7")


@pytest.mark.parametrize("stop", [_raise, _full])
@pytest.mark.parametrize(
    ("step", "made"),
    [
        ("signer", set()),
        ("cipher", {"identity.json"}),
    ],
)
async def test_what_ends_before_the_keys_are_there_leaves_it_new(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    step: str,
    made: set[str],
    stop: Callable[..., Any],
) -> None:
    def change(container: ControlPlaneContainer) -> None:
        getattr(container, step).override(providers.Callable(stop))

    with pytest.raises((Killed, StorageUnavailable)):
        await start(tmp_path, change)
    before = keys_of(tmp_path)
    assert set(before) == made
    assert code_in(capfd.readouterr().out) is None, "it would be good for nothing"
    await start(tmp_path, nothing)
    assert code_in(capfd.readouterr().out) is not None
    after = keys_of(tmp_path)
    assert set(after) == set(KEYS)
    assert before.items() <= after.items(), "what was there is used"


@pytest.mark.parametrize("step", ["telling of the code", "look for another token"])
async def test_what_is_killed_after_it_starts_again_as_it_is_with_another_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], step: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if step == "telling of the code":
            patch.setattr(serving, "_greet", _raise)
        else:
            patch.setattr(TokenReset, "look", _raise)
        with pytest.raises(Killed):
            await start(tmp_path, nothing)
    before = keys_of(tmp_path)
    assert set(before) == set(KEYS)
    capfd.readouterr()
    codes = set()
    for _ in range(2):
        await start(tmp_path, nothing)
        codes.add(code_in(capfd.readouterr().out))
    assert len(codes - {None}) == 2
    assert keys_of(tmp_path) == before


async def test_once_it_is_set_up_no_code_is_printed_any_more(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    await start(tmp_path, nothing)
    await set_up(tmp_path)
    capfd.readouterr()
    await start(tmp_path, nothing)
    assert capfd.readouterr().out == ""


async def test_keys_that_are_missing_beside_a_database_that_was_used_are_not_made_anew(
    tmp_path: Path,
) -> None:
    await start(tmp_path, nothing)
    await set_up(tmp_path)
    (tmp_path / "payload.key").unlink()
    with pytest.raises(StorageUnavailable, match=r"payload\.key cannot be found"):
        await start(tmp_path, nothing)
    assert set(keys_of(tmp_path)) == {"identity.json"}
