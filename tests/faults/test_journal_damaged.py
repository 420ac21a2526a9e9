"""The journal is spoilt while the agent is down, with jobs that are over in it and one that runs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from adapters.journal.versions import mark
from tests.faults.counting import choice, seeds
from tests.faults.rig import Rig

ROW = "journal damaged"
HEADER_BYTES = 16
MAGIC = b"ideploy\n"
EITHER = ("succeeded", "failed")


def _used(journal: bytes) -> int:
    return len(journal.rstrip(b"\0"))


def _flip(journal: bytes, place: int, dice: random.Random) -> bytes:
    flipped = journal[place] ^ (1 << dice.randrange(8))
    return journal[:place] + bytes([flipped]) + journal[place + 1 :]


def _damage(kind: str, journal: bytes, dice: random.Random) -> bytes:
    used = _used(journal)
    match kind:
        case "a bit flipped in a record":
            return _flip(journal, dice.randrange(HEADER_BYTES, used), dice)
        case "a bit flipped in the header":
            return _flip(journal, dice.randrange(HEADER_BYTES), dice)
        case "a bit flipped in unused space":
            return _flip(journal, dice.randrange(used, len(journal)), dice)
        case "cut in the records":
            return journal[: dice.randrange(HEADER_BYTES, used)]
        case "4 KiB of zeros":
            place = dice.randrange(HEADER_BYTES, used)
            end = min(place + 4096, used)
            return journal[:place] + bytes(end - place) + journal[end:]
    raise AssertionError(kind)


KINDS = (
    "a bit flipped in a record",
    "a bit flipped in the header",
    "a bit flipped in unused space",
    "cut in the records",
    "4 KiB of zeros",
)


@pytest.mark.parametrize("kind", choice(KINDS, "a bit flipped in a record"))
@pytest.mark.parametrize("seed", seeds())
async def test_damage_is_found_set_aside_and_told(tmp_path: Path, kind: str, seed: int) -> None:
    dice = random.Random(f"{kind}/{seed}")
    async with Rig(tmp_path, ROW) as rig:
        rig.allowed.repeats = True  # Of the one that runs, what it is may be forgotten.
        await rig.agent.start()
        done = rig.project("done")
        for _ in range(2):
            await rig.done(rig.deploy(done))
        gate = rig.gate()
        running = rig.deploy(rig.project("running"), gate=gate, ends=EITHER)
        await rig.executor("up")
        await rig.until(lambda: len(rig.effects.happened) >= 8, "all containers")
        before = [one.id for one in await rig.effects.containers() if one.project == done.name]
        await rig.agent.kill()

        path = rig.agent.state_dir / "journal"
        spoilt = _damage(kind, path.read_bytes(), dice)
        path.write_bytes(spoilt)
        rig.injected(kind)
        # Of a job that is over, the end may be forgotten: the control plane keeps what it was told.
        # The one that runs may be forgotten altogether, is then sent again, and prints again.
        rig.database.strict = False
        rig.allowed.no_output.add(running)
        for given in rig.given:
            given.ends = frozenset(EITHER)
        await rig.agent.start()
        await rig.peer.agent()
        health = await rig.database.final(rig.database.issue("HEALTH_CHECK", {}))
        assert health["data"]["journal"]["intact"] is False, health
        assert "damaged" in health["data"]["journal"]["detail"] or "cut" in health["logs"], health
        (aside,) = (one for one in path.parent.glob("journal.*") if one.read_bytes() == spoilt)
        assert aside != path

        gate.open()
        await rig.database.final(running)
        await rig.check()
        for job in rig.database.jobs.values():
            for final in job.finals:
                if final["status"] == "FAILED":
                    assert final["data"]["reason"] == "journal_damaged", final
        after = [one.id for one in await rig.effects.containers() if one.project == done.name]
        assert after == before, "what was over was done again"
        wrong = [one for one in rig.database.violations if not _is_of_the_forgotten(one)]
        assert wrong == []
        await rig.done(rig.deploy(done))
        await rig.check()


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds(at_most=20))
async def test_what_a_newer_agent_wrote_is_refused_and_left_alone(
    tmp_path: Path, seed: int
) -> None:
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        gate = rig.gate()
        job_id = rig.deploy(rig.project(), gate=gate)
        await rig.executor("up")
        await rig.agent.kill()
        path = rig.agent.state_dir / "journal"
        ours = path.read_bytes()
        newer = mark(MAGIC, 2 + seed) + ours[HEADER_BYTES:]
        path.write_bytes(newer)
        rig.injected("a newer version")
        await rig.agent.start()
        assert rig.agent.process is not None
        assert await rig.agent.process.wait() == 1
        assert "was written by a newer agent" in rig.agent.log()
        assert path.read_bytes() == newer

        path.write_bytes(ours)
        await rig.agent.start()
        gate.open()
        await rig.done(job_id)
        await rig.check()


def _is_of_the_forgotten(violation: str) -> bool:
    """Whether it tells only that a job which had a result, or output, now has another."""
    return violation.startswith("two results") or violation.endswith(
        ("the result says nothing", "came again and are not the same", "the SHA-256 is another one")
    )
