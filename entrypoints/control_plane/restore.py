"""`instadeploy-control-plane restore`: a control plane made of a backup again.

In this order: the backup is read to its end, and found whole; the keys are put into the state directory;
the database is there. Killed in between, there are keys and no database of theirs: doing it again finds
the same keys, and goes on.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from adapters.identity.private_file import read_private, write_private
from adapters.storage.snapshots.snapshot import load_snapshot
from adapters.storage_errors import translated
from domain.errors import Conflict, InvalidInput
from entrypoints.control_plane.backup import (
    KEY_FILES,
    LONGEST_KEY_FILE,
    described,
    opened,
    passphrase_of,
    require_keys,
)
from entrypoints.control_plane.container import PAYLOAD_KEY_FILE
from entrypoints.control_plane.serving import database_url
from entrypoints.control_plane.settings import ControlPlaneSettings, variable_of


async def restore(settings: ControlPlaneSettings, options: argparse.Namespace) -> int:
    """Restore a backup; returns the program's exit code.

    Raises `Conflict` where a control plane runs with the database, something is in it and must not be
    replaced, or the state directory has other keys; `InvalidInput` and `StorageUnavailable`.
    """
    state_dir = settings.state_dir
    with opened(options.file, passphrase_of(options, is_new=False)) as source:
        _make_ours(state_dir)
        contents = await load_snapshot(
            source, database_url(settings), partial(_put_keys, state_dir), replace=options.replace
        )
    print(f"Restored: {described(contents)}.")
    if contents.set_aside:
        print(f"The database of before is kept as {contents.set_aside}.")
    print(
        "Each agent that connects is now asked again for all that came after the backup. Commands that\n"
        "waited for their hosts then are sent to these, however late: cancel what is not wanted any more\n"
        "(instadeploy jobs list --state queued). Users, tokens and revoked hosts are as they were then:\n"
        "revoke again what was revoked since."
    )
    return 0


def _make_ours(state_dir: Path) -> None:
    with translated(state_dir):
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = state_dir.stat().st_uid
    if owner != os.geteuid():
        raise InvalidInput(
            variable_of("state_dir"),
            f"{state_dir} belongs to the user {owner}: restore as that user, or the control plane "
            "cannot read what is restored",
        )


def _put_keys(state_dir: Path, files: Mapping[str, bytes]) -> None:
    """Each that is missing; none where another is there that is not the backup's."""
    require_keys(files)
    missing = []
    for name in KEY_FILES:
        found = read_private(state_dir / name, limit=LONGEST_KEY_FILE)
        if found is None:
            missing.append(name)
        elif not _is_same(name, found, files[name]):
            raise Conflict(
                f"{name} in {state_dir} has another key than the backup; where it is of no use any "
                "more, move it away first"
            )
    for name in missing:
        write_private(state_dir / name, files[name], replace=False)


def _is_same(name: str, found: bytes, wanted: bytes) -> bool:
    """Whether a file does what the backup's would. Keys may have been added to payloads' since."""
    if name == PAYLOAD_KEY_FILE:
        return _lines(wanted) <= _lines(found)
    return found == wanted


def _lines(keys: bytes) -> set[bytes]:
    return {line.strip() for line in keys.splitlines() if not line.startswith(b"#")} - {b""}
