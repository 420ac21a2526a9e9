"""A program that is killed at every system call that changes the disk, one by one.

`python -m tests.integration.filesystem.dying SCENARIO DIRECTORY`: for each number there is a directory
`<number>-<how>`, a copy of `DIRECTORY/start`, in which a process did what the scenario says until it
was killed at its call of that number: before it, or, where it writes, in the middle. After it is the
same as before the next.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from adapters.filesystem.private_parts import LocalPrivateParts
from adapters.filesystem.project_files import LocalProjectFiles
from adapters.filesystem.registry_logins import LocalRegistryLogins
from adapters.filesystem.revision_store import LocalRevisionStore
from domain.revision import RevisionState
from tests.contracts import private_parts, project_contents, registry_logins, revision_store
from tests.contracts.project_contents import PLAIN, RICH

CALLS = ["open", "write", "fchmod", "rename", "link", "symlink", "unlink", "mkdir", "rmdir"]
KILLED = 9
WAYS = ["before", "torn"]


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
        *(add, settle, want, forget, begin_anew),
        *(keep, provide),
    )
}


def die_at(number: int, how: str) -> None:
    """Let this process end without a farewell at its call of that number."""
    numbers = itertools.count(1)

    def deadly(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def call_or_die(*arguments: Any, **options: Any) -> Any:
            is_read = name == "open" and not arguments[1] & os.O_CREAT
            is_whole = how == "torn" and name != "write"
            if is_read or is_whole or next(numbers) != number:
                return call(*arguments, **options)
            if how == "torn":
                fd, data = arguments
                call(fd, data[: len(data) // 2])
            os._exit(KILLED)

        return call_or_die

    for name in CALLS:
        setattr(os, name, deadly(name, getattr(os, name)))


async def live(scenario: str, directory: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        await SCENARIOS[scenario](Disk(directory, executor))


def kill_at_every_call(scenario: str, root: Path) -> None:
    for how in WAYS:
        for number in itertools.count(1):
            directory = root / f"{number}-{how}"
            shutil.copytree(root / "start", directory, symlinks=True)
            child = os.fork()
            if child == 0:
                try:
                    die_at(number, how)
                    asyncio.run(live(scenario, directory))
                    os._exit(0)
                finally:
                    os._exit(1)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code == 0:
                break
            assert code == KILLED, f"{directory.name} ended with {code}"


if __name__ == "__main__":
    kill_at_every_call(sys.argv[1], Path(sys.argv[2]))
