"""Where a fleet keeps what its agents remember and have done, so that its process can be killed.

A file is replaced as a whole, and not synced: it is for processes that die, not for machines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from tests.fleet.ledger import Ledger
from tests.fleet.memory import Memory


class Keeper(Protocol):
    """Knows agents by their names."""

    def recall(self, memory: Memory, ledger: Ledger) -> tuple[Memory, Ledger]:
        """What was kept last under the ledger's name, or these where there is nothing."""

    def keep(self, memory: Memory, ledger: Ledger) -> None:
        """Keep both, as they are now."""


class NotKept:
    """Keeps nothing."""

    def recall(self, memory: Memory, ledger: Ledger) -> tuple[Memory, Ledger]:
        return memory, ledger

    def keep(self, memory: Memory, ledger: Ledger) -> None:
        pass


class Keeping:
    """A file for each agent in a directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory

    def recall(self, memory: Memory, ledger: Ledger) -> tuple[Memory, Ledger]:
        try:
            text = self._file(ledger.name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return memory, ledger
        kept = json.loads(text)
        return Memory.from_json(kept["memory"]), Ledger.from_json(kept["ledger"])

    def keep(self, memory: Memory, ledger: Ledger) -> None:
        text = json.dumps({"memory": memory.to_json(), "ledger": ledger.to_json()})
        file = self._file(ledger.name)
        draft = file.with_suffix(".draft")
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.json"
