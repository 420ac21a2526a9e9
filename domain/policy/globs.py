"""Patterns for names: `*` and `?` stop at a slash, `**` does not. Everything else is itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

MAX_TEXT: Final = 4096
"""What is longer fits no pattern: matching must not take long on what a stranger wrote."""

_PARTS = re.compile(r"\*\*+|\*|\?|[^*?]+")


def fits(text: str, pattern: str) -> bool:
    """Whether the whole text is what the pattern says, in the case that it says it in."""
    return len(text) <= MAX_TEXT and _compiled(pattern).fullmatch(text) is not None


def fits_any(text: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns fits."""
    return any(fits(text, pattern) for pattern in patterns)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(map(_translated, _PARTS.findall(pattern))), re.DOTALL)


def _translated(part: str) -> str:
    if part.startswith("**"):
        return ".*"
    return {"*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
