"""Within the control plane that is to be killed: makes a point of each commit.

It is hung into SQLAlchemy, and knows no more of the control plane than its tables: what a commit is
called is what it says in the feed, or else which tables it has written to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect

from tests.fleet.kill_sweep.points import Points

NUMBERED: Final = "numbered"
SENT: Final = "sent"
CONFIRMED: Final = "confirmed"

_SAID: Final = (
    "superseded", "queued", "accepted", "running", "output", "canceling", "canceled", "succeeded",
    "failed", "expired",
)  # fmt: skip
_WRITES: Final = re.compile(r'(INSERT INTO|UPDATE|DELETE FROM) "?(\w+)"?')
_OF_OURS: Final = "kill_sweep"
_LATE: Final = "kill_sweep_late"


class Commits:
    """`late` are commits, such as `queued/2`, that are said to be made, and are with the next one only.

    That is a control plane that answers and acknowledges before it may: made on purpose, to be noticed.
    """

    def __init__(self, points: Points, late: Iterable[str] = ()) -> None:
        self._points = points
        self._late = frozenset(late)

    def install(self) -> None:
        """From now on, in this process."""
        event.listen(Engine, "before_cursor_execute", self._note)
        # It is called before the listener of an engine itself, which is what begins a transaction.
        event.listen(Engine, "begin", self._begin)
        commit: Callable[[DefaultDialect, Any], None] = DefaultDialect.do_commit

        def do_commit(dialect: DefaultDialect, connection: Any) -> None:
            names = names_of(connection.info.pop(_OF_OURS, ()))
            deaths = self._points.before(names) if names else []
            if self._late.isdisjoint(f"{one.what}/{one.number}" for one in deaths):
                commit(dialect, connection)
            else:
                connection.info[_LATE] = True
            self._points.after(deaths)

        DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]

    def _note(
        self, connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> None:
        if (found := _WRITES.match(statement)) is not None:
            what = connection.info.setdefault(_OF_OURS, [])
            what.append((found[1], found[2], words_in(parameters) if found[2] == "feed" else ()))

    def _begin(self, connection: Connection) -> None:
        connection.info.pop(_OF_OURS, None)  # Of one that was rolled back.
        if connection.info.pop(_LATE, False):
            connection.connection.commit()


def words_in(parameters: Any) -> tuple[str, ...]:
    """Which states, or output, stand in rows of the feed; a row, or a list of rows."""
    rows = parameters if isinstance(parameters, list) else [parameters]
    texts = {
        str(value)
        for row in rows
        for value in (row.values() if isinstance(row, dict) else row)
        if isinstance(value, str)
    }
    return tuple(word for word in _SAID if word in texts)


def names_of(written: Iterable[tuple[str, str, Iterable[str]]]) -> list[str]:
    """What a commit is called, from its statements; nothing for one that is not of a job's life."""
    did = {(verb, table) for verb, table, _ in written}
    names = [word for word in _SAID if any(word in said for _, _, said in written)]
    if ("INSERT INTO", "outgoing") in did and "canceling" not in names:
        names.append(NUMBERED)
    if not names and ("DELETE FROM", "outgoing") in did:
        names.append(CONFIRMED)
    if not names and ("UPDATE", "jobs") in did:
        names.append(SENT)
    return names
