"""Reads compose files with YAML's own safe reader: what tests hold is no bomb."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import yaml

from adapters.yaml.bounded_reader import parse_fully
from adapters.yaml.bounds import YamlBounds
from adapters.yaml.lines import KeyPath, lines_of
from domain.errors import InvalidInput
from domain.project import ComposeFile


class FakeComposeReader:
    """Knows the difference between YAML and none, and no bounds. `read_files` counts the calls."""

    def __init__(self) -> None:
        self.read_files = 0

    async def read(self, file: ComposeFile) -> object:
        """See `ComposeReader`."""
        self.read_files += 1
        try:
            return yaml.load(file.content, Loader=yaml.BaseLoader)
        except yaml.YAMLError:
            raise InvalidInput(
                "compose_file_base64", "the compose file is not valid YAML"
            ) from None

    async def read_fully(self, file: ComposeFile) -> object:
        """See `ComposeReader`. What is judged has to be read as it is read in earnest."""
        self.read_files += 1
        return parse_fully(file.content, YamlBounds())

    async def lines_of(
        self, file: ComposeFile, paths: Collection[KeyPath]
    ) -> Mapping[KeyPath, int]:
        """See `ComposeReader`."""
        return lines_of(file.content, paths)
