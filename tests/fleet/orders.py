"""What a fleet in a process of its own is told to do, and answers: JSON, a line each. Pure.

Orders are objects with `do`; answers are objects with `ok`, and `error` where that is false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tests.fleet.memory import Memory
from tests.fleet.scripts import Manners

Order = dict[str, Any]


def open_order(url: str, **options: Any) -> Order:
    """Begin a fleet; see `Fleet`. `pace` are the fields of a `Pace`, `ca_file` is for TLS."""
    return {"do": "open", "url": url, **options}


def add_order(
    names: Sequence[str],
    memories: Sequence[Memory],
    *,
    script: str = "succeed",
    manners: Manners | None = None,
    offer: Sequence[str] | None = None,
    is_started: bool = True,
) -> Order:
    """Add agents."""
    order: Order = {
        "do": "add",
        "agents": [
            {"name": name, "memory": memory.to_json()}
            for name, memory in zip(names, memories, strict=True)
        ],
        "script": script,
        "manners": asdict(manners or Manners()),
        "is_started": is_started,
    }
    return order if offer is None else order | {"offer": list(offer)}
