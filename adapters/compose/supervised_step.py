"""One agent's hold on a step that a job runner carries out. Letting go of it changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Final, TypeVar

from adapters.cancellation import finish_in_thread
from adapters.compose.process import ChildProcess
from adapters.compose.process_identity import ask_to_end, boot_id, end_of, is_running, kill_run
from adapters.compose.run_directory import RunDirectory
from domain.errors import StorageUnavailable
from domain.records import ProcessIdentity, StepExit

T = TypeVar("T")

GONE_S: Final = 10.0
"""What was killed and is not gone by then hangs in the kernel, and runs no instruction any more."""
LOOK_AGAIN_S: Final = 0.01


class SupervisedStep:
    """`child` is the job runner, where it was started by this agent.

    One that was asked to end and has not after `forcibly_s` is killed, and all that it runs with it.
    """

    def __init__(
        self,
        run: RunDirectory,
        process: ProcessIdentity,
        executor: Executor,
        child: ChildProcess | None,
        *,
        forcibly_s: float,
    ) -> None:
        self._run = run
        self._process = process
        self._executor = executor
        self._child = child
        self._forcibly_s = forcibly_s
        self._deciding = asyncio.Lock()
        self._is_decided = False
        self._exit: StepExit | None = None

    @property
    def process(self) -> ProcessIdentity:
        """See `RunningStep`."""
        return self._process

    async def wait(self) -> StepExit | None:
        """See `RunningStep`. Raises `StorageUnavailable` where the disk does not tell."""
        saw_it_end = await end_of(self._process)
        if self._child is not None:
            await self._child.ended.wait()
        async with self._deciding:
            if not self._is_decided:
                self._exit = await self._in_thread(self._run.exit)
                if self._exit is None:
                    await self._end_what_is_left(saw_it_end=saw_it_end)
                self._is_decided = True
        return self._exit

    async def end(self, why: str) -> None:
        """See `RunningStep`."""
        if not is_running(self._process):
            return
        # That it ends matters more than that it says why.
        with contextlib.suppress(StorageUnavailable):
            await self._in_thread(partial(self._run.say_why_it_ends, why))
        ask_to_end(self._process)
        try:
            async with asyncio.timeout(self._forcibly_s):
                await end_of(self._process)
        except TimeoutError:
            # It is stopped, or hangs: it cannot end what it runs, nor say how that ended.
            kill_run(self._run.path.name, self._process.pid)

    async def output(self, offset: int, limit: int) -> tuple[int, bytes]:
        """See `RunningStep`; the last that was printed is there once the step is over."""

        def read() -> tuple[int, bytes]:
            return self._run.read(offset, limit, self._exit or self._run.exit())

        return await self._in_thread(read)

    async def _end_what_is_left(self, *, saw_it_end: bool) -> None:
        if self._process.boot_id != boot_id():
            return
        # Its number is the session's. If nobody watched it end, the number may have been given to
        # another session meanwhile: then only the marker tells.
        session = self._process.pid if saw_it_end else None
        loop = asyncio.get_running_loop()
        gone_by = loop.time() + GONE_S
        killing = partial(kill_run, self._run.path.name, session)
        while await self._in_thread(killing) and loop.time() < gone_by:  # noqa: ASYNC110 - of others
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await finish_in_thread(self._executor, work)
