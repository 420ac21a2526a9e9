"""What is at a key's file when its process is killed.

`python -m tests.integration.identity.dying SCENARIO DIRECTORY`
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapters.identity.ed25519 import find_ed25519
from adapters.identity.keys_on_disk import LocalHostIdentity
from tests.contracts.host_identity import MEMBER
from tests.support.dying import AFTER, BEFORE, TORN, kill_at_every_call

CALLS = ["open", "write", "fsync", "link", "replace", "unlink", "close"]
WAYS = [BEFORE, TORN, AFTER]


def identity_in(directory: Path, executor: ThreadPoolExecutor) -> LocalHostIdentity:
    directory.mkdir(exist_ok=True)
    return LocalHostIdentity(directory, find_ed25519(), executor)


def make(directory: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        identity_in(directory, executor)


def pin(directory: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        asyncio.run(identity_in(directory, executor).pin(MEMBER))


if __name__ == "__main__":
    scenario, root = sys.argv[1:]
    find_ed25519()  # Loaded before anything counts.
    kill_at_every_call({"make": make, "pin": pin}[scenario], Path(root), calls=CALLS, ways=WAYS)
