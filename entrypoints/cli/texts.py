"""Values as people read them, and texts of others made harmless."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Final

_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, but for tabs and line feeds; what turns the direction of text; halves of
characters, which cannot be written."""
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400
_LONG_AGO_S: Final = 60 * _DAY
_KIB: Final = 1024
_FEW_S: Final = 10
_WIDE: Final = ("W", "F")
_WORD: Final = re.compile(r"[^\s`]*`[^`]*`\S*|\S+")
ELLIPSIS: Final = "..."


def shown(text: object) -> str:
    r"""A text of others, with what a terminal would act upon shown: an escape becomes `\x1b`."""
    return _UNSAFE.sub(_code, str(text))


def one_line(text: object) -> str:
    """The same, in one line."""
    return shown(text).replace("\n", " ").replace("\t", " ").strip()


def _code(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}"  # noqa: PLR2004


def width_of(text: str) -> int:
    """How many columns it takes."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in _WIDE else 1
        for one in text
    )


def fitted(text: str, width: int) -> str:
    """As much of it as there is room for; an ellipsis says that there is more."""
    if width_of(text) <= width:
        return text
    kept = ""
    room = max(0, width - len(ELLIPSIS))
    for one in text:
        room -= width_of(one)
        if room < 0:
            break
        kept += one
    return (kept.rstrip() + ELLIPSIS)[: max(0, width)]


def folded(text: str, width: int) -> list[str]:
    """Its lines, broken between words where they are wider; commands in backticks are not broken.

    A word that is wider alone is left to the terminal: so it can be copied.
    """
    return [part for line in text.split("\n") for part in _folded_line(line, width)]


def _folded_line(line: str, width: int) -> list[str]:
    if width_of(line) <= width:
        return [line]
    indent = " " * min(len(line) - len(line.lstrip(" ")), width // 2)
    lines, now = [], ""
    for word in _WORD.findall(line):
        longer = f"{now} {word}" if now else indent + word
        if now and width_of(longer) > width:
            lines.append(now)
            longer = indent + word
        now = longer
    return [*lines, now]


def seconds_of(moment: object) -> float | None:
    """Seconds since 1970, of a moment as the API has it; None for none, or what is none."""
    if not isinstance(moment, str):
        return float(moment) if isinstance(moment, int | float) else None
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def iso(seconds: float) -> str:
    """As the API has moments."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def age(moment: object, now: float) -> str:
    """How long ago that was, such as `5 min ago`, or how soon it is; `-` for a moment that is none."""
    at = seconds_of(moment)
    if at is None:
        return "-"
    if abs(now - at) > _LONG_AGO_S:
        return iso(at)[:10]
    if abs(now - at) < 1:
        return "now"
    return f"{_rough(now - at)} ago" if now > at else f"in {_rough(at - now)}"


def _rough(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} d"


def duration(seconds: float | None) -> str:
    """How long something took, such as `1:05 min`."""
    if seconds is None:
        return "-"
    if seconds < _FEW_S:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02} min"
    return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02} h"


def size(count: int) -> str:
    """Bytes."""
    if count < _KIB:
        return f"{count} B"
    if count < _KIB * _KIB:
        return f"{count / _KIB:.1f} KiB"
    return f"{count / _KIB / _KIB:.1f} MiB"


def pairs(labels: object) -> str:
    """`k=v`, with spaces between."""
    if not isinstance(labels, dict) or not labels:
        return "-"
    return " ".join(f"{key}={value}" if value != "" else str(key) for key, value in labels.items())


def yes(value: object) -> str:
    """A truth, or `-` where it is not known."""
    return "-" if value is None else "yes" if value else "no"


def known(value: object) -> str:
    """A value, or `-` where there is none."""
    return "-" if value is None or value == "" else str(value)
