"""`instadeploy-agent install`."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr, TypeAdapter, ValidationError

from adapters.machine.local_machine import LocalMachine
from application.installing.install import Installer, Program, Wishes
from domain.errors import InvalidInput, NoSpace
from domain.installation import UNIT, Layout
from entrypoints.agent.commands.telling import (
    EXIT_OK,
    EXPECTED,
    CannotBegin,
    complain,
    interruptible,
    require_root,
    require_systemd,
    say,
    seconds,
)
from entrypoints.agent.values import PublicKey, ServerUrl
from entrypoints.values import checked_token
from entrypoints.version import VERSION

ENROLL_VARIABLE: Final = "INSTADEPLOY_ENROLL_TOKEN"
SECRET_VARIABLE: Final = "AGENT_SECRET_TOKEN"  # noqa: S105 - a variable's name
PEX_VARIABLE: Final = "PEX"
"""Where the single file is that this program was started from; pex sets it."""
ROOM_BYTES: Final = 300 * 1024 * 1024
"""For a build that is unpacked and compiled, and what unpacking takes meanwhile."""
LONGEST_CA: Final = 1024 * 1024
LONGEST_TOKEN: Final = 4096


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        require_root("install")
        require_systemd("install")
        wishes = _wishes(options)
        layout = Layout()
        installer = Installer(LocalMachine(), _program(layout), unit_file(), say, layout)
        if options.dry_run:
            for what in installer.plan(wishes):
                say(f"would {what}")
            return EXIT_OK
        _require_room(layout)
        if installer.is_enrolled and wishes.enroll_token:
            say("this machine is a host already: it keeps its key, and the token is not used")
        # Whatever root's is: all users have to be able to start the agent.
        os.umask(0o022)
        with interruptible():
            status = installer.install(wishes)
    except EXPECTED as exc:
        return complain(exc)
    except KeyboardInterrupt:
        return complain(CannotBegin("interrupted; what was done was taken back"))
    say(
        f"{status}\nThis machine is a host. `instadeploy-agent status` says how it is; {UNIT} runs it."
    )
    return EXIT_OK


def unit_file() -> bytes:
    """What `install` writes for systemd."""
    return files("entrypoints.agent").joinpath(UNIT).read_bytes()


def _wishes(options: argparse.Namespace) -> Wishes:
    # Taken out of the environment: what is started from here has no business with them.
    enroll_token = os.environ.pop(ENROLL_VARIABLE, None)
    secret_token = os.environ.pop(SECRET_VARIABLE, None)
    if options.token_stdin:
        enroll_token = sys.stdin.readline(LONGEST_TOKEN)
    return Wishes(
        server_url=_checked("--server-url", ServerUrl, options.server_url),
        control_plane_key=_checked("--control-plane-key", PublicKey, options.control_plane_key),
        ca=_certificates(options.ca_file),
        enroll_token=_token(ENROLL_VARIABLE, enroll_token),
        secret_token=_token(SECRET_VARIABLE, secret_token),
        wait_s=options.timeout,
    )


def _checked(option: str, kind: Any, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return str(TypeAdapter(kind).validate_python(value))
    except ValidationError as exc:
        rule = str(exc.errors()[0]["msg"]).removeprefix("Value error, ")
        raise InvalidInput(option, rule) from None


def _token(variable: str, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return checked_token(SecretStr(value)).get_secret_value()
    except ValueError as exc:
        raise InvalidInput(variable, str(exc)) from None


def _certificates(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_CA)
    except OSError as exc:
        raise InvalidInput("--ca-file", f"{path} cannot be read: {exc.strerror}") from None
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise InvalidInput("--ca-file", f"{path} has no certificate in it; PEM is needed")
    return content


def _program(layout: Layout) -> Program:
    """The single file that runs, or the build that is installed and runs."""
    if file := os.environ.get(PEX_VARIABLE):
        with open(file, "rb") as program:  # noqa: PTH123 - hashed as it is read
            digest = hashlib.file_digest(program, "sha256").hexdigest()
        return Program(os.path.abspath(file), f"{VERSION}-{digest[:12]}")  # noqa: PTH100
    here = Path(sys.prefix).resolve()
    if str(here.parent) == layout.releases:
        return Program("", here.name)
    raise CannotBegin(
        "install is for the agent as one file (make build-linux, or the control plane's /agent). For a "
        "virtual environment, deploy/instadeploy-agent-simple.service is the unit to begin with"
    )


def _require_room(layout: Layout) -> None:
    directory = Path(layout.programs)
    while not directory.is_dir():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    if free < ROOM_BYTES:
        raise NoSpace(
            f"{layout.programs} needs {ROOM_BYTES >> 20} MiB, and the disk has {free >> 20} MiB left: "
            "make room, and run this again"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="instadeploy-agent install",
        description="Makes this machine a host: a user, directories, a systemd unit, enrolment, and "
        "waits until the control plane has confirmed it. Run again, it finishes what was interrupted, "
        "changes settings, or upgrades. Where it fails, the machine is left as it was.",
        epilog=f"The token is read from the variable {ENROLL_VARIABLE}, never from an argument; for a "
        f"control plane that gives out a bearer token, from {SECRET_VARIABLE}.",
    )
    parser.add_argument(
        "--server-url", metavar="URL", help="such as wss://control-plane.example/ws"
    )
    parser.add_argument(
        "--control-plane-key", metavar="KEY", help="sha256:..., which the control plane must prove"
    )
    parser.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="certificates to trust beside the system's"
    )
    parser.add_argument(
        "--token-stdin", action="store_true", help="read the token from standard input"
    )
    parser.add_argument(
        "--timeout", type=seconds, default=90.0, metavar="S", help="for the control plane's word"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    return parser
