"""What becomes of jobs when a copy of a database takes its place: after it, hosts may know more."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from adapters.storage.generations import Generations
from adapters.storage.job_rows import CHANGING, NEW_STATE, job_of, new_state
from adapters.storage.numbering import needs_generation
from adapters.storage.tables import HAS_NOT_LEFT, JOBS
from adapters.storage.transaction import Transaction
from domain.fleet import changes
from domain.fleet.host import HostId

_CHANGES_THAT_WAIT: Final = (
    select(JOBS).where(HAS_NOT_LEFT, JOBS.c.kind.in_(sorted(CHANGING))).order_by(JOBS.c.place)
)


def leave_ends_to_agents(tx: Transaction, at: float) -> None:
    """Have each command that waits, and changes something, count as sent: it may have been since.

    Ended here, it could end otherwise than its host says that it has. It takes its place among its
    project's commands now, while no command is known that came after the copy was made: where a
    newer one is on the host already, the older one is not to be carried out over it.
    """
    rows = tx.connection.execute(_CHANGES_THAT_WAIT).all()
    keys = {row.project_key for row in rows if needs_generation(row)}
    generations = Generations(tx, {HostId(row.host_id) for row in rows}, keys)
    changed = []
    for row in rows:
        job = job_of(row)
        generation = job.generation
        if needs_generation(row):
            generation = generations.next(job.host_id, row.project_key)
        changed.append(new_state(changes.perhaps_sent(job, generation, at), row.place))
    tx.repeat(NEW_STATE, changed)
    generations.keep()
