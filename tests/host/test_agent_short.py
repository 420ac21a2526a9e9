"""A fresh machine becomes a host with one command, works, and stops being one."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.installation import UNIT, Layout
from tests.host.machine import DOCKER
from tests.host.managed import PAGE, PROJECT, compose, managed

pytestmark = pytest.mark.xdist_group("test-host")

AT = Layout()


async def test_install_deploy_restart_uninstall(tmp_path: Path, agent_file: Path) -> None:
    async with managed(tmp_path, agent_file, image=DOCKER) as host:
        machine = host.machine

        # Install: a dry run changes nothing.
        made = await host.enrolment()
        options = (
            "--server-url",
            host.plane.agents_url,
            "--control-plane-key",
            made["control_plane_key"],
        )
        planned = await host.install(*options, "--dry-run", token=made["token"])
        assert f"would write {AT.unit}" in planned.text
        assert (await machine.run("test", "-e", AT.programs, check=False)).returncode == 1
        installed = await host.install(*options, token=made["token"])
        assert "Connected: since" in installed.text
        assert made["token"] not in installed.text + planned.text
        online = await host.until_online()
        assert online["credential"] == "key"
        assert (await machine.run("ls", "-A", AT.credentials)).text == ""

        # It is what the unit says: another user, hardened, and the state is its own.
        user = await machine.run("ps", "-o", "user:20=", "-p", str(await host.pid()))
        assert user.text.strip() == "instadeploy"
        security = await machine.run("systemd-analyze", "security", "--threshold=30", UNIT)
        assert security.returncode == 0

        # Deploy, with a file mounted from the project's directory, read by nobody.
        job = await host.deploy(compose("trap '' TERM; cat /data/page; sleep 3600 & wait"))
        assert job["state"] == "succeeded", job
        assert PAGE.strip() in await host.printed()

        # A restart of the agent in the middle of a deployment loses nothing of it.
        pid = await host.pid()
        deployment = await host.begin(compose(more="    labels: [changed=yes]\n"))
        executor = await host.until_executing()
        await machine.run("systemctl", "restart", UNIT)
        assert await host.executing() == executor
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
