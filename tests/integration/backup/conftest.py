"""Databases of a test's own, of both kinds."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.postgres import new_database, shared_server, url_of

KINDS = ("sqlite", "postgres")

NewUrl = Callable[[str], str]


@pytest.fixture
def new_url(tmp_path: Path) -> Iterator[NewUrl]:
    """Gives the URL of a database of that kind that has no tables, another one each time."""
    numbers = itertools.count(1)
    with contextlib.ExitStack() as stack:

        def new(kind: str) -> str:
            if kind == "postgres":
                return url_of(shared_server(), stack.enter_context(new_database(shared_server())))
            directory = tmp_path / f"database-{next(numbers)}"
            directory.mkdir()
            return f"sqlite:///{directory}/control-plane.db"

        yield new
