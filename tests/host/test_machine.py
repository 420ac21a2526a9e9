"""That the machines behave as hosts do; what is tried on them is worth no more than that."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.builders import IMAGE
from tests.host.machine import BARE, TestHost
from tests.support.ports import bound, port_of
from tests.support.small_disk import small_disk

# One after another: they are heavy, and what they measure is patience.
pytestmark = pytest.mark.xdist_group("test-host")

UNIT = """\
[Service]
Type=notify
User=tried
ExecStart=/usr/bin/python3 /opt/tried/tried.py
LoadCredential=word:/etc/tried/word
StateDirectory=tried
Restart=always
RestartSec=100ms
WatchdogSec=1s
WatchdogSignal=SIGKILL
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=/srv/tried
CapabilityBoundingSet=
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
PrivateDevices=yes
MemoryMax=200M
"""
PROGRAM = """\
import ctypes, errno, json, mmap, os, pathlib, signal, socket, time

def attempt(deed):
    try:
        deed()
    except OSError as exc:
        return errno.errorcode[exc.errno]
    return "allowed"

def unshare():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")

def tell(words):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.connect(os.environ["NOTIFY_SOCKET"])
        manager.send(words)

status = dict(line.split(":", 1) for line in open("/proc/self/status"))
word = pathlib.Path(os.environ["CREDENTIALS_DIRECTORY"], "word").read_text()
found = {
    "uid": os.getuid(),
    "word": word,
    "no new privileges": int(status["NoNewPrivs"]),
    "seccomp": int(status["Seccomp"]),
    "capabilities": int(status["CapBnd"], 16),
    "write elsewhere": attempt(lambda: open("/opt/other", "w")),
    "read root's": attempt(lambda: open("/etc/tried/word")),
    "write and execute": attempt(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)),
    "unshare": attempt(unshare),
    "/dev": os.stat("/dev").st_dev,
}
pathlib.Path("/srv/tried/found").write_text(json.dumps(found))
tell(b"READY=1\\nSTATUS=Tried")
print("ready", flush=True)
silent = pathlib.Path("/srv/tried/silent")
while True:
    if silent.exists():
        silent.unlink()
        print("silent", flush=True)
        signal.pause()
    tell(b"WATCHDOG=1")
    time.sleep(0.1)
"""
COMPOSE = f"""
services:
  web:
    image: {IMAGE}
    command: ["httpd", "-f", "-p", "8080", "-h", "/site"]
    init: true
    stop_grace_period: 0s
    restart: always
    mem_limit: 50m
    volumes: ["/srv/blog/site:/site:ro"]
    ports: ["127.0.0.1:18080:8080"]
