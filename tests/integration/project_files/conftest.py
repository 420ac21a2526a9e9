"""Project files on a real disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.filesystem.project_files import LocalProjectFiles
from application.ports.project_files import ProjectFiles


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    return tmp_path / "projects"


@pytest.fixture
def files(projects: Path, executor: Executor) -> ProjectFiles:
    return LocalProjectFiles(str(projects), private=False, executor=executor)


@pytest.fixture
def private_files(projects: Path, executor: Executor) -> ProjectFiles:
    return LocalProjectFiles(str(projects), private=True, executor=executor)


@pytest.fixture
def umask() -> Iterator[Callable[[int], None]]:
    before = os.umask(0o022)

    def change(mask: int) -> None:
        os.umask(mask)

    yield change
    os.umask(before)
