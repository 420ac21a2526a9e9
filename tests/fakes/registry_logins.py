"""Registry logins in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from domain.commands import RegistryLogin
from domain.errors import NoSpace, StorageUnavailable

ROOT = "/state/logins"


class FakeRegistryLogins:
    """Holds, by directory, the logins that are found there; `host` are the host's own.

    Set `fails_with` to have every call fail, and `is_full` to have every write fail.
    """

    def __init__(self, *host: RegistryLogin) -> None:
        self.host = host
        self.directories: dict[str, dict[str, RegistryLogin]] = {}
        self.is_full = False
        self.fails_with: StorageUnavailable | None = None

    async def provide(self, job_id: str, logins: Sequence[RegistryLogin]) -> str:
        """See `RegistryLogins`."""
        await asyncio.sleep(0)
        self._check()
        if self.is_full:
            raise NoSpace(f"no space left on the disk that holds {ROOT}")
        self.directories[_path(job_id)] = {login.registry: login for login in (*self.host, *logins)}
        return _path(job_id)

    async def wipe(self, job_id: str) -> None:
        """See `RegistryLogins`."""
        await asyncio.sleep(0)
        self._check()
        self.directories.pop(_path(job_id), None)

    async def wipe_all_but(self, job_ids: Iterable[str]) -> None:
        """See `RegistryLogins`."""
        await asyncio.sleep(0)
        self._check()
        for gone in self.directories.keys() - {_path(job_id) for job_id in job_ids}:
            del self.directories[gone]

    def _check(self) -> None:
        if self.fails_with is not None:
            raise self.fails_with


def _path(job_id: str) -> str:
    return f"{ROOT}/{job_id}"
