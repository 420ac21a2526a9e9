"""Reads the histories of projects beside the agent that writes them. Blocking; nothing is put right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from adapters.filesystem import revision_documents as documents
from adapters.filesystem.private_directory import PrivateDirectory
from adapters.filesystem.project_revisions import HISTORY
from adapters.filesystem.sealed import NewerVersion, Spoilt
from adapters.storage_errors import translated
from domain.errors import InvalidInput
from domain.project import ProjectName
from domain.revision import ProjectHistory

MAX_BYTES: Final = 64 * 1024 * 1024


def read_histories(state_dir: Path) -> Mapping[str, ProjectHistory | None]:
    """By Compose's name of the project; None for a history that is spoilt, or a newer agent's.

    Each was whole when it was read: a history is replaced by a rename. Raises `StorageUnavailable`.
    """
    root = state_dir / "revisions"
    found: dict[str, ProjectHistory | None] = {}
    with translated(root, {}):
        for name in sorted(PrivateDirectory(root).names()):
            try:
                project = ProjectName(name)
                data = PrivateDirectory(root / name).read(HISTORY, limit=MAX_BYTES)
                found[name] = documents.history_from(data, project).history
            except (InvalidInput, FileNotFoundError, NotADirectoryError):
                continue  # Room that is kept back, or a project that goes meanwhile.
            except (Spoilt, NewerVersion):
                found[name] = None
    return found
