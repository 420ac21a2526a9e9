"""`make help` is the list of what `make` can do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
INTERNAL = {
    "curl",
    "demo-check",
    "fault-tools",
    "haproxy",
    "postgres",
    "registry",
    "shellcheck",
    "strace",
    "tmux",
}


def _listed() -> set[str]:
    help_text = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return set(re.findall(r"^  make ([a-z0-9-]+) +\S", help_text, re.MULTILINE))


def test_help_lists_every_target_that_is_not_internal() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE))
    assert _listed() == phony - INTERNAL


def test_help_lists_the_targets_that_the_documents_name() -> None:
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in documents)
    named = set(re.findall(r"(?:^ {4}|`)make ([a-z0-9-]+)", text, re.MULTILINE))
    assert named
    assert named <= _listed()
