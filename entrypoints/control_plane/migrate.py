"""`instadeploy-control-plane migrate`: the database brought up to date, or into another one, offline."""

from __future__ import annotations

import argparse
import gzip
import tempfile
from typing import Final

from adapters.storage.address import address_of
from adapters.storage.database import Database
from adapters.storage.snapshots.moments import kept_to_us
from adapters.storage.snapshots.snapshot import (
    Contents,
    load_snapshot,
    version_of,
    write_snapshot,
)
from adapters.storage_errors import translated
from domain.errors import InvalidInput
from entrypoints.control_plane.backup import FAST, described
from entrypoints.control_plane.serving import database_url
from entrypoints.control_plane.settings import ControlPlaneSettings
from entrypoints.version import VERSION

_AFTERWARDS: Final = """\
Now set DATABASE_URL to that database, and start the control plane. It must not be started with the old
one any more: agents would be told the same numbers for other things. Keep that one until the new one has
proven itself, and its keys where they are."""


async def migrate(settings: ControlPlaneSettings, options: argparse.Namespace) -> int:
    """Bring the database to this version's tables, or all that is in it to another database.

    Returns the program's exit code. Raises `Conflict` where a control plane runs with it, or the other
    one is not empty; `InvalidInput` and `StorageUnavailable`.
    """
    url = database_url(settings)
    before = await version_of(url)
    if options.to is None:
        async with Database.opened(url):
            pass
        after = await version_of(url)
        if before == after:
            print(f"The database has this version's tables already, {after}.")
        else:
            print(f"The database went from {before or 'nothing'} to version {after}.")
        return 0
    if address_of(options.to) == address_of(url):
        raise InvalidInput("--to", "must name another database than the one that is configured")
    with translated(settings.state_dir):
        contents = await _copied(settings, url, options.to)
    print(f"Copied: {described(contents)}.\n{_AFTERWARDS}")
    return 0


async def _copied(settings: ControlPlaneSettings, url: str, to: str) -> Contents:
    # It has no name, and its disk space is free again however this ends.
    with tempfile.TemporaryFile(dir=settings.state_dir) as spool:
        async with kept_to_us(url):
            with gzip.GzipFile(fileobj=spool, mode="wb", compresslevel=FAST, mtime=0) as zipped:
                await write_snapshot(url, zipped, VERSION, dict)
            spool.seek(0)
            with gzip.GzipFile(fileobj=spool, mode="rb") as source:
                # Nothing is lost, so nothing has to be told again: agents and readers of feeds go on
                # with the numbers that they have.
                return await load_snapshot(source, to, lambda _: None, renew_epoch=False)
