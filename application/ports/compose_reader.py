"""Reads compose files before Compose does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from domain.project import ComposeFile


class ComposeReader(Protocol):
    """A YAML reader with bounds on time and memory."""

    async def read(self, file: ComposeFile) -> object:
        """The document's first two levels as mappings (str keys), sequences and strings.

        Deeper collections are read, judged and shown as empty or as they are. Scalars are not
        interpreted, merge keys are applied, and aliases share what they name. Raises `InvalidInput`
        where the content is not UTF-8, not YAML, more than one document, or larger, deeper or more
        aliased than the bounds allow.
        """
        ...

    async def read_fully(self, file: ComposeFile) -> object:
        """The document to its last level: mappings (str keys), sequences, strings, and None.

        Everything else is as with `read`. None is what YAML calls null; other scalars are not
        interpreted. Raises `InvalidInput` also where a tag makes Compose read something else than
        what stands there, as `!!binary` does.
        """
        ...

    async def lines_of(
        self, file: ComposeFile, paths: Collection[tuple[str, ...]]
    ) -> Mapping[tuple[str, ...], int]:
        """On which lines, from 1, these keys stand; those that do not stand there are left out."""
        ...
