"""How much of a stranger's YAML is read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class YamlBounds:
    """Bounds on one document. A node is a mapping, a sequence or a scalar."""

    depth: int = 64
    nodes: int = 100_000
    expanded_nodes: int = 200_000
    kept_levels: int = 2
    """How far down a document, and what an alias may put in its place, is held in memory."""
