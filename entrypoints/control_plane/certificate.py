"""The certificate that TLS shows here, and others in its place while the program runs."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Final

from application.ports.clock import Clock
from entrypoints.configuration import SettingsError
from entrypoints.control_plane.settings import ControlPlaneSettings

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 60.0

_Files = tuple[tuple[int, ...] | None, ...]


class Certificate:
    """The files of the settings, read again when they have changed.

    `context` is for a server, for as long as it runs; `shown` is what connections get from now on.
    Those that are open keep theirs. Each reading makes a context of its own, so that one that fails
    leaves the one before as it is: loaded into the one that is used, half of a pair would spoil it.
    """

    def __init__(self, settings: ControlPlaneSettings, clock: Clock) -> None:
        """Read the files; raises `SettingsError`."""
        self._settings = settings
        self._clock = clock
        self._seen = self._files()
        self.shown = self.context = settings.tls_context()
        # Called in each handshake, also where the client names no server.
        self.context.sni_callback = self._show

    async def run(self) -> None:
        """Look again and again; for ever."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            self.look()

    def look(self, *, anyhow: bool = False) -> None:
        """Read the files where they have changed, or `anyhow`; what cannot be used is logged."""
        files = self._files()
        if files == self._seen and not anyhow:
            return
        self._seen = files
        try:
            self.shown = self._settings.tls_context()
        except SettingsError as exc:
            logger.error("%s; the certificate of before stays", exc)
        else:
            logger.info("the certificate was read again; connections get it from now on")

    def _show(self, connection: ssl.SSLObject, _name: str | None, _of: ssl.SSLContext) -> None:
        connection.context = self.shown

    def _files(self) -> _Files:
        """What changes when they do; None for one that cannot be looked at."""
        return tuple(
            None if path is None else _stamp(path)
            for path in (self._settings.tls_cert_file, self._settings.tls_key_file)
        )


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
