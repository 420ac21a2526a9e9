"""Projects: what they are called, what their compose file is, where they live on this host."""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.validation import check_compose_content, check_project_name


@dataclass(frozen=True, slots=True)
class ProjectName:
    """A valid project name, in the case its author chose.

    Two names with one `compose_name` are one project to Compose, which knows no capitals.
    """

    value: str

    def __post_init__(self) -> None:
        check_project_name(self.value)

    def __str__(self) -> str:
        return self.value

    @property
    def compose_name(self) -> str:
        """The name that Compose gets as `-p`."""
        return self.value.lower()


@dataclass(frozen=True, slots=True)
class ComposeFile:
    """The bytes of a compose file: 1 byte to 1 MiB. They never reach a log or a `repr`."""

    content: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_compose_content(self.content)


@dataclass(frozen=True, slots=True)
class Project:
    """A project as it lies on this host. All paths are absolute.

    `overrides` are compose files that count above the first. `env_file` is for one that is not the
    `.env` in the directory, where Compose would find it by itself.
    """

    name: ProjectName
    directory: str
    compose_file: str
    overrides: tuple[str, ...] = ()
    env_file: str = ""
