"""A snapshot that is taken while jobs are submitted is of one moment."""

from __future__ import annotations

import asyncio
import io
import json
import threading

import pytest

from adapters.storage.database import Database
from adapters.storage.snapshots.snapshot import write_snapshot
from tests.contracts.fleet import a_job, with_hosts, with_jobs
from tests.integration.backup.conftest import KINDS, NewUrl
from tests.integration.backup.content import KEYS, book, loaded, rows_of

PATIENCE_S = 60.0
MORE = 3
"""So many jobs are submitted between each two parts."""


class _Writer(threading.Thread):
    """A control plane that submits one job after another, in a thread and a loop of its own."""

    def __init__(self, url: str) -> None:
        super().__init__(name="the control plane")
        self._url = url
        self._changed = threading.Condition()
        self._is_over = False
        self.jobs = 0

    def run(self) -> None:
        asyncio.run(self._write())

    def wait(self, jobs: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.jobs >= jobs, PATIENCE_S)

    def end(self) -> None:
        self._is_over = True
        self.join()

    async def _write(self) -> None:
        async with Database.opened(self._url) as fleet:
            hosts = await with_hosts(fleet, "a", "b")
            while not self._is_over:
                await with_jobs(fleet, a_job(self.jobs, hosts[self.jobs % 2], "STATUS"))
                with self._changed:
                    self.jobs += 1
                    self._changed.notify_all()


class _Slow(io.BytesIO):
    """Lets the writer go on before each part is written."""

    def __init__(self, writer: _Writer) -> None:
        super().__init__()
        self._writer = writer

    def write(self, content: object, /) -> int:
        assert isinstance(content, bytes)
        if content.startswith(b'{"part"'):
            self._writer.wait(self._writer.jobs + MORE)
        return super().write(content)


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_whole_and_holds_nobody_up(kind: str, new_url: NewUrl) -> None:
    of, to = new_url(kind), new_url("sqlite")
    writer = _Writer(of)
    writer.start()
    try:
        await asyncio.to_thread(writer.wait, 2)
        out = _Slow(writer)
        contents = await write_snapshot(of, out, "a test", lambda: KEYS)
        after = writer.jobs
    finally:
        writer.end()
    assert after >= contents.rows["jobs"] + MORE * (len(contents.rows) - 1)
    # Each row's own is there, or the foreign keys would refuse it.
    await loaded(out.getvalue(), to, renew_epoch=False)
    rows = await rows_of(to)
    jobs = [json.loads(row) for row in rows["jobs"]]
    feed = [json.loads(row) for row in rows["feed"]]
    assert {job["id"] for job in jobs} == {f"job-{n}" for n in range(len(jobs))}
    assert sorted(job["place"] for job in jobs) == sorted(entry["job"] for entry in feed)
    assert len(rows["payloads"]) == len(jobs)
    used = [*(job["place"] for job in jobs), *(entry["number"] for entry in feed)]
    # The next one is no number that came after that moment, and none of before it.
    assert book(rows)["next_number"] == max(used) + 1
