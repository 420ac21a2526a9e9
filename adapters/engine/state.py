"""`EngineState` over the engine's socket. GET is the only method that `Reading` can say.

Seen with 20.10: a container costs half a millisecond to inspect, and a tenth to be listed. So all
containers of one project are inspected, and of all projects' only those that are in trouble.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from adapters.engine.facts import container_from_listing, image_from, with_details
from adapters.engine.listing import PROJECT_LABEL, project_of
from adapters.engine.reading import EngineReads, Reading, labelled, list_of
from domain.engine_state import FoundContainer, Health, ImageFacts
from domain.project import ProjectName

ANSWER_S: Final = 5.0
MAX_INSPECTED: Final = 200
"""Of all projects' containers that are in trouble: more would take longer than it is worth."""

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")


class SocketEngineState:
    """The engine at a `unix://` or `tcp://` address, the same that Compose is given."""

    def __init__(self, docker_host: str, *, answer_s: float = ANSWER_S) -> None:
        self._reads = EngineReads(docker_host, answer_s=answer_s)

    async def containers(self, name: ProjectName) -> Sequence[FoundContainer]:
        """See `EngineState`."""
        project = name.compose_name
        async with self._reads.begun() as reading:
            listed = [
                container_from_listing(entry)
                for entry in await _listed(reading, f"{PROJECT_LABEL}={project}")
                # Asked for, and checked all the same: the answer is reported as this project's.
                if project_of(entry) == project
            ]
            return _in_order(await _inspected(reading, listed))

    async def all_projects(self) -> Mapping[str, Sequence[FoundContainer]]:
        """See `EngineState`."""
        projects: dict[str, list[FoundContainer]] = {}
        async with self._reads.begun() as reading:
            listed = await _listed(reading, PROJECT_LABEL)
            containers = [container_from_listing(entry) for entry in listed]
            in_trouble = list(filter(_is_in_trouble, containers))[:MAX_INSPECTED]
            details = {one.id: one for one in await _inspected(reading, in_trouble)}
        gone = {one.id for one in in_trouble} - details.keys()
        for entry, container in zip(listed, containers, strict=True):
            project = project_of(entry)
            if project and container.id not in gone:
                found = details.get(container.id, container)
                projects.setdefault(project, []).append(found)
        return {project: _in_order(projects[project]) for project in sorted(projects)}

    async def image(self, reference: str) -> ImageFacts | None:
        """See `EngineState`."""
        if not _REFERENCE.fullmatch(reference) or ".." in reference:
            return None
        async with self._reads.begun() as reading:
            found = await reading.find(f"/images/{quote(reference, safe=':/@')}/json")
            return None if found is None else image_from(found)

    async def networks(self, name: ProjectName) -> Sequence[str]:
        """See `EngineState`."""
        label = f"{PROJECT_LABEL}={name.compose_name}"
        async with self._reads.begun() as reading:
            found = list_of(await reading.get("/networks", **labelled(label)))
            return sorted(str(network["Name"]) for network in found)

    async def volumes(self, name: ProjectName) -> Sequence[str]:
        """See `EngineState`."""
        label = f"{PROJECT_LABEL}={name.compose_name}"
        async with self._reads.begun() as reading:
            found = list_of((await reading.get("/volumes", **labelled(label)))["Volumes"])
            return sorted(str(volume["Name"]) for volume in found)


async def _listed(reading: Reading, label: str) -> list[Mapping[str, Any]]:
    return list(list_of(await reading.get("/containers/json", all="1", **labelled(label))))


async def _inspected(reading: Reading, listed: Sequence[FoundContainer]) -> list[FoundContainer]:
    """The containers with all that is known of them, without those that are gone meanwhile."""
    details = await reading.find_each([f"/containers/{one.id}/json" for one in listed])
    return [
        with_details(one, found)
        for one, found in zip(listed, details, strict=True)
        if found is not None
    ]


def _is_in_trouble(container: FoundContainer) -> bool:
    return (
        container.state not in ("running", "paused", "exited")
        or container.health is Health.UNHEALTHY
        or bool(container.exit_code)
    )


def _in_order(containers: Iterable[FoundContainer]) -> tuple[FoundContainer, ...]:
    return tuple(sorted(containers, key=lambda one: (one.service, one.name)))
