"""Messages are cut, repeated, reordered, swallowed, delayed and sliced on their way, while jobs run."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Final, Literal

import pytest

from tests.faults.counting import is_thorough, seeds
from tests.faults.rig import Rig, keep_busy
from tests.support.chaos_plan import UP, ChaosPlan, Cut, How, Passing, Predicate, is_durable
from tests.support.chaos_proxy import ChaosProxy, Outage

ROW = "messages"
SECONDS = 20.0 if is_thorough() else 6.0
HOWS: Final[tuple[How, ...]] = ("rst", "fin")
QUESTION_EVERY_S = 0.2
RATES = {
    "delay": 0.08,
    "slice": 0.05,
    "duplicate": 0.08,
    "reorder": 0.08,
    "swallow": 0.03,
    "cut": 0.02,
}


@pytest.mark.parametrize("seed", seeds())
async def test_by_a_seeded_plan(tmp_path: Path, seed: int) -> None:
    """Questions are asked all the while: something always follows what is swallowed."""
    enough = asyncio.Event()
    dice = random.Random(seed)
    plan = ChaosPlan(seed, rates=RATES, longest_delay_s=0.2)
    async with Rig(tmp_path, ROW) as rig, ChaosProxy(rig.port, plan) as proxy:
        rig.agent.url = proxy.url
        await rig.agent.start()
        questions = []
        async with asyncio.TaskGroup() as work:
            for number in range(2):
                work.create_task(keep_busy(rig, rig.project(number), enough, dice))
            over_at = asyncio.get_running_loop().time() + SECONDS
            while asyncio.get_running_loop().time() < over_at:
                questions.append(rig.database.issue("HEALTH_CHECK", {}))
                await asyncio.sleep(QUESTION_EVERY_S)
            enough.set()
            # What was swallowed last is missed when there is another connection.
            proxy.clear()
            proxy.cut()
        for what, times in proxy.injected.items():
            rig.injected(what, times)
        print(plan)
        for question in questions:
            await rig.database.final(question)
            assert len(rig.database.jobs[question].finals) == 1
        await rig.check()


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["ACCEPT", "RESPONSE"])
@pytest.mark.parametrize("where", ["before", "middle", "after"])
@pytest.mark.parametrize("seed", seeds())
async def test_the_connection_is_reset_at_the_answer(
    tmp_path: Path, kind: str, where: Literal["before", "middle", "after"], seed: int
) -> None:
    how = HOWS[seed % 2]
    async with Rig(tmp_path, ROW) as rig, ChaosProxy(rig.port) as proxy:
        rig.agent.url = proxy.url
        await rig.agent.start()
        await rig.peer.agent()
        rule = proxy.on(UP, _durable(kind), Cut(where, how))
        job_id = rig.deploy(rig.project())
        await rule.fired()
        rig.injected(f"cut {where} {kind}, by {how}")
        await rig.done(job_id)
        await rig.check()


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds(at_most=20))
async def test_an_outage_of_every_kind(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW) as rig, ChaosProxy(rig.port) as proxy:
        rig.agent.url = proxy.url
        await rig.agent.start()
        await rig.peer.agent()
        for kind in (Outage.REFUSED, Outage.RESET):
            job_id = rig.deploy(rig.project())
            await asyncio.sleep(dice.uniform(0, 0.9))
            rig.count_if_open(job_id, f"outage: {kind.value}")
            await proxy.outage(kind)
            proxy.cut()
            await asyncio.sleep(dice.uniform(0, 3))
            await proxy.restore()
            await rig.done(job_id)
        await rig.check()


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds())
async def test_over_v1_the_connection_is_reset_at_any_moment(tmp_path: Path, seed: int) -> None:
    """A command of v1 counts as delivered once it is sent: what is cut is the way of the answers."""
    dice = random.Random(seed)
    async with (
        Rig(tmp_path, ROW, subprotocol="instadeploy.v1") as rig,
        ChaosProxy(rig.port) as proxy,
    ):
        rig.agent.url = proxy.url
        await rig.agent.start()
        session = await rig.peer.session()
        for _ in range(2):
            job_id = rig.deploy(rig.project())
            await rig.database.answer(job_id)
            await asyncio.sleep(dice.uniform(0, 0.9))
            rig.count_if_open(job_id, "v1: cut")
            proxy.cut(dice.choice(HOWS))
            # What is sent on a link that has ended is lost: wait for the next one.
            await rig.until(session.over.is_set, "the end of the link")
            session = await rig.peer.session()
            await rig.done(job_id)
        await rig.check()


def _durable(kind: str) -> Predicate:
    def is_it(message: Passing) -> bool:
        return is_durable(message) and message.type == kind

    return is_it
