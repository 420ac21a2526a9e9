"""Keeps what is secret unreadable for whoever has only the database."""

from __future__ import annotations

from typing import Protocol


class PayloadCipher(Protocol):
    """Authenticated encryption under a key that is not in the database."""

    def seal(self, content: bytes, context: str) -> bytes:
        """Content that `open` gives back for the same context alone, such as the id of what it is of."""
        ...

    def open(self, sealed: bytes, context: str) -> bytes:
        """Raises `StorageUnavailable` where it was sealed under another key or context, or is spoilt."""
        ...

    def fingerprint(self, content: bytes) -> str:
        """A text that is the same for the same content, and tells nothing else of it without the key."""
        ...
