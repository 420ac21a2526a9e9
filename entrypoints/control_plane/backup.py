"""`instadeploy-control-plane backup`: all that a control plane is, in one file under a passphrase.

The file is a snapshot of the database with the keys in it (`adapters.storage.snapshots`), compressed, and
sealed (`adapters.secrets.backup_cipher`).
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import gzip
import io
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from adapters.identity.private_file import read_private
from adapters.private_file import publish
from adapters.secrets.backup_cipher import CHUNK_BYTES, OpeningStream, SealingStream, Sink
from adapters.storage.snapshots.snapshot import Contents, look_through, write_snapshot
from adapters.storage_errors import translated
from domain.errors import Conflict, InvalidInput, StorageUnavailable
from entrypoints.control_plane.container import PAYLOAD_KEY_FILE, SIGNER_FILE
from entrypoints.control_plane.serving import database_url
from entrypoints.control_plane.settings import ControlPlaneSettings
from entrypoints.version import VERSION

VARIABLE: Final = "INSTADEPLOY_BACKUP_PASSPHRASE_FILE"
SHORTEST_PASSPHRASE: Final = 12
LONGEST_PASSPHRASE: Final = 4096
KEY_FILES: Final = (SIGNER_FILE, PAYLOAD_KEY_FILE)
LONGEST_KEY_FILE: Final = 64 * 1024
STREAM: Final = "-"
"""Standard input or output, in the place of a file."""
FAST: Final = 1

_STDIN, _STDOUT = 0, 1
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_COUNTED: Final = ("hosts", "deployments", "jobs", "users")


async def backup(settings: ControlPlaneSettings, options: argparse.Namespace) -> int:
    """Make a backup, or look one through; returns the program's exit code.

    Raises `Conflict` where the file is there and must not be replaced, `InvalidInput` and
    `StorageUnavailable`.
    """
    if options.verify:
        with opened(options.file, passphrase_of(options, is_new=False)) as source:
            contents, files = look_through(source)
        require_keys(files)
        print(f"The backup is whole: {described(contents)}.")
        return 0
    passphrase = passphrase_of(options, is_new=True)
    if options.file == STREAM:
        contents = await _to_stream(settings, passphrase)
    else:
        contents = await _to_file(settings, passphrase, Path(options.file), force=options.force)
    print(f"Backed up: {described(contents)}.", file=sys.stderr)
    return 0


def passphrase_of(options: argparse.Namespace, *, is_new: bool) -> bytes:
    """From the file that the options or the environment name, or from whoever sits at the terminal.

    Raises `InvalidInput` where there is neither, or a new one is too short, and `StorageUnavailable`
    where the file cannot be read.
    """
    named = options.passphrase_file or os.environ.get(VARIABLE)
    passphrase = _asked(is_new=is_new) if named is None else _from_file(Path(named))
    if is_new and len(passphrase) < SHORTEST_PASSPHRASE:
        raise InvalidInput(
            "passphrase",
            f"must have at least {SHORTEST_PASSPHRASE} characters, so that nobody guesses it",
        )
    return passphrase


@contextlib.contextmanager
def opened(name: str | Path, passphrase: bytes) -> Iterator[gzip.GzipFile]:
    """What is in the file of a backup. Raises as `OpeningStream` does, and `StorageUnavailable`."""
    path = Path("standard input" if name == STREAM else name)
    with contextlib.ExitStack() as stack:
        with translated(path):
            fd = os.dup(_STDIN) if name == STREAM else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            file = stack.enter_context(os.fdopen(fd, "rb"))
        opening = stack.enter_context(OpeningStream(_Guarded(file, path), passphrase))
        yield stack.enter_context(
            gzip.GzipFile(fileobj=io.BufferedReader(opening, CHUNK_BYTES), mode="rb")
        )


def described(contents: Contents) -> str:
    """What is in a backup, and of when it is, in words."""
    at = datetime.fromtimestamp(contents.head.made_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    counts = ", ".join(
        f"{number} {name if number != 1 else name.removesuffix('s')}"
        for name in _COUNTED
        if (number := contents.rows.get(name)) is not None
    )
    rows = sum(contents.rows.values())
    return (
        f"{counts}, {rows} rows in all, of {at}, with tables of version {contents.head.schema}, by "
        f"version {contents.head.program} of this program"
    )


def require_keys(files: Mapping[str, bytes]) -> None:
    """Raise `StorageUnavailable` where a backup has other files than it must."""
    if set(files) != set(KEY_FILES):
        raise StorageUnavailable(
            f"the backup is damaged: it must have {' and '.join(KEY_FILES)}, and nothing else"
        )


async def _to_stream(settings: ControlPlaneSettings, passphrase: bytes) -> Contents:
    if os.isatty(_STDOUT):
        raise InvalidInput("FILE", "must not be a terminal: it is no text")
    with os.fdopen(os.dup(_STDOUT), "wb", buffering=0) as out:
        return await _write(settings, passphrase, _Guarded(out, Path("standard output")))


async def _to_file(
    settings: ControlPlaneSettings, passphrase: bytes, path: Path, *, force: bool
) -> Contents:
    if not force:
        _require_absent(path)
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        with translated(path):
            file = os.fdopen(os.open(new, _NEW, 0o600), "wb", buffering=0)
        with file:
            contents = await _write(settings, passphrase, _Guarded(file, path))
            with translated(path):
                os.fsync(file.fileno())
        _verify(new, passphrase, contents)
        with translated(path):
            _publish(new, path, force=force)
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
    return contents


async def _write(settings: ControlPlaneSettings, passphrase: bytes, out: Sink) -> Contents:
    with SealingStream(out, passphrase) as sealing:
        with gzip.GzipFile(fileobj=sealing, mode="wb", compresslevel=FAST, mtime=0) as zipped:
            contents = await write_snapshot(
                database_url(settings), zipped, VERSION, lambda: _keys(settings.state_dir)
            )
        sealing.seal_end()
    return contents


def _verify(path: Path, passphrase: bytes, contents: Contents) -> None:
    with opened(path, passphrase) as source:
        found, files = look_through(source)
    require_keys(files)
    if found != contents:
        raise StorageUnavailable("the disk has not kept the backup as it was written")


def _publish(new: Path, path: Path, *, force: bool) -> None:
    try:
        publish(new, path, replace=force)
    except FileExistsError:
        _require_absent(path)
        raise


def _require_absent(path: Path) -> None:
    if os.path.lexists(path):
        raise Conflict(f"{path} is there already: name another file, or --force replaces it")


def _keys(state_dir: Path) -> Mapping[str, bytes]:
    found = {}
    for name in KEY_FILES:
        content = read_private(state_dir / name, limit=LONGEST_KEY_FILE)
        if content is None:
            raise StorageUnavailable(
                f"{name} cannot be found in {state_dir}: without it, a backup is worth little"
            )
        found[name] = content
    return found


def _from_file(path: Path) -> bytes:
    with translated(path), path.open("rb") as file:
        status = os.fstat(file.fileno())
        content = file.read(LONGEST_PASSPHRASE + 1)
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
        raise InvalidInput(str(path), "can be read by others: chmod 600 it")
    passphrase = content.removesuffix(b"\n").removesuffix(b"\r")
    if not passphrase or len(content) > LONGEST_PASSPHRASE:
        raise InvalidInput(str(path), f"must hold 1 to {LONGEST_PASSPHRASE} bytes")
    return passphrase


def _asked(*, is_new: bool) -> bytes:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        raise InvalidInput(
            "--passphrase-file", f"is missing, so is {VARIABLE}, and there is no terminal"
        ) from None
    passphrase = getpass.getpass("Passphrase of the backup: ")
    if is_new and getpass.getpass("Once more: ") != passphrase:
        raise InvalidInput("passphrase", "must be the same both times")
    return passphrase.encode("utf-8", "surrogateescape")


class _Guarded:
    """A file; what fails with it is said in our words, with its name, and not in the database's."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path

    def write(self, content: bytes, /) -> None:
        left = memoryview(content)
        with translated(self._path):
            while left:
                left = left[self._file.write(left) :]

    def read(self, count: int, /) -> bytes:
        with translated(self._path):
            return self._file.read(count)
