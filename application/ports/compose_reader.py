"""Reads compose files before Compose does."""

from __future__ import annotations

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
