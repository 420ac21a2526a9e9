"""Credentials for registries, where Docker finds them for as long as one job needs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from domain.commands import RegistryLogin


class RegistryLogins(Protocol):
    """A Docker configuration of the job's own, private to the agent's user.

    Every method raises `StorageUnavailable` (`NoSpace`) where the disk does not do what is asked.
    """

    async def provide(self, job_id: str, logins: Sequence[RegistryLogin]) -> str:
        """A directory for DOCKER_CONFIG in which these logins are found, and the host's own too.

        For a registry that is in both, the job's own counts. Again, also in a later life of the
        agent, gives the same directory with the same content.
        """
        ...

    async def wipe(self, job_id: str) -> None:
        """Remove it. Harmless where there is none."""
        ...

    async def wipe_all_but(self, job_ids: Iterable[str]) -> None:
        """Remove what belongs to none of these jobs: what an agent that was killed has left."""
        ...
