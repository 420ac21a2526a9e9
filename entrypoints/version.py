"""The one place where the version stands; the package's metadata is made from it."""

from __future__ import annotations

from typing import Final

VERSION: Final = "1.0.0"
