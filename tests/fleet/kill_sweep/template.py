"""What each case begins with: a control plane that has run before, and knows the hosts of all scenarios."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fleet.fleet import Fleet
from tests.fleet.kill_sweep.actors import ACTORS
from tests.fleet.kill_sweep.nursery import Nursery
from tests.fleet.kill_sweep.orders import Orders
from tests.fleet.pace import Pace
from tests.fleet.plane_process import PlaneProcess
from tests.support.ports import reserved_port
from tests.support.postgres import new_database, shared_server, url_of

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
DATABASES: Final = (SQLITE, POSTGRESQL)
PACE: Final = Pace(first_s=0.05, longest_s=0.5)


@dataclass(frozen=True, slots=True)
class Template:
    """Nobody runs on it. `database` is of PostgreSQL, empty where the database is a file in `home`."""

    home: Path
    database: str
    token: str
    memories: Mapping[str, str]
    """What the agents keep, by scenario."""

    @property
    def kind(self) -> str:
        """Of its database."""
        return POSTGRESQL if self.database else SQLITE

    @contextlib.contextmanager
    def copied(self) -> Iterator[tuple[Path, dict[str, str]]]:
        """A copy of it: its directory, and the settings that belong to it."""
        with tempfile.TemporaryDirectory(prefix="kill-") as directory:
            home = Path(directory) / "home"
            shutil.copytree(self.home, home)
            if not self.database:
                yield home, {}
                return
            with new_database(shared_server(), self.database) as name:
                yield home, {"DATABASE_URL": url_of(shared_server(), name)}


@contextlib.contextmanager
def template(kind: str, nursery: Nursery) -> Iterator[Template]:
    """Make one, which is there for as long as the context lasts."""
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kill-template-")))
        database, settings = "", {}
        if kind == POSTGRESQL:
            database = stack.enter_context(new_database(shared_server()))
            settings["DATABASE_URL"] = url_of(shared_server(), database)
        token, memories = asyncio.run(_live_once(home, settings, nursery))
        yield Template(home, database, token, memories)


async def _live_once(
    home: Path, settings: Mapping[str, str], nursery: Nursery
) -> tuple[str, dict[str, str]]:
    async with _running(home, settings, nursery) as plane, plane.api() as api:
        memories = {
            name: await (api.enrolled(name) if actor.is_enrolled else api.with_token(name))
            for name, actor in ACTORS.items()
        }
        async with Fleet(plane.agents_url, pace=PACE) as fleet:
            for name, actor in ACTORS.items():
                fleet.add(memories[name], name=name, offer=actor.offer)
            await fleet.all_online()
    return plane.token, {name: memory.to_json() for name, memory in memories.items()}


@contextlib.asynccontextmanager
async def _running(
    home: Path, settings: Mapping[str, str], nursery: Nursery
) -> AsyncIterator[PlaneProcess]:
    with reserved_port() as port:
        plane = PlaneProcess(home, port, begin=nursery.begin, settings=settings)
        await plane.start(Orders(os.devnull).environment())
        try:
            yield plane
            await plane.stop()
        finally:
            plane.kill()
