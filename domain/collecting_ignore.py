"""`.dockerignore`: what of a build's directory is not sent.

A matcher of our own, since no library that this program installs has one, and those for
`.gitignore` decide otherwise: here a pattern is anchored to the directory, and `!` takes back also
what lies in an excluded directory. The rules are those of `moby/patternmatcher`, which BuildKit uses.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Final

from domain.errors import InvalidInput

MAX_PATTERNS: Final = 1000

_LITERAL_START = re.compile(r"[^*?\[\]\\/]")


@dataclass(frozen=True, slots=True)
class _Pattern:
    matcher: re.Pattern[str]
    is_exception: bool


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The patterns of one `.dockerignore`, in their order; the last one that matches decides."""

    patterns: tuple[_Pattern, ...] = ()

    @classmethod
    def read(cls, content: bytes, where: str) -> IgnoreRules:
        """Raises `InvalidInput` with the field `where` for what Docker cannot read either."""
        text = content.decode("utf-8-sig", "replace")
        patterns = []
        for number, line in enumerate(text.split("\n"), 1):
            try:
                pattern = _pattern_of(line)
            except ValueError as exc:
                raise InvalidInput(where, f"line {number} {exc}") from None
            if pattern is not None:
                patterns.append(pattern)
        if len(patterns) > MAX_PATTERNS:
            raise InvalidInput(where, f"must have at most {MAX_PATTERNS} patterns")
        return cls(tuple(patterns))

    @property
    def has_exceptions(self) -> bool:
        """Whether something in an excluded directory may be wanted all the same."""
        return any(pattern.is_exception for pattern in self.patterns)

    def exclude(self, path: str) -> bool:
        """Whether a file or directory stays away; `path` is relative to the build's directory."""
        parts = path.split("/")
        candidates = [path, *("/".join(parts[:end]) for end in range(1, len(parts)))]
        is_excluded = False
        for pattern in self.patterns:
            if pattern.is_exception == is_excluded and any(map(pattern.matcher.match, candidates)):
                is_excluded = not pattern.is_exception
        return is_excluded


def _pattern_of(line: str) -> _Pattern | None:
    """Raises `ValueError`, whose text says what is wrong with the line."""
    text = line.strip()
    if line.startswith("#") or not text:
        return None
    is_exception = text.startswith("!")
    if is_exception:
        text = text[1:].strip()
        if not text:
            raise ValueError("must name what '!' takes back")
    # Before it is anchored: two slashes in front mean as much as one.
    text = posixpath.normpath(text).lstrip("/") or "."
    return _Pattern(_compiled(text), is_exception)


def _compiled(text: str) -> re.Pattern[str]:
    parts: list[str] = []
    position = 0
    while position < len(text):
        if text.startswith("**", position):
            part, position = _double_star(text, position)
        elif text[position] == "*":
            part, position = "[^/]*", position + 1
        elif text[position] == "?":
            part, position = "[^/]", position + 1
        elif text[position] == "[":
            part, position = _character_class(text, position)
        elif text[position] == "\\":
            if position + 1 == len(text):
                raise ValueError("must not end with a backslash")
            part, position = re.escape(text[position + 1]), position + 2
        else:
            part, position = re.escape(text[position]), position + 1
        parts.append(part)
    return re.compile("".join(parts) + r"\Z", re.DOTALL)


def _double_star(text: str, start: int) -> tuple[str, int]:
    position = start + 2
    if text.startswith("/", position):
        position += 1
    elif start == 0 and _LITERAL_START.match(text, position) and not _has_wildcard(text, position):
        return ".*", position  # `**.log`: whatever ends so, within a name too.
    return (".*" if position == len(text) else "(?:.*/)?"), position


def _has_wildcard(text: str, start: int) -> bool:
    return any(character in text[start:] for character in "*?[\\")


def _character_class(text: str, start: int) -> tuple[str, int]:
    """`[a-z]`, `[^a-z]`, with a backslash before what would mean something else."""
    position = start + 1
    is_negated = text.startswith("^", position)
    position += is_negated
    characters: list[str] = []
    while position < len(text) and (text[position] != "]" or not characters):
        if text[position] == "\\":
            position += 1
        elif text[position] == "-" and characters and text[position + 1 : position + 2] != "]":
            characters.append("-")
            position += 1
            continue
        characters.append(re.escape(text[position : position + 1]))
        position += 1
    if position >= len(text):
        raise ValueError("has a '[' without its ']'")
    try:
        re.compile(inside := f"[{'^' if is_negated else ''}{''.join(characters)}]")
    except re.error:
        raise ValueError("has a range of characters that is none") from None
    return inside, position + 1
