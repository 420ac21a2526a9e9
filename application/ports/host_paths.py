"""Where paths of the host really lead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol


class HostPaths(Protocol):
    """The host's own file system, asked about links only."""

    async def real_paths(self, paths: Iterable[str]) -> Mapping[str, str]:
        """Each absolute path, and the path without symbolic links that it leads to.

        What does not exist leads to itself, below what does. A path that cannot be followed, as in a
        loop of links, is left out.
        """
        ...
