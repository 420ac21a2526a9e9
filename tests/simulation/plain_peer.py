"""A control plane's end of one link of protocol v1. Pure, and as `PeerLink` in what it has in common."""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Final

from adapters.wire.messages import payload_of
from domain.job import JobState
from tests.simulation.database import Database
from tests.simulation.orders import AgentBroke, Submission

REFUSALS: Final = frozenset({"busy", "no_space", "storage_unavailable", "conflict"})
"""Reasons that are given where the job never was one: v1 has no other word for that."""
ENDS: Final = frozenset({"canceled", "expired", "superseded"})


class PlainPeer:
    """Asks once for each job that is not settled; what is heard waits until `commit`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._asked: set[str] = set()
        self._received: set[str] = set()
        self._waiting: list[tuple[str, JobState | None]] = []

    @property
    def has_uncommitted(self) -> bool:
        """Whether `commit` has something to do."""
        return bool(self._waiting)

    def frames(self) -> deque[str]:
        """What has to be asked for and was not yet."""
        found: deque[str] = deque()
        for wish in list(self.database.unsettled()):
            order = self.database.orders[wish.job_id]
            if wish.job_id in self._asked or wish.command != order.submissions[0].command:
                continue
            self._asked.add(wish.job_id)
            found.append(_frame(wish))
        return found

    def hear(self, frame: str) -> None:
        """Take a response; raises `AgentBroke`."""
        response = json.loads(frame)
        job_id, status = response["job_id"], response["status"]
        if status == "IN_PROGRESS":
            if job_id not in self._asked:
                raise AgentBroke(f"v1: nobody asked for {job_id}")
            self._received.add(job_id)
        elif status == "COMPLETED":
            self._waiting.append((job_id, JobState.SUCCEEDED))
        elif response.get("data", {}).get("reason") != "draining":  # It is asked for again.
            self._waiting.append((job_id, _end_of(response)))

    def commit(self) -> None:
        """Write down all that was heard."""
        waiting, self._waiting = self._waiting, []
        for job_id, state in waiting:
            if state is not None:
                self.database.settle_plainly(job_id, state)
            elif (order := self.database.orders.get(job_id)) is not None:
                self.database.refuse_plainly(order)


def _end_of(response: dict[str, Any]) -> JobState | None:
    data = response.get("data", {})
    reason = data.get("reason")
    if reason in REFUSALS:
        return None
    if reason == "pruned":
        return JobState(data["state"])
    return JobState(reason) if reason in ENDS else JobState.FAILED


def _frame(wish: Submission) -> str:
    kind, payload = payload_of(wish.command)
    return json.dumps({"id": wish.job_id, "type": kind, "payload": payload})
