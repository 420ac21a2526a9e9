"""`PrivateParts` on a local disk, below the agent's state directory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Final

from adapters.cancellation import finish_in_thread
from adapters.filesystem.private_directory import NEW_SUFFIX, PrivateDirectory, name_for
from adapters.filesystem.sealed import NewerVersion, Spoilt, seal, unseal
from adapters.storage_errors import translated
from adapters.wire.messages import command_from, payload_of
from domain.commands import Command
from domain.errors import InvalidInput, StorageUnavailable

VERSION: Final = 1

_MAX_BYTES: Final = 64 * 1024 * 1024


class LocalPrivateParts:
    """See `PrivateParts`. Each command is sealed, as the wire has it, below `state_dir`/private."""

    def __init__(self, state_dir: Path, executor: Executor) -> None:
        self._directory = PrivateDirectory(state_dir / "private")
        self._executor = executor

    async def keep(self, job_id: str, command: Command) -> None:
        """See `PrivateParts`."""
        await finish_in_thread(self._executor, partial(self._keep, job_id, command))

    async def restore(self, job_id: str) -> Command:
        """See `PrivateParts`."""
        return await finish_in_thread(self._executor, partial(self._restore, job_id))

    async def wipe(self, job_id: str) -> None:
        """See `PrivateParts`."""
        await finish_in_thread(self._executor, partial(self._wipe, job_id))

    async def wipe_all_but(self, job_ids: Iterable[str]) -> None:
        """See `PrivateParts`."""
        stays = {name_for(job_id) for job_id in job_ids}
        await finish_in_thread(self._executor, partial(self._wipe_all_but, stays))

    def _keep(self, job_id: str, command: Command) -> None:
        type_name, payload = payload_of(command)
        body = json.dumps({"type": type_name.value, "payload": payload}).encode()
        with translated(self._directory.path):
            self._directory.replace(name_for(job_id), seal(VERSION, body))

    def _restore(self, job_id: str) -> Command:
        what = f"what was sent in private for job '{job_id}'"
        with translated(self._directory.path):
            try:
                data = self._directory.read(name_for(job_id), limit=_MAX_BYTES)
                document = json.loads(unseal(data, VERSION))
                return command_from(document["type"], document)
            except FileNotFoundError:
                raise StorageUnavailable(f"{what} is gone") from None
            except NewerVersion as exc:
                raise StorageUnavailable(f"{what} was written by a newer agent: {exc}") from None
            # Without the cause, which may quote what is private.
            except (Spoilt, ValueError, LookupError, TypeError, InvalidInput):
                raise StorageUnavailable(f"{what} is damaged") from None

    def _wipe(self, job_id: str) -> None:
        with translated(self._directory.path):
            self._directory.remove(name_for(job_id))

    def _wipe_all_but(self, stays: set[str]) -> None:
        with translated(self._directory.path):
            found = {name.removesuffix(NEW_SUFFIX) for name in self._directory.names()}
            if goes := found - stays:
                self._directory.remove(*sorted(goes))
