"""`EngineState` through the `docker` command line, where the engine's socket cannot be read by us.

The agent speaks plain HTTP to a socket; Docker's own client knows more ways to an engine, as TLS and
ssh. It costs a process of about 100 ms a call, and tells less: what Compose does not print is None.
No compose file is needed: with `-p` and without `-f`, Compose goes by the labels (seen with 2.26).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from adapters.compose.listing import objects_in, ports_of
from adapters.compose.process import ProcessRunner
from domain.engine_state import FoundContainer, Health, ImageFacts
from domain.errors import RuntimeUnavailable
from domain.output import BoundedOutput, cause_of_failure
from domain.project import ProjectName

ANSWER_S: Final = 20.0
AT_ONCE: Final = 2
"""Each call takes 48 MB and a tenth of a second of a processor."""
LISTING_BYTES: Final = 4 * 1024 * 1024

_ENDED: Final = ("exited", "dead", "restarting")
_LABEL = re.compile(r"(?:^|,)com\.docker\.compose\.([\w.-]+)=(.*?)(?=,[\w./-]+=|$)")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
_NO_SUCH_IMAGE = re.compile(r"no such (image|object)|invalid reference", re.IGNORECASE)


class ComposeEngineState:
    """Starts `docker` in the environment that `runner` has, for an engine that it names."""

    def __init__(
        self, runner: ProcessRunner, *, docker: str = "docker", answer_s: float = ANSWER_S
    ) -> None:
        self._runner = runner
        self._docker = docker
        self._answer_s = answer_s

    async def containers(self, name: ProjectName) -> Sequence[FoundContainer]:
        """See `EngineState`; with the first 12 digits of each id."""
        return await self._containers(name.compose_name)

    async def all_projects(self) -> Mapping[str, Sequence[FoundContainer]]:
        """See `EngineState`; a call for each project, so it takes its time."""
        listed = await self._printed("compose", "ls", "--all", "--format", "json")
        with self._read():
            names = sorted(str(project["Name"]) for project in objects_in(listed))
        turns = asyncio.Semaphore(AT_ONCE)

        async def containers(name: str) -> Sequence[FoundContainer]:
            async with turns:
                return await self._containers(name)

        try:
            async with asyncio.TaskGroup() as group:
                reading = {
                    name: group.create_task(containers(name), name=f"containers of {name}")
                    for name in names
                }
        except* RuntimeUnavailable as exc:
            raise exc.exceptions[0] from None
        return {name: task.result() for name, task in reading.items() if task.result()}

    async def image(self, reference: str) -> ImageFacts | None:
        """See `EngineState`."""
        if not _REFERENCE.fullmatch(reference):
            return None
        exit_code, printed = await self._run(
            "image", "inspect", "--format", "{{json .}}", reference
        )
        if exit_code != 0 and _NO_SUCH_IMAGE.search(printed):
            return None
        with self._read():
            (found,) = objects_in(self._success(("image", "inspect"), exit_code, printed))
            return ImageFacts(
                id=str(found["Id"]),
                repo_digests=tuple(map(str, found.get("RepoDigests") or ())),
                repo_tags=tuple(map(str, found.get("RepoTags") or ())),
            )

    async def networks(self, name: ProjectName) -> Sequence[str]:
        """See `EngineState`."""
        return await self._names("network", name)

    async def volumes(self, name: ProjectName) -> Sequence[str]:
        """See `EngineState`."""
        return await self._names("volume", name)

    async def _names(self, kind: str, name: ProjectName) -> list[str]:
        label = f"label=com.docker.compose.project={name.compose_name}"
        # As JSON, so that a name cannot be taken for a warning, nor a warning for a name.
        printed = await self._printed(kind, "ls", "--filter", label, "--format", "{{json .Name}}")
        lines = [line for line in printed.splitlines() if line.startswith('"')]
        with self._read():
            return sorted(str(json.loads(line)) for line in lines)

    async def _containers(self, project: str) -> tuple[FoundContainer, ...]:
        printed = await self._printed("compose", "-p", project, "ps", "--all", "--format", "json")
        with self._read():
            found = [_container(entry) for entry in objects_in(printed)]
        return tuple(sorted(found, key=lambda one: (one.service, one.name)))

    async def _printed(self, *arguments: str) -> str:
        return self._success(arguments, *await self._run(*arguments))

    @contextlib.contextmanager
    def _read(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise RuntimeUnavailable(
                f"'{self._docker}' prints what it should not; is it Docker's own command line?"
            ) from exc

    def _success(self, arguments: Sequence[str], exit_code: int, printed: str) -> str:
        if exit_code != 0:
            command = " ".join((self._docker, *arguments))
            raise RuntimeUnavailable(f"'{command}' failed: {cause_of_failure(printed)}")
        return printed

    async def _run(self, *arguments: str) -> tuple[int, str]:
        output = BoundedOutput(head_bytes=LISTING_BYTES, tail_bytes=1)
        try:
            async with asyncio.timeout(self._answer_s):
                exit_code = await self._runner.run(self._docker, arguments, output)
        except TimeoutError as exc:
            raise RuntimeUnavailable(
                f"'{self._docker} {arguments[0]}' does not end within {self._answer_s:g} s; Docker "
                "Engine hangs or is overloaded: restart it (systemctl restart docker)"
            ) from exc
        except FileNotFoundError as exc:
            raise RuntimeUnavailable(
                f"there is no program '{self._docker}' on this host's PATH; install Docker"
            ) from exc
        except OSError as exc:
            raise RuntimeUnavailable(
                f"'{self._docker}' cannot be started: {exc.strerror or exc}"
            ) from exc
        if output.dropped_bytes:
            raise RuntimeUnavailable("Docker lists more than the agent can take in")
        return exit_code, output.text()


def _container(entry: Mapping[str, Any]) -> FoundContainer:
    labels = _labels(str(entry.get("Labels") or ""))
    state = str(entry.get("State", ""))
    number = labels.get("container-number", "")
    return FoundContainer(
        id=str(entry.get("ID", "")),
        name=str(entry.get("Name", "")),
        service=str(entry.get("Service", "")),
        number=int(number) if number.isdecimal() else None,
        state=state,
        status=str(entry.get("Status", "")),
        health=Health.of(str(entry.get("Health") or "")),
        exit_code=int(entry.get("ExitCode", 0)) if state in _ENDED else None,
        image=str(entry.get("Image", "")),
        image_id=labels.get("image"),
        config_hash=labels.get("config-hash"),
        is_oneoff=labels.get("oneoff", "").lower() == "true",
        working_dir=labels.get("project.working_dir"),
        config_files=labels.get("project.config_files"),
        published_ports=tuple(sorted(set(ports_of(entry.get("Publishers") or ())), key=str)),
    )


def _labels(text: str) -> dict[str, str]:
    """Compose's own labels of a list that does not say where a value ends.

    One that is there twice is left out: another label's value may be made to look like it.
    """
    found = _LABEL.findall(text)
    keys = [key for key, _ in found]
    return {key: value for key, value in found if keys.count(key) == 1}
