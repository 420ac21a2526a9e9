"""A file of variables as systemd reads it for a unit's EnvironmentFile= (systemd.exec(5)).

It is not the shell's language: nothing is substituted, `export` is part of a name and makes it none, and
quotes and backslashes carry a value over lines. What is read here as set, or not, is so for the unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMENTS: Final = "#;"
_NEWLINES: Final = "\n\r"
_BLANKS: Final = " \t\n\r"
_ESCAPED_IN_QUOTES: Final = '"\\`$'


class _At(Enum):
    START = auto()
    NAME = auto()
    BEFORE_VALUE = auto()
    VALUE = auto()
    ESCAPE = auto()
    SINGLE_QUOTES = auto()
    DOUBLE_QUOTES = auto()
    ESCAPE_IN_QUOTES = auto()
    COMMENT = auto()
    ESCAPE_IN_COMMENT = auto()


_OPEN: Final = (
    *(_At.ESCAPE, _At.SINGLE_QUOTES, _At.DOUBLE_QUOTES, _At.ESCAPE_IN_QUOTES),
    _At.ESCAPE_IN_COMMENT,
)
"""Where a line that was added would belong to what stands before it."""
_WITH_VALUE: Final = (_At.BEFORE_VALUE, _At.VALUE, *_OPEN[:-1])


@dataclass(frozen=True, slots=True)
class Entry:
    """A piece of the file: an assignment, or what is none and has no `name`.

    The last one may lack its end of line, also where it ends with one that a backslash takes away; it
    `is_open` where such an end would be within it.
    """

    text: str
    name: str = ""
    value: str = ""
    has_end: bool = True
    is_open: bool = False


def entries_of(text: str) -> Iterator[Entry]:
    """All of the file, in pieces that are whole: their texts, joined, are the file again."""
    reader, begun = _Reader(), 0
    for at, one in enumerate(text):
        if reader.is_over_after(one):
            yield reader.entry(text[begun : at + 1], has_end=True)
            reader, begun = _Reader(), at + 1
    if begun < len(text):
        yield reader.entry(text[begun:], has_end=False)


def variables_of(text: str) -> dict[str, str]:
    """What the unit gets of such a file; of several values of one name, the last."""
    return {entry.name: entry.value for entry in entries_of(text) if entry.name}


def with_variables(text: str, wanted: Mapping[str, str | None]) -> str:
    """The file with these variables; None are not there. What else stands in it stays."""
    kept: list[str] = []
    left = dict(wanted)
    behind = ""
    for entry in entries_of(text):
        if entry.name in wanted:
            if (value := left.pop(entry.name, None)) is not None:
                kept.append(_line(entry.name, value))
        elif entry.is_open:
            behind = entry.text
        else:
            kept.append(entry.text if entry.has_end else f"{entry.text}\n")
    kept += [_line(name, value) for name, value in left.items() if value is not None]
    # What does not end would swallow whatever is written behind it.
    return "".join(kept) + behind


def quoted(value: str) -> str:
    """A value as it is read from such a file."""
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def _line(name: str, value: str) -> str:
    return f"{name}={quoted(value)}\n"


class _Reader:
    """Reads one entry, a character at a time: systemd's own machine, with its states."""

    def __init__(self) -> None:
        self._state = _At.START
        self._name = ""
        self._value = ""
        self._to_keep = 0
        """So much of the value is not blanks at its end that quotes or backslashes do not protect."""

    def entry(self, text: str, *, has_end: bool) -> Entry:
        """What has been read."""
        is_open = self._state in _OPEN
        name = self._name.rstrip(_BLANKS)
        if self._state not in _WITH_VALUE or not _NAME.fullmatch(name):
            return Entry(text, has_end=has_end, is_open=is_open)
        return Entry(text, name, self._value[: self._to_keep], has_end, is_open)

    def is_over_after(self, one: str) -> bool:
        """Take a character; whether the entry ends with it."""
        if self._state in _OPEN:
            self._is_carried_on(one)
            return False
        if one in _NEWLINES:
            return True
        self._goes_on(one)
        return False

    def _goes_on(self, one: str) -> None:
        match self._state:
            case _At.START if one in _COMMENTS:
                self._state = _At.COMMENT
            case _At.START if one not in _BLANKS:
                self._state, self._name = _At.NAME, one
            case _At.NAME if one == "=":
                self._state = _At.BEFORE_VALUE
            case _At.NAME:
                self._name += one
            case _At.COMMENT if one == "\\":
                self._state = _At.ESCAPE_IN_COMMENT
            case _At.BEFORE_VALUE | _At.VALUE:
                self._value_goes_on(one)

    def _is_carried_on(self, one: str) -> None:
        """Where also the end of a line ends nothing."""
        match self._state:
            case _At.ESCAPE:
                self._state = _At.VALUE
                self._keep("" if one in _NEWLINES else one)
            case _At.SINGLE_QUOTES:
                self._in_quotes(one, "'")
            case _At.DOUBLE_QUOTES if one == "\\":
                self._state = _At.ESCAPE_IN_QUOTES
            case _At.DOUBLE_QUOTES:
                self._in_quotes(one, '"')
            case _At.ESCAPE_IN_QUOTES:
                self._state = _At.DOUBLE_QUOTES
                self._keep(_unescaped(one))
            case _At.ESCAPE_IN_COMMENT:
                # As before systemd 254, which Debian 12 does not have: the comment goes on.
                self._state = _At.COMMENT

    def _value_goes_on(self, one: str) -> None:
        is_before = self._state is _At.BEFORE_VALUE
        if one == "\\":
            self._state = _At.ESCAPE
            self._keep("")
        elif is_before and one == "'":
            self._state = _At.SINGLE_QUOTES
        elif is_before and one == '"':
            self._state = _At.DOUBLE_QUOTES
        elif one not in _BLANKS:
            self._state = _At.VALUE
            self._keep(one)
        elif not is_before:
            self._value += one

    def _in_quotes(self, one: str, end: str) -> None:
        if one == end:
            # systemd goes back to before the value: what follows, in quotes or not, is joined to it.
            self._state = _At.BEFORE_VALUE
        else:
            self._keep(one)

    def _keep(self, text: str) -> None:
        self._value += text
        self._to_keep = len(self._value)


def _unescaped(one: str) -> str:
    """What stands for a backslash and this, in double quotes."""
    if one == "\n":
        return ""
    return one if one in _ESCAPED_IN_QUOTES else f"\\{one}"
