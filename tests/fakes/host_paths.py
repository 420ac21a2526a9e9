"""A host's symbolic links in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping


class FakeHostPaths:
    """`links` holds where paths lead that lead elsewhere; `asked` what was asked about."""

    def __init__(self) -> None:
        self.links: dict[str, str] = {}
        self.asked: list[str] = []

    async def real_paths(self, paths: Iterable[str]) -> Mapping[str, str]:
        """See `HostPaths`."""
        await asyncio.sleep(0)
        wanted = sorted(paths)
        self.asked += wanted
        return {path: self.links.get(path, path) for path in wanted}
