"""`restore`, killed at a point.

python -m tests.integration.backup.dying POINT FILE [--replace]
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest import mock

from adapters.identity.private_file import write_private
from adapters.storage.snapshots import rows, targets

POINTS = (
    "before the database",
    "in the middle of the rows",
    "before the epoch",
    "between the keys",
    "before it is seen",
    "after it is seen",
)
KEPT = frozenset(POINTS[:-1])
"""What was there before is there after a kill at one of these."""


def _die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dying(works: Callable[..., Any], at: int) -> Callable[..., Any]:
    """Dies when the call of that number has done what it does."""
    calls = itertools.count(1)

    def call(*given: Any, **more: Any) -> Any:
        found = works(*given, **more)
        if next(calls) == at:
            _die()
        return found

    return call


def _ambush(point: str) -> None:
    loading = "adapters.storage.snapshots.snapshot"
    putting = "entrypoints.control_plane.restore.write_private"
    match point:
        case "before the database":
            _instead(f"{loading}.shape_of", _die)
        case "in the middle of the rows":
            _instead(f"{loading}.fill", _dying(rows.fill, 5))
        case "before the epoch":
            _instead(f"{loading}.new_epoch", _die)
        case "between the keys":
            _instead(putting, _dying(write_private, 1))
        case "before it is seen":
            _instead(putting, _dying(write_private, 2))
        case "after it is seen":
            for kind in (targets.SqliteTarget, targets.PostgresTarget):
                _instead(f"{targets.__name__}.{kind.__name__}.make", _dying_maker(kind.make))
        case _:
            raise SystemExit(f"{point} is none")


def _instead(name: str, works: Callable[..., Any]) -> None:
    mock.patch(name, works).start()


def _dying_maker(make: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
    async def made(*given: Any) -> str:
        await make(*given)
        _die()
        return ""

    return made


if __name__ == "__main__":
    from entrypoints.control_plane.__main__ import main

    os.chdir(Path(os.environ["HOME"]))
    _ambush(sys.argv[1])
    sys.exit(main(["restore", *sys.argv[2:]]))
