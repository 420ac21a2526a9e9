"""Reads what a step has printed, as much of it as a result holds."""

from __future__ import annotations

from application.ports.compose_executor import RunningStep
from domain.output import HEAD_BYTES, TAIL_BYTES, BoundedOutput
from domain.records import StepExit


async def text_of(running: RunningStep, exit_: StepExit | None) -> str:
    """All of it, with its middle left out where it is long."""
    printed = BoundedOutput()
    await _copy(running, printed, 0, HEAD_BYTES)
    total = exit_.output_bytes if exit_ is not None else printed.total_bytes
    tail_from = max(printed.total_bytes, total - TAIL_BYTES)
    printed.skip(tail_from - printed.total_bytes)
    await _copy(running, printed, tail_from, TAIL_BYTES)
    printed.skip(max(0, total - printed.total_bytes))
    return printed.text()


async def _copy(running: RunningStep, printed: BoundedOutput, offset: int, limit: int) -> None:
    end = offset + limit
    while offset < end:
        found_at, chunk = await running.output(offset, end - offset)
        if not chunk:
            return
        printed.skip(found_at - offset)
        printed.write(chunk)
        offset = found_at + len(chunk)
