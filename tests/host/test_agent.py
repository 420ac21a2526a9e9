"""What befalls a host in years, on a machine that boots: `make test-host` runs these, one by one."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.installation import UNIT, Layout
from tests.host.machine import BARE, CLOUD, TestHost
from tests.host.managed import (
    AGENT,
    HOST,
    INSTALL_S,
    PROJECT,
    ManagedHost,
    compose,
    managed,
    to_be_enrolled,
    until,
)

pytestmark = [pytest.mark.xdist_group("test-host"), pytest.mark.thorough]

AT = Layout()
DROP_IN = f"/etc/systemd/system/{UNIT}.d/test.conf"
LAID_DOWN = (
    *(AT.programs, AT.settings, AT.state, AT.platform, AT.unit, AT.command, AT.tmpfiles),
    "/etc/systemd/system/multi-user.target.wants/" + UNIT,
)
SMALL_DISK_MIB = 12


@pytest.fixture
async def host(tmp_path: Path, agent_file: Path) -> AsyncIterator[ManagedHost]:
    async with managed(tmp_path, agent_file) as one:
        yield one


async def left(machine: TestHost) -> list[str]:
    """What of an installation is there."""
    found = [
        path
        for path in LAID_DOWN
        if (await machine.run("test", "-e", path, check=False)).returncode == 0
    ]
    has_user = (await machine.run("id", "instadeploy", check=False)).returncode == 0
    return found + ["the user"] * has_user


async def test_killed_hung_rebooted_and_upgraded(
    host: ManagedHost, agent_file: Path, tmp_path: Path
) -> None:
    machine = host.machine
    await host.become_host()
    assert (await host.deploy())["state"] == "succeeded"
    containers = await host.containers()

    # Killed, systemd starts it again.
    pid = await host.pid()
    await machine.run("kill", "-KILL", str(pid))
    pid = await host.until_another_than(pid)

    # A loop that does not turn is killed by the watchdog, and the agent starts again.
    await machine.write(DROP_IN, "[Service]\nWatchdogSec=3\nRestartSec=1\n")
    await machine.run("systemctl", "daemon-reload")
    await machine.run("systemctl", "restart", UNIT)
    pid = await host.until_another_than(pid)
    await machine.run("kill", "-STOP", str(pid))
    pid = await host.until_another_than(pid)
    assert any(
        "watchdog" in str(line.get("MESSAGE", "")).lower() for line in await machine.journal(UNIT)
    )

    # Offline and idle for longer than the watchdog's time is no hang.
    assert await host.containers() == containers

    # A reboot brings both back: the agent, and what it had deployed.
    await machine.reboot()
    await host.until_another_than(0)
    await host.until_online()
    await until(host.containers, containers.__eq__)
    assert (await host.deploy(compose(more="    labels: [after=reboot]\n")))["state"] == "succeeded"

    # Another build is installed by hand, beside the one that runs.
    other = tmp_path / "other-agent"
    other.write_bytes(agent_file.read_bytes())
    with zipfile.ZipFile(other, "a") as archive:
        archive.comment = b"another build"
    other.chmod(0o755)
    await machine.copy_in(other, "/root/other")
    pid = await host.pid()
    before = (await machine.run("readlink", AT.current)).text
    await host.install(agent="/root/other")
    pid = await host.until_another_than(pid)
    after = (await machine.run("readlink", AT.current)).text
    assert after != before
    releases = (await machine.run("ls", AT.releases)).text.split()
    assert sorted(releases) == sorted(Path(one).name for one in (before, after))
    assert await host.containers() == containers

    # One that cannot reach its control plane is taken back, and the one before runs on.
    failed = await host.install(
        "--server-url", "ws://127.0.0.1:9/ws", "--timeout", "4", check=False
    )
    assert failed.returncode == 1
    assert "Not connected" in failed.stdout.decode()
    assert (await machine.run("readlink", AT.current)).text == after
    assert "127.0.0.1:9" not in (await machine.read(AT.settings_file)).decode()
    await host.until_another_than(pid)
    await host.until_online()


async def test_a_full_disk_is_said_and_outlived(host: ManagedHost) -> None:
    machine = host.machine
    # A disk of its own for the state, which is there at each boot.
    mount = f"tmpfs {AT.state} tmpfs size={SMALL_DISK_MIB}m,mode=0700 0 0\n"
    await machine.run("sh", "-c", f"mkdir -p {AT.state} && cat >> /etc/fstab", given=mount)
    await machine.run("mount", AT.state)
    await host.become_host()
    assert (await host.deploy())["state"] == "succeeded"
    pid = await host.pid()
    await machine.run("sh", "-c", f"cat /dev/zero > {AT.state}/filling || true")
    refused = await host.deploy(compose(more="    labels: [full=disk]\n"))
    assert refused["state"] == "failed", refused
    assert "space" in json.dumps(refused)
    assert await host.pid() == pid
    await machine.run("rm", f"{AT.state}/filling")
    again = await host.deploy(compose(more="    labels: [full=disk]\n"))
    assert again["state"] == "succeeded", again
    assert await host.pid() == pid


async def test_what_is_wrong_is_said_and_leaves_the_machine_as_it_was(host: ManagedHost) -> None:
    machine = host.machine
    made = await host.enrolment()
    url, key, token = host.plane.agents_url, made["control_plane_key"], made["token"]
    before = await left(machine)
    assert before == []

    async def refused(*options: str, token: str = token, says: str, code: int = 1) -> None:
        found = await host.install(*options, token=token, check=False)
        said = (found.stdout + found.stderr).decode()
        assert found.returncode == code, said
        assert says in said, said
        assert "Traceback" not in said, said
        assert await left(machine) == before, said

    await refused("--server-url", "https://cp.example", says="must begin with ws:// or wss://")
    await refused("--server-url", url, "--control-plane-key", "x", says="--control-plane-key")
    await refused("--server-url", url, token="", says="INSTADEPLOY_ENROLL_TOKEN")
    await refused("--server-url", url, "--ca-file", "/etc/passwd", says="no certificate")
    await refused(says="--server-url")
    await refused("--server-url", url, token="ide_wrong", says="hosts enroll")
    other = f"sha256:{'0' * 64}"
    await refused("--server-url", url, "--control-plane-key", other, "--timeout", "20", says="key")
    await refused(
        "--server-url", "ws://127.0.0.1:9/ws", "--timeout", "3", says="there is no link after 3 s"
    )

    # Not root.
    await machine.run("install", "-m", "0755", AGENT, "/tmp/agent")
    as_nobody = await machine.run(
        *("setpriv", "--reuid", "65534", "--clear-groups", "env", "PEX_ROOT=/tmp/pex-of-nobody"),
        *("python3", "/tmp/agent", "install"),
        check=False,
    )
    assert b"needs root" in as_nobody.stderr

    # Interrupted at the worst moments, in two ways; run again, it finishes what was begun.
    script = (
        f"export PEX_ROOT=/tmp/pex INSTADEPLOY_ENROLL_TOKEN={token}\n"
        f"python3 {AGENT} install --server-url {url} --control-plane-key {key} >/tmp/said 2>&1 & \n"
        'until grep -q "$1" /tmp/said; do sleep 0.01; done; kill "$2" $!; wait $! || true\n'
    )
    for moment in ("unpack", "let /opt"):
        await machine.run("bash", "-s", moment, "-KILL", given=script)
        assert await left(machine) != before
    finished = await host.install("--server-url", url, "--control-plane-key", key, token=token)
    assert "Connected" in finished.text
    await host.until_online()
    assert len((await machine.run("ls", "-A", AT.releases)).text.split()) == 1

    # A token that is used up.
    await machine.run("instadeploy-agent", "uninstall", "--purge", patience_s=60)
    await machine.run("rmdir", AT.projects, AT.platform)
    await refused("--server-url", url, says="hosts enroll")


async def test_docker_may_come_later(tmp_path: Path, agent_file: Path) -> None:
    async with managed(tmp_path, agent_file, image=BARE) as host:
        made = await host.enrolment()
        found = await host.install("--server-url", host.plane.agents_url, token=made["token"])
        assert "Docker Engine, which is not here" in found.text
        await host.until_online()
        refused = await host.deploy()
        assert refused["state"] == "failed"
        assert "install Docker" in refused["result"]["error"]


async def test_the_plain_unit_works_and_is_not_taken_over(host: ManagedHost) -> None:
    machine = host.machine
    made = host.ok(await host.client.post("/hosts", json={"name": HOST}), 201)
    await machine.run(
        *("env", "PEX_TOOLS=1", "PEX_ROOT=/tmp/pex", "python3", AGENT),
        *("venv", "--compile", "/opt/instadeploy"),
        patience_s=300,
    )
    unit = (Path(__file__).parents[2] / "deploy/instadeploy-agent-simple.service").read_text()
    unit = unit.replace("wss://control-plane.example/ws", host.plane.agents_url)
    unit = unit.replace("replace-me", made["token"])
    assert "Type=simple" in unit
    await machine.write(AT.unit, unit, 0o600)
    await machine.run("systemctl", "daemon-reload")
    await machine.run("systemctl", "enable", "--now", UNIT)
    await host.until_online()
    assert (await host.deploy())["state"] == "succeeded"

    # Restarted in the middle of a deployment, it loses nothing of it.
    deployment = await host.begin(compose(more="    labels: [changed=yes]\n"))
    await machine.run("systemctl", "restart", UNIT)
    assert (await host.ended(deployment))["state"] == "succeeded"

    # `install` does not take the place of what somebody has made by hand.
    refused = await host.install("--server-url", host.plane.agents_url, token="ide_x", check=False)
    assert refused.returncode == 1
    assert b"by hand" in refused.stderr
    assert (await machine.read(AT.unit)).decode() == unit

    # Whoever does what that says has the same host, and an agent of its own user.
    identity = (await host.client.get(f"/hosts/{HOST}")).json()["id"]
    containers = await host.containers()
    await machine.run("systemctl", "disable", "--now", UNIT)
    await machine.run("mv", AT.unit, "/root/unit-of-before")
    await machine.run("rm", "-r", "/opt/instadeploy")
    await host.install(
        *("--server-url", host.plane.agents_url),
        AGENT_SECRET_TOKEN=made["token"],
    )
    assert (await host.until_online())["id"] == identity
    assert await host.containers() == containers
    job = await host.deploy(compose(more="    labels: [taken=over]\n"))
    assert job["state"] == "succeeded", job
    owner = await machine.run("stat", "--format", "%U", f"{AT.projects}/{PROJECT}")
    assert owner.text == "instadeploy"

    # Two at once: one of them does it, the other one says so, and what runs is whole.
    script = (
        f"export PEX_ROOT=/tmp/pex\npython3 {AGENT} install & python3 {AGENT} install\n"
        "second=$?; wait $!; echo $? $second\n"
    )
    both = await machine.run("bash", "-s", given=script, patience_s=INSTALL_S)
    assert sorted(both.text.splitlines()[-1].split()) == ["0", "1"], both
    await machine.run("test", "-x", f"{AT.current}/bin/python")
    await host.until_online()

    # A terminal that is closed while it waits takes back what was done.
    script = (
        f"export PEX_ROOT=/tmp/pex\npython3 {AGENT} install --server-url ws://127.0.0.1:9/ws "
        ">/tmp/said 2>&1 &\nuntil grep -q 'Not connected' /tmp/said; do sleep 0.05; done\n"
        "kill -HUP $!; wait $!; echo $?\n"
    )
    ended = await machine.run("bash", "-s", given=script, patience_s=INSTALL_S)
    assert ended.text.splitlines()[-1] == "1"
    assert "127.0.0.1:9" not in (await machine.read(AT.settings_file)).decode()
    await host.until_another_than(0)

    # A wrong configuration is not tried for ever.
    settings = (await machine.read(AT.settings_file)).decode()
    await machine.write(AT.settings_file, settings.replace('"ws:', '"http:'))
    await machine.run("systemctl", "restart", UNIT, check=False)
    found = await until(
        lambda: host.systemd("ActiveState", "ExecMainStatus"),
        lambda one: one["ActiveState"] == "failed",
    )
    assert found["ExecMainStatus"] == "78"


async def test_user_data_makes_a_machine_a_host_when_it_first_boots(
    tmp_path: Path, agent_file: Path
) -> None:
    async with to_be_enrolled(tmp_path, agent_file, CLOUD) as host:
        machine = host.machine
        user_data = await host.operator("hosts", "cloud-init", HOST, "--quiet")
        token = re.search(r"ide_[\w-]+", user_data)
        assert token
        seed = "/var/lib/cloud/seed/nocloud"
        await machine.write(f"{seed}/user-data", user_data, 0o600)
        await machine.write(f"{seed}/meta-data", "instance-id: first\n")
        # It has booted once already, without anything to do.
        await machine.run("cloud-init", "clean", "--logs")
        await machine.reboot()
        await host.until_online()
        done = await machine.run(
            *("cloud-init", "status", "--wait", "--long"), check=False, patience_s=120
        )
        # This machine has no package of locales, which is none of ours.
        assert set(re.findall(r"\('(\w+)',", done.text)) <= {"locale"}, done
        assert (await machine.run("ls", "-A", AT.credentials)).text == ""
        # It is used up. Root can still read it where cloud-init keeps what it was given, and the unit
        # until it is started again; nobody can anywhere else.
        kept = await machine.run(
            *("grep", "-rlsF", "--exclude-dir=cloud", "--exclude-dir=credentials"),
            *(token[0], "/etc", "/run", "/tmp", "/var", "/root", "/opt"),
            check=False,
        )
        assert kept.text == ""
        assert (await host.deploy())["state"] == "succeeded"

        # Booted again, it is the same host.
        identity = (await host.until_online())["id"]
        await machine.reboot()
        assert (await host.until_online())["id"] == identity
