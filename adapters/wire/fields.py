"""Reading the fields of a JSON object one by one, each as what it has to be."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from domain.errors import InvalidInput

ECHOED_ID_LENGTH: Final = 1024
"""A longer id is called unreadable: repeating it in every response would pass the response limit."""
LABEL_LENGTH: Final = 256
SHORTEST_NONCE: Final = 16
MAX_WHOLE: Final = 2**63 - 1
MAX_ENTRIES: Final = 10_000

T = TypeVar("T")
Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one object; `path` is the way to it, empty or ending in a dot.

    Every method raises `InvalidInput` for a field that is missing, mistyped or breaks a rule.
    """

    document: Mapping[str, object]
    path: str = ""

    def optional(self, name: str, read: Callable[[str], T]) -> T | None:
        """What `read` makes of the field, or None where it is missing."""
        return read(name) if name in self.document else None

    def given(self, name: str, read: Callable[[str], T]) -> T | None:
        """What `read` makes of the field, or None where it is missing, or null."""
        return None if self.document.get(name) is None else read(name)

    def text(self, name: str) -> str:
        """A string, as it is."""
        value = self._value(name)
        if not isinstance(value, str):
            raise self.broken(name, f"must be a string, not {json_type(value)}")
        return value

    def label(self, name: str, *, shortest: int = 1) -> str:
        """A short string that can stand in a line."""
        value = self.text(name)
        if not shortest <= len(value) <= LABEL_LENGTH:
            raise self.broken(
                name, f"must be {shortest} to {LABEL_LENGTH} characters long, not {len(value)}"
            )
        # What is printable has none of them, and is found out at once.
        if not value.isprintable() and any(
            unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") for each in value
        ):
            raise self.broken(name, "must not contain control characters or line breaks")
        return value

    def job_id(self, name: str) -> str:
        """An id that can at least be repeated, whether or not it keeps the rules for ids."""
        value = self.text(name)
        if not value:
            raise self.broken(name, "must not be empty")
        if len(value) > ECHOED_ID_LENGTH:
            raise self.broken(name, f"is {len(value)} characters long; it cannot even be repeated")
        return value

    def word(self, name: str, words: type[Word]) -> Word:
        """One of the words of an enumeration."""
        value = self.text(name)
        try:
            return words(value)
        except ValueError:
            raise self.broken(name, f"must be one of {', '.join(words)}") from None

    def flag(self, name: str) -> bool:
        """A boolean."""
        value = self._value(name)
        if not isinstance(value, bool):
            raise self.broken(name, f"must be a boolean, not {json_type(value)}")
        return value

    def count(self, name: str) -> int:
        """A whole number from 0."""
        return self._whole(name, least=0)

    def ordinal(self, name: str) -> int:
        """A whole number from 1."""
        return self._whole(name, least=1)

    def whole_or_null(self, name: str) -> int | None:
        """A whole number, also below 0, or null."""
        return None if self._value(name) is None else self._whole(name, least=-MAX_WHOLE)

    def number(self, name: str, *, least: float, most: float) -> float:
        """A number within these bounds."""
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.broken(name, f"must be a number, not {json_type(value)}")
        if not least <= value <= most:
            raise self.broken(name, f"must be from {least:g} to {most:g}")
        return float(value)

    def positive(self, name: str) -> float:
        """A number over 0."""
        value = self.number(name, least=-MAX_WHOLE, most=MAX_WHOLE)
        if value <= 0:
            raise self.broken(name, "must be over 0")
        return value

    def mapping(self, name: str) -> Mapping[str, object]:
        """An object, whatever it holds."""
        value = self._value(name)
        if not isinstance(value, Mapping):
            raise self.broken(name, f"must be a JSON object, not {json_type(value)}")
        return value

    def nested(self, name: str) -> Fields:
        """An object, to be read in turn."""
        return Fields(self.mapping(name), f"{self.path}{name}.")

    def objects(self, name: str) -> Iterator[Fields]:
        """A list of objects, each to be read in turn."""
        return (self._entry(name, value) for value in self._items(name))

    def objects_by_id(self, name: str) -> Iterator[tuple[str, Fields]]:
        """An object of objects, each to be read in turn."""
        return ((key, self._entry(name, value)) for key, value in self._entries(name).items())

    def ordinals_by_name(self, name: str) -> Mapping[str, int]:
        """An object of whole numbers from 1."""
        return {
            key: Fields({name: value}, self.path).ordinal(name)
            for key, value in self._entries(name).items()
        }

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        return tuple(Fields({name: value}, self.path).text(name) for value in self._items(name))

    def broken(self, name: str, rule: str) -> InvalidInput:
        """What to raise where the field breaks a rule that its reader alone knows."""
        return InvalidInput(self.path + name, rule)

    def _value(self, name: str) -> object:
        if name not in self.document:
            raise self.broken(name, "is missing")
        return self.document[name]

    def _whole(self, name: str, *, least: int) -> int:
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.broken(name, f"must be a whole number, not {json_type(value)}")
        if isinstance(value, float):
            raise self.broken(name, "must be a whole number, without fraction and exponent")
        if not least <= value <= MAX_WHOLE:
            raise self.broken(name, f"must be a whole number from {least} to {MAX_WHOLE}")
        return value

    def _entry(self, name: str, value: object) -> Fields:
        if not isinstance(value, Mapping):
            raise self.broken(name, f"must hold JSON objects, not {json_type(value)}")
        return Fields(value, f"{self.path}{name}.")

    def _entries(self, name: str) -> Mapping[str, object]:
        entries = self.mapping(name)
        self._check_number(name, entries)
        if not all(1 <= len(key) <= ECHOED_ID_LENGTH for key in entries):
            raise self.broken(name, f"must have keys of 1 to {ECHOED_ID_LENGTH} characters")
        return entries

    def _items(self, name: str) -> list[object]:
        value = self._value(name)
        if not isinstance(value, list):
            raise self.broken(name, f"must be an array, not {json_type(value)}")
        self._check_number(name, value)
        return value

    def _check_number(self, name: str, entries: Sized) -> None:
        if len(entries) > MAX_ENTRIES:
            raise self.broken(name, f"must have at most {MAX_ENTRIES} entries")


def json_type(value: object) -> str:
    """What JSON calls a value's type, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
