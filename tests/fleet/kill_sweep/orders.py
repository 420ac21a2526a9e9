"""What a control plane that is to die is told, in its environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final, Self

VARIABLE: Final = "KILL_SWEEP"


@dataclass(frozen=True, slots=True)
class Orders:
    """`notes` is a file for the points that are passed. Without `at` it does not die."""

    notes: str
    at: str = ""
    """A `Strike` by its name."""
    late: tuple[str, ...] = ()
    """See `Commits`."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long something is waited for, by the name of the constant: `package.module:NAME_S`."""

    def environment(self) -> dict[str, str]:
        """The variable in which they stand."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def of(cls, text: str) -> Self:
        """What stands in it."""
        orders = json.loads(text)
        return cls(**orders | {"late": tuple(orders["late"])})
