"""A snapshot that is spoilt, or whole and does not fit, becomes no database."""

from __future__ import annotations

import io
import json

import pytest

from adapters.storage.schema import Schema
from adapters.storage.snapshots.snapshot import look_through
from adapters.storage.snapshots.stream import Head, SnapshotWriter, line_of
from domain.errors import StorageUnavailable
from tests.integration.backup.conftest import KINDS, NewUrl
from tests.integration.backup.content import KEYS, filled, loaded, snapshot_of


async def test_each_line_that_is_spoilt_missing_or_doubled_is_noticed(new_url: NewUrl) -> None:
    of = new_url("sqlite")
    await filled(of)
    lines = (await snapshot_of(of)).splitlines(keepends=True)
    contents, files = look_through(io.BytesIO(b"".join(lines)))
    assert (files, contents.rows["hosts"]) == (KEYS, 2)
    for number, line in enumerate(lines):
        for instead in (
            [],
            [line, line],
            [line[:-1]],
            [b"{}\n"],
            [b"[]\n"],
            [line.replace(b'"', b"'", 1)],
        ):
            if instead == [line]:
                continue
            spoilt = b"".join(lines[:number] + instead + lines[number + 1 :])
            with pytest.raises(StorageUnavailable):
                look_through(io.BytesIO(spoilt))
    with pytest.raises(StorageUnavailable, match="behind its end"):
        look_through(io.BytesIO(b"".join(lines) + b"\n"))


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_whole_and_does_not_fit_is_refused(kind: str, new_url: NewUrl) -> None:
    of, to = new_url("sqlite"), new_url(kind)
    await filled(of)
    lines = (await snapshot_of(of)).splitlines()
    tables: dict[str, tuple[list[str], list[bytes]]] = {}
    into: list[bytes] = []
    for line in lines:
        said = json.loads(line)
        if isinstance(said, list):
            into.append(line_of(said))
        elif "part" in said:
            into = []
            if said["part"].startswith("table "):
                tables[said["part"].removeprefix("table ")] = (said["columns"], into)

    async def load(changed: dict[str, tuple[list[str], list[bytes]]]) -> None:
        out = io.BytesIO()
        writer = SnapshotWriter(out, Head(Schema().head, "a test", 1.0))
        for name, (columns, of_table) in changed.items():
            writer.write_table(name, columns, of_table)
        writer.write_end()
        await loaded(out.getvalue(), to)

    hosts = tables["hosts"]
    for changed in (
        {name: of_table for name, of_table in tables.items() if name != "feed"},
        tables | {"hosts": (hosts[0][:-1], [line_of(json.loads(row)[:-1]) for row in hosts[1]])},
        tables | {"hosts": (hosts[0], [b"[1]\n"])},
        tables | {"hosts": (hosts[0], [])},  # Others are of them.
        tables | {"more": (["x"], [])},
        tables | {"book": (tables["book"][0], tables["book"][1] * 2)},
    ):
        with pytest.raises(StorageUnavailable):
            await load(changed)
    await load(tables)
