"""Docker Compose and an engine in memory, as much of them as the contract shows."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from application.ports.compose_executor import AS_IT_IS, ComposeOptions
from application.ports.compose_runtime import ResolvedProject
from domain.engine_state import FoundContainer, Health, ImageFacts
from domain.errors import RuntimeUnavailable
from domain.output import BoundedOutput
from domain.project import Project, ProjectName
from tests.builders import IMAGE
from tests.fakes.compose_files import Read, complaint_about, hashes_of, hashes_told, resolved
from tests.fakes.engine_state import FakeEngineState, found, image_facts

INVALID_FILE = 15
"""Compose's exit code for a file that is no compose file."""

UNFINISHED = "0123456789ab_"
"""What stands before the name of a container whose creation in another one's place is unfinished."""

ALL_PROFILES = ("*",)
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
    """Makes of compose files what is then found in `state`, which tests may change by hand.

    `running` holds, by Compose's name, the content that each project was brought up with. The engine
    has the image of `builders`, and can pull what is in `registry`.

    A service without an image is what it rejects; one that depends on a healthy other waits for
    ever, unless that is healthy; one whose command is `exit N` in a shell has exited; one whose
    check is `false` is unhealthy, and one whose check is `true` is healthy, unless it is first made
    after an hour.
    """

    def __init__(
        self,
        read: Read,
        state: FakeEngineState | None = None,
        now: Callable[[], float] = lambda: 1000.0,
    ) -> None:
        self._read = read
        self._now = now
        self._scripts: dict[str, deque[Scripted]] = {}
        self._under_way: list[str] = []
        self._ids = itertools.count(1)
        self._is_known_to_be_supported = False
        self.state = FakeEngineState() if state is None else state
        self.state.images.setdefault(IMAGE, image_facts("a", tag=IMAGE))
        self.registry: dict[str, ImageFacts] = {}
        self.running: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []
        """Subcommand and Compose's name of the project, in the order they were started."""
        self.options: list[tuple[str, ComposeOptions]] = []
        """Subcommand, and what it was told beside the project."""
        self.told: list[bool] = []
        """Whether hashes were asked for, of each `resolve`."""
        self.cancelled: list[tuple[str, str]] = []
        """The calls that were cancelled and cleaned up after themselves."""
        self.overlaps = 0
        """How often a project had two calls at once, which callers must not do."""
        self.most_at_once = 0
        self.unavailable: RuntimeUnavailable | None = None
        self.labels_otherwise = False
        """Have it give containers other hashes than it tells, as some versions do."""
        self.compose_version = "2.26.1"
        self.versions_asked = 0

    @property
    def calls_under_way(self) -> int:
        """How many runs have begun and not ended."""
        return len(self._under_way)

    @property
    def changes(self) -> list[tuple[str, str]]:
        """The calls, without those that change nothing."""
        return [call for call in self.calls if call[0] not in ("resolve", "hashes", "login")]

    def names_of(self, subcommand: str) -> list[str]:
        """The projects that a subcommand was run for, in order."""
        return [name for called, name in self.calls if called == subcommand]

    def script(self, subcommand: str, scripted: Scripted) -> Scripted:
        """Have the next run of a subcommand do this.

        `resolve`, `hashes`, `login`, `pull`, `build`, `unpause`, `up`, `restart`, `down`, `remove`,
        `version`.
        """
        self._scripts.setdefault(subcommand, deque()).append(scripted)
        return scripted

    def hang(self, subcommand: str) -> Scripted:
        """Have the next run of a subcommand wait until it is cancelled, or released and succeed."""
        return self.script(subcommand, Scripted(hangs=True))

    # Questions.

    async def resolve(
        self,
        project: Project,
        profiles: Sequence[str],
        output: BoundedOutput,
        *,
        hashed: bool = True,
    ) -> tuple[int, ResolvedProject | None]:
        """See `ComposeRuntime`."""
        async with self._call("resolve", project.name.compose_name):
            exit_code, model = await self._begin("resolve", project, output, profiles)
            if exit_code:
                return exit_code, None
            self.told.append(hashed)
            told = hashes_told(self._read, project, profiles) if hashed else {}
            return 0, ResolvedProject(model, told)

    async def hashes(
        self, name: ProjectName, directory: str, document: Mapping[str, object]
    ) -> Mapping[str, str]:
        """See `ComposeRuntime`; a script that fails is of a Compose that does not take its model."""
        async with self._call("hashes", name.compose_name):
            scripted = await self._play("hashes", BoundedOutput())
            if scripted is not None and scripted.exit_code:
                return {}
            return hashes_of(document)

    async def log_in(self, registry: str, docker_config: str, output: BoundedOutput) -> int:
        """See `ComposeRuntime`; every registry is content, unless a script says something else."""
        async with self._call("login", registry):
            self.options.append(("login", ComposeOptions(docker_config=docker_config)))
            scripted = await self._play("login", output)
            return 0 if scripted is None else scripted.exit_code

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

    # Changes.

    async def pull(
        self, project: Project, output: BoundedOutput, options: ComposeOptions = AS_IT_IS
    ) -> int:
        """See `ComposeAction.PULL`."""
        async with self._run("pull", project, output, options) as (exit_code, model):
            for name, service in {} if exit_code else _chosen(model, options):
                if "build" in service:
                    continue
                image = service["image"]
                if image not in self.registry:
                    output.write(f"Error response from daemon: {image} not found\n".encode())
                    return 1
                self.state.move(image, self.registry[image])
                output.write(f" {name} Pulled\n".encode())
            return exit_code

    async def build(
        self, project: Project, output: BoundedOutput, options: ComposeOptions = AS_IT_IS
    ) -> int:
        """See `ComposeAction.BUILD`."""
        async with self._run("build", project, output, options) as (exit_code, model):
            for name, service in {} if exit_code else _chosen(model, options):
                if "build" in service:
                    image = _image(project, name, service)
                    self.state.move(image, image_facts(f"{next(self._ids):x}", tag=image))
                    output.write(f" {name} Built\n".encode())
            return exit_code

    async def unpause(
        self, project: Project, output: BoundedOutput, options: ComposeOptions
    ) -> int:
        """See `ComposeAction.UNPAUSE`."""
        name = project.name.compose_name
        async with self._call("unpause", name):
            self.options.append(("unpause", options))
            scripted = await self._play("unpause", output)
            if scripted is not None and scripted.exit_code:
                return scripted.exit_code
            exit_code = 0
            for one in [one for one in self._of(project) if one.id in options.containers]:
                if one.state == "paused":
                    self.state.change(name, one.name, state="running", status="Up 3 seconds")
                    output.write(f"{one.id}\n".encode())
                else:
                    output.write(f"Error response: Container {one.id} is not paused\n".encode())
                    exit_code = 1
            return exit_code

    async def up(
        self, project: Project, output: BoundedOutput, options: ComposeOptions = AS_IT_IS
    ) -> int:
        """See `ComposeAction.UP`."""
        async with self._run("up", project, output, options) as (exit_code, model):
            return exit_code or await self._start(project, model, output, options)

    async def restart(
        self, project: Project, output: BoundedOutput, options: ComposeOptions = AS_IT_IS
    ) -> int:
        """See `ComposeAction.RESTART`."""
        async with self._run("restart", project, output, options) as (exit_code, model):
            for name, service in {} if exit_code else _chosen(model, options):
                for container in [one for one in self._of(project) if one.service == name]:
                    self._begin_to_run(project, container, service)
                    output.write(f" Container {container.name}  Started\n".encode())
            return exit_code

    async def down(
        self, project: Project, output: BoundedOutput, options: ComposeOptions = AS_IT_IS
    ) -> int:
        """See `ComposeAction.DOWN`."""
        return await self._take_down("down", project, output, options)

    async def remove(
        self, project: Project, output: BoundedOutput, options: ComposeOptions = AS_IT_IS
    ) -> int:
        """See `ComposeAction.REMOVE`."""
        exit_code = await self._take_down("remove", project, output, options)
        if exit_code == 0:
            self.state.volume_names.pop(project.name.compose_name, None)
        return exit_code

    # Names that a killed recreation leaves.

    def misname(self, name: str, service: str) -> str:
        """Leave what a killed recreation leaves: the new container, the old one being gone."""
        (there,) = [one for one in self.state.projects[name] if one.service == service]
        return self.state.change(name, there.name, name=f"{UNFINISHED}{there.name}").name

    def leave_unfinished(self, name: str, service: str) -> str:
        """Leave what a recreation that was killed earlier leaves: the new one beside the old one."""
        (there,) = [one for one in self.state.projects[name] if one.service == service]
        wrong = f"{UNFINISHED}{there.name}"
        self.state.put(
            name, found(service, project=name, name=wrong, id=self._new_id(), state="created")
        )
        return wrong

    def names_on_engine(self, name: str) -> list[str]:
        """The names of a project's containers, misnamed and unfinished ones too."""
        return sorted(one.name for one in self.state.projects.get(name, ()))

    def remove_by_half(self, name: str, service: str) -> str:
        """Leave what the engine leaves where it could not remove a container at that moment."""
        (there,) = [one for one in self.state.projects[name] if one.service == service]
        return self.state.change(name, there.name, state="removing").name

    def half_removed(self, name: str) -> list[str]:
        """What `ContainerNames` finds."""
        there = self.state.projects.get(name, ())
        return [one.name for one in there if one.state in ("removing", "dead")]

    def put_names_right(self, name: str) -> list[str]:
        """What `ContainerNames` does; the sentences are its."""
        said = []
        for going in self.half_removed(name):
            self.state.remove(name, going)
            said.append(f"removed the container {going}, which was removing")
        for wrong in [one for one in self.names_on_engine(name) if one.startswith(UNFINISHED)]:
            proper = wrong.removeprefix(UNFINISHED)
            if proper in self.names_on_engine(name):
                self.state.remove(name, wrong)
                said.append(f"removed the unfinished container {wrong} beside {proper}")
            else:
                self.state.change(name, wrong, name=proper)
                said.append(f"renamed the container {wrong} to {proper}")
        return said

    def rename(self, name: str, proper: Mapping[str, str]) -> list[str]:
        """What `ContainerNames` does; names are one engine's, whosever project it is."""
        said = []
        taken = {one.name for found in self.state.projects.values() for one in found}
        for one in list(self.state.projects.get(name, ())):
            wanted = proper.get(one.id, one.name)
            if wanted not in taken:
                self.state.change(name, one.name, name=wanted)
                said.append(f"renamed the container {one.name} to {wanted}")
        return said

    # How it is done.

    @asynccontextmanager
    async def _call(self, subcommand: str, name: str) -> AsyncIterator[None]:
        if self.unavailable is not None:
            raise self.unavailable
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

    @asynccontextmanager
    async def _run(
        self, subcommand: str, project: Project, output: BoundedOutput, options: ComposeOptions
    ) -> AsyncIterator[tuple[int, Mapping[str, Any]]]:
        async with self._call(subcommand, project.name.compose_name):
            self.options.append((subcommand, options))
            yield await self._begin(subcommand, project, output, options.profiles)

    async def _begin(
        self,
        subcommand: str,
        project: Project,
        output: BoundedOutput,
        profiles: Sequence[str] = ALL_PROFILES,
    ) -> tuple[int, Mapping[str, Any]]:
        """Do what the script says, and judge the compose file."""
        scripted = await self._play(subcommand, output)
        if scripted is not None and scripted.exit_code:
            return scripted.exit_code, {}
        model = resolved(self._read, project, profiles)
        complaint = complaint_about(model)
        output.write(complaint.encode())
        return INVALID_FILE if complaint else 0, model

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

    async def _take_down(
        self, subcommand: str, project: Project, output: BoundedOutput, options: ComposeOptions
    ) -> int:
        async with self._run(subcommand, project, output, options) as (exit_code, _):
            if exit_code == 0:
                name = project.name.compose_name
                for container in self.state.projects.pop(name, []):
                    output.write(f" Container {container.name}  Removed\n".encode())
                self.state.network_names.pop(name, None)
                self.running.pop(name, None)
            return exit_code

    async def _start(
        self,
        project: Project,
        model: Mapping[str, Any],
        output: BoundedOutput,
        options: ComposeOptions,
    ) -> int:
        name, services = project.name.compose_name, model["services"]
        for service, definition in services.items():
            if self.state.known(_image(project, service, definition)) is None:
                missing = _image(project, service, definition)
                output.write(f"Error response from daemon: No such image: {missing}\n".encode())
                return 1
        self._make_names(name, model)
        if options.remove_orphans:
            for orphan in [one for one in self._of(project) if one.service not in services]:
                self.state.remove(name, orphan.name)
                output.write(f" Container {orphan.name}  Removed\n".encode())
        hashes = hashes_of(model)
        if self.labels_otherwise:
            hashes = {one: told[::-1] for one, told in hashes.items()}
        late = [one for one in services if services[one].get("depends_on")]
        for service in [*(one for one in services if one not in late), *late]:
            if self._waits(project, services[service]):
                output.write(f" Container {name}-{service}-1  Waiting\n".encode())
                await asyncio.get_running_loop().create_future()
            if self._bring_up(project, service, services[service], hashes[service], output):
                return 1
        self.running[name] = self._read(project.compose_file)
        return 0

    def _bring_up(
        self,
        project: Project,
        service: str,
        definition: Mapping[str, Any],
        config_hash: str,
        output: BoundedOutput,
    ) -> int:
        name = project.name.compose_name
        reference = _image(project, service, definition)
        image = self.state.known(reference)
        assert image is not None
        own = {one.number: one for one in self._of(project) if one.service == service}
        for number in range(1, definition.get("scale", 1) + 1):
            there = own.pop(number, None)
            if there is not None and (there.config_hash, there.image_id) == (config_hash, image.id):
                if there.state == "running":
                    output.write(f" Container {there.name}  Running\n".encode())
                    continue
                if there.state == "paused":
                    output.write(b"Error response from daemon: cannot start a paused container\n")
                    return 1
            else:
                if there is not None:
                    self.state.remove(name, there.name)
                there = found(
                    service,
                    project=name,
                    number=number,
                    name=definition.get("container_name", f"{name}-{service}-{number}"),
                    id=self._new_id(),
                    image=reference,
                    image_id=image.id,
                    config_hash=config_hash,
                )
                self.state.put(name, there)
                output.write(f" Container {there.name}  Created\n".encode())
            self._begin_to_run(project, there, definition)
            output.write(f" Container {there.name}  Started\n".encode())
        for surplus in own.values():
            self.state.remove(name, surplus.name)
        return 0

    def _begin_to_run(
        self, project: Project, container: FoundContainer, definition: Mapping[str, Any]
    ) -> None:
        exits = _EXITS.search(" ".join(definition.get("command") or ()))
        self.state.change(
            project.name.compose_name,
            container.name,
            state="exited" if exits else "running",
            status=f"Exited ({exits[1]})" if exits else "Up 3 seconds",
            exit_code=int(exits[1]) if exits else None,
            health=Health.NONE if exits else _health(definition),
            started_at=self._now(),
            restart_count=0,
        )

    def _waits(self, project: Project, definition: Mapping[str, Any]) -> bool:
        healthy = {one.service for one in self._of(project) if one.health is Health.HEALTHY}
        return any(
            how["condition"] == "service_healthy" and other not in healthy
            for other, how in (definition.get("depends_on") or {}).items()
        )

    def _make_names(self, name: str, model: Mapping[str, Any]) -> None:
        for kind, names in (
            ("networks", self.state.network_names),
            ("volumes", self.state.volume_names),
        ):
            wanted = {str(one["name"]) for one in model[kind].values()}
            names[name] = sorted(wanted | set(names.get(name, ())))

    def _of(self, project: Project) -> list[FoundContainer]:
        return list(self.state.projects.get(project.name.compose_name, ()))

    def _new_id(self) -> str:
        return f"{next(self._ids):064x}"


def _chosen(
    model: Mapping[str, Any], options: ComposeOptions
) -> list[tuple[str, Mapping[str, Any]]]:
    services = model["services"]
    return [(one, services[one]) for one in services if one in (options.services or services)]


def _image(project: Project, service: str, definition: Mapping[str, Any]) -> str:
    return str(definition.get("image", f"{project.name.compose_name}-{service}"))


def _health(definition: Mapping[str, Any]) -> Health:
    check = definition.get("healthcheck") or {}
    if "test" not in check:
        return Health.NONE
    if check.get("interval") == "1h":
        return Health.STARTING
    return Health.HEALTHY if "true" in check["test"] else Health.UNHEALTHY
