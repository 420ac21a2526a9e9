"""A YAML reader that cannot be made to use much time or memory.

A compose file is a stranger's input, and 287 bytes of aliases have driven Compose to gigabytes. So
the parser's events are counted while they come: nothing is built that was not allowed for, an alias
costs what it would expand to, and no tag is ever acted on. Where only an outline is asked for, only
an outline is built.
"""

from __future__ import annotations

import codecs
from collections import ChainMap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import yaml

from adapters.yaml.bounds import YamlBounds
from domain.errors import InvalidInput

FIELD: Final = "compose_file_base64"
_MERGE_KEY: Final = "<<"
_DECODED_AT_ONCE: Final = 64 * 1024
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_NULL_TAGS: Final = (None, "tag:yaml.org,2002:null")
_HARMLESS_TAGS: Final = frozenset({None, "!", "!reset", "!override"}) | {
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge", "timestamp")
}


def parse_bounded(content: bytes, bounds: YamlBounds) -> object:
    """The document; raises `InvalidInput`, whose text never quotes the content."""
    return _parsed(content, _Builder(bounds))


def parse_fully(content: bytes, bounds: YamlBounds) -> object:
    """The document to its last level; raises as `parse_bounded` does, and for tags that hide text."""
    return _parsed(content, _FullBuilder(replace(bounds, kept_levels=bounds.depth)))


def _parsed(content: bytes, builder: _Builder) -> object:
    _check_encoding(content)
    try:
        return builder.build(yaml.parse(content, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InvalidInput(
            FIELD, f"the compose file is not valid YAML: {exc.problem or 'unreadable'}{where}"
        ) from None
    except yaml.YAMLError:
        raise InvalidInput(
            FIELD, "the compose file is not valid YAML: it holds a character that YAML forbids"
        ) from None


def _check_encoding(content: bytes) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(content), _DECODED_AT_ONCE):
        piece = content[start : start + _DECODED_AT_ONCE]
        waiting = len(decoder.getstate()[0])
        try:
            decoder.decode(piece, final=start + len(piece) == len(content))
        except UnicodeDecodeError as exc:
            place = start - waiting + exc.start
            raise InvalidInput(
                FIELD, f"the compose file is not UTF-8 text: byte {place} is not valid"
            ) from None


@dataclass(slots=True)
class _Collection:
    """A mapping or sequence that is being read."""

    value: dict[str, object] | list[object]
    anchor: str | None
    kept_levels: int
    """0 where it is only judged: its entries are counted and let go."""
    expanded: int = 1
    key: str | None = None
    has_key: bool = False
    in_merge: bool = False

    @property
    def at_merge_key(self) -> bool:
        return self.has_key and self.key == _MERGE_KEY

    @property
    def levels_below(self) -> int:
        """What an entry keeps: what a merge key names stands where the mapping itself does."""
        if self.in_merge or self.at_merge_key:
            return self.kept_levels
        return max(self.kept_levels - 1, 0)


class _Builder:
    def __init__(self, bounds: YamlBounds) -> None:
        self._bounds = bounds
        self._stack: list[_Collection] = []
        self._anchors: dict[str, tuple[object, int]] = {}
        self._nodes = 0
        self._documents: list[object] = []

    def build(self, events: Iterator[yaml.Event]) -> object:
        for event in events:
            match event:
                case yaml.MappingStartEvent():
                    self._open({}, event.anchor)
                case yaml.SequenceStartEvent():
                    self._open([], event.anchor)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._close()
                case yaml.ScalarEvent():
                    self._count()
                    self._finish(self._scalar(event), event.anchor, 1)
                case yaml.AliasEvent():
                    self._alias(event.anchor)
        if len(self._documents) > 1:
            raise InvalidInput(FIELD, "the compose file holds more than one YAML document")
        return self._documents[0] if self._documents else None

    def _scalar(self, event: yaml.ScalarEvent) -> str | None:
        return event.value

    def _open(self, value: dict[str, object] | list[object], anchor: str | None) -> None:
        self._count()
        if len(self._stack) >= self._bounds.depth:
            raise InvalidInput(
                FIELD, f"the compose file is nested deeper than {self._bounds.depth} levels"
            )
        levels, in_merge = self._bounds.kept_levels, False
        if self._stack:
            parent = self._stack[-1]
            in_merge = parent.at_merge_key and isinstance(value, list)
            if anchor is None:  # An alias may put what is anchored at the top.
                levels = parent.levels_below
        self._stack.append(_Collection(value, anchor, levels, in_merge=in_merge))

    def _close(self) -> None:
        collection = self._stack.pop()
        self._finish(_merged(collection.value), collection.anchor, collection.expanded)

    def _alias(self, anchor: str | None) -> None:
        self._count()
        if anchor is None or anchor not in self._anchors:
            raise InvalidInput(FIELD, "the compose file uses a YAML alias that is not defined")
        value, expanded = self._anchors[anchor]
        self._finish(value, None, expanded)

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > self._bounds.nodes:
            raise InvalidInput(
                FIELD, f"the compose file holds more than {self._bounds.nodes} YAML nodes"
            )

    def _finish(self, value: object, anchor: str | None, expanded: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (value, expanded)
        if not self._stack:
            self._documents.append(value)
            return
        parent = self._stack[-1]
        parent.expanded += expanded
        if parent.expanded > self._bounds.expanded_nodes:
            raise InvalidInput(
                FIELD,
                "the compose file's YAML aliases expand to more than "
                f"{self._bounds.expanded_nodes} nodes",
            )
        if parent.kept_levels == 0:
            return
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif not parent.has_key:
            # Keys that are no scalars are Compose's to refuse; their place is kept.
            parent.key = value if isinstance(value, str) else "?"
            parent.has_key = True
        else:
            parent.value[parent.key or ""] = value
            parent.has_key = False


class _FullBuilder(_Builder):
    """Builds all of it, for somebody who judges what Compose is going to see."""

    def build(self, events: Iterator[yaml.Event]) -> object:
        return super().build(map(_without_tricks, events))

    def _scalar(self, event: yaml.ScalarEvent) -> str | None:
        is_null = not event.style and event.value in _NULLS and event.tag in _NULL_TAGS
        return None if is_null else event.value


def _without_tricks(event: yaml.Event) -> yaml.Event:
    """Compose decodes `!!binary`: what it reads there is not what stands there."""
    if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) not in _HARMLESS_TAGS:
        where = f" at line {event.start_mark.line + 1}" if event.start_mark else ""
        raise InvalidInput(
            FIELD,
            f"the compose file uses a YAML tag{where} that this agent does not know; it knows "
            "!reset, !override and the tags of plain types",
        )
    return event


def _merged(value: dict[str, object] | list[object]) -> dict[str, object] | list[object]:
    """A mapping with what its merge key names, https://yaml.org/type/merge.html, in its place."""
    if not isinstance(value, dict) or _MERGE_KEY not in value:
        return value
    named = value[_MERGE_KEY]
    mappings = named if isinstance(named, list) else [named]
    if not all(isinstance(mapping, dict) for mapping in mappings):
        return value  # Compose refuses it, and says why better.
    own = {key: entry for key, entry in value.items() if key != _MERGE_KEY}
    return dict(ChainMap(own, *mappings))
