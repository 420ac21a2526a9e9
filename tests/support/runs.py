"""What a test sees of the processes of a run, whoever started them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import psutil

from adapters.compose.process_identity import RUN_MARKER
from application.ports.compose_executor import ComposeExecutor

PATIENCE_S = 30.0


def processes_of(token: str) -> list[psutil.Process]:
    """The job runner, the command, and all that descends from it, oldest first; no zombies."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            is_marked = process.environ().get(RUN_MARKER) == token
            if is_marked and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return sorted(found, key=lambda process: process.pid)


async def until(condition: Callable[[], bool]) -> None:
    """Another process makes it true, and tells nobody."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def kill_wholly(token: str) -> None:
    """SIGKILL to every process of the run, the job runner first: it could record an exit."""
    while found := processes_of(token):
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        await asyncio.sleep(0.005)


async def end_all(executor: ComposeExecutor) -> None:
    """End all steps that the executor can find, and wait until they are over."""
    async with asyncio.timeout(PATIENCE_S):
        for token in await executor.known_tokens():
            if (step := await executor.find(token)) is not None:
                await step.end("cancel")
                await step.wait()


async def all_collected() -> None:
    """Return when this process has no child any more: job runners may end after their steps."""
    await until(lambda: not psutil.Process().children())
    # Whoever collects the last of them in this event loop gets a turn to be done with it.
    for _ in range(3):
        await asyncio.sleep(0)
