"""One connection of an agent that speaks protocol v1, for a control plane that keeps a ledger."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from websockets.asyncio.server import ServerConnection

from tests.support.agent_frames import OVER, Message
from tests.support.peer_database import PATIENCE_S, PeerDatabase
from tests.support.peer_ledger import JobEntry
from tests.support.peer_terms import Crashed, LinkOver

FIELDS: Final = frozenset({"job_id", "status", "logs", "error", "data"})


class PlainSession:
    """The control plane's end of one link. What v1 has no words for is never sent.

    A command counts as delivered once it is sent. IN_PROGRESS is entered as an ACCEPT, and a final
    response once: v1 may deliver it again, and the same again is a duplicate.
    """

    is_welcome = True

    def __init__(self, connection: ServerConnection, database: PeerDatabase) -> None:
        request = connection.request
        assert request is not None
        self.headers = request.headers
        self.connection = connection
        self.over = asyncio.Event()
        self._database = database
        self._changed = asyncio.Event()
        self._changed.set()
        self._ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_live(self) -> bool:
        return not self.over.is_set() and not self._ending.done()

    @property
    def close_code(self) -> int | None:
        return self.connection.close_code

    def end(self, why: LinkOver | Crashed) -> None:
        """End the session with this."""
        if not self._ending.done():
            self._ending.set_exception(why)
            self._ending.exception()

    async def close(self, code: int, reason: str = "") -> None:
        """Close with a code, and wait for the end."""
        self.end(LinkOver(code, reason))
        await self.ended()

    async def ended(self) -> None:
        """Wait until the link is gone."""
        async with asyncio.timeout(PATIENCE_S):
            await self.over.wait()

    async def serve(self) -> None:
        """Send commands and take responses until the end."""
        tasks = {
            asyncio.create_task(self._send_all(), name="sending to an agent"),
            asyncio.create_task(self._hear_all(), name="hearing an agent"),
        }
        self._database.listeners.append(self._changed.set)
        self._database.wake()
        try:
            await asyncio.wait({*tasks, self._ending}, return_when=asyncio.FIRST_COMPLETED)
            for done in (self._ending, *tasks):
                if done.done():
                    done.result()
        finally:
            self._database.listeners.remove(self._changed.set)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_all(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            ledger = self._database.ledger
            for message in ledger.outgoing[ledger.agent_ack :]:
                ledger.agent_ack = message["seq"]
                if message["type"] != "CANCEL":
                    frame = {name: message[name] for name in ("id", "type", "payload")}
                    await self.connection.send(json.dumps(frame))

    async def _hear_all(self) -> None:
        while True:
            response = json.loads(await self.connection.recv())
            if self._ending.done():
                return
            self._take(response)
            self._database.wake()

    def _take(self, response: Message) -> None:
        if fault := _fault_in(response):
            self._database.violation(f"v1: {fault}: {response}")
            return
        job = self._database.jobs.get(response["job_id"])
        if job is None:
            self._database.violation(f"v1: nobody asked: {response}")
        elif response["status"] == "IN_PROGRESS":
            if job.owed == 0:
                self._database.violation(f"v1: acknowledged too often: {response}")
            job.owed = max(0, job.owed - 1)
            job.answers.append({"type": "ACCEPT", "job_id": job.job_id, "state": "accepted"})
        else:
            _finish(job, response)


def _fault_in(response: object) -> str | None:
    if not isinstance(response, dict):
        return "not an object"
    if unknown := response.keys() - FIELDS:
        return f"{sorted(unknown)} not known to v1"
    if not all(isinstance(response.get(name), str) for name in ("job_id", "logs", "status")):
        return "job_id, status and logs are strings"
    if response["status"] not in ("IN_PROGRESS", "COMPLETED", "FAILED"):
        return "not a status"
    return None if (response["status"] == "FAILED") is ("error" in response) else "error"


def _finish(job: JobEntry, response: Message) -> None:
    reason = response.get("data", {}).get("reason")
    state = "succeeded" if response["status"] == "COMPLETED" else "failed"
    final = response | {"state": reason if reason in OVER else state, "output": []}
    if final in job.finals:
        job.duplicates += 1
    else:
        job.finals.append(final)
