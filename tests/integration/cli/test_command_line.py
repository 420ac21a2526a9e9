"""`instadeploy` as a process, a control plane as another, and simulated agents."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import ssl
from pathlib import Path

import pytest

from tests.fleet.plane_process import PlaneProcess
from tests.fleet.scripts import JobPlan, Outcome
from tests.integration.cli.rig import COMPOSE, Rig
from tests.support.control_plane_process import running_control_plane
from tests.support.ports import reserved_port
from tests.support.private_authority import certified

TALKING = JobPlan(Outcome.WAIT, output_bytes=200)
FAILING = JobPlan(Outcome.FAIL, output_bytes=200)
HANGING = JobPlan(Outcome.HANG, output_bytes=200)
NOBODY: dict[str, str] = {}


async def test_a_control_plane_is_set_up_and_used_from_then_on(rig: Rig, tmp_path: Path) -> None:
    with reserved_port() as port:
        (tmp_path / "new").mkdir()
        new = PlaneProcess(tmp_path / "new", port, token="not set up yet")
        await new.start()
        try:
            found = re.search(r"ids_[A-Za-z0-9_-]+", new.log)
            assert found
            typed = f"{found[0]}\neve\ncorrect horse battery\n"
            await rig.ok("setup", new.url, stdin=typed, environment=NOBODY)
            ran = await rig.ok("whoami", environment=NOBODY)
            assert ran.out.split()[:2] == ["user", "eve"]
            ran = await rig.run("setup", new.url, stdin=typed, environment=NOBODY)
            assert ran.code in (4, 6)
            ran = await rig.ok("audit", "verify", environment=NOBODY)
            assert "whole" in ran.out
            await rig.ok("logout", environment=NOBODY)
            assert (await rig.run("hosts", "list", environment=NOBODY)).code == 4
            tokens = (rig.home / "config" / "tokens" / "tokens.json").read_text()
            assert json.loads(tokens) == {}
            typed = "wrong wrong wrong\n"
            ran = await rig.run("login", "--user", "eve", stdin=typed, environment=NOBODY)
            assert ran.code == 4
            typed = "correct horse battery\n"
            await rig.ok("login", "--user", "eve", stdin=typed, environment=NOBODY)
            ran = await rig.ok("hosts", "list", "-o", "json", environment=NOBODY)
            assert ran.document() == {"items": []}
        finally:
            new.kill()


async def test_a_token_that_is_piped_in(rig: Rig) -> None:
    ran = await rig.ok(
        "login", rig.plane.url, "--token-stdin", stdin=rig.plane.token + "\n", environment=NOBODY
    )
    assert rig.plane.token not in ran.out + ran.err
    await rig.ok("hosts", "list", environment=NOBODY)
    ran = await rig.run("login", "--token-stdin", stdin="ida_wrong\n", environment=NOBODY)
    assert ran.code == 4
    await rig.ok("hosts", "list", environment=NOBODY)


async def test_a_host_from_its_enrolment_to_its_end(rig: Rig) -> None:
    name = rig.name("new-1")
    waiting = await rig.start("hosts", "enroll", name, "-l", "env=test", "--wait")
    command = await waiting.prints("AGENT_ENROLL_TOKEN=")
    token = re.search(r"AGENT_ENROLL_TOKEN=(\S+)", command)
    assert token
    from tests.fleet.identity import HostKey  # noqa: PLC0415
    from tests.fleet.memory import Memory  # noqa: PLC0415

    rig.fleet.add(
        Memory(enrolment_token=token[1], secret_key=HostKey.new().secret.hex()), name=name
    )
    ended = await waiting.ended()
    assert ended.code == 0, ended
    assert "is online" in ended.err
    ran = await rig.ok("hosts", "list", "-l", "env=test", "-o", "json")
    assert name in [host["name"] for host in ran.document()["items"]]
    await rig.ok("hosts", "label", name, "zone=a", "env-")
    ran = await rig.ok("hosts", "show", name)
    assert "zone=a" in ran.out
    assert (await rig.ok("hosts", "health", name)).out.startswith("agent")
    await rig.ok("hosts", "rename", name, f"{name}-x")
    assert (await rig.run("hosts", "revoke", f"{name}-x")).code == 2
    await rig.ok("hosts", "revoke", f"{name}-x", "--yes")
    assert (await rig.run("hosts", "show", f"{name}-x")).code in (0, 5)


async def test_output_comes_while_a_deployment_runs(rig: Rig) -> None:
    agent = await rig.agent("web-1", TALKING)
    running = await rig.start("deploy", rig.name("web-1"), "blog", "--label", "commit=abc")
    await running.prints("apply: ")
    assert running.process.returncode is None
    agent.host.release()
    ended = await running.ended()
    assert ended.code == 0, ended
    assert f"{rig.name('web-1')}  succeeded" in ended.out
    assert "compose.yml" in ended.err


async def test_of_many_hosts_each_is_told_of_and_one_failure_is_one(rig: Rig) -> None:
    await rig.agent("web-1", group=rig.tag)
    await rig.agent("web-2", FAILING, group=rig.tag)
    ran = await rig.run("deploy", "-l", f"group={rig.tag}", "blog")
    assert ran.code == 1
    rows = [line.split() for line in ran.out.splitlines()]
    assert any(row[:2] == [rig.name("web-1"), "succeeded"] and len(row) > 2 for row in rows)
    assert any(row[:2] == [rig.name("web-2"), "failed"] and len(row) > 2 for row in rows)
    job = re.search(r"instadeploy jobs show (job_\S+)", ran.out)
    assert job
    assert "compose_failed" in (await rig.ok("jobs", "show", job[1])).out
    ran = await rig.run("deploy", "-l", f"group={rig.tag}", "blog", "-o", "json")
    assert (ran.code, ran.err) == (1, "")
    assert ran.document()["jobs_by_state"] == {"succeeded": 1, "failed": 1}


async def test_a_project_is_stopped_and_asked_about(rig: Rig) -> None:
    await rig.agent("web-1")
    host = rig.name("web-1")
    assert "succeeded" in (await rig.ok("stop", host, "blog")).out
    ran = await rig.run("status", host, "blog", "-o", "json")
    assert (ran.code, ran.document()["project_name"], ran.err) == (5, "blog", "")
    assert (await rig.ok("status", host, "-o", "json")).document()["projects"] == []
    assert (await rig.ok("rollback", host, "blog", "1", "-q")).out == ""
    assert (await rig.ok("plan", host, "blog")).code == 0
    ran = await rig.ok("history", host, "blog", "-o", "json")
    assert [job["kind"] for job in ran.document()["jobs"]] == ["ROLLBACK_COMPOSE", "STOP_COMPOSE"]


async def test_what_is_interrupted_goes_on_and_says_how_to_follow_it(rig: Rig) -> None:
    agent = await rig.agent("web-1", TALKING)
    running = await rig.start("deploy", rig.name("web-1"), "blog")
    await running.prints("apply: ")
    running.process.send_signal(signal.SIGINT)
    ended = await running.ended()
    assert ended.code == 130
    assert "Traceback" not in ended.err
    again = re.search(r"`instadeploy (jobs follow dep_\S+)` follows it", ended.err)
    assert again
    following = await rig.start(*again[1].split())
    await following.prints("apply: ")
    agent.host.release()
    assert (await following.ended()).code == 0


async def test_what_takes_too_long_goes_on_until_it_is_canceled(rig: Rig) -> None:
    await rig.agent("web-1", HANGING)
    ran = await rig.run("deploy", rig.name("web-1"), "blog", "--timeout", "1s")
    assert ran.code == 8
    cancel = re.search(r"`instadeploy (jobs cancel dep_\S+)`", ran.err)
    assert cancel
    await rig.ok(*cancel[1].split())
    ran = await rig.run("jobs", "follow", cancel[1].split()[-1], "-o", "json")
    assert ran.code == 1
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert events[-1]["jobs_by_state"] == {"canceled": 1}
    assert all(event["host"] == rig.name("web-1") for event in events[:-1])


async def test_a_control_plane_that_is_killed_and_comes_back_is_followed_on(
    rig: Rig, tmp_path: Path
) -> None:
    with reserved_port() as port:
        (tmp_path / "other").mkdir()
        plane = PlaneProcess(tmp_path / "other", port)
        await plane.start()
        try:
            environment = {"INSTADEPLOY_URL": plane.url, "INSTADEPLOY_TOKEN": plane.token}
            async with plane.api() as api:
                await api.post("/hosts", {"name": "old-1"})
            running = await rig.start("deploy", "old-1", "blog", environment=environment)
            assert running.process.stderr is not None
            async with asyncio.timeout(60):
                while b"to 1 host" not in await running.process.stderr.readline():
                    pass
            plane.kill()
            async with asyncio.timeout(60):
                while b"is not reached" not in await running.process.stderr.readline():
                    pass
            await plane.start()
            async with plane.api() as api:
                (job,) = (await api.get("/jobs"))["items"]
                await api.post(f"/jobs/{job['id']}/cancel")
            ended = await running.ended()
            assert ended.code == 1
            assert "old-1  canceled" in ended.out
        finally:
            plane.kill()


async def test_nobody_there(rig: Rig) -> None:
    with reserved_port() as port:
        environment = {"INSTADEPLOY_URL": f"http://127.0.0.1:{port}", "INSTADEPLOY_TOKEN": "ida_x"}
        ran = await rig.run("hosts", "list", environment=environment)
        assert ran.code == 3
        assert "Connection refused" in ran.err
        assert f"127.0.0.1:{port}" in ran.err
        ran = await rig.run("hosts", "list", "-o", "json", environment=environment)
        assert json.loads(ran.err)["error"]["code"] == "unreachable"


async def test_a_token_that_is_not_good(rig: Rig) -> None:
    ran = await rig.run("hosts", "list", environment=rig.here("ida_wrong"))
    assert ran.code == 4
    assert "INSTADEPLOY_TOKEN" in ran.err
    assert "ida_wrong" not in ran.err
    assert (await rig.run("hosts", "list", environment=NOBODY)).code == 4


async def test_who_may_less_is_told_so(rig: Rig) -> None:
    await rig.agent("web-1", team=rig.tag)
    await rig.agent("web-2")
    name = rig.name("bob")
    await rig.ok("users", "add", name, f"viewer:team={rig.tag}", "--no-password")
    token = (await rig.ok("tokens", "create", "ci", "--user", name, "--expires", "1h")).out.strip()
    theirs = rig.here(token)
    assert (await rig.ok("hosts", "list", "-q", environment=theirs)).out == rig.name("web-1") + "\n"
    ran = await rig.run("hosts", "show", rig.name("web-2"), environment=theirs)
    assert ran.code == 5
    ran = await rig.run("deploy", rig.name("web-1"), "blog", environment=theirs)
    assert ran.code == 4
    assert "instadeploy whoami" in ran.err
    assert f"viewer  team={rig.tag}" in (await rig.ok("whoami", environment=theirs)).out
    await rig.ok("users", "disable", name)
    assert (await rig.run("hosts", "list", environment=theirs)).code == 4


async def test_a_certificate_is_verified(rig: Rig, tmp_path: Path) -> None:
    settings = certified(tmp_path)
    (tmp_path / "tls").mkdir()
    assert ssl.create_default_context()
    async with running_control_plane(tmp_path / "tls", settings=settings) as plane:
        here = {"INSTADEPLOY_URL": plane.url, "INSTADEPLOY_TOKEN": plane.token}
        ran = await rig.run("hosts", "list", environment=here)
        assert ran.code == 3
        assert "certificate cannot be trusted" in ran.err
        await rig.ok("hosts", "list", "--ca-file", str(tmp_path / "ca.pem"), environment=here)


async def test_what_was_deployed_is_compared(rig: Rig) -> None:
    """The simulated agent has no revisions: the contents are what is looked at."""
    await rig.agent("web-1")
    ids = []
    for tag in ("1", "2"):
        (rig.home / "compose.yml").write_text(COMPOSE.replace("nginx", f"nginx:{tag}"))
        (rig.home / ".env").write_text(f"TAG={tag}\nSAME=1\n")
        made = await rig.ok("deploy", rig.name("web-1"), "blog", "-o", "json")
        ids.append(made.document()["id"])
    old, new = [await rig.api.deployments.content(one) for one in ids]
    assert "nginx:1" in old["compose"]
    marks = [{one["name"]: one["fingerprint"] for one in each["variables"]} for each in (old, new)]
    assert marks[0]["SAME"] == marks[1]["SAME"]
    assert marks[0]["TAG"] != marks[1]["TAG"]
    assert (await rig.run("diff", rig.name("web-1"), "blog", "1", "2")).code == 5


async def test_a_reader_that_goes_away_ends_it_quietly(rig: Rig) -> None:
    running = await rig.start("hosts", "list", "--help")
    assert running.process.stdout is not None
    running.process.stdout._transport.close()  # type: ignore[attr-defined]
    async with asyncio.timeout(60):
        await running.process.wait()
    assert running.process.stderr is not None
    assert b"Traceback" not in await running.process.stderr.read()


@pytest.mark.parametrize("what", ["backup", "restore", "migrate"])
async def test_the_servers_own_program_is_run(rig: Rig, what: str) -> None:
    ran = await rig.run("server", what, "--help", environment=NOBODY)
    assert ran.code == 0, ran
    assert f"instadeploy-control-plane {what}" in ran.out
