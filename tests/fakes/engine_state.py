"""An engine's containers and images in memory, for tests to put there and to change by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from domain.engine_state import FoundContainer, Health, ImageFacts
from domain.errors import RuntimeUnavailable
from domain.project import ProjectName


class FakeEngineState:
    """`projects` holds the containers by Compose's name of their project.

    Set `unavailable` to have it refuse, or clear `answers` to have it hang.
    """

    def __init__(self) -> None:
        self.projects: dict[str, list[FoundContainer]] = {}
        self.images: dict[str, ImageFacts] = {}
        """By each reference that means one; an id need not be among them."""
        self.network_names: dict[str, list[str]] = {}
        self.volume_names: dict[str, list[str]] = {}
        self.unavailable: RuntimeUnavailable | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked: list[tuple[str, str]] = []
        """Which question, and about what, in order."""

    def put(self, project: str, *containers: FoundContainer) -> None:
        """Add containers, each in the place of one of its name."""
        names = {one.name for one in containers}
        kept = [one for one in self.projects.get(project, []) if one.name not in names]
        self.projects[project] = [*kept, *containers]

    def change(self, project: str, name: str, /, **facts: Any) -> FoundContainer:
        """Have one container be otherwise, as `rename` and `stop` by hand do."""
        (found,) = [one for one in self.projects[project] if one.name == name]
        changed = replace(found, **facts)
        self.remove(project, name)
        self.put(project, changed)
        return changed

    def remove(self, project: str, name: str) -> None:
        """Have one container be gone."""
        self.projects[project] = [one for one in self.projects[project] if one.name != name]

    def move(self, reference: str, image: ImageFacts) -> None:
        """Have a reference mean another image; the one that it meant stays, without a name."""
        before = self.images.get(reference)
        self.images[reference] = image
        if before is not None and before.id != image.id:
            self.images[before.id] = before

    def known(self, reference: str) -> ImageFacts | None:
        """The image that a reference, a digest or an id means."""
        for image in self.images.values():
            if reference == image.id or reference in image.repo_digests:
                return image
        return self.images.get(reference)

    async def containers(self, name: ProjectName) -> Sequence[FoundContainer]:
        """See `EngineState`."""
        await self._answer("containers", name.compose_name)
        return _in_order(self.projects.get(name.compose_name, ()))

    async def all_projects(self) -> Mapping[str, Sequence[FoundContainer]]:
        """See `EngineState`; tells of those that are well no more than it must."""
        await self._answer("all_projects", "")
        return {
            project: tuple(map(_in_short, _in_order(found)))
            for project, found in sorted(self.projects.items())
            if found
        }

    async def image(self, reference: str) -> ImageFacts | None:
        """See `EngineState`."""
        await self._answer("image", reference)
        return self.known(reference)

    async def networks(self, name: ProjectName) -> Sequence[str]:
        """See `EngineState`."""
        await self._answer("networks", name.compose_name)
        return sorted(self.network_names.get(name.compose_name, ()))

    async def volumes(self, name: ProjectName) -> Sequence[str]:
        """See `EngineState`."""
        await self._answer("volumes", name.compose_name)
        return sorted(self.volume_names.get(name.compose_name, ()))

    async def _answer(self, question: str, about: str) -> None:
        self.asked.append((question, about))
        await asyncio.sleep(0)
        await self.answers.wait()
        if self.unavailable is not None:
            raise self.unavailable


def found(service: str = "web", *, project: str = "blog", **facts: Any) -> FoundContainer:
    """A container that runs, as Compose makes it, but for these facts."""
    number = facts.setdefault("number", 1)
    name = f"{project}-{service}-{number}"
    given: dict[str, Any] = {
        "id": (name.encode().hex() + "0" * 64)[:64],
        "name": name,
        "state": "running",
        "status": "Up 3 seconds",
        "restart_count": 0,
        "is_oom_killed": False,
        "started_at": 1000.0,
        "image": "instadeploy-demo:local",
        "image_id": "sha256:" + "a" * 64,
        "config_hash": "c" * 64,
        "working_dir": f"/srv/{project}",
        "config_files": f"/srv/{project}/docker-compose.yml",
    }
    return FoundContainer(service=service, **(given | facts))


def image_facts(digit: str, *, tag: str = "", digest: str = "") -> ImageFacts:
    """An image whose id is made of a digit or two; `digest` is its name in a registry."""
    return ImageFacts(
        id="sha256:" + (digit * 64)[:64],
        repo_digests=(digest,) if digest else (),
        repo_tags=(tag,) if tag else (),
    )


def _in_order(containers: Sequence[FoundContainer]) -> tuple[FoundContainer, ...]:
    return tuple(sorted(containers, key=lambda one: (one.service, one.name)))


def _in_short(container: FoundContainer) -> FoundContainer:
    if container.state != "running" or container.health is Health.UNHEALTHY:
        return container
    return replace(
        container,
        restart_count=None,
        is_oom_killed=None,
        started_at=None,
        finished_at=None,
        health_output=None,
    )
