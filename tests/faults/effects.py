"""What the engine was really made to do, and what there is on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

IMAGE: Final = "instadeploy-demo:local"
OWNER: Final = "instadeploy.test"
REVISION: Final = "instadeploy.revision"
PATIENCE_S: Final = 60.0


SERVICES: Final = ("web", "worker")


def compose_file(owner: str, revision: int, gate: Path | None = None) -> str:
    """Two services that run until they are stopped, and then stop at once; both carry the labels.

    With a gate, the second starts when there is a file `open` in that directory.
    """
    text = "services:\n"
    for service in SERVICES:
        text += f"""
  {service}:
    image: {IMAGE}
    command: ["sleep", "3600"]
    init: true
    stop_grace_period: 0s
    network_mode: none
    labels: {{{OWNER}: "{owner}", {REVISION}: "{revision}"}}
"""
        if gate is not None and service == SERVICES[0]:
            text += f"""
    volumes: ["{gate}:/gate:ro"]
    healthcheck:
      {{test: ["CMD", "busybox", "test", "-e", "/gate/open"], interval: 200ms, retries: 1000}}
"""
        elif gate is not None:
            text += f"""
    depends_on: {{{SERVICES[0]}: {{condition: service_healthy}}}}
"""
    return text


async def docker(*arguments: str, host: str | None = None) -> str:
    """What `docker` prints; a failure of it is one of the test."""
    at = () if host is None else ("--host", host)
    process = await asyncio.create_subprocess_exec(
        "docker",
        *at,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, f"docker {' '.join(arguments)}: {err.decode()}"
    return out.decode()


@dataclass(frozen=True)
class Container:
    """One that is there."""

    id: str
    name: str
    state: str
    project: str
    service: str
    revision: int


@dataclass(frozen=True)
class Happening:
    """Something that happened to a container."""

    action: str
    id: str
    name: str
    project: str
    service: str
    revision: int


class Effects:
    """Watches the containers that carry an owner's label, from entering to leaving the context."""

    def __init__(self, owner: str, host: str | None = None) -> None:
        self.owner = owner
        self.host = host
        self.happened: list[Happening] = []
        self._marks: set[str] = set()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        at = () if self.host is None else ("--host", self.host)
        self._process = await asyncio.create_subprocess_exec(
            "docker",
            *at,
            *("events", "--format", "{{json .}}", "--filter", "type=container"),
            *("--filter", f"label={OWNER}={self.owner}"),
            *(f"--filter=event={event}" for event in ("create", "start", "destroy")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self._reading = asyncio.create_task(self._read(), name="engine-events")
        await self.caught_up()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._reading is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reading
        await self.take_down()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            event = json.loads(line)
            given: dict[str, str] = event["Actor"]["Attributes"]
            name = given.get("name", "")
            self._marks.add(name)
            self._changed.set()
            if "com.docker.compose.project" in given:
                self.happened.append(
                    Happening(
                        event["Action"],
                        event["Actor"]["ID"],
                        name,
                        given["com.docker.compose.project"],
                        given.get("com.docker.compose.service", ""),
                        int(given.get(REVISION, "0")),
                    )
                )

    async def caught_up(self) -> None:
        """Return when everything is in `happened` that has happened until now."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                name = f"caught-up-{secrets.token_hex(8)}"
                label = f"{OWNER}={self.owner}"
                made = ("create", "--name", name, "--label", label, IMAGE, "true")
                await docker(*made, host=self.host)
                await docker("rm", "--force", name, host=self.host)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2):
                        while name not in self._marks:
                            self._changed.clear()
                            await self._changed.wait()
                        return

    async def containers(self) -> list[Container]:
        """All that carry the owner's label."""
        label = f"label={OWNER}={self.owner}"
        listing = ("ps", "--all", "--quiet", "--no-trunc", "--filter", label)
        ids = (await docker(*listing, host=self.host)).split()
        if not ids:
            return []
        found: list[dict[str, Any]] = json.loads(await docker("inspect", *ids, host=self.host))
        return [_container(entry) for entry in found]

    async def take_down(self) -> None:
        """Remove what the owner has left."""
        label = f"label={OWNER}={self.owner}"
        while ids := (
            await docker("ps", "--all", "--quiet", "--filter", label, host=self.host)
        ).split():
            with contextlib.suppress(AssertionError):
                await docker("rm", "--force", *ids, host=self.host)

    def times(self, action: str, project: str, service: str, revision: int) -> int:
        """How often something happened to one service of one revision."""
        return sum(
            (one.action, one.project, one.service, one.revision)
            == (action, project, service, revision)
            for one in self.happened
        )


def _container(entry: dict[str, Any]) -> Container:
    labels: dict[str, str] = entry["Config"]["Labels"]
    return Container(
        entry["Id"],
        entry["Name"].removeprefix("/"),
        entry["State"]["Status"],
        labels.get("com.docker.compose.project", ""),
        labels.get("com.docker.compose.service", ""),
        int(labels.get(REVISION, "0")),
    )
