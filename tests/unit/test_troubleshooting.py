"""What the troubleshooting document lets people look for is what the program says."""

from __future__ import annotations

import ast
import functools
import re
from typing import Final

import pytest

from tests.unit.test_documents import ROOT, text_of

TROUBLESHOOTING: Final = ROOT / "docs" / "troubleshooting.md"
OPERATE: Final = ROOT / "docs" / "operate.md"
NO_WORDS_OF_OURS: Final = {"accepted", "failed", "policy", "status"}
"""States, reasons and commands, which other tests look after."""


def symptoms() -> list[str]:
    """The parts in code marks of the first cell of each row."""
    lines = [line for line in text_of(TROUBLESHOOTING).splitlines() if line.startswith("| ")]
    cells = [line.split("|")[1] for line in lines]
    found = {text for cell in cells for text in re.findall(r"`([^`]+)`", cell)}
    return sorted(found - NO_WORDS_OF_OURS)


@functools.cache
def said() -> list[str]:
    """Every text in the sources, where one text may be several in a row."""
    paths = [
        path
        for layer in ("domain", "application", "adapters", "entrypoints")
        for path in (ROOT / layer).rglob("*.py")
    ]
    return [
        node.value
        for path in paths
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


@pytest.mark.parametrize("symptom", symptoms())
def test_a_symptom_is_said_by_the_program(symptom: str) -> None:
    assert any(symptom in text for text in said())


def checks_of_the_doctor() -> set[str]:
    source = ast.parse(text_of(ROOT / "entrypoints" / "agent" / "commands" / "doctor.py"))
    return {
        call.args[0].value
        for call in ast.walk(source)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "Check"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def test_every_check_is_in_the_document_about_the_doctor() -> None:
    text = text_of(OPERATE)
    for check in checks_of_the_doctor():
        assert f"`{check.removeprefix('disk ')}`" in text or f"`{check}`" in text, check


def test_every_check_that_is_named_exists() -> None:
    named = re.findall(r"`doctor`, checks? `([^`]+)`(?: and `([^`]+)`)?", text_of(TROUBLESHOOTING))
    assert {name for pair in named for name in pair if name} <= checks_of_the_doctor()
