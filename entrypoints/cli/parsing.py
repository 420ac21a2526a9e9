"""Values of the command line: labels, durations, roles."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Final

import typer

from domain.errors import InvalidInput

LabelsOption = Annotated[
    list[str] | None, typer.Option("--label", "-l", metavar="K=V", help="Give it again for several")
]

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|min|h|d)?")
_UNITS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def labels_in(texts: Iterable[str], option: str = "--label") -> dict[str, str]:
    """`key=value`, each key once. Raises `InvalidInput`."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InvalidInput(option, f"must look like key=value, not {text!r}")
        if found.setdefault(key, value) != value:
            raise InvalidInput(option, f"must not give {key!r} two values")
    return found


def label_changes(texts: Iterable[str]) -> tuple[dict[str, str], set[str]]:
    """`key=value` is to be there, `key-` is to go. Raises `InvalidInput`."""
    put, taken = [], set()
    for text in texts:
        if "=" not in text and text.endswith("-") and len(text) > 1:
            taken.add(text[:-1])
        else:
            put.append(text)
    labels = labels_in(put, "label")
    if both := taken & labels.keys():
        raise InvalidInput("label", f"must not both set and take away {min(both)!r}")
    return labels, taken


def seconds_in(text: str | None, option: str) -> float | None:
    """`90`, `90s`, `5m`, `2h`, `7d`; None for none. Raises `InvalidInput`."""
    if text is None:
        return None
    found = _DURATION.fullmatch(text.strip())
    seconds = float(found[1]) * _UNITS[found[2] or "s"] if found else 0.0
    if seconds <= 0:
        raise InvalidInput(
            option, f"must be a time over 0, such as 90, 90s, 5m, 2h or 7d, not {text!r}"
        )
    return seconds


def grants_in(texts: Iterable[str]) -> list[dict[str, object]]:
    """`deployer`, or `deployer:env=prod,team=web` for the hosts with these labels."""
    found: list[dict[str, object]] = []
    for text in texts:
        role, _, labels = text.partition(":")
        if role not in ("viewer", "deployer", "admin"):
            raise InvalidInput("grant", f"must be viewer, deployer or admin, not {role!r}")
        given = labels_in([one for one in labels.split(",") if one], "grant")
        found.append({"role": role, "labels": given})
    return found
