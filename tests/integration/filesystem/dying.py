"""What the adapters of the state directory and of projects are at when they are killed.

`python -m tests.integration.filesystem.dying SCENARIO DIRECTORY`
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from adapters.filesystem.private_parts import LocalPrivateParts
from adapters.filesystem.project_files import LocalProjectFiles
from adapters.filesystem.registry_logins import LocalRegistryLogins
from adapters.filesystem.revision_store import LocalRevisionStore
from domain.revision import RevisionState
from tests.contracts import private_parts, project_contents, registry_logins, revision_store
from tests.contracts.project_contents import PLAIN, RICH
from tests.integration.project_files.disk import failing_with
from tests.support.dying import BEFORE, TORN, kill_at_every_call

CALLS = [
    *("open", "write", "pwrite", "posix_fallocate", "ftruncate", "fchmod", "rename", "link"),
    *("symlink", "unlink", "mkdir", "rmdir"),
]
WAYS = [BEFORE, TORN]  # After a call is the same as before the next.


class Disk:
    """All adapters, on one directory."""

    def __init__(self, root: Path, executor: ThreadPoolExecutor) -> None:
        self.files = LocalProjectFiles(str(root / "projects"), private=False, executor=executor)
        self.revisions = LocalRevisionStore(root / "state", executor, kept=2)
        self.parts = LocalPrivateParts(root / "state", executor)
        self.logins = LocalRegistryLogins(root / "state", executor, host_config=None)


async def publish_first(disk: Disk) -> None:
    await project_contents.publish(disk.files, project_contents.BLOG, RICH)


async def publish_rich(disk: Disk) -> None:
    await project_contents.publish(disk.files, project_contents.BLOG, RICH, PLAIN)


async def publish_plain(disk: Disk) -> None:
    await project_contents.publish(disk.files, project_contents.BLOG, PLAIN, RICH)


async def remove(disk: Disk) -> None:
    await disk.files.remove(project_contents.BLOG, RICH)


async def add(disk: Disk) -> None:
    await disk.revisions.add(revision_store.BLOG, revision_store.draft("job-4", "four"))


async def settle(disk: Disk) -> None:
    await disk.revisions.settle(
        revision_store.BLOG, 3, RevisionState.GOOD, images=revision_store.IMAGES
    )


async def want(disk: Disk) -> None:
    await disk.revisions.want(revision_store.BLOG, 3)


async def settle_from_reserve(disk: Disk) -> None:
    for call in ("write", "posix_fallocate"):
        setattr(os, call, failing_with(errno.ENOSPC))
    await settle(disk)


async def forget(disk: Disk) -> None:
    await disk.revisions.forget(revision_store.BLOG)


async def begin_anew(disk: Disk) -> None:
    await disk.revisions.history(revision_store.BLOG)


async def keep(disk: Disk) -> None:
    await disk.parts.keep("job-1", private_parts.DEPLOYMENT)


async def provide(disk: Disk) -> None:
    await disk.logins.provide("job-1", registry_logins.LOGINS)


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        *(publish_first, publish_rich, publish_plain, remove),
        *(add, settle, settle_from_reserve, want, forget, begin_anew),
        *(keep, provide),
    )
}


def live(scenario: str, directory: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        asyncio.run(SCENARIOS[scenario](Disk(directory, executor)))


if __name__ == "__main__":
    kill_at_every_call(partial(live, sys.argv[1]), Path(sys.argv[2]), calls=CALLS, ways=WAYS)
