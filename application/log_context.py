"""What log lines are about, apart from their text: for journals and programs that look for a job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_FIELDS: Final[ContextVar[Mapping[str, str] | None]] = ContextVar("log fields", default=None)


@contextmanager
def log_about(**fields: str) -> Iterator[None]:
    """Whatever is logged meanwhile, here or in tasks begun here, has these fields; empty ones are none."""
    token = _FIELDS.set({**log_fields(), **{name: text for name, text in fields.items() if text}})
    try:
        yield
    finally:
        _FIELDS.reset(token)


def log_fields() -> Mapping[str, str]:
    """The fields of what is logged now."""
    return _FIELDS.get() or {}
