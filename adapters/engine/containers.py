"""`ContainerNames` over the engine's socket: the one place that changes the engine without Compose.

It renames and removes, and only what `unfinished` proves to be left by Compose, or what the engine
is removing anyway. API: https://docs.docker.com/reference/api/engine/, the same from 1.24 on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlencode

from adapters.engine.address import EngineAddress
from adapters.engine.listing import MAX_LISTING_BYTES, PROJECT_LABEL
from adapters.engine.reading import labelled
from adapters.engine.unfinished import EngineContainer
from domain.errors import RuntimeUnavailable
from domain.project import ProjectName

CHANGE_S: Final = 30.0
"""Removing a container waits for its processes and for the disk."""
QUIET_S: Final = 1.0
"""Nothing has changed for so long: what was under way has been done. Creating a container takes
the engine a tenth of a second, and nothing tells from outside that it is at it."""
RESTLESS_S: Final = 20.0
"""A stop may take the container's grace. A project that never rests, as one that crashes and is
started again all the time, is left as it is."""
GONE_S: Final = 10.0
LOOK_AGAIN_S: Final = 0.05

_CHANGED: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND)
"""The last two: a name is taken, a removal is under way, or the container is gone meanwhile."""


class SocketContainerNames:
    """The engine at a `unix://` or `tcp://` address, the same that Compose is given."""

    def __init__(
        self, docker_host: str, *, change_s: float = CHANGE_S, quiet_s: float = QUIET_S
    ) -> None:
        self._address = EngineAddress(docker_host)
        self._change_s = change_s
        self._quiet_s = quiet_s

    async def settle(self, name: ProjectName) -> None:
        """See `ContainerNames`."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + RESTLESS_S
        seen, seen_at = await self._containers(name.compose_name), loop.time()
        while loop.time() < min(seen_at + self._quiet_s, give_up_at):
            await asyncio.sleep(LOOK_AGAIN_S)
            found = await self._containers(name.compose_name)
            if found != seen:
                seen, seen_at = found, loop.time()

    async def put_right(self, name: ProjectName) -> Sequence[str]:
        """See `ContainerNames`. Cancelled, it has changed each container wholly or not at all."""
        project = name.compose_name
        containers = await self._containers(project)
        going = [container for container in containers if container.is_going]
        if going:
            containers = await self._remove_for_good(project, going)
        said = [f"removed the container {one.name}, which was {one.state}" for one in going]
        holders = {container.name: container for container in containers}
        # If two were to get one name: the one that runs, and of two such the newer one.
        containers.sort(key=lambda one: (one.state == "running", one.created), reverse=True)
        for unfinished in containers:
            proper = unfinished.proper_name
            if proper is None:
                continue
            if proper in holders:
                # The next `up` makes another one: also where this one runs, beside the proper one.
                await self._remove(unfinished)
                said.append(f"removed the unfinished container {unfinished.name} beside {proper}")
            elif await self._rename(unfinished, proper):
                holders[proper] = unfinished
                said.append(f"renamed the container {unfinished.name} to {proper}")
        return said

    async def half_removed(self, name: ProjectName) -> Sequence[str]:
        """See `ContainerNames`."""
        return [one.name for one in await self._containers(name.compose_name) if one.is_going]

    async def rename(self, name: ProjectName, proper: Mapping[str, str]) -> Sequence[str]:
        """See `ContainerNames`. Cancelled, it has changed each container wholly or not at all."""
        wrong = [
            one
            for one in await self._containers(name.compose_name)
            if proper.get(one.id, one.name) != one.name
        ]
        said: list[str] = []
        while wrong:
            # One may have another one's name, and give it back.
            left = [one for one in wrong if not await self._rename(one, proper[one.id])]
            said += [
                f"renamed the container {one.name} to {proper[one.id]}"
                for one in wrong
                if one not in left
            ]
            if len(left) == len(wrong):
                break
            wrong = left
        return said

    async def _remove_for_good(
        self, project: str, going: Sequence[EngineContainer]
    ) -> list[EngineContainer]:
        """What is there when these are gone: until then they hold their names.

        What the engine cannot remove at one moment it can at another: it is asked again.
        """
        ids = {container.id for container in going}
        loop = asyncio.get_running_loop()
        gone_by = loop.time() + GONE_S
        refused = {one.id: refusal for one in going if (refusal := await self._refusal(one))}
        while True:
            containers = await self._containers(project)
            left = [container for container in containers if container.id in ids]
            if not left:
                return containers
            if loop.time() >= gone_by:
                said = refused.get(left[0].id)
                raise RuntimeUnavailable(
                    f"Docker Engine at {self._address} does not get the container {left[0].name} "
                    f"removed, which is {left[0].state}: restart it (systemctl restart docker)"
                    + (f"; {said}" if said else "")
                )
            await asyncio.sleep(LOOK_AGAIN_S)
            for one in [one for one in left if one.id in refused]:
                if refusal := await self._refusal(one):
                    refused[one.id] = refusal
                else:
                    del refused[one.id]

    async def _refusal(self, container: EngineContainer) -> str:
        """What the engine says against removing it; nothing where it removes it."""
        try:
            await self._remove(container)
        except RuntimeUnavailable as exc:
            return str(exc)
        return ""

    async def _containers(self, project: str) -> list[EngineContainer]:
        query = urlencode({"all": "1", **labelled(f"{PROJECT_LABEL}={project}")})
        _, body = await self._ask("GET", f"/containers/json?{query}", HTTPStatus.OK)
        try:
            found = [EngineContainer.from_listing(entry) for entry in json.loads(body)]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._address.is_not_docker() from None
        # Asked for, and checked all the same: nobody else's container may be touched.
        return [one for one in found if one.labels.get(PROJECT_LABEL) == project]

    async def _rename(self, container: EngineContainer, name: str) -> bool:
        """Whether it has the name now; another project's container may hold it, which stays."""
        target = f"/containers/{container.id}/rename?name={quote(name, safe='')}"
        return (await self._ask("POST", target, *_CHANGED))[0] == HTTPStatus.NO_CONTENT

    async def _remove(self, container: EngineContainer) -> None:
        # Not with its volumes: those without a name are the old container's too.
        await self._ask("DELETE", f"/containers/{container.id}?force=1", *_CHANGED)

    async def _ask(self, method: str, target: str, *expected: HTTPStatus) -> tuple[int, bytes]:
        # Imported when it is first needed: an agent that waits for work does without h11's memory.
        from adapters.engine.exchange import exchange  # noqa: PLC0415

        async with self._address.connected(self._change_s) as (reader, writer):
            answer = await exchange(
                reader, writer, method, target, max_body_bytes=MAX_LISTING_BYTES
            )
        if answer.status not in expected:
            raise self._address.has_refused(answer.status, answer.body)
        return answer.status, answer.body
