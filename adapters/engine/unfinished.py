"""Tells a container whose recreation was cut short from one that is as it should be.

To recreate a container, Compose creates the new one as `<id>_<name>`, stops and removes the old
one, and renames the new one to `<name>`. `<id>` is the first 12 digits of the old one's id. The new
one carries, from its creation on and for ever, the label `com.docker.compose.replace`: the old
one's whole id (seen with 2.26), or, later, the name that the service gives its container, or
`<service>-<number>`. Only the label proves it: a project, and a container, may be named like that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.engine.listing import COMPOSE_LABEL, labels_of, name_of

_TEMPORARY = re.compile(r"([0-9a-f]{12})_(.+)")
_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class EngineContainer:
    """One of a project's containers, as the engine lists it."""

    id: str
    name: str
    state: str
    created: int
    labels: Mapping[str, str]

    @classmethod
    def from_listing(cls, entry: Mapping[str, Any]) -> EngineContainer:
        """Read an entry of `/containers/json`."""
        return cls(
            id=str(entry["Id"]),
            name=name_of(entry),
            state=str(entry.get("State", "")),
            created=int(entry.get("Created", 0)),
            labels=labels_of(entry),
        )

    @property
    def is_going(self) -> bool:
        """Whether the engine is removing it, or has failed to: it only holds its name."""
        return self.state in ("removing", "dead")

    @property
    def proper_name(self) -> str | None:
        """The name that it was to get in the end; None where that is the one it has."""
        temporary = _TEMPORARY.fullmatch(self.name)
        replaced = self.labels.get(f"{COMPOSE_LABEL}replace", "")
        if temporary is None or not replaced or self.name in self._default_names():
            return None
        old_id, proper = temporary[1], temporary[2]
        if _ID.fullmatch(replaced):
            return proper if replaced.startswith(old_id) else None
        return proper if proper == replaced or proper in self._default_names() else None

    def _default_names(self) -> tuple[str, ...]:
        parts = [
            self.labels.get(f"{COMPOSE_LABEL}{what}", "")
            for what in ("project", "service", "container-number")
        ]
        # With underscores where Compose runs in its compatibility mode.
        return ("-".join(parts), "_".join(parts))
