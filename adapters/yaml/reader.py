"""`ComposeReader` by the bounded parser, which is loaded when there is something to parse.

An agent that has nothing to do is the usual one, and a library of nearly a megabyte is not for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from adapters.yaml.bounds import YamlBounds
from domain.project import ComposeFile

if TYPE_CHECKING:
    from adapters.yaml.lines import KeyPath

T = TypeVar("T")


class BoundedYamlReader:
    """Parses in a thread: a large file must not hold up the link."""

    def __init__(self, executor: Executor, bounds: YamlBounds | None = None) -> None:
        self._executor = executor
        self._bounds = bounds or YamlBounds()

    async def read(self, file: ComposeFile) -> object:
        """See `ComposeReader`."""
        return await self._run(partial(_parse_bounded, file.content, self._bounds))

    async def read_fully(self, file: ComposeFile) -> object:
        """See `ComposeReader`."""
        return await self._run(partial(_parse_fully, file.content, self._bounds))

    async def lines_of(
        self, file: ComposeFile, paths: Collection[KeyPath]
    ) -> Mapping[KeyPath, int]:
        """See `ComposeReader`."""
        return await self._run(partial(_lines_of, file.content, paths, self._bounds))

    async def _run(self, parse: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, parse)


def _parse_bounded(content: bytes, bounds: YamlBounds) -> object:
    from adapters.yaml.bounded_reader import parse_bounded  # noqa: PLC0415

    return parse_bounded(content, bounds)


def _parse_fully(content: bytes, bounds: YamlBounds) -> object:
    from adapters.yaml.bounded_reader import parse_fully  # noqa: PLC0415

    return parse_fully(content, bounds)


def _lines_of(
    content: bytes, paths: Collection[KeyPath], bounds: YamlBounds
) -> Mapping[KeyPath, int]:
    from adapters.yaml.lines import lines_of  # noqa: PLC0415

    return lines_of(content, paths, bounds)
