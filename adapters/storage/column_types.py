"""How values stand in columns: whatever an agent says can be kept, on every database, and read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from typing import Any, Final

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

PLAIN_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Ordered by code points, wherever the database comes from."""


class EscapedText(TypeDecorator[str]):
    """Any `str`, in ASCII: also with NUL and half characters, which PostgreSQL and UTF-8 do not take.

    Two texts are equal in the database where they are equal here, and those without odd characters
    stand there as they are.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column's type."""
        return dialect.type_descriptor(PLAIN_TEXT)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """To the database."""
        return None if value is None else encode_basestring_ascii(value)[1:-1]

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """From the database."""
        if value is None or "\\" not in value:
            return value
        return str(json.loads(f'"{value}"'))


class JsonText(TypeDecorator[Any]):
    """What JSON can say, in ASCII."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column's type."""
        return dialect.type_descriptor(PLAIN_TEXT)

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """To the database."""
        return None if value is None else json.dumps(value, default=_plain)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any | None:  # noqa: ARG002
        """From the database."""
        return None if value is None else json.loads(value)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} cannot be said in JSON")
