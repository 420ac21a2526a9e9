"""`RegistryLogins` on a local disk: directories for DOCKER_CONFIG below the agent's state directory."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Final

from adapters.cancellation import finish_in_thread
from adapters.filesystem.docker_config import Malformed, with_logins
from adapters.filesystem.private_directory import PrivateDirectory, name_for
from adapters.storage_errors import translated
from domain.commands import RegistryLogin
from domain.errors import StorageUnavailable

CONFIG: Final = "config.json"
LINKED: Final = ("cli-plugins", "contexts", "buildx")
"""What else Docker looks for in its configuration: a user's own plugins, Compose too; contexts, of
which one may be the current one; and builders."""

_MAX_HOST_CONFIG_BYTES: Final = 4 * 1024 * 1024


class LocalRegistryLogins:
    """See `RegistryLogins`.

    `host_config` is the directory in which the host's own logins are, such as `$HOME/.docker`; None,
    or one that does not exist, for a host that has none.
    """

    def __init__(self, state_dir: Path, executor: Executor, *, host_config: Path | None) -> None:
        self._directory = PrivateDirectory(state_dir / "logins")
        self._executor = executor
        self._host_config = host_config

    async def provide(self, job_id: str, logins: Sequence[RegistryLogin]) -> str:
        """See `RegistryLogins`."""
        return await finish_in_thread(self._executor, partial(self._provide, job_id, logins))

    async def wipe(self, job_id: str) -> None:
        """See `RegistryLogins`."""
        await finish_in_thread(self._executor, partial(self._wipe, [name_for(job_id)]))

    async def wipe_all_but(self, job_ids: Iterable[str]) -> None:
        """See `RegistryLogins`."""
        stays = {name_for(job_id) for job_id in job_ids}
        await finish_in_thread(self._executor, partial(self._wipe_all_but, stays))

    def _provide(self, job_id: str, logins: Sequence[RegistryLogin]) -> str:
        content = self._merged(logins)
        directory = PrivateDirectory(self._directory.path / name_for(job_id))
        is_new = not directory.path.exists()
        with translated(directory.path):
            try:
                directory.replace(CONFIG, content)
                self._link(directory.path)
            except BaseException:
                if is_new:
                    with contextlib.suppress(OSError):
                        self._directory.remove_directories(name_for(job_id))
                raise
        return str(directory.path)

    def _merged(self, logins: Sequence[RegistryLogin]) -> bytes:
        if self._host_config is None:
            return _written(with_logins({}, logins))
        path = self._host_config / CONFIG
        with translated(path):
            try:
                with path.open("rb") as file:
                    text = file.read(_MAX_HOST_CONFIG_BYTES + 1)
            except FileNotFoundError:
                text = b"{}"
        # Without the cause, which may quote what is private.
        try:
            if len(text) > _MAX_HOST_CONFIG_BYTES:
                raise Malformed("it is too large")
            return _written(with_logins(json.loads(text), logins))
        except Malformed as exc:
            raise StorageUnavailable(f"{path} cannot be used: {exc}") from None
        except (ValueError, RecursionError):
            raise StorageUnavailable(f"{path} cannot be used: it is not valid JSON") from None

    def _link(self, directory: Path) -> None:
        if self._host_config is None:
            return
        for name in LINKED:
            link, target = directory / name, self._host_config / name
            if target.is_dir() and not os.path.lexists(link):
                link.symlink_to(target)

    def _wipe(self, names: Iterable[str]) -> None:
        with translated(self._directory.path):
            self._directory.remove_directories(*names)

    def _wipe_all_but(self, stays: set[str]) -> None:
        if goes := sorted(set(self._directory.names()) - stays):
            self._wipe(goes)


def _written(config: dict[str, object]) -> bytes:
    return json.dumps(config, indent=1).encode() + b"\n"
