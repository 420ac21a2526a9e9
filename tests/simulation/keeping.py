"""What the agent keeps beside its journal, on a disk that is synced: it outlives agents and power.

Each process has its own way there, which takes its time, and on which nothing has an effect once the
process is dead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from random import Random
from typing import Any, Final

from application.ports.identity import HostIdentity
from domain.content import ProjectContent
from domain.errors import NoSpace
from domain.identity import Membership
from domain.project import Project, ProjectName
from tests.fakes.identity import FakeHostIdentity
from tests.fakes.private_parts import FakePrivateParts
from tests.fakes.project_files import ROOT, FakeProjectFiles
from tests.fakes.registry_logins import FakeRegistryLogins
from tests.fakes.revision_store import FakeRevisionStore
from tests.simulation.disk import SimulatedDisk

READS: Final = frozenset({"history", "content", "locate", "names", "read", "restore"})


class Kept:
    """All of it."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self.disk = disk
        self.files = FakeProjectFiles()
        self.store = FakeRevisionStore()
        self.private = FakePrivateParts()
        self.logins = FakeRegistryLogins()
        self.identity = FakeHostIdentity()

    @property
    def secrets(self) -> list[str]:
        """Of which jobs there are any."""
        return sorted({*self.private.kept, *self.logins.directories})


class Reach:
    """One process's way."""

    def __init__(self, kept: Kept, rng: Random, *, slowest_s: float) -> None:
        self.kept = kept
        self.is_dead = False
        self._rng = rng
        self._slowest_s = min(slowest_s, 0.1)

    @property
    def store(self) -> Any:
        return _Reached(self, self.kept.store)

    @property
    def private(self) -> Any:
        return _Reached(self, self.kept.private)

    @property
    def logins(self) -> Any:
        return _Reached(self, self.kept.logins)

    @property
    def identity(self) -> HostIdentity:
        return _ReachedIdentity(self, self.kept.identity)

    @property
    def files(self) -> Any:
        return _ReachedFiles(self, self.kept.files)

    async def go(self) -> None:
        """It takes no time, or a moment in which the process may die."""
        fate = self._rng.random()
        if fate < 0.5:
            await asyncio.sleep(fate * 2 * self._slowest_s)
        if self.is_dead:
            raise asyncio.CancelledError


class _ReachedIdentity:
    """The key is there from the beginning; only what is pinned is written."""

    def __init__(self, reach: Reach, kept: FakeHostIdentity) -> None:
        self._reach = reach
        self._kept = kept
        self.public_key = kept.public_key
        self.sign, self.is_signed = kept.sign, kept.is_signed

    @property
    def membership(self) -> Membership | None:
        return self._kept.membership

    async def pin(self, membership: Membership) -> None:
        await self._reach.go()
        if self._reach.kept.disk.is_full:
            raise NoSpace("no space left on the disk that holds identity.json")
        await self._kept.pin(membership)
        await self._reach.go()


class _Reached:
    """Has the methods of what is reached; the process may die before they have an effect, or after."""

    def __init__(self, reach: Reach, kept: Any) -> None:
        self._reach = reach
        self._kept = kept

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        method = getattr(self._kept, name)

        async def call(*args: Any, **options: Any) -> Any:
            await self._reach.go()
            self._kept.is_full = self._reach.kept.disk.is_full
            result = await method(*args, **options)
            if name not in READS:
                await self._reach.go()
            return result

        return call


class _ReachedFiles(_Reached):
    @contextlib.asynccontextmanager
    async def stage(
        self, name: ProjectName, content: ProjectContent, key: str
    ) -> AsyncIterator[_ReachedStaged]:
        await self._reach.go()
        self._kept.is_full = self._reach.kept.disk.is_full
        async with self._kept.stage(name, content, key) as staged:
            await self._reach.go()
            yield _ReachedStaged(self._reach, staged)


class _ReachedStaged(_Reached):
    @property
    def candidate(self) -> Project:
        candidate: Project = self._kept.candidate
        return candidate

    @property
    def directory(self) -> str:
        return f"{ROOT}/{self.candidate.name}"

    async def publish(self, replaced: ProjectContent | None) -> Project:
        await self._reach.go()
        project: Project = await self._kept.publish(replaced)
        await self._reach.go()
        return project
