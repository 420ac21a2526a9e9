"""Several compose files made one by Docker Compose, which alone knows its rules for that.

Only its client runs, on this machine: it reads files, and asks no engine. It is the one process
that collecting starts; it waits for it, and ends it with its whole group where it takes too long.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from domain.collecting import CannotCollect
from domain.validation import MAX_COMPOSE_FILE_BYTES

DEADLINE_S: Final = 60.0
_SAID_BYTES: Final = 4096
_OF_DOCKER: Final = ("PATH", "HOME", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "TMPDIR", "LANG")
"""What of the operator's environment it gets: nothing that may get into the compose file."""
_ADVICE: Final = (
    "merge them yourself with 'docker compose config --no-interpolate --no-path-resolution', look at "
    "what comes of it, and deploy that file"
)


def merge(
    directory: str,
    paths: Sequence[str],
    environment: Mapping[str, str],
    *,
    deadline_s: float = DEADLINE_S,
) -> bytes:
    """The compose file that Docker Compose makes of several, in their order, variables left alone.

    `directory` is the project's, `environment` the operator's. Raises `CannotCollect` where Docker
    Compose is not there, refuses them, or is not done within `deadline_s` seconds; nothing that it
    started is left then.
    """
    docker = shutil.which("docker", path=environment.get("PATH", ""))
    if docker is None:
        raise _cannot_merge(
            f"{len(paths)} files have to be made one, for which Docker Compose has to be on this "
            f"machine, and 'docker' is not in PATH; elsewhere, {_ADVICE}"
        )
    files = [argument for path in paths for argument in ("--file", path)]
    arguments = [
        str(Path(docker).absolute()), "compose", "--project-directory", directory,
        "--env-file", os.devnull, *files, "--profile", "*",
        "config", "--no-interpolate", "--no-path-resolution", "--no-normalize",
    ]  # fmt: skip
    kept = {name: environment[name] for name in _OF_DOCKER if name in environment}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        code = _run(arguments, directory, kept, output, errors, deadline_s)
        if code is None:
            raise _cannot_merge(f"Docker Compose was not done within {deadline_s:g} s")
        if code != 0:
            said = _read(errors, _SAID_BYTES).decode("utf-8", "replace").strip()
            raise _cannot_merge(f"Docker Compose refuses them: {said}; or {_ADVICE}")
        return _read(output, MAX_COMPOSE_FILE_BYTES + 1)  # One too many is refused as too large.


def _run(
    arguments: Sequence[str],
    directory: str,
    environment: Mapping[str, str],
    output: IO[bytes],
    errors: IO[bytes],
    deadline_s: float,
) -> int | None:
    """The exit status, or None where it was ended at the deadline. Whatever happens, it is reaped."""
    try:
        process = subprocess.Popen(  # noqa: S603 - The program was found in PATH; no shell.
            arguments, cwd=directory, env=dict(environment), stdin=subprocess.DEVNULL,
            stdout=output, stderr=errors, start_new_session=True,
        )  # fmt: skip
    except OSError as exc:
        raise _cannot_merge(
            f"Docker Compose cannot be started: {exc.strerror}; {_ADVICE}"
        ) from None
    try:
        return process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            # Its id is its own until it is reaped, and so is its group's.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _read(file: IO[bytes], limit: int) -> bytes:
    file.seek(0)
    return file.read(limit)


def _cannot_merge(why: str) -> CannotCollect:
    return CannotCollect([f"compose files: {why}"])
