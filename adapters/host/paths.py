"""`HostPaths` on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from functools import partial

from adapters.cancellation import finish_in_thread


class LocalHostPaths:
    """Follows links in a thread: a path may lie on a disk that hangs."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def real_paths(self, paths: Iterable[str]) -> Mapping[str, str]:
        """See `HostPaths`."""
        return await finish_in_thread(self._executor, partial(_follow, tuple(paths)))


def _follow(paths: tuple[str, ...]) -> Mapping[str, str]:
    found = {}
    for path in paths:
        try:
            found[path] = os.path.realpath(path, strict=False)
        except (OSError, ValueError):
            continue
    return found
