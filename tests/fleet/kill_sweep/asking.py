"""Asks the control plane for things until it answers, and notes what it has answered.

A request that is not answered is asked again, under the same idempotency key. At the end, all of them
are: each has to be answered as before.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any, Final

import h11

from tests.fleet.kill_sweep.comparing import Asked
from tests.fleet.kill_sweep.following import Follower
from tests.fleet.kill_sweep.lives import Lives
from tests.fleet.plane_api import API, COMPOSE, PlaneApi, Refused
from tests.fleet.plane_http import Reply

REPLAYED: Final = "idempotent-replayed"
LOOK_S: Final = 0.01


class Asking:
    """For one case; `tasks` has the followers. One that `is_careless` asks again under another key."""

    def __init__(
        self, api: PlaneApi, lives: Lives, tasks: asyncio.TaskGroup, *, is_careless: bool = False
    ) -> None:
        self._api = api
        self._lives = lives
        self._tasks = tasks
        self._is_careless = is_careless
        self.asked: list[Asked] = []
        self.followers: dict[str, Follower] = {}

    async def deploy(self, project: str, host: str, *, ends: str) -> Follower:
        """A deployment to one host, which ends as told."""
        body = {"project": project, "compose": COMPOSE, "hosts": [host]}
        return await self._ask(Asked("/deployments", secrets.token_hex(16), body, {ends}))

    async def command(self, host: str, what: str, *, ends: set[str]) -> Follower:
        """A command, such as `projects/blog/stop`, which ends in one of these ways."""
        return await self._ask(Asked(f"/hosts/{host}/{what}", secrets.token_hex(16), {}, ends))

    async def cancel(self, follower: Follower) -> None:
        """Ask for a job's end; there is no key for that, as a second time changes nothing."""
        reply = await self._answered("POST", f"/jobs/{follower.job_id}/cancel")
        if reply.status != 202:
            raise Refused(f"canceling {follower.job_id}", reply)

    async def gone(self, host: str) -> None:
        """Wait until the control plane has noticed that the agent of a host is away."""
        while True:
            reply = await self._answered("GET", f"/hosts/{host}")
            if reply.status != 200:
                raise Refused(host, reply)
            if not reply.json()["online"]:
                return
            await asyncio.sleep(LOOK_S)

    async def ask_all_again(self) -> None:
        """Each request, under its key."""
        for one in self.asked:
            reply = await self._send(one)
            if reply.headers.get(REPLAYED) != "true":
                one.answers.append(("as if it were new",))

    async def _ask(self, one: Asked) -> Follower:
        self.asked.append(one)
        await self._send(one)
        (job_id,) = one.job_ids
        follower = self.followers[job_id] = Follower(self._api, self._lives, job_id)
        self._tasks.create_task(follower.run(), name=f"following {job_id}")
        return follower

    async def _send(self, one: Asked) -> Reply:
        reply = await self._answered("POST", one.path, one.body, {"Idempotency-Key": one.key})
        if reply.status != 202:
            raise Refused(one.path, reply)
        one.answers.append(_ids_in(reply.json()))
        return reply

    async def _answered(
        self,
        method: str,
        path: str,
        body: object | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        while True:
            number = self._lives.number
            try:
                return await self._api.http.ask(method, API + path, body, headers)
            except (OSError, h11.ProtocolError):
                await self._lives.next(number)
            if self._is_careless:
                headers = None


def _ids_in(answer: dict[str, Any]) -> tuple[str, ...]:
    """Of what has come of a request: the deployment and its jobs, or the job."""
    return (answer["id"], *(job["id"] for job in answer.get("jobs", ())))
