"""Docker Compose and an engine in memory, as much of them as the contract shows."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from domain.errors import RuntimeUnavailable
from domain.output import BoundedOutput
from domain.project import Project
from domain.services import ServiceContainer

INVALID_FILE = 15
"""Compose's exit code for a file that is no compose file."""

UNFINISHED = "0123456789ab_"
"""What stands before the name of a container whose creation in another one's place is unfinished."""

_EXITS = re.compile(r"exit (\d+)")


@dataclass(slots=True)
class Scripted:
    """What the next run of one subcommand does instead of what it would do."""

    exit_code: int = 0
    output: bytes = b""
    error: RuntimeUnavailable | None = None
    hangs: bool = False
    """Prints `output`, and then waits until `release` is set."""
    started: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)


class FakeComposeRuntime:
    """`running` holds, by Compose's name, the content that each project was brought up with.

    A service without an image is what it rejects; one that depends on a healthy other waits for
    ever; one whose command is `exit N` in a shell has exited.
    """

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self._scripts: dict[str, deque[Scripted]] = {}
        self._containers: dict[str, dict[str, ServiceContainer]] = {}
        self._under_way: list[str] = []
        self._unfinished: dict[str, list[str]] = {}
        self._is_known_to_be_supported = False
        self.running: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []
        """Subcommand and Compose's name of the project, in the order they were started."""
        self.cancelled: list[tuple[str, str]] = []
        """The calls that were cancelled and cleaned up after themselves."""
        self.overlaps = 0
        """How often a project had two calls at once, which callers must not do."""
        self.most_at_once = 0
        self.unavailable: RuntimeUnavailable | None = None
        self.compose_version = "2.26.1"
        self.versions_asked = 0

    @property
    def calls_under_way(self) -> int:
        """How many runs have begun and not ended."""
        return len(self._under_way)

    def names_of(self, subcommand: str) -> list[str]:
        """The projects that a subcommand was run for, in order."""
        return [name for called, name in self.calls if called == subcommand]

    def script(self, subcommand: str, scripted: Scripted) -> Scripted:
        """Have the next run of a subcommand (`check`, `up`, `down`, `containers`) do this."""
        self._scripts.setdefault(subcommand, deque()).append(scripted)
        return scripted

    def hang(self, subcommand: str) -> Scripted:
        """Have the next run of a subcommand wait until it is cancelled, or released and succeed."""
        return self.script(subcommand, Scripted(hangs=True))

    async def check(self, project: Project, output: BoundedOutput) -> int:
        """See `ComposeRuntime`."""
        async with self._call("check", project):
            scripted = await self._play("check", output)
            if scripted is not None and scripted.exit_code:
                return scripted.exit_code
            return self._judge(project, output)

    async def up(self, project: Project, output: BoundedOutput) -> int:
        """See `ComposeRuntime`."""
        async with self._call("up", project):
            scripted = await self._play("up", output)
            if scripted is not None and scripted.exit_code:
                return scripted.exit_code
            exit_code = self._judge(project, output)
            if exit_code == 0:
                await self._start(project, output)
            return exit_code

    async def down(self, project: Project, output: BoundedOutput) -> int:
        """See `ComposeRuntime`."""
        async with self._call("down", project):
            scripted = await self._play("down", output)
            if scripted is not None and scripted.exit_code:
                return scripted.exit_code
            exit_code = self._judge(project, output)
            if exit_code == 0:
                name = project.name.compose_name
                for container in self._containers.pop(name, {}).values():
                    output.write(f" Container {container.container}  Removed\n".encode())
                self.running.pop(name, None)
            return exit_code

    async def containers(
        self, project: Project, output: BoundedOutput
    ) -> tuple[int, Sequence[ServiceContainer]]:
        """See `ComposeRuntime`."""
        async with self._call("containers", project):
            scripted = await self._play("containers", output)
            if scripted is not None and scripted.exit_code:
                return scripted.exit_code, ()
            exit_code = self._judge(project, output)
            if exit_code:
                return exit_code, ()
            found = self._containers.get(project.name.compose_name, {})
            return 0, tuple(found[service] for service in sorted(found))

    async def version(self) -> str:
        """See `ComposeRuntime`."""
        self.versions_asked += 1
        await asyncio.sleep(0)
        if self.unavailable is not None:
            raise self.unavailable
        await self._play("version", BoundedOutput())
        return self.compose_version

    async def ensure_supported(self) -> None:
        """See `ComposeRuntime`."""
        if not self._is_known_to_be_supported:
            await self.version()
            self._is_known_to_be_supported = True

    def misname(self, name: str, service: str) -> str:
        """Leave what a killed recreation leaves: the new container, the old one being gone."""
        found = self._containers[name][service]
        wrong = f"{UNFINISHED}{found.container}"
        self._containers[name][service] = replace(found, container=wrong)
        return wrong

    def leave_unfinished(self, name: str, service: str) -> str:
        """Leave what a recreation that was killed earlier leaves: the new one beside the old one."""
        wrong = f"{UNFINISHED}{self._containers[name][service].container}"
        self._unfinished.setdefault(name, []).append(wrong)
        return wrong

    def names_on_engine(self, name: str) -> list[str]:
        """The names of a project's containers, misnamed and unfinished ones too."""
        named = [found.container for found in self._containers.get(name, {}).values()]
        return sorted(named + self._unfinished.get(name, []))

    def put_names_right(self, name: str) -> list[str]:
        """What `ContainerNames` does; the sentences are its."""
        said = []
        for wrong in self._unfinished.pop(name, []):
            proper = wrong.removeprefix(UNFINISHED)
            said.append(f"removed the unfinished container {wrong} beside {proper}")
        containers = self._containers.get(name, {})
        for service, found in containers.items():
            proper = found.container.removeprefix(UNFINISHED)
            if proper != found.container:
                containers[service] = replace(found, container=proper)
                said.append(f"renamed the container {found.container} to {proper}")
        return said

    @asynccontextmanager
    async def _call(self, subcommand: str, project: Project) -> AsyncIterator[None]:
        if self.unavailable is not None:
            raise self.unavailable
        name = project.name.compose_name
        self.calls.append((subcommand, name))
        self.overlaps += name in self._under_way
        self._under_way.append(name)
        self.most_at_once = max(self.most_at_once, len(self._under_way))
        try:
            await asyncio.sleep(0)
            yield
        except asyncio.CancelledError:
            self.cancelled.append((subcommand, name))
            raise
        finally:
            self._under_way.remove(name)

    async def _play(self, subcommand: str, output: BoundedOutput) -> Scripted | None:
        queue = self._scripts.get(subcommand)
        if not queue:
            return None
        scripted = queue.popleft()
        scripted.started.set()
        output.write(scripted.output)
        if scripted.error is not None:
            raise scripted.error
        if scripted.hangs:
            await scripted.release.wait()
        return scripted

    def _judge(self, project: Project, output: BoundedOutput) -> int:
        for name, service in self._services(project).items():
            if "image" not in service:
                output.write(
                    f'service "{name}" has neither an image nor a build context specified: '
                    "invalid compose project\n".encode()
                )
                return INVALID_FILE
        return 0

    async def _start(self, project: Project, output: BoundedOutput) -> None:
        name = project.name.compose_name
        existing = self._containers.setdefault(name, {})
        services = self._services(project)
        waiting = [s for s, service in services.items() if "depends_on" in service]
        for service in [s for s in services if s not in waiting]:
            container = f"{name}-{service}-1"
            if service in existing:
                output.write(f" Container {container}  Running\n".encode())
                continue
            output.write(f" Container {container}  Created\n".encode())
            existing[service] = _container(service, container, services[service])
            output.write(f" Container {container}  Started\n".encode())
        for service in waiting:
            output.write(f" Container {name}-{service}-1  Waiting\n".encode())
            await asyncio.get_running_loop().create_future()
        self.running[name] = self._read(project.compose_file)

    def _services(self, project: Project) -> Mapping[str, Mapping[str, Any]]:
        services: Mapping[str, Mapping[str, Any]]
        services = yaml.safe_load(self._read(project.compose_file))["services"]
        return services


def _container(service: str, container: str, definition: Mapping[str, Any]) -> ServiceContainer:
    exits = _EXITS.search(" ".join(definition.get("command", ())))
    return ServiceContainer(
        service=service,
        container=container,
        state="exited" if exits else "running",
        health="",
        image=str(definition["image"]),
        published_ports=(),
        exit_code=int(exits[1]) if exits else None,
    )
