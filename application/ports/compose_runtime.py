"""What runs Docker Compose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from domain.output import BoundedOutput
from domain.project import Project, ProjectName


@dataclass(frozen=True, slots=True)
class ResolvedProject:
    """What `docker compose config --format json` says, read; it may hold secrets.

    `hashes` are Compose's own of each service's configuration, as containers carry them, but for
    services with env files.
    """

    document: Mapping[str, object] = field(repr=False)
    hashes: Mapping[str, str]


class ComposeRuntime(Protocol):
    """Docker Compose on this host. A run that fails is a result: its exit code and its output.

    `output` receives what the run prints, in order, also of a run that is cancelled. Every method
    raises `RuntimeUnavailable` where Docker or Compose is missing or too old to be used, or where no
    process can be started. When a call is cancelled, the process it started, and all that descend
    from it, are ended and reaped before the cancellation goes on. It changes nothing on the host: what
    does is a `ComposeExecutor`'s.

    An exit code of 0 is success; a negative one is the number of the signal that ended the run.
    """

    async def resolve(
        self,
        project: Project,
        profiles: Sequence[str],
        output: BoundedOutput,
        *,
        hashed: bool = True,
    ) -> tuple[int, ResolvedProject | None]:
        """Let Compose judge the project's compose file, and say what it amounts to.

        Variables are in it with their values, defaults and extended services in their places, and
        the services of these profiles only. `output` gets complaints and never the content; None is
        what comes with an exit code that is not 0. Changes nothing and needs no engine. Without
        `hashed` there are no hashes, and Compose runs once instead of twice.
        """
        ...

    async def hashes(
        self, name: ProjectName, directory: str, document: Mapping[str, object]
    ) -> Mapping[str, str]:
        """Compose's hashes of a resolved model, by service, for a project that lives in `directory`.

        Containers carry these, also those of services with env files, of which `resolve` tells
        others. It does not matter what the directory holds. `document` is what `resolve` gave, for
        which paths in it may have been replaced; it gets to Compose and on no disk. Empty where this
        Compose does not take it.
        """
        ...

    async def log_in(self, registry: str, docker_config: str, output: BoundedOutput) -> int:
        """Let a registry judge the credentials that the directory `docker_config` has for it."""
        ...

    async def version(self) -> str:
        """The version of Compose, such as `2.26.1`."""
        ...

    async def ensure_supported(self) -> None:
        """Raise `RuntimeUnavailable` where Docker or Compose is missing or too old to be used.

        Asks at most once until it has succeeded, also for those who ask at the same time.
        """
        ...
