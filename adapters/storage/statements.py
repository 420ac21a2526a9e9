"""Parts of statements that are built once and carried out many times.

To build a statement costs about three times what it costs to carry it out; what every job and every
link takes is therefore built when its module is read, and given its values later.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, bindparam


def among(column: Column[Any], name: str = "some") -> ColumnElement[bool]:
    """Whether it is one of the values that are given under this name."""
    return column.in_(bindparam(name, expanding=True))
