"""install.sh as it runs: what it refuses, what it installs, to whom it gives the token, what it leaves."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from entrypoints.control_plane.agent_file import AgentDigest
from entrypoints.control_plane.rest.install_script import ScriptFacts, rendered
from tests.integration.installing.sandbox import DEBIAN_12, TOKEN, Ran, Sandbox
from tests.support.control_plane_parts import KEY

CA = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"


@dataclass
class Source:
    """What gives the agent away."""

    url: str
    content: bytes = b""
    declared: int | None = None
    """The length it says it has."""
    status: int = 200
    is_slow: bool = False
    asked: int = 0
    ahead_s: float = 0.0
    """Of the machine's clock."""

    def script(self, ca_pem: str = "", *, digest_of: bytes | None = None) -> str:
        content = self.content if digest_of is None else digest_of
        digest = AgentDigest(hashlib.sha256(content).hexdigest(), len(content))
        return rendered(ScriptFacts(self.url, KEY, digest, time.time() + self.ahead_s, ca_pem))


@pytest.fixture
def source() -> Iterator[Source]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked += 1
            self.send_response(found.status)
            length = len(found.content) if found.declared is None else found.declared
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if found.is_slow:
                self.wfile.flush()
                ended.wait(60)
            with contextlib.suppress(OSError):
                self.wfile.write(found.content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    ended = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Source(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            ended.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def machine(tmp_path: Path, source: Source) -> Sandbox:
    machine = Sandbox(tmp_path)
    source.content = machine.agent()
    return machine


def check_refused(machine: Sandbox, ran: Ran, *words: str) -> None:
    """It has said why, and the machine is as it was."""
    assert ran.code != 0, ran
    for word in words:
        assert word in ran.said
    assert TOKEN not in ran.said + ran.out
    assert machine.told is None
    assert machine.changes == []
    assert machine.is_clean()


class TestWhereAllIsThere:
    def test_the_agent_gets_what_it_needs_and_nothing_else_is_done(
        self, machine: Sandbox, source: Source
    ) -> None:
        ran = machine.run(source.script())
        assert ran.code == 0, ran
        assert "the agent speaks" in ran.out
        assert ran.said.endswith("install.sh: done\n")
        told = machine.told
        assert told is not None
        assert told["arguments"] == [
            "install",
            "--server-url",
            source.url.replace("http", "ws") + "/ws",
            "--control-plane-key",
            told["arguments"][4],
        ]
        assert told["arguments"][4].startswith("sha256:")
        assert told["environment"]["INSTADEPLOY_ENROLL_TOKEN"] == TOKEN
        assert told["stdin"] == ""
        assert told["mode"] == "0o700"
        assert machine.changes == []
        assert machine.is_clean()

    def test_certificates_to_trust_are_handed_on(self, machine: Sandbox, source: Source) -> None:
        assert machine.run(source.script(CA)).code == 0
        told = machine.told
        assert told is not None
        assert told["ca"] == CA + "\n"
        assert "--cacert" in "\n".join(machine.calls)

    def test_the_token_is_no_argument_and_in_no_other_environment(
        self, tmp_path: Path, source: Source
    ) -> None:
        machine = Sandbox(tmp_path, has_docker=False, has_python=False)
        source.content = machine.agent()
        ran = machine.run("set -a\n" + source.script())
        assert ran.code == 0, ran
        assert {"apt-get", "curl", "docker", "systemctl"} <= {
            one.split()[0] for one in machine.calls
        }
        assert TOKEN not in machine.environments + "\n".join(machine.calls) + ran.said + ran.out
        assert machine.told is not None
        assert TOKEN not in " ".join(machine.told["arguments"])

    def test_what_the_agent_ends_with_is_told_and_nothing_is_left(
        self, machine: Sandbox, source: Source
    ) -> None:
        source.content = machine.agent(code=7)
        ran = machine.run(source.script())
        assert ran.code == 7
        assert "instadeploy hosts enroll" in ran.said
        assert machine.is_clean()

    def test_wget_will_do(self, machine: Sandbox, source: Source) -> None:
        (machine.bin / "curl").unlink()
        # Not /usr/bin, where curl is.
        (machine.bin / "wget").symlink_to(str(shutil.which("wget")))
        ran = machine.run(source.script())
        assert ran.code == 0, ran
        assert machine.told is not None


class TestWhatIsRefused:
    def test_no_token(self, machine: Sandbox, source: Source) -> None:
        machine.variables = {}
        ran = machine.run(source.script())
        check_refused(machine, ran, "INSTADEPLOY_ENROLL_TOKEN='ide_...' sh", "hosts enroll NAME")

    def test_who_is_not_root(self, machine: Sandbox, source: Source) -> None:
        (machine.bin / "id").unlink()
        machine.stand_in("id", "echo 1000")
        check_refused(machine, machine.run(source.script()), "become root first (sudo -i)")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
    def test_nobody(self, source: Source) -> None:
        source.content = b"x"
        ran = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh"],
            input=source.script(),
            env={"PATH": "/usr/bin:/bin", "INSTADEPLOY_ENROLL_TOKEN": TOKEN},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 1
        assert "this needs root" in ran.stderr
        assert source.asked == 0

    def test_no_systemd(self, machine: Sandbox, source: Source) -> None:
        machine.has_systemd = False
        check_refused(machine, machine.run(source.script()), "systemd does not run here")

    @pytest.mark.parametrize(
        ("ahead_s", "words"),
        [(90_100, "25 hours behind"), (-90_100, "25 hours ahead of"), (-1_800_000_000, "ahead of")],
    )
    def test_a_clock_that_is_off_by_a_day(
        self, machine: Sandbox, source: Source, ahead_s: float, words: str
    ) -> None:
        source.ahead_s = ahead_s
        check_refused(machine, machine.run(source.script()), words, "timedatectl")
        assert source.asked == 0

    def test_a_clock_that_is_off_by_minutes_is_said(self, machine: Sandbox, source: Source) -> None:
        source.ahead_s = -630
        ran = machine.run(source.script())
        assert ran.code == 0, ran
        assert "10 minutes ahead of" in ran.said

    @pytest.mark.parametrize(("tool", "body", "word"), [
        ("uname", "echo FreeBSD", "FreeBSD"),
        ("dpkg", "echo armhf", "armhf"),
    ])  # fmt: skip
    def test_another_kind_of_system(
        self, machine: Sandbox, source: Source, tool: str, body: str, word: str
    ) -> None:
        (machine.bin / tool).unlink()
        machine.stand_in(tool, body)
        check_refused(machine, machine.run(source.script()), word)

    def test_no_space(self, machine: Sandbox, source: Source) -> None:
        machine.opt_kib = 1024
        check_refused(machine, machine.run(source.script()), "/opt has 1024 KiB free", "make room")

    @pytest.mark.parametrize(
        "release",
        [
            "ID=fedora\nVERSION_ID=43\n",
            "ID=debian\nVERSION_ID=11\n",
            "ID=ubuntu\nVERSION_ID=22.04\n",
        ],
    )
    def test_a_system_on_which_something_is_missing_and_cannot_be_installed(
        self, tmp_path: Path, source: Source, release: str
    ) -> None:
        machine = Sandbox(tmp_path, has_docker=False, has_python=False, os_release=release)
        source.content = machine.agent()
        ran = machine.run(source.script())
        check_refused(machine, ran, "Python 3.11 or newer", "Docker Engine with Compose 2.20")
        assert source.asked == 0

    @pytest.mark.parametrize("option", ["--tken", "ide_secret"])
    def test_an_option_that_it_does_not_know(
        self, machine: Sandbox, source: Source, option: str
    ) -> None:
        ran = machine.run(source.script(), option)
        check_refused(machine, ran, "usage: ")
        assert ran.code == 2
        assert option not in ran.said

    def test_another_file(self, machine: Sandbox, source: Source) -> None:
        script = source.script(digest_of=source.content.replace(b"speaks", b"SPEAKS"))
        check_refused(machine, machine.run(script), "nothing of it was run", "run the line again")

    @pytest.mark.parametrize("length", [0, 100])
    def test_a_shorter_one(self, machine: Sandbox, source: Source, length: int) -> None:
        script = source.script()
        source.content = source.content[:length]
        check_refused(machine, machine.run(script), "nothing of it was run")

    def test_a_longer_one(self, machine: Sandbox, source: Source) -> None:
        script = source.script()
        source.content += b"#" * 1000
        check_refused(machine, machine.run(script), "could not be fetched")

    def test_a_download_that_is_cut(self, machine: Sandbox, source: Source) -> None:
        script = source.script()
        source.declared, source.content = len(source.content), source.content[:-10]
        check_refused(machine, machine.run(script), "could not be fetched", source.url)

    def test_a_control_plane_that_has_none_any_more(self, machine: Sandbox, source: Source) -> None:
        source.status = 404
        check_refused(machine, machine.run(source.script()), "404", "could not be fetched")

    def test_nobody_answers(self, machine: Sandbox, source: Source) -> None:
        script = source.script().replace(source.url, "http://127.0.0.1:1")
        check_refused(machine, machine.run(script), "could not be fetched from")


class TestWhatIsInstalled:
    @pytest.fixture
    def bare(self, tmp_path: Path, source: Source) -> Sandbox:
        machine = Sandbox(tmp_path, has_docker=False, has_python=False)
        source.content = machine.agent()
        return machine

    def installed(self, machine: Sandbox) -> list[str]:
        found = [one.split(" install ")[1] for one in machine.changes if " install " in one]
        return [" ".join(Path(word).name for word in one.split()) for one in found]

    @pytest.mark.parametrize(
        ("release", "packages"),
        [
            (DEBIAN_12, ["python3", "docker.io iptables", "docker-compose_1_all.deb"]),
            (
                "ID=debian\nVERSION_ID=13\n",
                ["python3", "docker.io iptables docker-cli docker-compose"],
            ),
            ("ID=debian\n", ["python3", "docker.io iptables docker-cli docker-compose"]),
            ("ID=ubuntu\nVERSION_ID=24.04\n", ["python3", "docker.io iptables docker-compose-v2"]),
        ],
    )
    def test_packages_are_the_distributions_and_are_said_before(
        self, bare: Sandbox, source: Source, release: str, packages: list[str]
    ) -> None:
        bare.os_release = release
        ran = bare.run(source.script())
        assert ran.code == 0, ran
        assert self.installed(bare) == packages
        assert "systemctl enable --now docker" in bare.changes
        before = ran.said.partition("install.sh: installing ")[0]
        assert "python3 will be installed" in before
        assert "docker.io iptables" in before
        assert bare.told is not None
        assert bare.is_clean()

    def test_the_file_is_verified_before_anything_is_installed(
        self, bare: Sandbox, source: Source
    ) -> None:
        check_refused(bare, bare.run(source.script(digest_of=b"x" * len(source.content))))

    def test_docker_is_left_alone_where_that_is_said(self, bare: Sandbox, source: Source) -> None:
        ran = bare.run(source.script(), "--no-docker")
        assert ran.code == 0, ran
        assert self.installed(bare) == ["python3"]
        assert not any(one.startswith("docker") for one in bare.calls)

    @pytest.mark.parametrize("version", ["2.19.1", "1.29.2"])
    def test_an_old_compose_is_replaced(
        self, machine: Sandbox, source: Source, version: str
    ) -> None:
        machine.compose_is(version)
        assert machine.run(source.script()).code == 0
        assert self.installed(machine) == ["docker-compose_1_all.deb"]

    def test_an_engine_that_does_not_run_is_started(self, machine: Sandbox, source: Source) -> None:
        (machine.home / "engine").unlink()
        assert machine.run(source.script()).code == 0
        assert machine.changes[-1] == "systemctl enable --now docker"

    def test_where_apt_fails_it_says_so_and_the_next_run_goes_on(
        self, bare: Sandbox, source: Source
    ) -> None:
        (bare.home / "apt-fails").touch()
        ran = bare.run(source.script())
        assert ran.code == 1
        assert "E: no" in ran.said
        assert "could not install python3" in ran.said
        assert bare.told is None
        assert bare.is_clean()
        (bare.home / "apt-fails").unlink()
        assert bare.run(source.script()).code == 0
        assert bare.told is not None

    def test_nothing_that_is_there_is_removed(self, bare: Sandbox, source: Source) -> None:
        (bare.home / "in-the-way").write_text(
            "Remv containerd.io [1.7.1-1]\nRemv docker-ce-cli [5:27]\n"
            "Inst containerd (1.6 Debian:12)\nConf containerd (1.6 Debian:12)\n"
        )
        ran = bare.run(source.script())
        assert ran.code == 1
        assert "E: remove is disabled" in ran.said
        last = ran.said.splitlines()[-1]
        assert "apt would remove containerd.io docker-ce-cli, which this machine may need" in last
        assert "--no-docker" in last
        assert "by hand" in last
        assert self.installed(bare)[0] == "python3"
        assert all(" --no-remove " in one for one in bare.calls if one.startswith("apt-get -qq"))
        assert not (bare.bin / "docker").exists()
        assert bare.told is None
        assert bare.is_clean()
        assert bare.run(source.script(), "--no-docker").code == 0

    def test_another_system_will_do_where_all_is_there(
        self, machine: Sandbox, source: Source
    ) -> None:
        machine.os_release = "ID=fedora\nVERSION_ID=43\n"
        (machine.bin / "apt-get").unlink()
        assert machine.run(source.script()).code == 0


class TestDryRun:
    def test_nothing_is_done_and_no_token_is_needed(self, tmp_path: Path, source: Source) -> None:
        machine = Sandbox(tmp_path, has_docker=False, variables={})
        source.content = machine.agent()
        ran = machine.run(source.script(), "--dry-run")
        assert ran.code == 0, ran
        assert "Docker will be installed" in ran.said
        assert ran.said.endswith("nothing was done (--dry-run)\n")
        assert machine.told is not None
        assert machine.told["arguments"][-1] == "--dry-run"
        assert machine.changes == []
        assert machine.is_clean()

    def test_without_a_python_the_agent_cannot_be_asked(
        self, tmp_path: Path, source: Source
    ) -> None:
        machine = Sandbox(tmp_path, has_python=False)
        source.content = machine.agent()
        ran = machine.run(source.script(), "--dry-run")
        assert ran.code == 0, ran
        assert "python3 will be installed" in ran.said
        assert machine.told is None
        assert machine.changes == []

    def test_help_says_what_there_is(self, machine: Sandbox, source: Source) -> None:
        ran = machine.run(source.script(), "--help")
        assert ran.code == 0
        for option in ("--no-docker", "--dry-run", "--help"):
            assert option in ran.out
        assert source.asked == 0


class TestInterrupted:
    def until(self, source: Source, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 30
        while source.asked == 0:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_nothing_is_left_of_one_that_was_interrupted(
        self, machine: Sandbox, source: Source, number: signal.Signals
    ) -> None:
        source.is_slow = True
        process = machine.start(source.script())
        self.until(source, process)
        os.killpg(process.pid, number)
        assert machine.end(process).code == 128 + number
        assert machine.is_clean()
        assert machine.told is None
        source.is_slow = False
        assert machine.run(source.script()).code == 0

    def test_what_a_killed_one_has_left_goes_with_a_later_one(
        self, machine: Sandbox, source: Source
    ) -> None:
        source.is_slow = True
        process = machine.start(source.script())
        self.until(source, process)
        os.killpg(process.pid, signal.SIGKILL)
        machine.end(process)
        (left,) = machine.opt.iterdir()
        source.is_slow = False
        assert machine.run(source.script()).code == 0
        assert list(machine.opt.iterdir()) == [left]  # Another run may use it.
        os.utime(left, (0, 0))
        assert machine.run(source.script()).code == 0
        assert machine.is_clean()
