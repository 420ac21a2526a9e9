"""The highest generation that a command of a project has had on a host, or that its agent knows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import bindparam, insert, select, update

from adapters.storage.job_rows import by_values
from adapters.storage.repeated import Repeated
from adapters.storage.statements import among
from adapters.storage.tables import GENERATIONS
from adapters.storage.transaction import Transaction
from domain.fleet.changes import HIGHEST_GENERATION
from domain.fleet.host import HostId

_KNOWN: Final = select(GENERATIONS).where(
    among(GENERATIONS.c.host_id), among(GENERATIONS.c.project_key, "keys")
)
_NEW: Final = Repeated(insert(GENERATIONS))
_HIGHER: Final = Repeated(
    update(GENERATIONS)
    .where(
        GENERATIONS.c.host_id == bindparam("of_host"),
        GENERATIONS.c.project_key == bindparam("of_project"),
    )
    .values(highest=bindparam("new_highest"))
)

_Place = tuple[HostId, str]
"""A host, and a project by Compose's name."""


class Generations:
    """Those of some hosts and projects; what changes is written by `keep`."""

    def __init__(
        self, tx: Transaction, host_ids: Iterable[HostId], projects: Collection[str]
    ) -> None:
        self._tx = tx
        self._known: dict[_Place, int] = {}
        self._reached: dict[_Place, int] = {}
        for some in by_values(host_ids):
            for keys in by_values(projects):
                for row in tx.connection.execute(_KNOWN, {"some": some, "keys": keys}):
                    self._known[HostId(row.host_id), row.project_key] = row.highest

    def next(self, host_id: HostId, project: str) -> int:
        """The generation of the project's next command."""
        self._reached[host_id, project] = self._highest(host_id, project) + 1
        return self._reached[host_id, project]

    def reach(self, host_id: HostId, project: str, generation: int) -> None:
        """Let the next ones be above this."""
        generation = min(generation, HIGHEST_GENERATION)
        if generation > self._highest(host_id, project):
            self._reached[host_id, project] = generation

    def keep(self) -> None:
        """Write down what has changed."""
        self._tx.repeat(
            _NEW,
            [
                {"host_id": host_id, "project_key": key, "highest": highest}
                for (host_id, key), highest in self._reached.items()
                if (host_id, key) not in self._known
            ],
        )
        self._tx.repeat(
            _HIGHER,
            [
                {"of_host": host_id, "of_project": key, "new_highest": highest}
                for (host_id, key), highest in self._reached.items()
                if (host_id, key) in self._known
            ],
        )

    def _highest(self, host_id: HostId, project: str) -> int:
        place = (host_id, project)
        return self._reached.get(place, self._known.get(place, 0))
