"""A Compose project as people keep it, made ready to be sent to the control plane.

`collecting_walk` and `collecting_needs` say which files go with a compose file, an adapter finds
and reads them, and what came of it stands here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from domain.content import ExtraFile, ProjectContent, check_file_path
from domain.errors import InstaDeployError, InvalidInput
from domain.project import ComposeFile

MAX_PROBLEMS_SHOWN: Final = 100

_EXECUTABLE_BY_OWNER: Final = 0o100
_READABLE_BY_OTHERS: Final = 0o004


class CannotCollect(InstaDeployError):
    """The project cannot be sent as it is; `problems` are all reasons at once, a sentence each."""

    code: ClassVar[str] = "invalid_input"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        shown = self.problems[:MAX_PROBLEMS_SHOWN]
        if (left := len(self.problems) - len(shown)) > 0:
            shown = (*shown, f"and {left} more")
        super().__init__("\n".join(shown))


@dataclass(frozen=True, slots=True)
class CollectedProject:
    """Everything of a project that is sent.

    `name` is the compose file's own, with variables put in. `compose_path` is for people to read.
    `env` is None where there is no env file: then one that the host has stays. `files` are sorted by
    path, each relative to the project's directory. `notes` are what people should know before
    anything is sent, a sentence each.
    """

    name: str | None
    compose: bytes = field(repr=False)
    compose_path: str
    env: bytes | None = field(repr=False)
    files: tuple[ExtraFile, ...]
    notes: tuple[str, ...]
    total_bytes: int

    @classmethod
    def of(
        cls,
        content: ProjectContent,
        *,
        name: str | None,
        compose_path: str,
        notes: Sequence[str],
    ) -> CollectedProject:
        """From content that the domain has judged."""
        return cls(
            name=name,
            compose=content.file.content,
            compose_path=compose_path,
            env=content.env,
            files=content.files,
            notes=tuple(dict.fromkeys(notes)),
            total_bytes=content.size,
        )


def content_of(compose: bytes, env: bytes | None, files: Sequence[ExtraFile]) -> ProjectContent:
    """Judged as the control plane and the agent will judge it; raises `CannotCollect`."""
    try:
        ordered = tuple(sorted(files, key=lambda one: one.path))
        return ProjectContent(ComposeFile(compose), env, ordered)
    except InvalidInput as exc:
        raise CannotCollect([str(exc)]) from None


def mode_of(permissions: int) -> int:
    """One of the three modes that can be sent, for a file's permissions here.

    Nothing becomes readable by more than it was: a group of this machine is none of the host's.
    """
    if permissions & _EXECUTABLE_BY_OWNER:
        return 0o755
    return 0o644 if permissions & _READABLE_BY_OTHERS else 0o600


def is_kept_by_agent(path: str) -> bool:
    """Whether the agent writes what is called so in a project's directory, or what lies below it."""
    first = path.partition("/")[0]
    return _is_allowed(f"below/{first}") and not _is_allowed(first)


def _is_allowed(path: str) -> bool:
    try:
        check_file_path(path)
    except InvalidInput:
        return False
    return True
