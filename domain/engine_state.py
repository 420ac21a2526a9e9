"""What the engine says of a project's containers and of images, whoever made them.

Only what was read stands here. What the one who read it could not know is None, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.services import PublishedPort, ServiceContainer

OUTPUT_LENGTH: Final = 300
"""As much of a health check's last line, or of the engine's own words, as a sentence can bear."""


class Health(StrEnum):
    """The engine's words for what the health check of a container says."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"

    @classmethod
    def of(cls, word: str) -> Health:
        """Read the engine's word; one that is not known, or none at all, is no health check."""
        return cls(word) if word in set(cls) else cls.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundContainer:
    """One container that carries a project's labels.

    `state` is the engine's word: created, running, paused, restarting, removing, exited or dead.
    Times are seconds since 1970 by the engine's clock, which need not be ours. Of a container that
    ended at once, `finished_at` may be the earlier one (seen with 20.10).
    """

    id: str
    """64 hexadecimal digits, or the first 12 of them where it was read through Compose."""
    name: str
    service: str
    """Empty where the label is missing."""
    state: str
    number: int | None = None
    """The label `container-number`: which of the service's replicas it is."""
    status: str = ""
    """The state in the engine's words for people, as `Up 2 hours (healthy)`."""
    health: Health = Health.NONE
    exit_code: int | None = None
    """None while it runs, and where it was never started."""
    restart_count: int | None = None
    """How often the engine has started it again; from 0 when somebody starts it."""
    is_oom_killed: bool | None = None
    error: str = ""
    """What kept the engine from starting it."""
    started_at: float | None = None
    finished_at: float | None = None
    image: str = ""
    """The reference that it was created from; its image's id where that is all that is known."""
    image_id: str | None = None
    config_hash: str | None = None
    is_oneoff: bool = False
    """Made by `docker compose run`: no part of what the project is to run."""
    working_dir: str | None = None
    config_files: str | None = None
    published_ports: tuple[PublishedPort, ...] = ()
    health_output: str | None = None
    """The last line that the last health check printed."""

    @property
    def is_restarting(self) -> bool:
        """Whether it has ended and the engine is about to start it again."""
        return self.state == "restarting"

    def as_service_container(self) -> ServiceContainer:
        """What protocol v1 says of it."""
        return ServiceContainer(
            service=self.service,
            container=self.name,
            state=self.state,
            health="" if self.health is Health.NONE else self.health.value,
            image=self.image,
            published_ports=self.published_ports,
            exit_code=self.exit_code,
        )


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image that the engine has."""

    id: str
    repo_digests: tuple[str, ...]
    """`repository@sha256:...` of each registry it came from; none for one that was built here."""
    repo_tags: tuple[str, ...]


def last_line(text: str) -> str:
    """The last line of foreign output that says something, short, and nothing a terminal acts on."""
    for line in reversed(text.splitlines()):
        clean = "".join(character for character in line if character.isprintable()).strip()
        if clean:
            return clean[:OUTPUT_LENGTH]
    return ""
