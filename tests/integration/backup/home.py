"""A control plane's settings and state directory, and the commands on them, in this process."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import pytest

from adapters.identity.cryptography_keys import CryptographyEd25519
from adapters.identity.keys_on_disk import LocalSigner
from adapters.secrets.backup_cipher import SealingStream
from adapters.secrets.key_file import keys_in
from adapters.storage.postgres import PostgresBackend
from entrypoints.control_plane import backup as backing
from entrypoints.control_plane.backup import KEY_FILES, backup
from entrypoints.control_plane.migrate import migrate
from entrypoints.control_plane.restore import restore
from entrypoints.control_plane.settings import ControlPlaneSettings
from tests.integration.backup.content import filled

PASSPHRASE = "correct horse battery staple"


class Home:
    """One control plane, which need not run. `url` is that of its database."""

    def __init__(self, directory: Path, url: str) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.state = directory / "state"
        self.url = url
        self.passphrase = directory / "passphrase"
        self.passphrase.touch(mode=0o600)
        self.passphrase.write_text(f"{PASSPHRASE}\n")

    @property
    def settings(self) -> ControlPlaneSettings:
        return ControlPlaneSettings(state_dir=self.state, DATABASE_URL=self.url, _env_file=None)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.directory),
            "CONTROL_PLANE_STATE_DIR": str(self.state),
            "DATABASE_URL": self.url,
            backing.VARIABLE: str(self.passphrase),
        }

    @property
    def keys(self) -> dict[str, bytes]:
        found = ((name, self.state / name) for name in KEY_FILES)
        return {name: path.read_bytes() for name, path in found if path.exists()}

    async def begin(self, jobs: int = 3) -> None:
        """As after some time of running."""
        self.state.mkdir(mode=0o700)
        LocalSigner(self.state / KEY_FILES[0], CryptographyEd25519())
        keys_in(self.state / KEY_FILES[1])
        await filled(self.url, jobs)

    async def backup(self, file: Path | str, *, verify: bool = False, force: bool = False) -> None:
        await backup(self.settings, self._options(file=str(file), verify=verify, force=force))

    async def restore(self, file: Path | str, *, replace: bool = False) -> None:
        await restore(self.settings, self._options(file=str(file), replace=replace))

    async def migrate(self, to: str | None = None) -> None:
        await migrate(self.settings, self._options(to=to))

    def _options(self, **given: object) -> argparse.Namespace:
        return argparse.Namespace(passphrase_file=str(self.passphrase), **given)


def make_passphrases_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made in this process is opened quickly, here and elsewhere."""
    monkeypatch.setattr(backing, "SealingStream", partial(SealingStream, cost=2))


def make_locks_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether another one has a server's database is known at once."""
    usual = PostgresBackend.__init__.__kwdefaults__
    assert usual is not None
    monkeypatch.setitem(usual, "lock_patience_s", 0.1)
