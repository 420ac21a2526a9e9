"""Simulated Compose: what is asked of it, and the executors that carry steps out."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from random import Random

from application.ports.compose_executor import AS_IT_IS, ComposeAction, ComposeOptions
from application.ports.compose_runtime import ResolvedProject
from domain.errors import Conflict, NoSpace, RuntimeUnavailable
from domain.output import BoundedOutput
from domain.project import ComposeFile, Project, ProjectName
from domain.records import ProcessIdentity, StepExit
from tests.simulation.engine import (
    SERVICES,
    Manner,
    SimulatedEngine,
    config_hash,
    image_of,
    manner_of,
)
from tests.simulation.host import Run, SimulatedHost

INVALID_FILE = 15
LONGEST_QUESTION_S = 0.3


class SimulatedStep:
    """One agent's hold on a run."""

    def __init__(self, host: SimulatedHost, run: Run) -> None:
        self._host = host
        self._run = run

    @property
    def process(self) -> ProcessIdentity:
        return self._run.process

    async def wait(self) -> StepExit | None:
        if self._run.ended_at is None:
            over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._run.waiting.append(over)
            await over
        return self._run.exit

    async def end(self, why: str) -> None:
        self._host.end_because(self._run, why)

    async def output(self, offset: int, limit: int) -> tuple[int, bytes]:
        return offset, bytes(self._run.printed[offset : offset + limit])


class SimulatedExecutor:
    """One agent's `ComposeExecutor`. Once `is_dead`, nothing of it has an effect."""

    def __init__(self, host: SimulatedHost, rng: Random) -> None:
        self._host = host
        self._rng = rng
        self.is_dead = False

    async def boot_id(self) -> str:
        return self._host.boot_id

    async def start(
        self,
        token: str,
        action: ComposeAction,
        project: Project,
        *,
        deadline_s: float,
        options: ComposeOptions = AS_IT_IS,
    ) -> SimulatedStep:
        host, loop = self._host, asyncio.get_running_loop()
        self._live()
        if token in host.runs or token in host.starting or token in host.refused:
            raise Conflict(f"a step was started under the token {token} before")
        if host.disk.is_full and self._rng.random() < 0.5:
            raise NoSpace("no space left on the disk that holds the runs")
        started: asyncio.Future[Run] = loop.create_future()
        host.starting[token] = started
        loop.call_later(self._rng.random() * 0.05, host.begin, token, action, project, deadline_s)
        run = await started
        return SimulatedStep(host, run)

    async def find(self, token: str) -> SimulatedStep | None:
        self._live()
        run = self._host.runs.get(token)
        if run is None:
            self._host.refused.add(token)
            self._host.starting.pop(token, None)
            return None
        return SimulatedStep(self._host, run)

    async def discard(self, token: str) -> None:
        self._live()
        run = self._host.runs.get(token)
        if run is not None and run.ended_at is None:
            raise Conflict(f"the step {token} is not over")
        self._host.runs.pop(token, None)

    async def known_tokens(self) -> frozenset[str]:
        self._live()
        return frozenset(self._host.runs)

    def _live(self) -> None:
        if self.is_dead:
            raise asyncio.CancelledError


class SimulatedRuntime:
    """Compose, as far as it is asked and not run."""

    def __init__(self, host: SimulatedHost, rng: Random) -> None:
        self._host = host
        self._rng = rng

    async def resolve(
        self,
        project: Project,
        profiles: Sequence[str],
        output: BoundedOutput,
        *,
        hashed: bool = True,
    ) -> tuple[int, ResolvedProject | None]:
        content = self._host.kept.files.at(project.compose_file)
        await asyncio.sleep(self._rng.random() * LONGEST_QUESTION_S)
        if manner_of(content) is Manner.INVALID:
            output.write(b"services.web Additional property imgae is not allowed\n")
            return INVALID_FILE, None
        document = _document(content)
        return 0, ResolvedProject(document, _hashes(document) if hashed else {})

    async def hashes(
        self, name: ProjectName, directory: str, document: Mapping[str, object]
    ) -> Mapping[str, str]:
        await asyncio.sleep(self._rng.random() * LONGEST_QUESTION_S)
        return _hashes(document)

    async def log_in(self, registry: str, docker_config: str, output: BoundedOutput) -> int:
        await asyncio.sleep(self._rng.random() * LONGEST_QUESTION_S)
        if registry not in self._host.kept.logins.directories.get(docker_config, {}):
            output.write(b"Error: there are no credentials\n")
            return 1
        return 0

    async def version(self) -> str:
        return "2.26.1"

    async def ensure_supported(self) -> None:
        return


class SimulatedNames:
    """Puts right what runs that were killed have left."""

    def __init__(self, engine: SimulatedEngine) -> None:
        self._engine = engine

    async def settle(self, name: ProjectName) -> None:
        if self._engine.is_down:
            raise RuntimeUnavailable("the engine does not answer")

    async def put_right(self, name: ProjectName) -> Sequence[str]:
        if self._engine.is_down:
            raise RuntimeUnavailable("the engine does not answer")
        return self._engine.put_names_right(name.compose_name)

    async def half_removed(self, name: ProjectName) -> Sequence[str]:
        """This engine gets everything removed at once, or is down."""
        if self._engine.is_down:
            raise RuntimeUnavailable("the engine does not answer")
        return []

    async def rename(self, name: ProjectName, proper: Mapping[str, str]) -> Sequence[str]:
        """Nobody changes names by hand: there is nothing that `put_right` does not see."""
        return await self.put_right(name)


class SimulatedReader:
    """Every compose file has the same services."""

    async def read(self, file: ComposeFile) -> object:
        return _document(file.content)

    async def read_fully(self, file: ComposeFile) -> object:
        return _document(file.content)

    async def lines_of(
        self, file: ComposeFile, paths: Collection[tuple[str, ...]]
    ) -> Mapping[tuple[str, ...], int]:
        return {}


def _hashes(document: Mapping[str, object]) -> dict[str, str]:
    return dict.fromkeys(SERVICES, str(document["x-hash"]))


def _document(content: bytes) -> dict[str, object]:
    image = image_of(content)
    return {
        "x-hash": config_hash(content),
        "services": {
            "web": {"image": image, "healthcheck": {"test": ["CMD", "true"]}},
            "worker": {"image": image, "depends_on": {"web": {"condition": "service_started"}}},
        },
    }