"""
SLEEPER = "[Service]\nExecStart=sleep infinity\n"


async def test_it_boots_with_nothing_failed_and_its_next_boot_is_another(
    bare_host: TestHost,
) -> None:
    assert bare_host.failed == ()
    assert (await bare_host.run("ps", "-o", "comm=", "-p", "1")).text == "systemd"
    identity = await bare_host.read("/etc/machine-id")
    boot = await bare_host.read("/proc/sys/kernel/random/boot_id")
    await bare_host.write("/srv/kept", "kept")
    await bare_host.run("logger", "--tag", "tried", "said before")
    await bare_host.reboot()
    assert await bare_host.read("/etc/machine-id") == identity
    assert await bare_host.read("/proc/sys/kernel/random/boot_id") != boot
    assert await bare_host.read("/srv/kept") == b"kept"
    before = await bare_host.run("journalctl", "--boot=-1", "--identifier=tried", "--output=cat")
    assert before.text == "said before"


async def test_what_fails_at_boot_is_named(bare_host: TestHost) -> None:
    broken = "[Service]\nType=oneshot\nExecStart=false\n[Install]\nWantedBy=multi-user.target\n"
    await bare_host.write("/etc/systemd/system/broken.service", broken)
    await bare_host.run("systemctl", "enable", "broken.service")
    await bare_host.kill()
    await bare_host.boot()
    assert bare_host.failed == ("broken.service",)


async def test_a_program_that_fails_or_takes_too_long_fails_the_test(shared_host: TestHost) -> None:
    with pytest.raises(AssertionError, match="false: 1"):
        await shared_host.run("false")
    with pytest.raises(AssertionError, match=r"not within 0\.2 s"):
        await shared_host.run("sleep", "60", patience_s=0.2)
    assert (await shared_host.run("pgrep", "-x", "sleep", check=False)).text == ""


async def test_files_are_copied_there(shared_host: TestHost, tmp_path: Path) -> None:
    (tmp_path / "tree/below").mkdir(parents=True)
    (tmp_path / "tree/below/program").write_text("#!/bin/sh\necho $0\n")
    (tmp_path / "tree/below/program").chmod(0o755)
    await shared_host.copy_in(tmp_path / "tree", "/run/new/tree")
    said = await shared_host.run("/run/new/tree/below/program")
    assert said.text == "/run/new/tree/below/program"


async def test_a_hardened_unit_runs_as_on_any_host(shared_host: TestHost) -> None:
    await shared_host.run("useradd", "--system", "tried")
    await shared_host.run("install", "--directory", "--owner", "tried", "/srv/tried")
    await shared_host.write("/etc/tried/word", "secret", 0o600)
    await shared_host.write("/opt/tried/tried.py", PROGRAM)
    await shared_host.write("/etc/systemd/system/tried.service", UNIT)
    await shared_host.run("systemctl", "start", "tried.service")
    found = json.loads(await shared_host.read("/srv/tried/found"))
    assert found.pop("uid") == int((await shared_host.run("id", "-u", "tried")).text)
    assert found.pop("/dev") != int((await shared_host.run("stat", "-c", "%d", "/dev")).text)
    assert found == {
        "word": "secret",
        "no new privileges": 1,
        "seccomp": 2,
        "capabilities": 0,
        "write elsewhere": "EROFS",
        "read root's": "EACCES",
        "write and execute": "EPERM",
        "unshare": "EPERM",
    }
    show = ("systemctl", "show", "tried.service", "--value", "--property")
    assert (await shared_host.run(*show, "StatusText")).text == "Tried"
    assert int((await shared_host.run(*show, "MemoryCurrent")).text) < 200 << 20

    # In one step: the program takes it away as soon as it is there.
    await shared_host.run("touch", "/srv/tried/silent")
    await shared_host.hear("tried.service", "Scheduled restart job")
    said = [entry["MESSAGE"] for entry in await shared_host.journal("tried.service")]
    assert "silent" in said
    assert any("Watchdog timeout" in message for message in said)


async def test_a_unit_may_not_have_more_memory_than_it_is_given(shared_host: TestHost) -> None:
    greedy = ("python3", "-c", "bytearray(1 << 30)")
    limited = ("systemd-run", "--wait", "--unit=greedy", "-p", "MemoryMax=50M")
    ended = await shared_host.run(*limited, *greedy, check=False)
    assert ended.returncode != 0
    result = await shared_host.run("systemctl", "show", "greedy", "--value", "--property", "Result")
    assert result.text in ("oom-kill", "signal")


async def test_clock_and_kernel_of_the_machine_it_runs_on_are_out_of_its_reach(
    shared_host: TestHost,
) -> None:
    for attempt in (
        ("sh", "-c", "echo 5 >/proc/sys/kernel/panic"),
        ("date", "--set", "2030-01-01"),
    ):
        assert (await shared_host.run(*attempt, check=False)).returncode != 0
    await shared_host.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")


async def test_an_engine_of_its_own_runs_a_project_and_runs_it_again_after_a_reboot(
    docker_host: TestHost,
) -> None:
    info = json.loads((await docker_host.run("docker", "info", "--format", "{{json .}}")).text)
    assert (info["Name"], info["Driver"]) == (docker_host.name, "overlay2")
    assert info["Containers"] == 0
    await docker_host.write("/srv/blog/site/index.html", "It works")
    await docker_host.write("/srv/blog/compose.yaml", COMPOSE)
    await docker_host.run("docker", "compose", "-f", "/srv/blog/compose.yaml", "up", "--detach")
    inspect = ("docker", "inspect", "--format")
    page = ("curl", "--silent", "--show-error", "--retry-connrefused", "--retry", "5")
    assert (await docker_host.run(*page, "http://127.0.0.1:18080/")).text == "It works"
    started = (await docker_host.run(*inspect, "{{.State.StartedAt}}", "blog-web-1")).text
    limit = await docker_host.run(*inspect, "{{.HostConfig.Memory}}", "blog-web-1")
    assert int(limit.text) == 50 << 20

    await docker_host.reboot()
    assert docker_host.failed == ()
    again = (await docker_host.run(*inspect, "{{.State.StartedAt}}", "blog-web-1")).text
    assert again > started
    assert (await docker_host.run(*page, "http://127.0.0.1:18080/")).text == "It works"
    before = [one["MESSAGE"] for one in await docker_host.journal("docker.service", boot=-1)]
    assert any("Daemon shutdown complete" in str(message) for message in before)


async def test_two_at_once_do_not_disturb_each_other() -> None:
    async with TestHost(BARE) as one, TestHost(BARE) as other:
        assert await one.read("/etc/machine-id") != await other.read("/etc/machine-id")
        for host in (one, other):
            await host.write("/etc/systemd/system/sleeper.service", SLEEPER)
            await host.run("systemctl", "start", "sleeper.service")
            (await host.listener(8080)).close()
        await one.run("systemctl", "stop", "sleeper.service")
        state = await one.run("systemctl", "is-active", "sleeper.service", check=False)
        assert state.text == "inactive"
        assert (await other.run("systemctl", "is-active", "sleeper.service")).text == "active"
        await one.kill()
        assert (await other.run("systemctl", "is-active", "sleeper.service")).text == "active"


async def test_what_listens_here_is_reached_from_there_where_the_test_says_so(
    bare_host: TestHost,
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")
        writer.close()

    listening = bound()
    port = port_of(listening)
    fetch = ("curl", "--silent", f"http://127.0.0.1:{port}/")
    server = await asyncio.start_server(answer, sock=listening)
    async with server:
        assert (await bare_host.run(*fetch, check=False)).returncode == 7
        async with bare_host.reaching(port):
            assert (await bare_host.run(*fetch)).text == "OK"
            await bare_host.reboot()
            assert (await bare_host.run(*fetch)).text == "OK"
        assert (await bare_host.run(*fetch, check=False)).returncode == 7


async def test_its_disk_can_be_filled(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        async with TestHost(BARE, mounts={"/var/lib/tried": disk.directory}) as host:
            await host.write("/var/lib/tried/first", "kept")
            disk.fill()
            full = await host.run("dd", "if=/dev/zero", "of=/var/lib/tried/more", check=False)
            assert b"No space left on device" in full.stderr
            disk.empty()
            await host.reboot()
            assert await host.read("/var/lib/tried/first") == b"kept"


async def test_nothing_is_left_of_one_that_is_gone() -> None:
    async with TestHost(BARE) as host:
        name = host.name
    left = await asyncio.create_subprocess_exec(
        *("docker", "ps", "--all", "--quiet", "--filter", f"name={name}"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert (await left.communicate())[0] == b""
    assert left.returncode == 0
