"""`ComposeRuntime` on the `docker` command line."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Final

from adapters.compose import argv
from adapters.compose.listing import parse_hashes, parse_resolved, printed_model
from adapters.compose.process import ProcessRunner
from application.ports.compose_runtime import ResolvedProject
from domain.errors import RuntimeUnavailable
from domain.output import BoundedOutput, cause_of_failure
from domain.project import Project, ProjectName

logger = logging.getLogger(__name__)

OLDEST_COMPOSE: Final = (2, 20)
MODEL_BYTES: Final = 16 * 1024 * 1024
"""A compose file of 1 MiB, with its anchors and environment files put in their places."""
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_INSTALL = (
    "install Docker Compose v2.20 or newer (package docker-compose-plugin, docker-compose-v2 or "
    "docker-compose, depending on the distribution)"
)


class ShComposeRuntime:
    """Starts `docker compose` and waits for it."""

    def __init__(self, runner: ProcessRunner, *, docker: str = "docker") -> None:
        self._runner = runner
        self._docker = docker
        self._is_supported = False
        self._finding_out = asyncio.Lock()

    async def resolve(
        self,
        project: Project,
        profiles: Sequence[str],
        output: BoundedOutput,
        *,
        hashed: bool = True,
    ) -> tuple[int, ResolvedProject | None]:
        """See `ComposeRuntime`."""
        await self.ensure_supported()
        model, hashes = (BoundedOutput(head_bytes=MODEL_BYTES, tail_bytes=1) for _ in range(2))
        calls = [(argv.config_json(project, profiles), model)]
        if hashed:
            calls.append((argv.config_hashes(project, profiles), hashes))
        exit_codes = await self._start_all(calls, project.directory)
        for exit_code, (_, printed) in zip(exit_codes, calls, strict=True):
            if exit_code != 0:
                # It has printed why, and no model: Compose prints that at the very end.
                output.write(printed.text().encode())
                return exit_code, None
        if model.dropped_bytes:
            raise RuntimeUnavailable("what Compose makes of the compose file is too large")
        return 0, parse_resolved(model.text(), hashes.text(), output)

    async def hashes(
        self, name: ProjectName, directory: str, document: Mapping[str, object]
    ) -> Mapping[str, str]:
        """See `ComposeRuntime`."""
        await self.ensure_supported()
        printed = BoundedOutput(head_bytes=MODEL_BYTES, tail_bytes=1)
        call = argv.hashes_of_model(name, directory)
        exit_code = await self._start(call, printed, directory, printed_model(document))
        if exit_code != 0:
            # What it says may quote the model, which nobody has written.
            logger.warning("the configurations of project '%s' are not compared", name)
            return {}
        return parse_hashes(printed.text())

    async def log_in(self, registry: str, docker_config: str, output: BoundedOutput) -> int:
        """See `ComposeRuntime`."""
        return await self._start(argv.login(registry, docker_config), output)

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

    async def _start_all(
        self, calls: Sequence[tuple[tuple[str, ...], BoundedOutput]], directory: str
    ) -> Sequence[int]:
        """All at once: where there are two processors, two take Compose as long as one."""
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self._start(call, printed, directory), name="compose")
                    for call, printed in calls
                ]
        except* RuntimeUnavailable as exc:
            raise exc.exceptions[0] from None
        return [task.result() for task in running]

    async def _start(
        self,
        arguments: tuple[str, ...],
        output: BoundedOutput,
        directory: str = "",
        stdin: bytes = b"",
    ) -> int:
        more = argv.variables(directory) if directory else {}
        try:
            return await self._runner.run(self._docker, arguments, output, more, stdin)
        except FileNotFoundError as exc:
            raise RuntimeUnavailable(
                f"there is no program '{self._docker}' on this host's PATH; install Docker"
            ) from exc
        except OSError as exc:
            raise RuntimeUnavailable(
                f"'{self._docker}' cannot be started: {exc.strerror or exc}"
            ) from exc
