"""What operators note on hosts, and how they pick hosts by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from domain.errors import InvalidInput
from domain.validation import check_number

MAX_LABELS: Final = 64
MAX_HOSTS_NAMED: Final = 10_000

_KEY = re.compile(r"[a-z0-9](?:[a-z0-9._/-]{0,61}[a-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


@dataclass(frozen=True, slots=True)
class Labels:
    """Pairs of key and value, sorted by key; each key once."""

    pairs: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        check_number("labels", len(self.pairs), MAX_LABELS)
        if list(self.pairs) != sorted(dict(self.pairs).items()):
            raise InvalidInput("labels", "must name each key once, in order")
        for key, value in self.pairs:
            if not _KEY.fullmatch(key):
                raise InvalidInput(
                    f"labels.{key[:63]!r}",
                    "a key has 1 to 63 characters a-z, 0-9, '.', '_', '/' and '-', "
                    "and begins and ends with a letter or a digit",
                )
            if not _VALUE.fullmatch(value):
                raise InvalidInput(
                    f"labels.{key}",
                    "a value has at most 63 characters A-Z, a-z, 0-9, '.', '_' and '-', "
                    "and begins and ends with a letter or a digit",
                )

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Labels:
        """The labels of a mapping; raises `InvalidInput`."""
        return cls(tuple(sorted(labels.items())))

    def as_mapping(self) -> dict[str, str]:
        """By key."""
        return dict(self.pairs)

    def include(self, others: Labels) -> bool:
        """Whether every one of the others is here, with the same value."""
        return set(others.pairs) <= set(self.pairs)


NO_LABELS: Final = Labels()


@dataclass(frozen=True, slots=True)
class Selector:
    """Which hosts are meant: those named here, or all that have these labels; never both, never none."""

    hosts: tuple[str, ...] = ()
    """Names or ids."""
    labels: Labels = NO_LABELS

    def __post_init__(self) -> None:
        check_number("hosts", len(self.hosts), MAX_HOSTS_NAMED)
        if bool(self.hosts) == bool(self.labels.pairs):
            raise InvalidInput("hosts", "either hosts or labels must be given, and not both")

    @classmethod
    def naming(cls, hosts: Iterable[str]) -> Selector:
        """These hosts, each once, in the order in which they are named first."""
        return cls(hosts=tuple(dict.fromkeys(hosts)))
