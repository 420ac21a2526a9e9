"""Project folders as tests make them, and what is collected of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from adapters.project_folder.collecting import collect
from domain.collecting import CannotCollect, CollectedProject

Content = str | bytes


def make(root: Path, files: Mapping[str, Content]) -> Path:
    """Writes files, 0644 whatever the umask; a path that ends in a slash is a directory."""
    for path, content in files.items():
        full = root / path
        if path.endswith("/"):
            full.mkdir(parents=True, exist_ok=True)
            continue
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(content.encode() if isinstance(content, str) else content)
        full.chmod(0o644)
    return root


def contents(project: CollectedProject) -> dict[str, bytes]:
    return {file.path: file.content for file in project.files}


def modes(project: CollectedProject) -> dict[str, int]:
    return {file.path: file.mode for file in project.files}


def picked(files: Mapping[str, Content], *paths: str) -> dict[str, bytes]:
    """What was written to these paths, in bytes."""
    found = {path: files[path] for path in paths}
    return {
        path: one.encode() if isinstance(one, str) else one for path, one in sorted(found.items())
    }


def problems(directory: Path, **options: list[Path]) -> tuple[str, ...]:
    """Why a folder cannot be collected."""
    with pytest.raises(CannotCollect) as refused:
        collect(directory, **options)
    assert str(refused.value) == "\n".join(refused.value.problems)
    return refused.value.problems
