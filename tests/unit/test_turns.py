"""What comes while the agent ends is not decided, and is nothing to fall over."""

from __future__ import annotations

import asyncio

import pytest

from application.agent.job_book import JournalFailed
from application.agent.turns import Follow, Turns, nothing


async def begun(turns: Turns) -> asyncio.Task[None]:
    started = asyncio.Event()
    running = asyncio.create_task(turns.run(started))
    await started.wait()
    return running


async def fail() -> Follow:
    raise JournalFailed("/state/journal cannot be used: Input/output error")


async def test_after_a_decision_that_failed_none_is_begun() -> None:
    turns, seen = Turns(), list[str]()

    async def note() -> Follow:
        seen.append("decided")
        return nothing

    running = await begun(turns)
    turns.decide(turns.take("job:1"), fail)
    # The others hear of it a few turns of the loop later, and may take more in until then.
    while not running.done():
        await asyncio.sleep(0)
        seen.append("taken")
        turns.decide(turns.take("job:2"), note)
    with pytest.raises(ExceptionGroup) as failed:
        await running
    assert [type(one) for one in failed.value.exceptions] == [JournalFailed]
    assert seen.count("taken") > 1
    assert "decided" not in seen


async def test_after_the_end_none_is_begun() -> None:
    turns = Turns()
    running = await begun(turns)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    turns.decide(turns.take("job:1"), fail)
    await asyncio.sleep(0)
