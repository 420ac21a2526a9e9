"""`instadeploy` in scripts, which have exit codes and JSON alone, and by two operators at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.docker.conftest import SLEEPER
from tests.support.agent_process import running_agent
from tests.support.control_plane_process import ControlPlaneProcess, running_control_plane

pytestmark = pytest.mark.xdist_group("cli-script")

PATIENCE_S: Final = 180.0
HOST: Final = "web-1"
ROUNDS: Final = 3
OVER: Final = {"succeeded", "failed", "canceled", "expired", "superseded"}
SCRIPT: Final = r"""#!/bin/sh
# Nothing of what is meant for people is read: exit codes, and JSON.
set -eu
host=$1 project=$2 directory=$3 documents=$4
number=0

instadeploy() {
    number=$((number + 1))
    "$PYTHON" -I -m entrypoints.cli "$@" -o json > "$documents/$number.json"
}
printed() { "$PYTHON" -I -c "
import json, sys
print(eval(sys.argv[2], {'it': json.load(open(sys.argv[1]))}))" "$documents/$number.json" "$1"; }
is() {
    found=$(printed "$1")
    [ "$found" = "$2" ] || { echo "$1 is $found, not $2" >&2; exit 99; }
}

# 1. Wait for the host: the enrolment is running already.
tries=0
until instadeploy hosts show "$host" && [ "$(printed 'it["online"]')" = True ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || exit 98
done 2> "$documents/waiting"

# 2. Deploy, and see what runs.
cp "$directory/good.yml" "$directory/compose.yaml"
instadeploy deploy "$host" "$project" -C "$directory" --label version=good
is 'it["state"]' succeeded
instadeploy status "$host" "$project"
is 'it["wanted"]["revision"]' 1
is 'it["wanted"]["labels"]["version"]' good
is 'it["drift"]' '[]'

# 3. A second good one, so that there is something to go back to.
instadeploy deploy "$host" "$project" -C "$directory" --label version=better
is 'it["jobs"][0]["result"]["data"]["revision"]' 2

# 4. A broken one, which is taken back by itself.
cp "$directory/broken.yml" "$directory/compose.yaml"
if instadeploy deploy "$host" "$project" -C "$directory" --label version=broken; then
    exit 97
else
    code=$?
    [ "$code" -eq 1 ] || exit "$code"
fi
is 'it["state"]' failed
is 'it["jobs"][0]["state"]' failed
is 'it["jobs"][0]["result"]["data"]["rolled_back_to"]' 2

# 5. Back to the first.
instadeploy rollback "$host" "$project" 1
is 'it["state"]' succeeded
instadeploy status "$host" "$project"
is 'it["wanted"]["labels"]["version"]' good

# 6. What has happened.
instadeploy history "$host" "$project"
is '[one["kind"] for one in it["jobs"]]' \
    "['ROLLBACK_COMPOSE', 'DEPLOY_COMPOSE', 'DEPLOY_COMPOSE', 'DEPLOY_COMPOSE']"
is '[one["state"] for one in it["jobs"]]' "['succeeded', 'failed', 'succeeded', 'succeeded']"
is 'it["revisions"]["current"]' 1
is '[one["revision"] for one in it["revisions"]["revisions"]]' '[1, 2, 3]'
instadeploy diff "$host" "$project" 1 3
is 'it["is_same"]' False

# 7. And away.
if instadeploy remove "$host" "$project" 2> "$documents/unasked"; then exit 96; else code=$?; fi
[ "$code" -eq 2 ] || exit 95
[ ! -s "$documents/$number.json" ] || exit 94
rm "$documents/$number.json"
instadeploy remove "$host" "$project" --yes
is 'it["state"]' succeeded
if instadeploy status "$host" "$project"; then exit 93; else code=$?; fi
[ "$code" -eq 5 ] || exit 92
is 'it["exists"]' False
"""
BROKEN: Final = SLEEPER.replace('["sleep", "3600"]', '["false"]')


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Operator:
    """Somebody with a home directory of their own, in which a context is kept."""

    home: Path

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "INSTADEPLOY_CONFIG": str(self.home / "config" / "config.json"),
            "INSTADEPLOY_TOKEN_STORE": "file",
            "PYTHONWARNINGS": "error",
            "PYTHON": sys.executable,
        }

    async def start(self, *command: str, typed: str = "") -> Ended:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.home,
            env=self.environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                out, err = await process.communicate(typed.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    async def run(self, *arguments: str, typed: str = "") -> Ended:
        return await self.start(
            sys.executable, "-I", "-m", "entrypoints.cli", *arguments, "-o", "json", typed=typed
        )

    async def ok(self, *arguments: str, typed: str = "") -> Any:
        """One that must succeed; the document that it prints."""
        ended = await self.run(*arguments, typed=typed)
        assert (ended.code, ended.err) == (0, ""), ended
        return json.loads(ended.out)


@dataclass(frozen=True)
class Site:
    plane: ControlPlaneProcess
    root: Path
    agent_home: Path

    async def operator(self, name: str, token: str) -> Operator:
        """Logged in with that token, under a context of that name."""
        one = Operator(self.root / name)
        one.home.mkdir()
        login = ("login", self.plane.url, "--token-stdin", "--name", f"of-{name}")
        await one.ok(*login, typed=f"{token}\n")
        return one

    @contextlib.asynccontextmanager
    async def agent(self, admin: Operator, *, is_new: bool = True) -> AsyncIterator[None]:
        """A host that is enrolled, and about to come."""
        settings = {}
        if is_new:
            made = await admin.ok("hosts", "enroll", HOST, "-l", "env=test")
            settings = {
                "AGENT_ENROLL_TOKEN": made["token"],
                "AGENT_CONTROL_PLANE_KEY": made["control_plane_key"],
            }
        async with running_agent(
            self.agent_home, server_url=self.plane.agents_url, token=None, settings=settings
        ):
            yield


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    for name in ("plane", "host"):
        (tmp_path / name).mkdir()
    async with running_control_plane(tmp_path / "plane") as plane:
        yield Site(plane, tmp_path, tmp_path / "host")


async def test_a_script_has_enough_in_exit_codes_and_json(site: Site, project_name: str) -> None:
    admin = await site.operator("ann", site.plane.token)
    project, documents = admin.home / "project", admin.home / "documents"
    for each in (project, documents):
        each.mkdir()
    (project / "good.yml").write_text(SLEEPER)
    (project / "broken.yml").write_text(BROKEN)
    script = admin.home / "release.sh"
    script.write_text(SCRIPT)
    async with site.agent(admin):
        ended = await admin.start(
            "/bin/sh", str(script), HOST, project_name, str(project), str(documents)
        )
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    printed = sorted(documents.glob("*.json"), key=lambda path: int(path.stem))
    assert len(printed) >= 11
    empty = [path for path in printed if path.stat().st_size == 0]
    waited = (documents / "waiting").read_text().splitlines()
    assert len(empty) == len(waited)
    assert {json.loads(line)["error"]["exit_code"] for line in waited} <= {5}
    for path in printed:
        if path not in empty:
            assert isinstance(json.loads(path.read_text()), dict)
    unasked = json.loads((documents / "unasked").read_text())["error"]
    assert (unasked["code"], unasked["exit_code"]) == ("usage", 2)


async def until_online(operator: Operator) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            ended = await operator.run("hosts", "show", HOST)
            if ended.code == 0 and json.loads(ended.out)["online"]:
                return
            assert ended.code in (0, 5), ended


async def until_waiting(operator: Operator, project: str) -> None:
    listed = ("jobs", "list", "--project", project, "--state", "queued")
    async with asyncio.timeout(PATIENCE_S):
        while not (await operator.ok(*listed))["items"]:
            pass


def version(operator: str, number: int) -> str:
    """A compose file that says whose it is."""
    return f'{SLEEPER}    environment: {{VERSION: "{operator}-{number}"}}\n'


async def test_two_operators_who_deploy_one_project_at_the_same_time(
    site: Site, project_name: str
) -> None:
    admin = await site.operator("ann", site.plane.token)
    operators = {}
    for name in ("bob", "eve"):
        await admin.ok("users", "add", name, "deployer:env=test", "--no-password")
        made = await admin.ok("tokens", "create", "work", "--user", name, "--expires", "1h")
        operators[name] = await site.operator(name, made["token"])
    deployed = site.agent_home / "projects" / project_name / "docker-compose.yml"

    async with site.agent(admin):
        await until_online(admin)
        for number in range(ROUNDS):
            for name, one in operators.items():
                (one.home / "compose.yaml").write_text(version(name, number))
            names = list(operators)
            ended = dict(
                zip(
                    names,
                    await asyncio.gather(
                        *(
                            operators[name].run(
                                "deploy", HOST, project_name, "--label", f"version={name}-{number}"
                            )
                            for name in names
                        )
                    ),
                    strict=True,
                )
            )
            jobs = {name: checked(one) for name, one in ended.items()}
            listed = ("jobs", "list", "--project", project_name, "--kind", "DEPLOY_COMPOSE")
            newest = (await admin.ok(*listed, "--limit", "1"))["items"][0]
            # Whoever has asked last has it, and whoever was in the way was told so.
            last = newest["requested_by"]
            assert jobs[last]["id"] == newest["id"]
            assert jobs[last]["state"] == "succeeded", jobs
            assert {job["requested_by"] for job in jobs.values()} == set(names)

            wanted = (await admin.ok("status", HOST, project_name))["wanted"]
            assert wanted["labels"]["version"] == f"{last}-{number}"
            assert wanted["requested_by"] == last
            assert deployed.read_text() == version(last, number)

        found = (await admin.ok("jobs", "list", "--project", project_name, "--limit", "100"))[
            "items"
        ]
        made = [job for job in found if job["kind"] == "DEPLOY_COMPOSE"]
        assert len(made) == ROUNDS * len(operators)
        assert {job["state"] for job in found} <= OVER
        assert all(job["over"] for job in found)
        # Neither sees what the other's context or token is.
        for name, one in operators.items():
            assert (await one.ok("whoami"))["user"]["name"] == name
            (context,) = (await one.ok("context", "list"))["items"]
            assert context["name"] == f"of-{name}"

    # While the host is away, the later one always takes the place of the earlier one.
    deploy = ("deploy", HOST, project_name, "--label")
    earlier = asyncio.create_task(operators["bob"].run(*deploy, "version=early"), name="earlier")
    await until_waiting(admin, project_name)
    later = asyncio.create_task(operators["eve"].run(*deploy, "version=late"), name="later")
    job = checked(await earlier)
    assert job["state"] == "superseded"
    assert not later.done()
    async with site.agent(admin, is_new=False):
        assert checked(await later)["id"] == job["superseded_by"]
        wanted = (await admin.ok("status", HOST, project_name))["wanted"]
        assert (wanted["labels"]["version"], wanted["requested_by"]) == ("late", "eve")
        await admin.ok("remove", HOST, project_name, "--yes")


def checked(ended: Ended) -> Any:
    """The job of a deployment that ended as one may, beside another one."""
    assert ended.err == "", ended
    document = json.loads(ended.out)
    (job,) = document["jobs"]
    expected = {0: "succeeded", 1: "superseded"}
    assert ended.code in expected, ended
    assert job["state"] == expected[ended.code], ended
    assert job["over"], ended
    if ended.code == 1:
        assert job["superseded_by"], ended
    return job
