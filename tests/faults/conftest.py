"""What the fault tests share. A missing engine fails them; nothing is skipped.

`make test` runs a fast choice of them; `make test-faults` all, with the number of injections that
FAULT_INJECTIONS says.
"""

from __future__ import annotations

import subprocess

import pytest

from tests.faults.counting import is_thorough
from tests.faults.effects import IMAGE


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "thorough: too slow for `make test`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes, but where all is wanted."""
    if is_thorough():
        return
    slow = [item for item in items if item.get_closest_marker("thorough") is not None]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session", autouse=True)
def _engine() -> None:
    """The engine answers and the test image is there; `make test` has seen to both."""
    found = subprocess.run(
        ["docker", "image", "inspect", IMAGE], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, f"run these tests with 'make test': {found.stderr}"
