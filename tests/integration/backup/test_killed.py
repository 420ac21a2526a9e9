"""A restore that is killed has left what was there, or made what is to be there; again, it succeeds."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.integration.backup.conftest import KINDS, NewUrl
from tests.integration.backup.content import book, rows_of, without_book
from tests.integration.backup.dying import KEPT, POINTS
from tests.integration.backup.home import Home, make_passphrases_cheap

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0


async def _killed(home: Home, point: str, file: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.integration.backup.dying", point, str(file), "--replace"),
        cwd=ROOT,
        env=home.environment | {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE_S):
        said, _ = await process.communicate()
    assert process.returncode == -signal.SIGKILL, said.decode()


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_restore_that_is_killed(
    kind: str, point: str, tmp_path: Path, new_url: NewUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_passphrases_cheap(monkeypatch)
    of = Home(tmp_path / "of", new_url("sqlite"))
    await of.begin()
    file = tmp_path / "backup"
    await of.backup(file)
    to = Home(tmp_path / "to", new_url(kind))
    await to.begin(jobs=7)
    for each in to.state.glob("*.*"):
        each.unlink()
    before, wanted = await rows_of(to.url), without_book(await rows_of(of.url))
    await _killed(to, point, file)
    if point in KEPT:
        assert await rows_of(to.url) == before
        assert to.keys.items() <= of.keys.items()
    else:
        assert without_book(await rows_of(to.url)) == wanted
        assert to.keys == of.keys
    await to.restore(file, replace=True)
    after = await rows_of(to.url)
    assert without_book(after) == wanted
    assert to.keys == of.keys
    assert book(after)["epoch"] != book(await rows_of(of.url))["epoch"]
    assert [each.name for each in to.state.iterdir() if each.name not in to.keys] == []
