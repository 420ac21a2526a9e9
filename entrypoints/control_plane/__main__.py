"""`instadeploy-control-plane`: reads the configuration, serves until a signal asks it to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

from entrypoints.extras import missing_extra

try:
    import uvloop
except ModuleNotFoundError as exc:
    sys.exit(missing_extra("instadeploy-control-plane", "control-plane", exc))

from adapters.secrets.randomness import SystemRandomness
from adapters.storage.database import Database
from application.control_plane.access import new_token
from domain.errors import Conflict, InstaDeployError, InvalidInput, StorageUnavailable
from domain.identity import token_hash_of
from entrypoints.configuration import SettingsError
from entrypoints.control_plane.backup import STREAM, VARIABLE, backup
from entrypoints.control_plane.migrate import migrate
from entrypoints.control_plane.restore import restore
from entrypoints.control_plane.server import CannotListen
from entrypoints.control_plane.serving import database_url, serve
from entrypoints.control_plane.settings import ControlPlaneSettings, load_settings, warnings_of
from entrypoints.control_plane.token_reset import leave_hash
from entrypoints.logging_setup import configure_logging
from entrypoints.version import VERSION

logger = logging.getLogger("entrypoints.control_plane")

PROGRAM: Final = "instadeploy-control-plane"
EXIT_OK: Final = 0
EXIT_CANNOT_START: Final = 1
EXIT_CONFIG: Final = 78
"""EX_CONFIG of sysexits.h."""

_OFFLINE: Final = {"backup": backup, "restore": restore, "migrate": migrate}

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)
    try:
        settings = load_settings()
    except SettingsError as exc:
        for problem in exc.problems:
            _say(problem)
        return EXIT_CONFIG
    for warning in warnings_of(settings):
        _say(f"warning: {warning}")
    if options.check:
        print(f"The configuration is valid. {_summary(settings)}")
        return EXIT_OK
    configure_logging("instadeploy-control-plane", settings.log_level, settings.log_format)
    try:
        if options.command == "reset-token":
            return _reset_token(settings)
        if options.command == "renew-epoch":
            return _renew_epoch(settings)
        if options.command in _OFFLINE:
            return _run(_OFFLINE[options.command](settings, options))
        _allow_many_connections()
        logger.info("%s %s starts. %s", PROGRAM, VERSION, _summary(settings))
        _run(serve(settings, new_keys=options.new_keys))
    except (CannotListen, Conflict, InvalidInput, StorageUnavailable) as exc:
        logger.error("%s", exc)
        return EXIT_CANNOT_START
    return EXIT_OK


def _reset_token(settings: ControlPlaneSettings) -> int:
    token = new_token(SystemRandomness())
    leave_hash(settings.state_dir, token_hash_of(token))
    print(
        f"The administrator's new token, shown this once:\n\n    {token}\n\n"
        "A control plane that runs takes it over within two seconds, another one when it starts.\n"
        "All earlier tokens are worth nothing then."
    )
    return EXIT_OK


def _renew_epoch(settings: ControlPlaneSettings) -> int:
    async def renew() -> None:
        async with Database.opened(database_url(settings)) as database:
            await database.renew_epoch()

    _run(renew())
    print("Each agent that connects is now asked again for all that this database may not have.")
    return EXIT_OK


def _run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_unwrapped(work))


async def _unwrapped(work: Coroutine[Any, Any, T]) -> T:
    """What a task group has gathered is one error of ours, as a rule."""
    try:
        return await work
    except ExceptionGroup as group:
        failure: BaseException = group
        while isinstance(failure, BaseExceptionGroup) and len(failure.exceptions) == 1:
            failure = failure.exceptions[0]
        if isinstance(failure, InstaDeployError):
            raise failure from group
        raise


def _allow_many_connections() -> None:
    """Each agent is an open file: as many as the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _summary(settings: ControlPlaneSettings) -> str:
    scheme = "https" if settings.has_tls else "http"
    place = "as DATABASE_URL names it" if settings.database_url else "in the state directory"
    return (
        f"Listening on {scheme}://{settings.address}; state in {settings.state_dir}; "
        f"database {place}."
    )


def _say(sentence: str) -> None:
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Accepts the connections of agents, and serves the API that drives them.",
        epilog="It is configured by environment variables, or by the file that "
        "CONTROL_PLANE_ENV_FILE names (.env in the working directory by default); nothing has to be "
        "set. Exit codes: 0 stopped when asked to, 1 could not start, 78 the configuration is wrong.",
    )
    parser.add_argument(
        "--check", action="store_true", help="say whether the configuration is valid, and exit"
    )
    parser.add_argument(
        "--new-keys",
        action="store_true",
        help="start although keys are missing that the database was used with, and make new ones",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser(
        "reset-token", help="make another administrator's token, and print it this once"
    )
    commands.add_parser(
        "renew-epoch",
        help="after a backup was restored, and before the next start: begin anew with every agent",
    )
    _add_backups(commands)
    return parser


def _add_backups(commands: Any) -> None:
    making = commands.add_parser(
        "backup",
        help="write all that this control plane is to a file, encrypted; while it runs, too",
    )
    making.add_argument(
        "--verify",
        action="store_true",
        help="look a backup through that is there, and change nothing",
    )
    making.add_argument("--force", action="store_true", help="replace the file if it is there")
    restoring = commands.add_parser(
        "restore", help="make this control plane, which must not run, of a backup"
    )
    restoring.add_argument(
        "--replace", action="store_true", help="although there is something in its database"
    )
    for parser in (making, restoring):
        parser.add_argument(
            "--passphrase-file",
            metavar="PATH",
            help=f"has the backup's passphrase; {VARIABLE} names it too, otherwise it is asked for",
        )
        parser.add_argument("file", metavar="FILE", help=f"{STREAM} for standard output or input")
    migrating = commands.add_parser(
        "migrate", help="bring the database to this version's tables, without starting"
    )
    migrating.add_argument(
        "--to", metavar="DATABASE_URL", help="copy all that is in it to this one, which is empty"
    )


if __name__ == "__main__":
    sys.exit(main())
