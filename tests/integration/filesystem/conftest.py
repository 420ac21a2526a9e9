"""What lies in the agent's state directory, on a real disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.project_files.disk import failing_with


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def filling(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def fill() -> None:
        """Nothing gets more room; what has some already is written with `pwrite`."""
        for call in ("write", "posix_fallocate"):
            monkeypatch.setattr(os, call, failing_with(errno.ENOSPC))

    return fill


@pytest.fixture
def umask() -> Iterator[None]:
    """One that takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)
