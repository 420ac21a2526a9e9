"""Reads a document whose shape nobody has promised: every value knows where it stands.

The document is what Compose printed, and what Compose prints depends on its version. So a value is
taken in every spelling that Compose may give it, and whatever is something else is refused by the
name of its place, and never quoted: a compose file holds secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from domain.errors import InvalidInput

FIELD: Final = "compose_file_base64"
_YES: Final = frozenset({"true", "yes", "on", "y", "1"})
_NO: Final = frozenset({"false", "no", "off", "n", "0", ""})


@dataclass(frozen=True, slots=True)
class Place:
    """A value, None where there is none, and the keys that lead to it."""

    value: object
    path: tuple[str, ...] = ()
    index: str = ""
    """Where it is an entry of a list: `[2]`. The key path ends at the list."""

    def __str__(self) -> str:
        return ".".join(self.path) + self.index

    @property
    def is_absent(self) -> bool:
        """Whether nothing stands here; a key without a value is as good as none."""
        return self.value is None

    def wrong(self, expected: str) -> InvalidInput:
        """The error that says what should stand here."""
        return InvalidInput(FIELD, f"{str(self) or 'the resolved compose file'} must be {expected}")

    def at(self, key: str) -> Place:
        """What stands below a key; absent where there is no such key, or nothing at all."""
        return Place(self._mapping().get(key), (*self.path, key))

    def entries(self) -> Iterator[tuple[str, Place]]:
        """The keys of a mapping, which may be absent, and what stands below them."""
        for key, value in self._mapping().items():
            if not isinstance(key, str):
                raise self.wrong("a mapping whose keys are strings")
            yield key, Place(value, (*self.path, key))

    def items(self) -> Iterator[Place]:
        """The entries of a list, which may be absent."""
        if self.value is None:
            return
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        for number, value in enumerate(self.value):
            yield Place(value, self.path, f"{self.index}[{number}]")

    def unknown(self, known: frozenset[str]) -> tuple[tuple[str, ...], ...]:
        """The paths of keys that are neither known nor an extension."""
        if not self.is_mapping:
            return ()
        keys = [key for key, _ in self.entries() if key not in known and not key.startswith("x-")]
        return tuple((*self.path, key) for key in keys)

    @property
    def is_mapping(self) -> bool:
        """Whether it has keys."""
        return isinstance(self.value, Mapping)

    def text(self, default: str = "") -> str:
        """A scalar as Compose was given it: what it prints doubles every dollar sign."""
        match self.value:
            case None:
                return default
            case bool():
                return str(self.value).lower()
            case str():
                if "\0" in self.value:
                    raise self.wrong("text without NUL characters")
                return self.value.replace("$$", "$")
            case int() | float():
                return str(self.value)
            case _:
                raise self.wrong("a string")

    def texts(self) -> tuple[str, ...]:
        """A list of scalars; one scalar is a list of one."""
        if isinstance(self.value, str):
            return (self.text(),)
        return tuple(item.text() for item in self.items())

    def words(self) -> tuple[str, ...]:
        """A list of scalars, or the keys of a mapping: two spellings of one thing."""
        if self.is_mapping:
            return tuple(key for key, _ in self.entries())
        return self.texts()

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """A mapping of scalars, or a list of `key=value`."""
        if self.is_mapping:
            return tuple((key, place.text()) for key, place in self.entries())
        split = (text.partition("=") for text in self.texts())
        return tuple((key.strip(), value) for key, _, value in split)

    def flag(self) -> bool:
        """A boolean; absent is false."""
        word = self.text().strip().lower()
        if word in _YES:
            return True
        if word in _NO:
            return False
        raise self.wrong("true or false")

    def number(self) -> float | None:
        """A number, or None where there is none."""
        if self.is_absent or self.value == "":
            return None
        try:
            number = float(self.text())
        except ValueError:
            raise self.wrong("a number") from None
        if not abs(number) < float("inf"):  # Nor is it a number that is none.
            raise self.wrong("a finite number")
        return number

    def _mapping(self) -> Mapping[object, object]:
        if self.value is None:
            return {}
        if not isinstance(self.value, Mapping):
            raise self.wrong("a mapping")
        return self.value
