"""What an env file says, read as Compose reads it, to know which files a compose file means.

The file itself is sent as it is. Compose's rules are those of compose-go's package `dotenv`: names
with `=` or `:`, comments, quotes over several lines, escapes in double quotes, and variables in
everything but single quotes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from domain.collecting_variables import interpolated
from domain.errors import InvalidInput

_BLANKS: Final = " \t\v\f\r\x85\xa0"
_NAME = re.compile(rf"(?:export[{_BLANKS}\n]+)?([\w.\-\[\]]*)[{_BLANKS}]*(?=([=:\n]|\Z))")
_COMMENT = re.compile(r"#[^\n]*")
_ESCAPE = re.compile(r'\\([abfnrtv"\\$])')
_ESCAPED: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    '"': '"', "\\": "\\", "$": "$$",
}  # fmt: skip
"""A dollar sign is escaped for the interpolation that follows."""


def variables_of(content: bytes, where: str, known: Mapping[str, str]) -> dict[str, str]:
    """The variables that an env file sets, by name; the last value of a name counts.

    `known` is what came before it, for what it refers to. Raises `InvalidInput` with the field
    `where` for what Compose cannot read; its rule has the line, and never quotes a value.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InvalidInput(where, f"must be UTF-8 text: byte {exc.start} is not valid") from None
    return _Reading(text.replace("\r\n", "\n"), where, known).read()


class _Reading:
    def __init__(self, text: str, where: str, known: Mapping[str, str]) -> None:
        self._text = text
        self._where = where
        self._known = known
        self._position = 0
        self._found: dict[str, str] = {}

    def read(self) -> dict[str, str]:
        while self._skip_to_statement():
            name, has_value = self._name()
            if has_value:
                self._found[name] = self._value()
            elif name in self._known:  # A name alone takes what is known by it.
                self._found[name] = self._known[name]
        return self._found

    def _skip_to_statement(self) -> bool:
        while self._position < len(self._text):
            comment = _COMMENT.match(self._text, self._position)
            if comment is not None:
                self._position = comment.end()
            elif self._text[self._position].isspace():
                self._position += 1
            else:
                return True
        return False

    def _name(self) -> tuple[str, bool]:
        found = _NAME.match(self._text, self._position)
        if found is None or not found[1]:
            raise self._wrong("must begin with a variable's name and '='")
        self._position = found.end() + len(found[2])
        return found[1], found[2] in ("=", ":")

    def _value(self) -> str:
        while self._text[self._position : self._position + 1] in tuple(_BLANKS):
            self._position += 1
        quote = self._text[self._position : self._position + 1]
        if quote in ("'", '"'):
            return self._quoted(quote)
        line, _, _ = self._text[self._position :].partition("\n")
        value = self._expanded(line.partition(" #")[0].rstrip())
        self._position += len(line)
        return value

    def _quoted(self, quote: str) -> str:
        characters: list[str] = []
        position = self._position + 1
        while (character := self._text[position : position + 1]) != quote:
            if not character:
                raise self._wrong("has a quote that does not end")
            if character == "\\" and self._text[position + 1 : position + 2] == quote:
                # Only the quote itself; in double quotes, what is left is an escape of its own.
                character = quote
                position += 1
            elif character == "\\":
                character += self._text[position + 1 : position + 2]
                position += 1
            characters.append(character)
            position += 1
        text = "".join(characters)
        value = text
        if quote == '"':
            value = self._expanded(_ESCAPE.sub(lambda found: _ESCAPED[found[1]], text))
        self._position = position + 1
        return value

    def _expanded(self, text: str) -> str:
        try:
            return interpolated(text, {**self._known, **self._found}).text
        except InvalidInput as exc:
            raise self._wrong(f"has a value that Compose cannot read: {exc}") from None

    def _wrong(self, rule: str) -> InvalidInput:
        line = self._text.count("\n", 0, self._position) + 1
        return InvalidInput(self._where, f"line {line} {rule}")
