"""A machine to run install.sh on: in namespaces of its own, where it is root and sees what a test lays out.

Commands that would change a system are stand-ins that note how they were called, and with what in their
environment. All else is real: sh, curl, sha256sum, df, the kernel.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

PATIENCE_S: Final = 120
TOKEN: Final = "ide_" + "t" * 43
DEBIAN_12: Final = 'PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="12"\n'
TOOLS: Final = (
    "awk", "cat", "chmod", "cut", "date", "df", "dpkg", "env", "find", "grep", "head", "id", "mkdir",
    "mktemp", "rm", "sed", "sh", "sha256sum", "sleep", "sort", "timeout", "tr", "uname", "wc",
)  # fmt: skip

AGENT: Final = """\
import json, os, sys
named = dict(zip(sys.argv[2::2], sys.argv[3::2]))
ca = named.get("--ca-file")
told = {{"arguments": sys.argv[1:], "environment": dict(os.environ), "stdin": sys.stdin.read()}}
told["ca"] = open(ca).read() if ca else None
told["mode"] = oct(os.stat(os.path.dirname(os.path.abspath(__file__))).st_mode & 0o777)
json.dump(told, open({told!r}, "w"))
print("the agent speaks")
sys.exit({code})
"""
SETTING_UP: Final = """\
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount --bind "$HOME_OF_TEST/os-release" /etc/os-release
if [ "$OPT_KIB" = 0 ]; then mount --bind "$HOME_OF_TEST/opt" /opt
else mount -t tmpfs -o size="${OPT_KIB}k" tmpfs /opt; fi
mount -t tmpfs tmpfs /run
[ "$HAS_SYSTEMD" = 0 ] || mkdir -p /run/systemd/system
PATH=$HOME_OF_TEST/bin
unset HOME_OF_TEST OPT_KIB HAS_SYSTEMD
exec sh -s -- "$@"
"""
NOTING: Final = """\
#!/bin/sh
printf '%s\\n' "{name} $*" >>{home}/calls
env >>{home}/environments
{body}
"""
APT_GET: Final = """\
case " $* " in
    *" indextargets "*) echo http://archive.example/debian; exit 0 ;;
    *" download "*) : >docker-compose_1_all.deb ;;
    *" --simulate "*) [ ! -e {home}/in-the-way ] || /bin/cat {home}/in-the-way; exit 0 ;;
    *" --no-remove "*" docker.io "*)
        [ ! -e {home}/in-the-way ] || {{ echo "E: remove is disabled"; exit 100; }} ;;
esac
case " $* " in
    *" install "*) [ ! -e {home}/apt-fails ] || {{ echo "E: no"; exit 100; }} ;;
esac
case " $* " in *" python3 "*) /bin/ln -sf {python} {bin}/python3 ;; esac
case " $* " in *" docker.io "*) /bin/cp {home}/docker {bin}/docker ;; esac
case " $* " in *docker-compose*.deb*|*" docker-compose-v2 "*|*" docker-compose "*)
    echo 2.26.1-4 >{home}/compose ;;
esac
"""
DOCKER: Final = """\
case "$*" in
    version*) [ -e {home}/engine ] ;;
    "compose version --short") cat {home}/compose ;;
esac
"""


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    said: str


@dataclass
class Sandbox:
    """`has_docker` and `has_python` are whether the machine has them to begin with."""

    home: Path
    has_docker: bool = True
    has_python: bool = True
    os_release: str = DEBIAN_12
    has_systemd: bool = True
    opt_kib: int = 0
    """How large /opt is; 0 for as large as the disk is."""
    variables: dict[str, str] = field(default_factory=lambda: {"INSTADEPLOY_ENROLL_TOKEN": TOKEN})

    def __post_init__(self) -> None:
        self.bin, self.opt = self.home / "bin", self.home / "opt"
        self.bin.mkdir()
        self.opt.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        for name, body in (
            ("apt-get", APT_GET),
            ("apt-cache", ""),
            ("systemctl", f"/bin/touch {self.home}/engine"),
            ("curl", f'exec {shutil.which("curl")} "$@"'),
        ):
            self.stand_in(name, body)
        self._write(self.home / "docker", "docker", DOCKER)
        if self.has_docker:
            shutil.copy(self.home / "docker", self.bin / "docker")
            self.compose_is("2.26.1-4")
            (self.home / "engine").touch()
        if self.has_python:
            (self.bin / "python3").symlink_to(sys.executable)

    def stand_in(self, name: str, body: str) -> None:
        self._write(self.bin / name, name, body)

    def compose_is(self, version: str) -> None:
        (self.home / "compose").write_text(version + "\n")

    def agent(self, code: int = 0) -> bytes:
        """A single file in the place of the agent, that notes what it is called with."""
        return AGENT.format(told=str(self.home / "told.json"), code=code).encode()

    @property
    def told(self) -> dict[str, Any] | None:
        """What the agent was called with; None where it was not."""
        path = self.home / "told.json"
        return json.loads(path.read_text()) if path.exists() else None

    @property
    def calls(self) -> list[str]:
        path = self.home / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def changes(self) -> list[str]:
        """The calls that would have changed the machine."""
        return [one for one in self.calls if one.split()[0] in ("apt-get", "systemctl")]

    @property
    def environments(self) -> str:
        path = self.home / "environments"
        return path.read_text() if path.exists() else ""

    def start(self, script: str | None, *arguments: str) -> subprocess.Popen[str]:
        """The script, as it comes out of a pipe."""
        (self.home / "os-release").write_text(self.os_release)
        environment = {
            "PATH": str(self.bin),
            "HOME": str(self.home),
            "HOME_OF_TEST": str(self.home),
            "OPT_KIB": str(self.opt_kib),
            "HAS_SYSTEMD": str(int(self.has_systemd)),
            **self.variables,
        }
        env, unshare = shutil.which("env"), shutil.which("unshare")
        assert env
        assert unshare
        # Whoever runs the tests in the background, or under nohup, ignores these.
        own = [env, "--default-signal=INT,HUP", unshare, "--mount", "--map-root-user"]
        process = subprocess.Popen(
            [*own, "/bin/sh", "-c", SETTING_UP, "install.sh", *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        if script is not None:
            assert process.stdin is not None
            process.stdin.write(script)
            process.stdin.close()
            process.stdin = None
        return process

    def run(self, script: str, *arguments: str) -> Ran:
        return self.end(self.start(script, *arguments))

    def end(self, process: subprocess.Popen[str]) -> Ran:
        """Wait for its end; what does not come to one is killed."""
        try:
            out, said = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return Ran(process.returncode, out, said)

    def is_clean(self) -> bool:
        """Whether nothing is left where the agent was fetched to."""
        return list(self.opt.iterdir()) == []

    def _write(self, path: Path, name: str, body: str) -> None:
        places = {"home": self.home, "bin": self.bin, "python": sys.executable}
        filled = body.format(**places) if body in (APT_GET, DOCKER) else body
        path.write_text(NOTING.format(name=name, body=filled, home=self.home))
        path.chmod(0o755)
