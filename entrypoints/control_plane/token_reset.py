"""Another administrator's token, for whoever has lost it and has the machine.

Only one program may have the database. So the token's hash is left in the state directory, where the
control plane finds it: within two seconds where it runs, otherwise when it starts. The token itself is
printed, and nowhere else.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Final

from adapters.private_file import publish
from adapters.storage_errors import translated
from application.control_plane.access import Access
from application.ports.clock import Clock
from domain.errors import StorageUnavailable

logger = logging.getLogger(__name__)

FILE: Final = "administrator-token.sha256"
LOOK_EVERY_S: Final = 2.0

_HASH: Final = re.compile(rb"[0-9a-f]{64}\n?")


def leave_hash(state_dir: Path, token_hash: str) -> None:
    """Leave it to be found, durably. Raises `StorageUnavailable`."""
    path = state_dir / FILE
    new = path.with_suffix(".new")
    with translated(path):
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(new, flags, 0o600)
        with os.fdopen(fd, "wb") as file:
            if os.geteuid() == 0:
                # The program may run as another user, whose directory this is.
                owner = state_dir.stat()
                os.fchown(fd, owner.st_uid, owner.st_gid)
            file.write(f"{token_hash}\n".encode("ascii"))
            file.flush()
            os.fsync(fd)
        publish(new, path, replace=True)


class TokenReset:
    """Finds what was left, and makes it the administrator's token."""

    def __init__(self, state_dir: Path, access: Access, clock: Clock) -> None:
        self._path = state_dir / FILE
        self._access = access
        self._clock = clock

    async def run(self) -> None:
        """Look again and again; for ever."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except StorageUnavailable as exc:
                logger.warning("another administrator's token cannot be taken over: %s", exc)

    def is_left(self) -> bool:
        """Whether there is a hash to be taken over. Raises `StorageUnavailable`."""
        return _HASH.fullmatch(self._read() or b"") is not None

    async def look(self) -> None:
        """Take over what was left, if anything was. Raises `StorageUnavailable`."""
        found = self._read()
        if found is None:
            return
        if _HASH.fullmatch(found):
            await self._access.adopt(found.decode("ascii").strip())
            logger.warning("the administrator's token was replaced; the old one is worth nothing")
        else:
            logger.error("%s holds no hash of a token, and is removed", self._path)
        with translated(self._path):
            self._path.unlink(missing_ok=True)

    def _read(self) -> bytes | None:
        with translated(self._path):
            try:
                with self._path.open("rb") as file:
                    return file.read(100)
            except FileNotFoundError:
                return None
