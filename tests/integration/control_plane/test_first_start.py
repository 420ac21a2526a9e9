"""The very first start, killed between two of its steps, or with a full disk: the next one succeeds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import providers

from adapters.storage.database import Database
from adapters.storage.tokens import SqlAccessTokens
from domain.errors import StorageUnavailable
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


def token_in(printed: str) -> str | None:
    found = re.search(r"ida_\S+", printed)
    return None if found is None else found[0]


@pytest.mark.parametrize("stop", [_raise, _full])
@pytest.mark.parametrize(
    ("step", "made"),
    [
        ("signer", set()),
        ("cipher", {"identity.json"}),
        ("commit of the token", set(KEYS)),
    ],
)
async def test_what_ends_before_the_token_is_kept_leaves_it_new(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    step: str,
    made: set[str],
    stop: Callable[..., Any],
) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def change(container: ControlPlaneContainer) -> None:
            if step == "commit of the token":
                patch.setattr(SqlAccessTokens, "add_first", stop)
            else:
                getattr(container, step).override(providers.Callable(stop))

        with pytest.raises((Killed, StorageUnavailable)):
            await start(tmp_path, change)
    before = keys_of(tmp_path)
    assert set(before) == made
    assert token_in(capfd.readouterr().out) is None, "it would be good for nothing"
    await start(tmp_path, nothing)
    assert token_in(capfd.readouterr().out) is not None
    after = keys_of(tmp_path)
    assert set(after) == set(KEYS)
    assert before.items() <= after.items(), "what was there is used"


@pytest.mark.parametrize("step", ["telling of the token", "look for another token"])
async def test_what_is_killed_after_it_starts_again_as_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], step: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if step == "telling of the token":
            patch.setattr(serving, "_greet", _raise)
        else:
            patch.setattr(TokenReset, "look", _raise)
        with pytest.raises(Killed):
            await start(tmp_path, nothing)
    before = keys_of(tmp_path)
    assert set(before) == set(KEYS)
    capfd.readouterr()
    await start(tmp_path, nothing)
    assert token_in(capfd.readouterr().out) is None
    assert keys_of(tmp_path) == before


async def test_keys_that_are_missing_beside_a_database_that_was_used_are_not_made_anew(
    tmp_path: Path,
) -> None:
    await start(tmp_path, nothing)
    (tmp_path / "payload.key").unlink()
    with pytest.raises(StorageUnavailable, match=r"payload\.key cannot be found"):
        await start(tmp_path, nothing)
    assert set(keys_of(tmp_path)) == {"identity.json"}
