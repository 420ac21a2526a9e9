"""Waits for one call of one process, and has it killed there, or fail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from dataclasses import dataclass
from typing import Final

from tests.crash_sweep.faults import Fault, How, Who
from tests.crash_sweep.host import Host
from tests.crash_sweep.strace import CHANGES, OPENS, Line, Strace, process_of

FATAL: Final = CHANGES.removeprefix("write,")
"""What the n-th call is waited for with; `write` is how the agent writes its log, and nothing else."""
FAILING: Final = "pwrite64,fsync,fdatasync,fallocate,rename,renameat,link,mkdir,mkdirat"

_QUOTED = re.compile(r'"([^"]*)"')
_TOKEN = re.compile(r"[0-9a-f]{32}")
_CLAIM = re.compile(r"claim\.[^/]*")


@dataclass(frozen=True, slots=True)
class Seen:
    """One call on the state directory, and what the scenario was at."""

    phase: str
    call: str
    file: str
    """Below the state directory, with `*` for what is random."""

    def __str__(self) -> str:
        return f"{self.call} of {self.file}, at {self.phase}"


class Ambush:
    """On one life of the agent. Without a fault, it only counts; `struck` is where the fault befell."""

    def __init__(self, host: Host, fault: Fault | None, *, who: Who, counts_opens: bool) -> None:
        self._host = host
        self._fault = fault
        self._who = who
        self._calls = OPENS if counts_opens else CHANGES
        self._counts_opens = counts_opens
        self._below_state = re.compile(rf"{re.escape(str(host.state))}(/[^>\",]*)?[>\"]")
        self._agent = 0
        self._strace: Strace | None = None
        self._stopping: set[int] = set()
        self._is_near = False
        self._closing_in: asyncio.Task[None] | None = None
        self.seen: list[Seen] = []
        self.struck: Seen | None = None

    async def lie_in_wait(self, pid: int) -> None:
        """The agent is stopped, and is let go on here."""
        self._agent = pid
        if self._is_before(1):
            await self._close_in(pid)
            return
        follows = self._who is Who.RUNNER
        calls = f"{self._calls},execve" if follows else self._calls
        self._strace = await Strace.attach(
            pid,
            self._hear,
            calls=calls,
            inject=f"{calls}:signal=STOP",
            follows_programs=follows,
        )
        os.kill(pid, signal.SIGCONT)

    async def over(self) -> None:
        """The agent is dead. What it has started may go on, unobserved."""
        if self._closing_in is not None:
            await self._closing_in
        if self._strace is not None:
            await self._strace.detach()
        self._let_go()

    def _is_before(self, number: int) -> bool:
        """Whether the fault befalls the call of this number while it is made."""
        fault = self._fault
        return (
            fault is not None
            and fault.number == number
            and (fault.how is How.BEFORE or fault.how.is_error)
        )

    def _hear(self, line: Line) -> None:
        process = process_of(line.thread)
        if line.call and process and self._is_meant(process, line):
            self.seen.append(self._seen(line))
            self._count(process)
        if line.is_stop_signal:
            self._stopping.add(line.thread)
        elif line.is_stopped and line.thread in self._stopping:
            self._stopping.discard(line.thread)
            if self._is_near and self._closing_in is None:
                self._closing_in = asyncio.create_task(self._close_in(process), name="ambush")
            elif self._closing_in is None:
                _send(process, signal.SIGCONT)

    def _count(self, process: int) -> None:
        number, fault = len(self.seen), self._fault
        if fault is None or self.struck is not None:
            return
        if self._is_before(number + 1):
            self._is_near = True
        elif number == fault.number and fault.how in (How.AFTER, How.OPENED):
            self.struck = self.seen[-1]
            _send(process, signal.SIGKILL)

    async def _close_in(self, process: int) -> None:
        """The next call of the process, which is stopped, is the one."""
        assert self._fault is not None
        if self._strace is not None:
            await self._strace.detach()
            self._let_go(but=process)
        how = self._fault.how
        calls = FAILING if how.is_error else FATAL
        deed = f"error={how.value.upper()}" if how.is_error else "signal=KILL"
        self._strace = await Strace.attach(
            process, self._hear_last, calls=calls, inject=f"{calls}:{deed}:when=1"
        )
        _send(process, signal.SIGCONT)

    def _let_go(self, *, but: int = 0) -> None:
        """What strace has left between a stop and its end goes on."""
        for process in self._host.everything():
            if process.pid != but:
                _send(process.pid, signal.SIGCONT)

    def _hear_last(self, line: Line) -> None:
        if not line.call or self.struck is not None:
            return
        if line.is_injected or line.text.endswith("= ?"):
            self.struck = self._seen(line)
            if line.is_injected and self._strace is not None:
                # The other threads have not had their first call yet.
                self._closing_in = asyncio.create_task(self._strace.detach(), name="ambush")

    def _is_meant(self, process: int, line: Line) -> bool:
        if (process == self._agent) is not (self._who is Who.AGENT):
            return False
        if line.call == "execve":
            return line.text.startswith(f'execve("{sys.executable}"') and not self._counts_opens
        if self._counts_opens and "O_CREAT" not in line.text:
            return False
        return self._below_state.search(line.text) is not None

    def _seen(self, line: Line) -> Seen:
        found = self._below_state.search(line.text)
        if line.call == "execve":
            file = "the job runner"
        elif found is None:
            file = "another directory"
        else:
            file = (found[1] or "").removeprefix("/") or "."
            name = _QUOTED.search(line.text)
            if name is not None and name[1] and not name[1].startswith("/"):
                file = f"{file}/{name[1]}"
        return Seen(self._host.phase, line.call, _CLAIM.sub("claim.*", _TOKEN.sub("*", file)))


def _send(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        if process:
            os.kill(process, number)
