"""Every command, with tokens that are not good any more, or not good for that."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from entrypoints.cli.app import create_app
from tests.fleet.plane_api import PlaneApi
from tests.fleet.plane_process import PlaneProcess
from tests.integration.cli.rig import COMPOSE, MODULE, PATIENCE_S, Ran
from tests.support.ports import reserved_port

pytestmark = pytest.mark.xdist_group("cli-tokens")

HOST, PROJECT, BYSTANDER = "web-1", "blog", "bob"
NOT_GOOD: Final = ("expired", "revoked")
LESS: Final = ("viewer", "elsewhere")
"""A viewer of all hosts, and a deployer for hosts with a label that this one does not have."""
REFUSED, NOT_SEEN = 4, 5

WITHOUT_TOKEN: Final = {
    "setup": "presents a code",
    "context list": "speaks with nobody",
    "context use": "speaks with nobody",
    "context remove": "speaks with nobody",
    "server backup": "is another program",
    "server restore": "is another program",
    "server migrate": "is another program",
}


@dataclass(frozen=True)
class Sample:
    """How a command is called, who of `LESS` may do that, and what a viewer is told."""

    arguments: str = ""
    may: tuple[str, ...] = ()
    stdin: str = ""
    viewer_gets: int = REFUSED


ANYBODY: Final = LESS
SAMPLES: Final = {
    "login": Sample("{url} --token-stdin --name other", ANYBODY, "{presented}\n"),
    "logout": Sample(),
    "whoami": Sample(may=ANYBODY),
    "hosts list": Sample(may=ANYBODY),
    "hosts show": Sample(HOST, ("viewer",)),
    "hosts health": Sample(f"{HOST} --timeout 5s", ("viewer",)),
    "hosts enroll": Sample("web-2"),
    "hosts cloud-init": Sample("web-2"),
    "enrolments list": Sample(),
    "enrolments withdraw": Sample("web-9"),
    "hosts label": Sample(f"{HOST} a=b"),
    "hosts rename": Sample(f"{HOST} web-3"),
    "hosts revoke": Sample(f"{HOST} --yes"),
    "deploy": Sample(f"{HOST} {PROJECT}"),
    "plan": Sample(f"{HOST} {PROJECT} --timeout 5s"),
    "status": Sample(f"{HOST} {PROJECT} --timeout 5s", ("viewer",)),
    "stop": Sample(f"{HOST} {PROJECT}"),
    "restart": Sample(f"{HOST} {PROJECT}"),
    "rollback": Sample(f"{HOST} {PROJECT}"),
    "remove": Sample(f"{HOST} {PROJECT} --yes"),
    "history": Sample(f"{HOST} {PROJECT} --timeout 5s", ("viewer",)),
    "diff": Sample(f"{HOST} {PROJECT} 1 2 --timeout 5s", ("viewer",)),
    "jobs list": Sample(may=ANYBODY),
    "jobs show": Sample("{job}", ("viewer",)),
    "jobs follow": Sample("{job} --timeout 5s", ("viewer",)),
    "jobs cancel": Sample("{job}"),
    "users list": Sample(),
    "users add": Sample("carl viewer --no-password"),
    "users show": Sample(BYSTANDER),
    "users grant": Sample(f"{BYSTANDER} admin"),
    "users disable": Sample(BYSTANDER),
    "users enable": Sample(BYSTANDER),
    "users password": Sample(BYSTANDER, stdin="correct horse battery\n"),
    "users remove": Sample(f"{BYSTANDER} --yes"),
    "tokens list": Sample(may=ANYBODY),
    "tokens create": Sample("more", ANYBODY),
    "tokens revoke": Sample("{token}", viewer_gets=NOT_SEEN),
    "audit list": Sample(),
    "audit export": Sample(),
    "audit verify": Sample(),
}
MORE: Final = {
    "deploy to labels": ("deploy", Sample(f"-l env=prod {PROJECT}")),
    "deploy and say where": ("deploy", Sample(f"{HOST} {PROJECT} --dry-run", ("viewer",))),
    "deploy and go": ("deploy", Sample(f"{HOST} {PROJECT} --detach")),
    "status of all projects": ("status", Sample(f"{HOST} --timeout 5s", ("viewer",))),
    "jobs show a deployment": ("jobs show", Sample("{deployment}", ("viewer",))),
    "jobs follow a deployment": ("jobs follow", Sample("{deployment} --timeout 5s", ("viewer",))),
    "jobs cancel a deployment": ("jobs cancel", Sample("{deployment}")),
    "tokens list of another": ("tokens list", Sample(f"--user {BYSTANDER}", viewer_gets=NOT_SEEN)),
    "tokens create for another": (
        "tokens create",
        Sample(f"more --user {BYSTANDER}", viewer_gets=NOT_SEEN),
    ),
}
CALLS: Final = {**{name: (name, sample) for name, sample in SAMPLES.items()}, **MORE}


def commands_below(group: Any, words: tuple[str, ...] = ()) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_below(command, (*words, name))
        else:
            yield " ".join((*words, name))


class Plane:
    """A control plane, with a host that is offline, and tokens by what is wrong with them."""

    def __init__(self, process: PlaneProcess, home: Path) -> None:
        self.process = process
        self.home = home
        self.tokens: dict[str, str] = {}
        self.named: dict[str, str] = {}
        self._numbers = itertools.count(1)

    async def begin(self, state: Path) -> None:
        """Start it, and start it again: there, a token has expired meanwhile."""
        await self.process.start()
        async with self.process.api() as api:
            await api.post("/hosts", {"name": HOST, "labels": {"env": "prod"}})
            made = await api.deploy(PROJECT, hosts=[HOST])
            expired = await self._add_tokens(api)
            named = await api.post("/tokens", {"name": "named", "user": BYSTANDER})
        self.named = {
            "url": self.process.url,
            "deployment": made["id"],
            "job": made["jobs"][0]["id"],
            "token": named["access_token"]["id"],
        }
        await self.process.stop()
        (file,) = state.glob("*.db")
        with contextlib.closing(sqlite3.connect(file)) as database, database:
            changed = database.execute("UPDATE tokens SET expires_at = 1 WHERE id = ?", [expired])
            assert changed.rowcount == 1
        await self.process.start()

    async def _add_tokens(self, api: PlaneApi) -> str:
        """The id of the one that is to expire."""
        for name, grant in (
            ("viewer", {"role": "viewer", "labels": {}}),
            ("elsewhere", {"role": "deployer", "labels": {"env": "test"}}),
            (BYSTANDER, {"role": "viewer", "labels": {}}),
        ):
            await api.post("/users", {"name": name, "grants": [grant]})
        ids: dict[str, str] = {}
        for name in (*NOT_GOOD, *LESS):
            body = {"name": name} | ({"user": name} if name in LESS else {})
            made = await api.post("/tokens", body)
            self.tokens[name], ids[name] = made["token"], made["access_token"]["id"]
        reply = await api.http.ask("DELETE", f"/api/v1/tokens/{ids['revoked']}")
        assert reply.status == 204, reply
        return ids["expired"]

    async def everything(self) -> dict[str, Any]:
        """All that could have been changed."""
        async with self.process.api() as api:
            found = {
                what: (await api.get(f"/{what}"))["items"]
                for what in ("jobs", "hosts", "users", "tokens")
            }
        for token in found["tokens"]:
            del token["last_used_at"]
        # One that has expired may be taken away at any time.
        found["tokens"] = [one for one in found["tokens"] if one["name"] != "expired"]
        return found

    async def run(self, whose: str, call: str, *, is_json: bool) -> Ran:
        """A command, with that token in its environment."""
        command, sample = CALLS[call]
        home = self.home / str(next(self._numbers))
        home.mkdir()
        (home / "compose.yml").write_text(COMPOSE)
        words = [one.format_map(self.named) for one in sample.arguments.split()]
        environment: Mapping[str, str] = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "INSTADEPLOY_CONFIG": str(home / "config" / "config.json"),
            "INSTADEPLOY_TOKEN_STORE": "file",
            "INSTADEPLOY_URL": self.process.url,
            "INSTADEPLOY_TOKEN": self.tokens[whose],
            "PYTHONWARNINGS": "error",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *MODULE,
            *command.split(),
            *words,
            *(["-o", "json"] if is_json else []),
            cwd=home,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        typed = sample.stdin.format(presented=self.tokens[whose]).encode()
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate(typed)
        assert process.returncode is not None
        assert not (home / "config" / "tokens").exists()
        return Ran(process.returncode, out.decode(), err.decode())


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """One for all commands: none of them may change anything."""
    home = tmp_path_factory.mktemp("tokens-plane")
    with reserved_port() as port:
        process = PlaneProcess(home, port)
        plane = Plane(process, tmp_path_factory.mktemp("tokens-operators"))
        try:
            asyncio.run(plane.begin(home / "state"))
            yield plane
        finally:
            process.kill()


def checked(plane: Plane, whose: str, ran: Ran, codes: tuple[int, ...], *, is_json: bool) -> None:
    said = (whose, ran)
    assert ran.code in codes, said
    assert ran.out == "", said
    assert "Traceback" not in ran.err, said
    assert plane.tokens[whose] not in ran.err, said
    if not is_json:
        assert ran.err.strip(), said
        return
    error = json.loads(ran.err)["error"]
    assert error["exit_code"] == ran.code, said
    assert error["detail"], said
    if whose in NOT_GOOD:
        assert error["code"] == "not_logged_in", said
    elif ran.code == NOT_SEEN:
        assert error["code"] == "not_found", said


def test_every_command_has_a_sample() -> None:
    there = set(commands_below(typer.main.get_command(create_app())))
    assert there == {*SAMPLES, *WITHOUT_TOKEN}
    assert not SAMPLES.keys() & WITHOUT_TOKEN.keys()


@pytest.mark.parametrize("call", CALLS)
async def test_a_token_that_is_not_good_does_nothing(plane: Plane, call: str) -> None:
    before = await plane.everything()
    _, sample = CALLS[call]
    runs = [("expired", True), ("revoked", False)]
    runs += [(whose, True) for whose in LESS if whose not in sample.may]
    gate = asyncio.Semaphore(2)

    async def one(whose: str, is_json: bool) -> Ran:
        async with gate:
            return await plane.run(whose, call, is_json=is_json)

    codes = {"viewer": (sample.viewer_gets,), "elsewhere": (REFUSED, NOT_SEEN)}
    for (whose, is_json), ran in zip(
        runs, await asyncio.gather(*(one(*each) for each in runs)), strict=True
    ):
        checked(plane, whose, ran, codes.get(whose, (REFUSED,)), is_json=is_json)
    assert await plane.everything() == before


@pytest.mark.parametrize("call", ["hosts list", "jobs list"])
async def test_who_has_no_host_sees_none_of_them(plane: Plane, call: str) -> None:
    ran = await plane.run("elsewhere", call, is_json=True)
    assert (ran.code, ran.document()) == (0, {"items": []})
    ran = await plane.run("viewer", call, is_json=True)
    assert (ran.code, len(ran.document()["items"])) == (0, 1)
