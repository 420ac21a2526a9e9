"""What does TLS before a server on loopback: HAProxy, as many of them as this user's open files allow.

Each passes everything on to one port, and tells the server for whom. Agents and the API share it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

from tests.support.ports import reserved_port

FILES_A_LINK: Final = 2
FILES_BESIDE: Final = 600
PATH: Final = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
READY_S: Final = 20.0

_CONFIGURATION: Final = """\
global
    maxconn {most}
    nbthread 1
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    option forwardfor
    timeout connect 10s
    timeout client 75s
    timeout server 75s
    timeout tunnel 75s
    timeout http-request 10s
frontend tls
    bind 127.0.0.1:{port} ssl crt {certificate} alpn http/1.1 backlog 4096
    http-request set-header X-Forwarded-Proto https
    default_backend plane
backend plane
    server plane 127.0.0.1:{server_port} source 127.0.3.{number}
"""


class FrontMissing(Exception):
    """There is no HAProxy, or it does not start."""


@dataclass(frozen=True, slots=True)
class Front:
    """`ports` each lead to the same server; `ca_file` vouches for them."""

    ports: Sequence[int]
    pids: Sequence[int]
    ca_file: Path


def links_a_process() -> int:
    """How many links one of them can have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (most - FILES_BESIDE) // FILES_A_LINK


@contextlib.asynccontextmanager
async def front(server_port: int, links: int, home: Path) -> AsyncIterator[Front]:
    """Have TLS done for so many links to a server's port; raises `FrontMissing`."""
    program = shutil.which("haproxy", path=PATH)
    if program is None:
        raise FrontMissing("there is no haproxy: deploy/ensure-haproxy.sh installs it")
    authority = trustme.CA()
    ca_file = home / "front-authority.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    certificate = home / "front.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    certificate.chmod(0o600)
    async with contextlib.AsyncExitStack() as stack:
        ports, pids = [], []
        for number in range(1, -(-links // links_a_process()) + 1):
            port = stack.enter_context(reserved_port())
            configuration = home / f"front-{number}.cfg"
            configuration.write_text(
                _CONFIGURATION.format(
                    most=links_a_process(),
                    port=port,
                    certificate=certificate,
                    server_port=server_port,
                    number=number,
                ),
                encoding="ascii",
            )
            pids.append(await stack.enter_async_context(_process(program, configuration, port)))
            ports.append(port)
        yield Front(ports, pids, ca_file)


@contextlib.asynccontextmanager
async def _process(program: str, configuration: Path, port: int) -> AsyncIterator[int]:
    log_file = configuration.with_suffix(".log")
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program, "-db", "-f", str(configuration), stdout=log, stderr=log
        )
    try:
        async with asyncio.timeout(READY_S):
            while not await _listens(port):
                if process.returncode is not None:
                    said = log_file.read_text(encoding="utf-8", errors="replace")
                    raise FrontMissing(f"haproxy ended with {process.returncode}: {said[-2000:]}")
                await asyncio.sleep(0.02)
        yield process.pid
    finally:
        if process.returncode is None:
            # Not in order: it would wait for its links.
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
