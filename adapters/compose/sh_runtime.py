"""`ComposeRuntime` on the `docker` command line."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Final

from adapters.compose import argv
from adapters.compose.listing import parse_listing, parse_resolved
from adapters.compose.process import ProcessRunner
from application.ports.compose_runtime import ResolvedProject
from domain.errors import RuntimeUnavailable
from domain.output import BoundedOutput, cause_of_failure
from domain.project import Project
from domain.services import ServiceContainer

OLDEST_COMPOSE: Final = (2, 20)
LISTING_BYTES: Final = 4 * 1024 * 1024
"""Compose's JSON is about 1 KiB a container; a project of thousands is cut, and refused."""

MODEL_BYTES: Final = 16 * 1024 * 1024
"""A compose file of 1 MiB, with its anchors and environment files put in their places."""
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_INSTALL = (
    "install Docker Compose v2.20 or newer (package docker-compose-plugin, docker-compose-v2 or "
    "docker-compose, depending on the distribution)"
)


class ShComposeRuntime:
    """Starts `docker compose`, and is the only thing in the agent that starts processes."""

    def __init__(self, runner: ProcessRunner, *, docker: str = "docker") -> None:
        self._runner = runner
        self._docker = docker
        self._is_supported = False
        self._finding_out = asyncio.Lock()

    async def resolve(
        self, project: Project, profiles: Sequence[str], output: BoundedOutput
    ) -> tuple[int, ResolvedProject | None]:
        """See `ComposeRuntime`."""
        await self.ensure_supported()
        model, hashes = (BoundedOutput(head_bytes=MODEL_BYTES, tail_bytes=1) for _ in range(2))
        # Each takes Compose as long as both at once.
        async with asyncio.TaskGroup() as tasks:
            resolving = tasks.create_task(
                self._start(argv.config_json(project, profiles), model, project)
            )
            hashing = tasks.create_task(
                self._start(argv.config_hashes(project, profiles), hashes, project)
            )
        if (exit_code := resolving.result() or hashing.result()) != 0:
            # What failed has printed why, and no model: Compose prints that at the very end.
            failed = model if resolving.result() else hashes
            output.write(failed.text().encode())
            return exit_code, None
        if model.dropped_bytes:
            raise RuntimeUnavailable("what Compose makes of the compose file is too large")
        return 0, parse_resolved(model.text(), hashes.text(), output)

    async def log_in(self, registry: str, docker_config: str, output: BoundedOutput) -> int:
        """See `ComposeRuntime`."""
        return await self._start(argv.login(registry, docker_config), output)

    async def up(self, project: Project, output: BoundedOutput) -> int:
        """See `ComposeRuntime`."""
        return await self._run(argv.up(project), output, project)

    async def down(self, project: Project, output: BoundedOutput) -> int:
        """See `ComposeRuntime`."""
        return await self._run(argv.down(project), output, project)

    async def containers(
        self, project: Project, output: BoundedOutput
    ) -> tuple[int, Sequence[ServiceContainer]]:
        """See `ComposeRuntime`."""
        listing = BoundedOutput(head_bytes=LISTING_BYTES, tail_bytes=1)
        exit_code = await self._run(argv.ps(project), listing, project)
        if exit_code != 0:
            output.write(listing.text().encode())
            return exit_code, ()
        if listing.dropped_bytes:
            raise RuntimeUnavailable("Compose lists more containers than the agent can take in")
        return 0, parse_listing(listing.text())

    async def version(self) -> str:
        """See `ComposeRuntime`; asks each time."""
        output = BoundedOutput()
        exit_code = await self._start(argv.version(), output)
        text = output.text().strip()
        found = _VERSION.search(text)
        if exit_code != 0 or found is None:
            raise RuntimeUnavailable(
                f"'{self._docker} compose version' failed: {cause_of_failure(text)}; {_INSTALL}"
            )
        if (int(found[1]), int(found[2])) < OLDEST_COMPOSE:
            raise RuntimeUnavailable(f"Docker Compose {found[0]} is too old; {_INSTALL}")
        return found[0].removeprefix("v")

    async def ensure_supported(self) -> None:
        """See `ComposeRuntime`."""
        if self._is_supported:
            return
        async with self._finding_out:
            if not self._is_supported:
                await self.version()
                self._is_supported = True

    async def _run(
        self, arguments: tuple[str, ...], output: BoundedOutput, project: Project
    ) -> int:
        await self.ensure_supported()
        return await self._start(arguments, output, project)

    async def _start(
        self, arguments: tuple[str, ...], output: BoundedOutput, project: Project | None = None
    ) -> int:
        more = {} if project is None else argv.variables(project)
        try:
            return await self._runner.run(self._docker, arguments, output, more)
        except FileNotFoundError as exc:
            raise RuntimeUnavailable(
                f"there is no program '{self._docker}' on this host's PATH; install Docker"
            ) from exc
        except OSError as exc:
            raise RuntimeUnavailable(
                f"'{self._docker}' cannot be started: {exc.strerror or exc}"
            ) from exc
