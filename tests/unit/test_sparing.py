"""What an agent that has nothing to do does not keep in memory."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrypoints.agent.sparing import load_without

ROOT = Path(__file__).resolve().parents[2]
UNNEEDED = ["ctypes", "cryptography", "sh", "tomllib", "yaml"]


def loaded_with(program: str, *wanted: str) -> list[str]:
    """Which of these modules a new process has loaded after this."""
    script = (
        f"{program}\nimport json, sys\nprint(json.dumps([*({set(wanted)} & {{*sys.modules}})]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


def test_what_an_idle_agent_does_not_need_is_not_loaded() -> None:
    assert loaded_with("import entrypoints.agent.__main__", *UNNEEDED) == []


def test_what_was_left_out_is_there_for_who_wants_it() -> None:
    program = "import entrypoints.agent.__main__, adapters.yaml.bounded_reader"
    assert loaded_with(program, *UNNEEDED) == ["yaml"]


def test_what_is_loaded_already_stays() -> None:
    before = sys.modules["json"]
    load_without("json.tool", "json")
    assert sys.modules["json"] is before


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One that needs `needed_thing`, and one that can do without it."""
    (tmp_path / "needed_thing.py").write_text("")
    (tmp_path / "needing_library.py").write_text("import needed_thing")
    (tmp_path / "modest_library.py").write_text(
        "try:\n    import needed_thing\nexcept ImportError:\n    needed_thing = None"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("needed_thing", "needing_library", "modest_library"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("libraries")
def test_a_library_that_can_do_without_does() -> None:
    load_without("modest_library", "needed_thing")
    assert sys.modules["modest_library"].needed_thing is None
    assert "needed_thing" not in sys.modules
    importlib.import_module("needed_thing")


@pytest.mark.usefixtures("libraries")
def test_a_library_that_cannot_do_without_is_said_and_hides_nothing_for_long() -> None:
    with pytest.raises(ImportError):
        load_without("needing_library", "needed_thing")
    importlib.import_module("needing_library")


@pytest.mark.parametrize("name", ["nothing.that.exists"])
def test_a_library_that_is_not_there_is_said(name: str) -> None:
    with pytest.raises(ImportError):
        load_without(name, "nor.this")
    assert "nor.this" not in sys.modules
