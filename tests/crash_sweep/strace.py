"""strace on a running process: what it calls, as it calls it, and signals and errors on the way.

What is injected is counted by strace for each thread alone. So that the n-th call of a process can be
chosen, whichever of its threads makes it, it is either stopped at each of its calls and told to go on,
or strace is attached just before the one that is meant.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.crash_sweep.host import send

CHANGES: Final = (
    "write,pwrite64,fsync,fdatasync,fallocate,ftruncate,rename,renameat,renameat2,link,linkat,"
    "unlink,unlinkat,rmdir,mkdir,mkdirat"
)
"""The calls that change a disk, or wait for it."""
OPENS: Final = "openat,creat"
"""Some of which make a file."""

_LINE = re.compile(r"(\d+) +(.*)", re.DOTALL)
_CALL = re.compile(r"(\w+)\(.*")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)")
_UNFINISHED: Final = " <unfinished ...>"
_DETACH_S: Final = 10.0


class StraceFailed(Exception):
    """It is missing, or may not trace."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one thread did. `text` is strace's; `call` is empty where it is no call that is over.

    A call that its thread was killed in is over too.
    """

    thread: int
    call: str
    text: str

    @property
    def is_injected(self) -> bool:
        return self.text.endswith("(INJECTED)")

    @property
    def is_stop_signal(self) -> bool:
        """The thread is about to stop its whole process."""
        return self.text.startswith("--- SIGSTOP {")

    @property
    def is_stopped(self) -> bool:
        return self.text == "--- stopped by SIGSTOP ---"


class LineReader:
    """Puts strace's text together: pieces of lines, and calls that others came in the middle of."""

    def __init__(self) -> None:
        self._rest = b""
        self._unfinished: dict[int, str] = {}

    def take(self, chunk: bytes) -> list[Line]:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        lines = []
        for raw in whole:
            found = _LINE.match(raw.decode("utf-8", "replace"))
            if found is not None:
                lines += self._read(int(found[1]), found[2])
        return lines

    def _read(self, thread: int, text: str) -> list[Line]:
        if text.endswith(_UNFINISHED):
            self._unfinished[thread] = text.removesuffix(_UNFINISHED)
            return []
        if (resumed := _RESUMED.match(text)) is not None:
            text = self._unfinished.pop(thread, "") + resumed[1]
        elif text.startswith("+++ "):
            begun = self._unfinished.pop(thread, None)
            said = [] if begun is None else [_line(thread, f"{begun}) = ?")]
            return [*said, Line(thread, "", text)]
        return [_line(thread, text)]


def _line(thread: int, text: str) -> Line:
    called = _CALL.match(text)
    return Line(thread, called[1] if called else "", text)


def process_of(thread: int) -> int:
    """The process that a thread is of; 0 where it is gone."""
    try:
        status = Path(f"/proc/{thread}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return int(status.partition("\nTgid:")[2].split()[0])


class Strace:
    """One strace, attached to one process and all its threads."""

    def __init__(self, process: asyncio.subprocess.Process, fd: int) -> None:
        self._process = process
        self._fd = fd
        self._reader = LineReader()
        self._at_end = asyncio.Event()

    @classmethod
    async def attach(
        cls,
        pid: int,
        hear: Callable[[Line], None],
        *,
        calls: str,
        inject: str,
        follows_programs: bool = False,
    ) -> Self:
        """Return when it is attached. `hear` is called for each line, soon.

        With `follows_programs`, also what the process starts is traced.
        """
        directory = Path(tempfile.mkdtemp(prefix="strace-"))
        try:
            fifo = directory / "log"
            os.mkfifo(fifo)
            fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
            strace = cls(
                await asyncio.create_subprocess_exec(
                    *("strace", "-f", "-y", "-s", "0", "-o", fifo, "-p", str(pid)),
                    *(() if follows_programs else ("-b", "execve")),
                    *("-e", f"trace={calls}", "-e", f"inject={inject}"),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                ),
                fd,
            )
            said = await strace._said()
        finally:
            shutil.rmtree(directory)
        strace._read_with(hear)
        if "attached" not in said:
            await strace.detach()
            raise StraceFailed(said.strip())
        return strace

    async def detach(self) -> None:
        """Let go, and hear all that was traced until then; what is stopped stays so."""
        send(self._process, signal.SIGTERM)
        await self.over()

    async def over(self) -> None:
        """Wait until it has ended, which it does with what it traces."""
        try:
            async with asyncio.timeout(_DETACH_S):
                await self._process.communicate()
        except TimeoutError:
            send(self._process, signal.SIGKILL)
            await self._process.communicate()
        await self._at_end.wait()

    async def _said(self) -> str:
        assert self._process.stderr is not None
        async with asyncio.timeout(_DETACH_S):
            return (await self._process.stderr.readline()).decode("utf-8", "replace")

    def _read_with(self, hear: Callable[[Line], None]) -> None:
        loop = asyncio.get_running_loop()

        def read() -> None:
            chunk = os.read(self._fd, 65536)
            if not chunk:
                loop.remove_reader(self._fd)
                os.close(self._fd)
                self._at_end.set()
            for line in self._reader.take(chunk):
                hear(line)

        loop.add_reader(self._fd, read)
