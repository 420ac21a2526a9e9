"""`python -m tests.fleet`: agents for a control plane, to look at it with, and what came of it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import ssl
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from tests.fleet.checking import Terms, compare
from tests.fleet.fleet import Fleet
from tests.fleet.loops import run
from tests.fleet.memory import Memory
from tests.fleet.plane_api import PlaneApi
from tests.fleet.scripts import SCRIPTS
from tests.fleet.upgrade import BOTH, V1

TOKEN_VARIABLE: Final = "FLEET_API_TOKEN"
SETTLING_S: Final = 60.0
SHOWN: Final = 20


def main() -> int:
    """0 where the control plane has done nothing that it must not."""
    parser = _parser()
    options = parser.parse_args()
    if options.api and TOKEN_VARIABLE not in os.environ:
        parser.error(f"--api needs the API's token in {TOKEN_VARIABLE}")
    if not options.url:
        if not options.api:
            parser.error("one of --url and --api is needed")
        options.url = _url_of_agents(options.api)
    return run(_run(options))


async def _run(options: argparse.Namespace) -> int:
    tls = ssl.create_default_context(cafile=options.ca_file) if options.ca_file else None
    async with Fleet(options.url, tls=tls, dialing=options.dialing) as fleet:
        if not options.api:
            _add(fleet, options, *_by_bearer(options))
            return await _watch(fleet, options, None, "")
        async with PlaneApi(options.api, os.environ[TOKEN_VARIABLE], tls=tls) as api:
            tag = secrets.token_hex(3)
            labels = {"fleet": tag}
            names = [f"fleet-{tag}-{number}" for number in range(options.agents)]
            plain = [f"fleet-{tag}-v1-{number}" for number in range(options.plain)]
            memories = await api.memories(names, labels, are_enrolled=not options.bearer)
            plain_memories = await api.memories(plain, labels, are_enrolled=False)
            _add(fleet, options, [*names, *plain], [*memories, *plain_memories])
            # They are hosts once they have enrolled.
            await fleet.all_online(SETTLING_S)
            return await _watch(fleet, options, api, tag)


def _by_bearer(options: argparse.Namespace) -> tuple[list[str], list[Memory]]:
    count = options.agents + options.plain
    names = [f"fleet-{number}" for number in range(count)]
    return names, [Memory(bearer_token=options.bearer or "a-token") for _ in names]


def _add(
    fleet: Fleet, options: argparse.Namespace, names: list[str], memories: list[Memory]
) -> None:
    for number, (name, memory) in enumerate(zip(names, memories, strict=True)):
        offer = BOTH if number < options.agents else (V1,)
        fleet.add(memory, name=name, script=SCRIPTS[options.script], offer=offer)


async def _watch(fleet: Fleet, options: argparse.Namespace, api: PlaneApi | None, tag: str) -> int:
    end = time.monotonic() + options.seconds
    shown_at = 0.0
    while time.monotonic() < end:
        if api is not None and options.deployments > 0:
            project = f"p{random.randrange(options.projects)}"
            host = random.choice(fleet.agents).hostname
            await api.deploy(project, hosts=[host])
        await asyncio.sleep(1 / options.deployments if options.deployments > 0 else 1.0)
        if time.monotonic() >= shown_at + 5:
            shown_at = time.monotonic()
            _show(fleet)
    faults = [*fleet.blames, *fleet.complaints]
    if api is not None:
        faults += await _compared(fleet, api, tag)
    if options.ledgers:
        told = [ledger.to_json() for ledger in fleet.ledgers]
        Path(options.ledgers).write_text(json.dumps(told), encoding="utf-8")
    _show(fleet)
    for fault in faults[:SHOWN]:
        print(f"! {fault}")
    print(f"{len(faults)} faults")
    return 1 if faults else 0


async def _compared(fleet: Fleet, api: PlaneApi, tag: str) -> list[str]:
    """What does not hold once all is over, or time is."""
    deadline = time.monotonic() + SETTLING_S
    mine = {ledger.host_id for ledger in fleet.ledgers}
    while True:
        jobs = [job for job in await api.plane_jobs(with_output=False) if job.host_id in mine]
        faults = compare(jobs, fleet.ledgers, Terms())
        if not faults or time.monotonic() >= deadline:
            print(f"{len(jobs)} jobs of {len(mine)} hosts with the label fleet={tag}")
            return faults
        await asyncio.sleep(0.5)


def _show(fleet: Fleet) -> None:
    counts = ", ".join(f"{what} {number:,}" for what, number in sorted(fleet.counts.items()))
    print(f"{fleet.online:,} of {fleet.running:,} online; {counts}", flush=True)


def _url_of_agents(api: str) -> str:
    parts = urlsplit(api)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, "/ws", "", ""))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fleet",
        description="Simulated agents for a control plane. With --api it makes their hosts, deploys "
        f"to them, and compares at the end; the API's token is in {TOKEN_VARIABLE}.",
    )
    parser.add_argument("--url", help="where agents dial, such as ws://127.0.0.1:8080/ws")
    parser.add_argument("--api", help="where the API is, such as http://127.0.0.1:8080")
    parser.add_argument("--agents", type=int, default=100, help="that speak protocol v2")
    parser.add_argument("--plain", type=int, default=0, help="that speak protocol v1 alone")
    parser.add_argument("--script", choices=sorted(SCRIPTS), default="mixed")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--deployments", type=float, default=20.0, help="a second")
    parser.add_argument("--projects", type=int, default=20, help="how many there are on a host")
    parser.add_argument(
        "--bearer",
        nargs="?",
        const="by the API",
        help="agents of v2 use bearer tokens; without --api all use this one",
    )
    parser.add_argument("--ca-file", help="who vouches for the control plane")
    parser.add_argument("--dialing", type=int, default=256, help="how many connect at a time")
    parser.add_argument("--ledgers", help="a file for what was done on the hosts, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
