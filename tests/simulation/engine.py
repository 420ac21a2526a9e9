"""The simulated engine: which containers there are, and how they do.

What a compose file leads to stands in its first line, so that the same file always leads to the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from domain.engine_state import FoundContainer, Health, ImageFacts
from domain.errors import RuntimeUnavailable
from domain.project import ProjectName
from tests.fakes.engine import DOWN, FakeEngine

SERVICES: Final = ("web", "worker")
"""`web` has a health check."""
UNFINISHED: Final = "0123456789ab_"
SICK_AFTER_S: Final = 0.5
EXITS_AFTER_S: Final = 0.15
MUST_BE_PULLED: Final = 4
"""The images of files with this number, or a higher one, are not there before they are pulled."""


class Manner(StrEnum):
    """What becomes of a compose file."""

    SOUND = "sound"
    BREAKS = "breaks"
    """`up` fails half-way, always."""
    EXITS = "exits"
    """`worker` does soon after it was started."""
    SICK = "sick"
    """`web` never becomes healthy."""
    INVALID = "invalid"
    """Compose does not take it."""


def compose_file(manner: Manner, number: int) -> bytes:
    """Files of different numbers have different images."""
    return f"# {manner} {number}\n".encode()


def manner_of(content: bytes) -> Manner:
    """What becomes of a compose file."""
    return Manner(content.split()[1].decode())


def image_of(content: bytes) -> str:
    """Its only image."""
    return f"demo:{content.split()[2].decode()}"


def config_hash(content: bytes) -> str:
    """Compose's own, of each service of the file."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class SimulatedContainer:
    """One that is there."""

    id: int
    name: str
    service: str
    content: bytes
    started_at: float
    healthy_after_s: float

    def facts(self, now: float) -> FoundContainer:
        """How it is at that moment."""
        age, manner = now - self.started_at, manner_of(self.content)
        has_exited = manner is Manner.EXITS and self.service == "worker" and age >= EXITS_AFTER_S
        health = Health.NONE
        if self.service == "web":
            if manner is Manner.SICK:
                health = Health.STARTING if age < SICK_AFTER_S else Health.UNHEALTHY
            else:
                health = Health.STARTING if age < self.healthy_after_s else Health.HEALTHY
        return FoundContainer(
            id=f"{self.id:064x}",
            name=self.name,
            service=self.service,
            state="exited" if has_exited else "running",
            number=1,
            health=health,
            exit_code=1 if has_exited else None,
            restart_count=0,
            started_at=self.started_at,
            image=image_of(self.content),
            image_id=_image_id(image_of(self.content)),
            config_hash=config_hash(self.content),
        )


Contents = Mapping[str, tuple[str, bytes]]
"""By service, the name of its container and the compose file that it was made from."""


class SimulatedEngine(FakeEngine):
    """What runs have done to it outlives agents, and power that is lost."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self._made = 0
        self.projects: dict[str, dict[str, SimulatedContainer]] = {}
        self.pulled: set[str] = set()

    def contents(self, project: str) -> Contents:
        """What there is of a project, by Compose's name of it."""
        found = self.projects.get(project, {})
        return {service: (one.name, one.content) for service, one in sorted(found.items())}

    def make(self, project: str, service: str, content: bytes, *, is_cut_short: bool) -> None:
        """Create a service's container, in the place of one that differs from what is wanted."""
        found = self.projects.setdefault(project, {})
        name = f"{project}-{service}-1"
        there = found.get(service)
        if (
            there is not None
            and (there.name, there.content) == (name, content)
            and there.facts(self._loop.time()).state == "running"
        ):
            return
        if there is not None and is_cut_short:
            name = f"{UNFINISHED}{name}"
        self._made += 1
        found[service] = SimulatedContainer(
            self._made, name, service, content, self._loop.time(), self._rng.random() * 0.5
        )

    def remove(self, project: str, services: Sequence[str] = SERVICES) -> None:
        """Remove the containers of these services."""
        for service in services:
            self.projects.get(project, {}).pop(service, None)

    def put_names_right(self, project: str) -> Sequence[str]:
        """Give every container its proper name; says what was done."""
        found, said = self.projects.get(project, {}), []
        for service, one in found.items():
            if one.name.startswith(UNFINISHED):
                proper = one.name.removeprefix(UNFINISHED)
                found[service] = SimulatedContainer(
                    one.id, proper, service, one.content, one.started_at, one.healthy_after_s
                )
                said.append(f"renamed the container {one.name} to {proper}")
        return said

    # What an `EngineState` is asked.

    async def containers(self, name: ProjectName) -> Sequence[FoundContainer]:
        await self._answer()
        found = self.projects.get(name.compose_name, {})
        return [one.facts(self._loop.time()) for _, one in sorted(found.items())]

    async def all_projects(self) -> Mapping[str, Sequence[FoundContainer]]:
        await self._answer()
        now = self._loop.time()
        return {
            project: [one.facts(now) for _, one in sorted(found.items())]
            for project, found in sorted(self.projects.items())
            if found
        }

    async def image(self, reference: str) -> ImageFacts | None:
        await self._answer()
        if reference.startswith("sha256:"):
            return ImageFacts(reference, (), ())
        if int(reference.partition(":")[2]) >= MUST_BE_PULLED and reference not in self.pulled:
            return None
        return ImageFacts(_image_id(reference), (), (reference,))

    async def networks(self, name: ProjectName) -> Sequence[str]:
        await self._answer()
        return ()

    async def volumes(self, name: ProjectName) -> Sequence[str]:
        await self._answer()
        return ()

    async def _answer(self) -> None:
        fate = self._rng.random()
        if fate < 0.2:
            await asyncio.sleep(fate * 0.05)
        if self.is_down:
            raise RuntimeUnavailable(DOWN)


def _image_id(reference: str) -> str:
    return "sha256:" + hashlib.sha256(reference.encode()).hexdigest()
