"""The control plane's life: what is begun in which order, and ended in the other."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

from adapters.storage.database import Database
from adapters.storage_errors import translated
from application.control_plane.presence import LiveHosts
from application.control_plane.sessions import Sessions
from domain.errors import StorageUnavailable
from entrypoints.control_plane.certificate import Certificate
from entrypoints.control_plane.container import (
    DATABASE_FILE,
    PAYLOAD_KEY_FILE,
    SIGNER_FILE,
    ControlPlaneContainer,
)
from entrypoints.control_plane.rest.app import create_app
from entrypoints.control_plane.server import ApiServer, listening_on, url_of
from entrypoints.control_plane.settings import ControlPlaneSettings
from entrypoints.version import VERSION

logger = logging.getLogger(__name__)

GOING_WINDOW_S: Final = 5.0
"""Within so long the agents are asked to go, each at a moment of its own."""
COLLECTED_AFTER: Final = (10_000, 10, 10)
"""While ten thousand links come, Python's own 700 have what is new among them looked at all the time, and
everything dozens of times: a tenth of the processor's time, and pauses of 200 ms."""


def database_url(settings: ControlPlaneSettings) -> str:
    """The one that is set, or a file in the state directory. It may hold a password."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return f"sqlite:///{settings.state_dir / DATABASE_FILE}"


async def serve(settings: ControlPlaneSettings, *, new_keys: bool = False) -> None:
    """Serve until a signal asks for the end.

    Raises what the database, keys and address raise; and `StorageUnavailable` where keys are missing
    that the database was used with, unless `new_keys` says that there are to be others.
    """
    with contextlib.closing(listening_on(settings.address)) as listening:
        where = settings.public_url or url_of(listening, has_tls=settings.has_tls)
        with translated(settings.state_dir):
            settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with Database.opened(database_url(settings)) as database:
            container = ControlPlaneContainer(settings=settings, database=database)
            await _begin(container, settings, where, new_keys=new_keys)
            await _run(container, settings, listening, where)
    logger.info("stopped")


async def _begin(
    container: ControlPlaneContainer, settings: ControlPlaneSettings, where: str, *, new_keys: bool
) -> None:
    access, reset = container.access(), container.token_reset()
    if not new_keys and not await access.is_new():
        _check_keys(settings)
    container.signer()
    container.cipher()
    await reset.look()
    if await access.is_new():
        _greet(None if _is_journal() else container.logins().new_code(), where)


def _check_keys(settings: ControlPlaneSettings) -> None:
    """What was kept under keys that are lost cannot be read, and agents know us by ours."""
    names = (SIGNER_FILE, PAYLOAD_KEY_FILE)
    missing = [name for name in names if not (settings.state_dir / name).exists()]
    if missing:
        raise StorageUnavailable(
            f"{' and '.join(missing)} cannot be found in {settings.state_dir}, and the database is "
            "not new: restore from a copy what belongs to it. Where that is lost for good, "
            "--new-keys goes on without: without payload.key nothing can be read of what was kept "
            "for hosts, without identity.json each host has to be enrolled again"
        )


def _is_journal() -> bool:
    """Whether what is printed goes into systemd's journal, which keeps it: systemd.exec(5)."""
    status = os.fstat(sys.stdout.fileno())
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _greet(code: str | None, where: str) -> None:
    """For the console; the code is in no log, and is another one after each start."""
    reset = "instadeploy-control-plane reset-token"
    if code is None:
        told = f"Make an administrator's token for it on this machine:\n\n    {reset}\n"
    else:
        told = (
            f"Set it up, and choose a password:\n\n    instadeploy setup {where}\n\n"
            f"with this code, which is good until somebody has used it, or this program ends:"
            f"\n\n    {code}\n\n"
            f"Whoever has this machine can make an administrator's token at any time: {reset}"
        )
    print(f"This is a new control plane, which nobody has set up yet. {told}", flush=True)


async def _run(
    container: ControlPlaneContainer,
    settings: ControlPlaneSettings,
    listening: socket.socket,
    where: str,
) -> None:
    app = create_app(container.parts())
    live, sessions = container.live_hosts(), container.sessions()
    certificate = Certificate(settings, container.clock()) if settings.has_tls else None
    tls = None if certificate is None else certificate.context
    server = ApiServer(app, container.hub(), settings, tls)
    stop, ready = asyncio.Event(), asyncio.Event()
    with _signals(stop, server, certificate):
        # What was made until now stays: it need not be looked at again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECTED_AFTER)
        async with _beside(
            links=live.run(ready.set),
            sessions=sessions.run(),
            chores=container.chores().run(),
            resets=container.token_reset().run(),
            uses=container.access().run(),
            **({} if certificate is None else {"certificate": certificate.run()}),
        ):
            await ready.wait()
            logger.info("instadeploy-control-plane %s serves at %s", VERSION, where)
            ending = asyncio.create_task(_end(stop, server, live, sessions), name="ending")
            try:
                await server.run_on(listening)
            finally:
                ending.cancel()
                await asyncio.gather(ending, return_exceptions=True)


async def _end(stop: asyncio.Event, server: ApiServer, live: LiveHosts, sessions: Sessions) -> None:
    await stop.wait()
    logger.info("asked to stop: agents are sent away, requests are answered")
    sessions.end_all()
    await live.drain(GOING_WINDOW_S)
    server.stop()


@contextlib.contextmanager
def _signals(stop: asyncio.Event, server: ApiServer, certificate: Certificate | None) -> Any:
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            server.stop_at_once()
        stop.set()

    def asked_to_read() -> None:
        if certificate is None:
            logger.info("SIGHUP: there is no certificate here to be read again")
        else:
            certificate.look(anyhow=True)

    handlers = {
        signal.SIGTERM: asked,
        signal.SIGINT: asked,
        signal.SIGHUP: asked_to_read,
    }
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _beside(**work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run what goes on for ever beside the body; when one of it fails, everything ends."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one, name=name) for name, one in work.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
