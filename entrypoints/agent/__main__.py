"""`instadeploy-agent`: reads the configuration, runs the agent until a signal asks it to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import textwrap
from collections.abc import Sequence
from typing import Final

from adapters.filesystem.instance_lock import InstanceLock
from adapters.websocket.client import public_address
from application.agent.job_book import JournalFailed
from application.ports.identity import HostIdentity
from domain.errors import InstaDeployError, StorageUnavailable
from domain.identity import fingerprint_of
from entrypoints.about import about
from entrypoints.agent.commands import COMMANDS, run
from entrypoints.agent.container import AgentContainer
from entrypoints.agent.settings import (
    AgentSettings,
    Identification,
    load_settings,
    unknown_variables,
    variable_of,
)
from entrypoints.configuration import SettingsError
from entrypoints.logging_setup import configure_logging
from entrypoints.version import VERSION

logger = logging.getLogger("entrypoints.agent")

PROGRAM: Final = "instadeploy-agent"

EXIT_OK: Final = 0
EXIT_CANNOT_START: Final = 1
EXIT_CONFIG: Final = 78
"""EX_CONFIG of sysexits.h; the unit file tells systemd not to restart after it."""

_UNUSED_ONCE_ENROLLED: Final = (
    *("token", "secret_token", "secret_token_file"),
    *("enroll_token", "enroll_token_file"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words and words[0] in COMMANDS:
        return run(words[0], words[1:])
    options = _parser().parse_args(words)
    if options.version:
        print(about(PROGRAM) if options.verbose else f"{PROGRAM} {VERSION}")
        return EXIT_OK
    return _be_the_agent(only_check=options.check)


def _be_the_agent(*, only_check: bool) -> int:
    try:
        settings = load_settings()
        container = AgentContainer(settings=settings)
        container.transport()
        container.ed25519()
        policy = container.policy()
    except SettingsError as exc:
        _say(exc.problems)
        _warn(unknown_variables())
        return EXIT_CONFIG
    except StorageUnavailable as exc:
        _say([f"AGENT_STATE_DIR: {exc}"])
        return EXIT_CANNOT_START
    _warn(_warnings(settings, container.identification()))
    if only_check:
        print(f"The configuration is valid. {_summary(settings)}")
        return EXIT_OK
    configure_logging(PROGRAM, settings.log_level, settings.log_format)
    try:
        InstanceLock(settings.state_dir).acquire()
        identity = container.identity()
    except SettingsError as exc:
        _say(exc.problems)
        return EXIT_CONFIG
    except InstaDeployError as exc:
        logger.error("%s", exc)
        return EXIT_CANNOT_START
    logger.info("%s %s starts. %s", PROGRAM, VERSION, _summary(settings))
    if identity is not None:
        logger.info("%s", _who(identity))
    for warning in policy.warnings():
        logger.warning("%s", warning)
    try:
        asyncio.run(_serve(container))
    except* (StorageUnavailable, JournalFailed) as group:
        failure = group.exceptions[0]
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        logger.error("AGENT_STATE_DIR: %s", failure)
        return_code = EXIT_CANNOT_START
    else:
        return_code = EXIT_OK
    logger.info("stopped")
    return return_code


async def _serve(container: AgentContainer) -> None:
    agent = container.agent()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.request_stop)
    with container.executor():
        try:
            await container.revision_store().reserve()
        except StorageUnavailable as exc:
            # The next deployment tries again, and is refused where it must be.
            logger.warning("no room is kept back for the ends of deployments: %s", exc)
        await agent.run()


def _summary(settings: AgentSettings) -> str:
    if settings.transport == "http":
        link = f"Debug transport on 127.0.0.1:{settings.http_port}"
    else:
        link = f"Control plane at {public_address(settings.server_url or '')}"
    return (
        f"{link}; projects in {settings.projects_dir}; state in {settings.state_dir}; "
        f"Docker Engine at {settings.docker_host}."
    )


def _who(identity: HostIdentity) -> str:
    own = f"key {fingerprint_of(identity.public_key)}"
    membership = identity.membership
    if membership is None:
        return f"This host has the {own}, and is to be enrolled."
    peer = fingerprint_of(membership.control_plane_key)
    return f"This host is {membership.host_id}, with the {own}, at a control plane with {peer}."


def _warnings(settings: AgentSettings, identification: Identification) -> list[str]:
    warnings = unknown_variables()
    by_key = identification.bearer_token is None
    if settings.transport == "websocket" and (settings.server_url or "").startswith("ws:"):
        what = "all that is deployed" if by_key else "the token"
        warnings.append(f"SERVER_URL: ws:// sends {what} unencrypted; use wss:// but for tests")
    if identification.membership is not None:
        for name in _UNUSED_ONCE_ENROLLED:
            if getattr(settings, name) is not None:
                warnings.append(
                    f"{variable_of(name)}: is not used: this host is enrolled, and has its key"
                )
    return warnings


def _say(problems: Sequence[str]) -> None:
    for problem in problems:
        print(f"instadeploy-agent: {problem}", file=sys.stderr)


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"instadeploy-agent: warning: {warning}", file=sys.stderr)


_EPILOG: Final = (
    "It is configured by environment variables, or by the file that AGENT_ENV_FILE names (.env in the "
    "working directory by default). SERVER_URL and AGENT_SECRET_TOKEN are enough to start, and so are "
    "SERVER_URL and, the first time, AGENT_ENROLL_TOKEN. Exit codes: 0 stopped when asked to, 1 could not "
    "start, 78 the configuration is wrong."
)


def _parser() -> argparse.ArgumentParser:
    commands = "".join(f"\n  {name:<11}{what}" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="instadeploy-agent",
        usage="%(prog)s [-h] [--check | --version [--verbose]]\n       %(prog)s COMMAND ...",
        description="Runs Docker Compose projects on this host for a control plane that it dials.\n\n"
        f"Commands, each with a --help of its own:{commands}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=textwrap.fill(_EPILOG),
    )
    parser.add_argument(
        "--check", action="store_true", help="say whether the configuration is valid, and exit"
    )
    parser.add_argument("--version", action="store_true", help="print the version, and exit")
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="with --version: also the commit, the Python, the platform, and what it is made of",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
