"""A fresh machine becomes a host with one command, works, and stops being one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from domain.installation import UNIT, Layout
from tests.host.managed import HOST, INSTALL_S, PAGE, PROJECT, compose, to_be_enrolled

pytestmark = pytest.mark.xdist_group("test-host")

AT = Layout()


async def test_one_line_deploy_restart_uninstall(tmp_path: Path, agent_file: Path) -> None:
    async with to_be_enrolled(tmp_path, agent_file) as host:
        machine = host.machine

        # The one line, as it is printed for a control plane with a private authority.
        line = await host.operator("hosts", "enroll", HOST, "--quiet")
        token = re.search(r"ide_[\w-]+", line)
        assert token
        installed = await machine.run("sh", "-s", given=line, patience_s=INSTALL_S)
        said = (installed.stdout + installed.stderr).decode()
        assert "Connected: since" in said
        assert token[0] not in said
        assert (await host.until_online())["credential"] == "key"
        assert (await machine.run("ls", "-A", AT.credentials)).text == ""
        assert (await machine.run("ls", "-A", "/root/.cache", check=False)).returncode != 0

        # It is what the unit says: another user, hardened, and the state is its own.
        user = await machine.run("ps", "-o", "user:20=", "-p", str(await host.pid()))
        assert user.text.strip() == "instadeploy"
        security = await machine.run("systemd-analyze", "security", "--threshold=30", UNIT)
        assert security.returncode == 0

        # Deploy, with a file mounted from the project's directory, read by nobody.
        job = await host.deploy(compose("trap '' TERM; cat /data/page; sleep 3600 & wait"))
        assert job["state"] == "succeeded", job
        assert PAGE.strip() in await host.printed()

        # Whoever comes over ssh sees how it is, and that nothing is wrong.
        status = json.loads((await machine.run("instadeploy-agent", "status", "--json")).text)
        assert status["link"].startswith("Connected: since")
        (project,) = status["projects"]
        assert (project["name"], project["revision"], project["running"]) == (PROJECT, 1, 1)
        assert status["host_id"] == (await host.until_online())["id"]
        assert status["unsaid"] == {} or status["unsaid"] == []
        doctor = json.loads((await machine.run("instadeploy-agent", "doctor", "--json")).text)
        assert doctor["verdict"] == "warning", doctor
        assert [
            one["check"]
            for one in doctor["checks"]
            if one["verdict"] not in ("ok", "unknown") and one["check"] not in ("Compose", "policy")
        ] == [], doctor

        # A restart of the agent in the middle of a deployment loses nothing of it.
        pid = await host.pid()
        deployment = await host.begin(compose(more="    labels: [changed=yes]\n"))
        executor = await host.until_executing()
        await machine.run("systemctl", "restart", UNIT)
        assert executor <= await host.executing()
        assert await host.until_another_than(pid) != pid
        again = await host.ended(deployment)
        assert again["state"] == "succeeded", again
        assert again["result"]["data"]["revision"] == 2

        # The journal knows which job a line is about, and how grave it is.
        lines = [
            line
            for line in await machine.journal(UNIT)
            if line.get("INSTADEPLOY_JOB_ID") == deployment["jobs"][0]["id"]
        ]
        assert lines
        assert {line["INSTADEPLOY_PROJECT"] for line in lines} == {PROJECT}
        assert {line["SYSLOG_IDENTIFIER"] for line in lines} == {"instadeploy-agent"}
        assert {line["PRIORITY"] for line in lines} <= {"4", "6"}

        # Uninstall: what runs stays, what was laid down is gone.
        containers = await host.containers()
        gone = await machine.run("instadeploy-agent", "uninstall", "--purge", patience_s=120)
        assert "go on running" in gone.text
        assert await host.containers() == containers
        for path in (AT.programs, AT.settings, AT.state, AT.unit, AT.command, AT.tmpfiles):
            assert (await machine.run("test", "-e", path, check=False)).returncode == 1, path
        assert (await machine.run("id", "instadeploy", check=False)).returncode == 1
        assert (await machine.run("systemctl", "cat", UNIT, check=False)).returncode != 0
        await host.until_online(is_online=False)
