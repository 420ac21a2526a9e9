"""The event loop of programs with thousands of links: uvloop's where it is installed."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, with as many open files as this user may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        import uvloop  # noqa: PLC0415 - it is not everywhere.
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
