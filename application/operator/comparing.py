"""In what two revisions of a project differ, as far as the control plane tells."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """`name` was added, removed or changed; `what` says so in one of these words."""

    name: str
    what: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`compose` is a unified diff, by lines; empty where the files are the same."""

    compose: Sequence[str]
    variables: Sequence[Difference]
    files: Sequence[Difference]
    options: Sequence[Difference]

    @property
    def is_same(self) -> bool:
        """Whether there is no difference at all."""
        return not (self.compose or self.variables or self.files or self.options)


def compared(
    old: Mapping[str, Any], new: Mapping[str, Any], *, old_name: str, new_name: str
) -> Comparison:
    """Two contents, as `GET /deployments/{id}/content` has them."""
    diff = difflib.unified_diff(
        str(old["compose"]).splitlines(),
        str(new["compose"]).splitlines(),
        f"{old_name}/docker-compose.yml",
        f"{new_name}/docker-compose.yml",
        lineterm="",
    )
    return Comparison(
        compose=list(diff),
        variables=_differences(_marks(old["variables"], "name"), _marks(new["variables"], "name")),
        files=_differences(_marks(old["files"], "path"), _marks(new["files"], "path")),
        options=_differences(old["options"], new["options"]),
    )


def _marks(items: Iterable[Mapping[str, Any]], key: str) -> dict[str, Any]:
    """By name: equal marks mean equal contents and modes."""
    return {str(one[key]): (one["fingerprint"], one.get("mode")) for one in items}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    found = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            found.append(Difference(name, "added"))
        elif name not in new:
            found.append(Difference(name, "removed"))
        elif old[name] != new[name]:
            found.append(Difference(name, "changed"))
    return found
