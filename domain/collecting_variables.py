"""Variables in a compose file, put in as Compose puts them in.

Known here is what the project's env files say. What the host has in its own environment beside that
nobody knows before the deployment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from domain.errors import InvalidInput

MAX_NESTING: Final = 32
"""Of defaults within defaults."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS: Final = (":-", ":?", ":+", "-", "?", "+")
_SHOWN_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Interpolated:
    """A text without variables; `empty` are those that had neither a value nor a default."""

    text: str
    empty: tuple[str, ...] = ()


def interpolated(text: str, variables: Mapping[str, str]) -> Interpolated:
    """Puts values in for `$NAME` and `${NAME}`, with the operators `:-`, `-`, `:?`, `?`, `:+`, `+`.

    `$$` is a dollar sign, and so is one that no name follows. Raises `InvalidInput` for what Compose
    refuses; its field is the variable, and its rule quotes no variable's value.
    """
    if "$" not in text:
        return Interpolated(text)
    expansion = _Expansion(variables)
    return Interpolated(expansion.expand(text, 0), tuple(expansion.empty))


def texts_in(value: object, where: str) -> Iterator[tuple[str, str]]:
    """Every text in a part of a document that Compose interpolates, with its key path.

    Keys are no texts, and what begins with `x-` is nobody's.
    """
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            if not key.startswith("x-"):
                yield from texts_in(entry, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from texts_in(entry, f"{where}[{number}]")


class _Expansion:
    def __init__(self, variables: Mapping[str, str]) -> None:
        self.empty: dict[str, None] = {}
        self._variables = variables

    def expand(self, text: str, depth: int) -> str:
        if depth > MAX_NESTING:
            raise InvalidInput("$", f"must not be nested deeper than {MAX_NESTING} levels")
        parts: list[str] = []
        position = 0
        while (dollar := text.find("$", position)) >= 0:
            parts.append(text[position:dollar])
            value, position = self._variable(text, dollar + 1, depth)
            parts.append(value)
        parts.append(text[position:])
        return "".join(parts)

    def _variable(self, text: str, start: int, depth: int) -> tuple[str, int]:
        """The value of what follows a dollar sign, and where it ends."""
        following = text[start : start + 1]
        if following == "$":
            return "$", start + 1
        if following == "{":
            end = _closing_brace(text, start)
            return self._braced(text[start + 1 : end], depth), end + 1
        name = _NAME.match(text, start)
        if name is None:
            return "$", start  # Compose lets it stand.
        return self._value(name[0]), name.end()

    def _braced(self, inside: str, depth: int) -> str:
        name = _NAME.match(inside)
        if name is None:
            raise InvalidInput("${", "must be followed by a variable's name")
        rest = inside[name.end() :]
        if not rest:
            return self._value(name[0])
        operator = next((one for one in _OPERATORS if rest.startswith(one)), None)
        if operator is None:
            raise InvalidInput(
                f"${{{name[0]}", f"must be followed by '}}' or one of {' '.join(_OPERATORS)}"
            )
        return self._substituted(name[0], operator, rest[len(operator) :], depth)

    def _substituted(self, name: str, operator: str, other: str, depth: int) -> str:
        value = self._variables.get(name)
        counts = bool(value) if operator.startswith(":") else value is not None
        match operator[-1]:
            case "+":
                return self.expand(other, depth + 1) if counts else ""
            case _ if counts:
                return value or ""
            case "-":
                return self.expand(other, depth + 1)
            case _:
                said = f": {other[:_SHOWN_CHARACTERS]}" if other else ""
                raise InvalidInput(name, f"is required, and in no env file{said}")

    def _value(self, name: str) -> str:
        if name not in self._variables:
            self.empty[name] = None
        return self._variables.get(name, "")


def _closing_brace(text: str, start: int) -> int:
    """The brace that ends the variable whose opening brace is at `start`."""
    level = 0
    for position in range(start, len(text)):
        if text[position] == "}":
            level -= 1
            if level == 0:
                return position
        elif text[position] == "{" and (position == start or text[position - 1] == "$"):
            level += 1
    raise InvalidInput("${", "must end with '}'")
