"""Loads a library without what it takes along on the chance that somebody wants it."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def load_without(library: str, *optional: str) -> None:
    """Import a library as if these packages, which it can do without, were not installed.

    Whoever imports one of them later gets it. What is loaded already stays.
    """
    modules: dict[str, Any] = sys.modules
    hidden = [name for name in optional if name not in modules]
    modules.update(dict.fromkeys(hidden))  # None has an import fail: "The import system", 5.3.1.
    try:
        importlib.import_module(library)
    finally:
        for name in hidden:
            del modules[name]
