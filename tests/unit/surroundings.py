"""What a starting agent finds around it, for the tests of its settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrypoints.agent.settings import (
    load_settings,
)
from entrypoints.configuration import SettingsError

TOKEN = "tok-s3cr3t"
OTHER = "other-s3cr3t"
ENOUGH = {"SERVER_URL": "wss://cp.example/ws", "AGENT_SECRET_TOKEN": TOKEN}


class Surroundings:
    """The environment and the directory that the agent is started in: nothing is set at first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self._monkeypatch = monkeypatch
        self.directory = directory

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def write(self, name: str, content: str | bytes) -> str:
        """A file in the directory; returns its path."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def problems(self) -> list[str]:
        """What is wrong with the configuration."""
        with pytest.raises(SettingsError) as wrong:
            load_settings()
        assert TOKEN not in str(wrong.value)
        assert TOKEN not in repr(wrong.value)
        return wrong.value.problems
