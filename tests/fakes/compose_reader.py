"""Reads compose files with YAML's own safe reader: what tests hold is no bomb."""

from __future__ import annotations

import yaml

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
