"""Disks that are full: nothing starts, and what runs goes on to an end that is recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from adapters.compose.run_directory import TAIL_RESERVE_BYTES, RunDirectory
from application.ports.compose_executor import ComposeAction
from domain.errors import NoSpace
from tests.integration.job_runner.conftest import BLOG, Bench, over, printed
from tests.support.small_disk import SmallDisk, small_disk

UP = ComposeAction.UP
DISK_BYTES = 1024 * 1024


@pytest.fixture
def disk(bench: Bench) -> Iterator[SmallDisk]:
    """Where the runs are, on a file system of their own."""
    with small_disk(bench.runs, str(DISK_BYTES)) as disk:
        yield disk


async def test_nothing_starts_where_there_is_no_room(
    bench: Bench, disk: SmallDisk, token: str
) -> None:
    bench.docker("echo > $bench/ran")
    disk.fill()
    for _ in range(2):
        with pytest.raises(NoSpace):
            await bench.executor().start(token, UP, BLOG, deadline_s=60)
    assert not bench.has_said("ran")
    disk.empty()
    assert list(bench.runs.iterdir()) == []
    step = await bench.executor().start(token, UP, BLOG, deadline_s=60)
    assert (await over(step)).exit_code == 0


async def test_a_disk_that_is_full_meanwhile_does_not_keep_the_end_from_being_recorded(
    bench: Bench, disk: SmallDisk, token: str
) -> None:
    step = await bench.start(
        "echo before; echo > $bench/started; read _ < $bench/gate; echo after; exit 5", token=token
    )
    await bench.said("started")
    disk.fill()
    bench.open_gate()
    ended = await over(step)
    assert ended.exit_code == 5
    assert await printed(step) == b"before\nafter\n"
    found = await bench.executor().find(token)
    assert found is not None
    assert await over(found) == ended


async def test_one_that_waits_can_be_ended_on_a_full_disk(
    bench: Bench, disk: SmallDisk, token: str
) -> None:
    step = await bench.start("echo > $bench/started; read _ < $bench/gate", token=token)
    await bench.said("started")
    disk.fill()
    await step.end("cancel")
    assert (await over(step)).ended_by == "cancel"


async def test_a_run_can_be_revoked_and_discarded_on_a_full_disk(
    bench: Bench, disk: SmallDisk, token: str
) -> None:
    RunDirectory(bench.runs / token).create()
    disk.fill()
    executor = bench.executor()
    assert await executor.find(token) is None
    assert (bench.runs / token / "revoked").exists()
    await executor.discard(token)
    assert await executor.known_tokens() == frozenset()


async def test_more_output_than_there_is_room_for_does_not_stop_the_command(
    bench: Bench, disk: SmallDisk, token: str
) -> None:
    everything = "".join(f"line {number}\n" for number in range(300_000)).encode()
    step = await bench.start("seq -f 'line %.0f' 0 299999", token=token)
    ended = await over(step)
    assert ended.exit_code == 0
    assert ended.output_bytes == len(everything)
    assert ended.output_sha256 == hashlib.sha256(everything).hexdigest()
    assert 0 < ended.head_bytes < DISK_BYTES
    assert ended.tail_bytes == TAIL_RESERVE_BYTES
    assert ended.is_truncated
    kept = await printed(step)
    assert kept == everything[: ended.head_bytes] + everything[-TAIL_RESERVE_BYTES:]
