"""Finds the line where a key stands, for those who have to change it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import yaml

from adapters.yaml.bounds import YamlBounds

KeyPath = tuple[str, ...]


def line_of(content: bytes, path: KeyPath, bounds: YamlBounds | None = None) -> int | None:
    """The line of a key, from 1; see `lines_of`."""
    return lines_of(content, (path,), bounds).get(path)


def lines_of(
    content: bytes, paths: Collection[KeyPath], bounds: YamlBounds | None = None
) -> dict[KeyPath, int]:
    """The lines of those keys that stand in the file as they are.

    What comes from elsewhere, by an alias, a merge key or another file, is not there, nor is what
    stands behind something that is no YAML or beyond the bounds.
    """
    search = _Search(frozenset(paths), bounds or YamlBounds())
    try:
        for event in yaml.parse(content, Loader=yaml.CSafeLoader):
            if not search.take(event):
                break
    except yaml.YAMLError:
        pass
    return search.found


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    is_mapping: bool
    key: str | None = None
    has_key: bool = False


class _Search:
    def __init__(self, paths: frozenset[KeyPath], bounds: YamlBounds) -> None:
        self.found: dict[KeyPath, int] = {}
        self._paths = paths
        self._bounds = bounds
        self._open: list[_Open] = []
        self._nodes = 0

    def take(self, event: yaml.Event) -> bool:
        """Whether to go on."""
        match event:
            case yaml.CollectionStartEvent():
                self._value_begins(None, event)
                self._open.append(_Open(isinstance(event, yaml.MappingStartEvent)))
            case yaml.CollectionEndEvent():
                self._open.pop()
                self._value_ends()
            case yaml.ScalarEvent():
                self._value_begins(event.value, event)
                self._value_ends()
            case yaml.AliasEvent():
                self._value_begins(None, event)
                self._value_ends()
            case _:
                return True
        self._nodes += 1
        is_within = self._nodes <= 2 * self._bounds.nodes and len(self._open) <= self._bounds.depth
        return is_within and len(self.found) < len(self._paths)

    def _value_begins(self, scalar: str | None, event: yaml.Event) -> None:
        if not self._open or not self._open[-1].is_mapping or self._open[-1].has_key:
            return
        self._open[-1].key = scalar
        if scalar is None or not all(one.is_mapping for one in self._open):
            return
        path = tuple(one.key or "" for one in self._open)
        if path in self._paths and event.start_mark is not None:
            self.found.setdefault(path, event.start_mark.line + 1)

    def _value_ends(self) -> None:
        """A key is complete, or what it stands for is."""
        if self._open:
            self._open[-1].has_key = not self._open[-1].has_key
