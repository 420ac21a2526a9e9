"""What tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.running import CommandLine


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """With two hosts, and a project in the working directory."""
    line = CommandLine(tmp_path)
    line.world.add_host("web-1", env="prod")
    line.world.add_host("web-2", env="prod")
    line.world.add_user("ann", {"role": "admin", "labels": {}})
    (tmp_path / "compose.yml").write_text("services:\n  web:\n    image: nginx\n")
    return line
