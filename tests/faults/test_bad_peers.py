"""What listens is no control plane, a broken one, or wants too much, while a job runs.

Each ends in time, costs no memory, and takes nothing from the job; then the right one is back. What
is refused, in which words and after which delay, is in `tests/integration/websocket`: `test_refusals`
(statuses), `test_stages` (the deadline of each stage), `test_frames` and `test_sequenced_link` (1009),
`test_sessions` (10,000 commands over v1), and in `tests/unit/test_codec_v2.py` (NaN, duplicate keys).
"""

from __future__ import annotations

import asyncio
import zlib
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.faults import bad_peers
from tests.faults.bad_peers import Conversation, frame, speaking, status
from tests.faults.counting import choice, is_thorough, seeds
from tests.faults.rig import Rig

ROW = "bad peers"
MIB = 1 << 20
ROOM = 2 * MIB
"""What a hostile message may cost."""
WITHIN_S = 60.0
SLOWLY_WITHIN_S = 400.0

PAGE = b"<html><body>Hello!</body></html>"
BOMB = zlib.compressobj(9, wbits=-15)
DEFLATED = BOMB.compress(bytes(256 * MIB)) + BOMB.flush()

QUICK: dict[str, Conversation] = {
    "429": status("429 Too Many Requests", "Retry-After: 1"),
    "500": status("500 Internal Server Error"),
    "503": status("503 Service Unavailable", "Retry-After: 1"),
    "declared length of 4 GiB": speaking(frame(b"x" * 65536, length=4 << 30)),
    "frame above the limit": speaking(frame(b"x" * (9 * MIB))),
    "deflate bomb": speaking(frame(DEFLATED, first=0xC1)),
    "a message before CHALLENGE": speaking(frame(b'{"type": "HEARTBEAT"}')),
    "a masked frame": speaking(b"\x81\x81\x00\x00\x00\x00x"),
}
SLOW: dict[str, Conversation] = {
    "accepts and never answers": bad_peers.says_nothing,
    "one byte a second": bad_peers.drips,
    "no CHALLENGE": speaking(b""),
    "garbage, again and again": speaking(frame(b"\xff{" * 1000, first=0x82), times=2000),
    "HTML with 200": bad_peers.answering(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PAGE), PAGE)
    ),
    "no HTTP": bad_peers.answering(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "401": status("401 Unauthorized"),
    "403": status("403 Forbidden"),
    "404": status("404 Not Found"),
    "426": status("426 Upgrade Required"),
}
GARBAGE = (
    "",
    "no JSON",
    "[1, 2]",
    '{"type": "ACK", "ack": NaN}',
    '{"type": "ACK", "ack": 1e999}',
    '{"type": "ACK", "ack": 0, "ack": 1}',
    '{"type": 7}',
    '{"type": "NO_SUCH_TYPE"}',
    '{"type": "DEPLOY_COMPOSE"}',
    '{"type": "NACK", "expected": 0}',
    '{"a":' * 10_000 + "1" + "}" * 10_000,
    "[" * 100_000,
    '{"type": "ACK", "ack": ' + "9" * 100_000 + "}",
)


async def _meet(tmp_path: Path, what: str, converse: Conversation, within_s: float) -> None:
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        await rig.peer.agent()
        gate = rig.gate()
        job_id = rig.deploy(rig.project(), gate=gate)
        await rig.executor("up")
        before = _memory(rig)
        await rig.crash_peer()
        async with bad_peers.listening(rig.port, converse) as over, asyncio.timeout(within_s):
            await over.wait()
            rig.injected(what)
        grown = _memory(rig) - before
        rig.verdict.measure("MiB that it cost", grown / MIB)
        assert grown <= ROOM, f"{grown / MIB:.1f} MiB"
        gate.open()
        await rig.start_peer()
        await rig.until(lambda: bool(rig.database.jobs[job_id].finals), "result", within_s=within_s)
        await rig.check()


@pytest.mark.parametrize("what", choice(QUICK, "declared length of 4 GiB"))
@pytest.mark.parametrize("seed", seeds())
async def test_once(tmp_path: Path, what: str, seed: int) -> None:
    await _meet(tmp_path, what, QUICK[what], WITHIN_S)


@pytest.mark.thorough
@pytest.mark.parametrize("what", SLOW)
@pytest.mark.parametrize("seed", seeds(at_most=2))
async def test_slowly(tmp_path: Path, what: str, seed: int) -> None:
    await _meet(tmp_path, what, SLOW[what], SLOWLY_WITHIN_S)


@pytest.mark.parametrize("seed", seeds())
async def test_garbage_in_frames_of_a_good_link(tmp_path: Path, seed: int) -> None:
    """It is complained about, and the link and the job live on."""
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        session = await rig.peer.agent()
        gate = rig.gate()
        job_id = rig.deploy(rig.project(), gate=gate)
        await rig.executor("up")
        before = _memory(rig)
        for garbage in GARBAGE:
            told = len(rig.database.errors)
            await session.send_raw(garbage)
            rig.injected("garbage in a frame")
            await rig.database.until(partial(_has_complained, rig, told), "ERROR")
        assert _memory(rig) - before <= 4 * ROOM
        gate.open()
        await rig.done(job_id)
        await rig.check()
        assert await rig.peer.agent() is session


@pytest.mark.thorough
async def test_ten_thousand_commands_at_once(tmp_path: Path) -> None:
    """Each is answered once: carried out, or refused as too much; and a job runs meanwhile."""
    count = 10_000 if is_thorough() else 2000
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        await rig.peer.agent()
        gate = rig.gate()
        job_id = rig.deploy(rig.project(), gate=gate)
        await rig.executor("up")
        before = _memory(rig)
        questions = [rig.database.issue("HEALTH_CHECK", {}) for _ in range(count)]
        rig.injected(f"{count} commands at once")
        loop = asyncio.get_running_loop()
        asked = loop.time()
        await rig.until(
            lambda: all(rig.database.jobs[one].is_settled for one in reversed(questions)),
            "all answers",
            within_s=300,
        )
        rig.verdict.measure("until all are answered", loop.time() - asked)
        grown = _memory(rig) - before
        rig.verdict.measure("MiB that it cost", grown / MIB)
        assert grown <= 64 * MIB, f"{grown / MIB:.1f} MiB"
        gate.open()
        await rig.done(job_id)
        await rig.check()


def _has_complained(rig: Rig, told: int) -> bool | None:
    return True if len(rig.database.errors) > told else None


def _memory(rig: Rig) -> int:
    return psutil.Process(rig.agent.pid).memory_info().rss
