"""One child process from its start to its reaping.

`sh` starts the process and knows its exit status; asyncio reads, waits and ends it. `sh` alone does
not do under asyncio: awaiting a command may take a second too long, its time-out ends the direct
child only, and cancelling the await leaves the process running.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from adapters.cancellation import finish
from domain.output import BoundedOutput

SPAWNS_AT_ONCE: Final = 4
"""A spawn holds the event loop for several milliseconds; many in a row would be felt on the link."""
TERMINATION_GRACE_S: Final = 10.0
DRAIN_S: Final = 1.0
"""How long a descendant may hold the output open after the process itself has ended."""

ENV: Final = "/usr/bin/env"
"""Starts the program: where that cannot be executed it says why and exits with 126 or 127, while a
failed start of sh's own leaves two descriptors and a zombie behind each time."""

_ANY_EXIT = tuple(range(-64, 256))
_READ_BYTES = 64 * 1024


_NO_MORE: Final[Mapping[str, str]] = {}


class ProcessRunner:
    """Runs programs in process groups of their own, in exactly the environment it was given."""

    def __init__(
        self, environment: Mapping[str, str], *, grace_s: float = TERMINATION_GRACE_S
    ) -> None:
        self._environment = dict(environment)
        self._grace_s = grace_s
        self._spawning = asyncio.Semaphore(SPAWNS_AT_ONCE)

    async def run(
        self,
        program: str,
        arguments: Sequence[str],
        output: BoundedOutput,
        more: Mapping[str, str] = _NO_MORE,
        stdin: bytes = b"",
    ) -> int:
        """Run in `/` to the end; returns the exit status, or minus the number of the signal that ended it.

        `more` is added to the environment. `stdin` is there to be read; it lies in no file that has
        a name, and is gone with the processes that hold it. stdout and stderr go to `output` in the
        order they were written. Cancelled, it ends the whole group, with SIGTERM and after the grace
        with SIGKILL, and reaps it before it raises.
        Raises `FileNotFoundError` where the environment's PATH holds no such program, and `OSError`
        where it cannot be started.
        """
        found = shutil.which(program, path=self._environment.get("PATH", ""))
        if found is None:
            raise FileNotFoundError(program)
        async with self._spawning:
            environment = {**self._environment, **more}
            process = ChildProcess(found, arguments, environment, output, stdin)
            try:
                await asyncio.sleep(0)  # The link gets its turn between two spawns.
            except asyncio.CancelledError:
                await finish(process.end(self._grace_s))
                raise
        try:
            await process.ended.wait()
        except asyncio.CancelledError:
            await finish(process.end(self._grace_s))
            raise
        return await finish(process.reap())


class ChildProcess:
    """A process that was started and is not reaped: its group's id is still its own.

    It is the leader of a session of its own. `ended` is set when it has ended, `drained` when nobody
    holds its output open any more.
    """

    def __init__(
        self,
        program: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: BoundedOutput,
        stdin: bytes = b"",
    ) -> None:
        self.ended, self.drained = asyncio.Event(), asyncio.Event()
        self._is_collected_at_end = False
        self._output = output
        self._loop = asyncio.get_running_loop()
        import sh  # noqa: PLC0415 - An agent that has nothing to do starts nothing.

        # It logs every argument list it runs.
        logging.getLogger("sh").setLevel(logging.WARNING)
        self._output_fd, write_fd = os.pipe()
        try:
            with os.fdopen(write_fd, "wb", 0) as writer, _readable(stdin) as reader:
                self._command = sh.Command(ENV)(
                    program,
                    *arguments,
                    _async=True,
                    _return_cmd=True,
                    _in=reader,
                    _out=writer,
                    _err_to_out=True,
                    _tty_out=False,
                    _new_session=True,
                    _cwd="/",
                    _env=dict(environment),
                    _ok_code=_ANY_EXIT,
                    _bg_exc=False,
                    _no_out=True,
                    _no_err=True,
                    _no_pipe=True,
                )
        except BaseException:
            os.close(self._output_fd)
            raise
        self._watch_output()
        self._watch_end()

    async def end(self, grace_s: float) -> None:
        """End the group, gently and then not, and reap it."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.ended.wait()
        self._signal(signal.SIGKILL)
        await self.ended.wait()
        await self.reap()

    async def reap(self) -> int:
        """Read what is left of the output, end what is left of the group, give the exit status."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self.drained.wait()
        self._signal(signal.SIGKILL)
        exit_code = self.collect()
        if not self.drained.is_set():
            self._stop_reading()
        return exit_code

    def collect_at_end(self) -> None:
        """Have it collected as soon as it has ended, with nobody waiting for it."""
        self._is_collected_at_end = True
        if self.ended.is_set():
            self.collect()

    def collect(self) -> int:
        """Give the exit status of a process that has ended, so that nothing of it is left.

        It collects the status and ends sh's threads, in a moment. Again gives the same.
        """
        self._command.wait()
        exit_code = self._command.process.exit_code
        assert exit_code is not None
        return int(exit_code)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._command.pgid, number)

    def _watch_end(self) -> None:
        try:
            pidfd = os.pidfd_open(self._command.pid)
        except ProcessLookupError:  # Over already, and collected by a thread of sh.
            self.ended.set()
            return

        def over() -> None:
            self._loop.remove_reader(pidfd)
            os.close(pidfd)
            if self._is_collected_at_end:
                self.collect()
            self.ended.set()

        self._loop.add_reader(pidfd, over)

    def _watch_output(self) -> None:
        os.set_blocking(self._output_fd, False)
        self._loop.add_reader(self._output_fd, self._read)

    def _read(self) -> None:
        try:
            chunk = os.read(self._output_fd, _READ_BYTES)
        except BlockingIOError:
            return
        if chunk:
            self._output.write(chunk)
        else:
            self._stop_reading()

    def _stop_reading(self) -> None:
        self._loop.remove_reader(self._output_fd)
        os.close(self._output_fd)
        self.drained.set()


def _readable(content: bytes) -> IO[bytes]:
    if not content:
        return Path(os.devnull).open("rb")
    # A pipe holds 64 KiB, and somebody would have to write the rest; this is memory, as ours is.
    file = os.fdopen(os.memfd_create("stdin"), "w+b")
    file.write(content)
    file.seek(0)
    return file
