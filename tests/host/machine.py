"""Machines that a test boots: containers of the engine, in which systemd is PID 1.

`deploy/test-host.sh` makes what they boot from. Such a machine has a loopback and no other network; what
listens on the loopback of the machine that the tests run on is there for it where `reaching` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import secrets
import socket
import tarfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from tests.builders import IMAGE
from tests.host.relay import Relay
from tests.support.namespaces import inside
from tests.support.ports import bound

BARE: Final = "instadeploy-test-host:bare"
DOCKER: Final = "instadeploy-test-host:docker"
CLOUD: Final = "instadeploy-test-host:cloud"
"""With cloud-init besides; `make test-host` makes it."""
LABEL: Final = "instadeploy.test-host"
"""Carried by each machine: what a test run has left behind is found by it."""

BOOT_S: Final = 60.0
SHUT_DOWN_S: Final = 60.0
PATIENCE_S: Final = 60.0
_GRACE_S: Final = 10.0
_TIMED_OUT: Final = 124

# As much as the engine gives without --privileged, which it may refuse, but for the clock and the
# kernel: those are everybody's.
_LIKE_A_MACHINE: Final = (
    *("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"),
    *("--cap-drop", "SYS_TIME", "--cap-drop", "SYS_MODULE", "--cgroupns", "private"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--security-opt", "systempaths=unconfined"),
    *("--tmpfs", "/run:exec,mode=755", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec,mode=1777"),
)
# Neither knows the bus before systemd listens.
_BOOTED: Final = """
until [ -S /run/systemd/private ]; do sleep 0.05; done
exec systemctl is-system-running --wait
"""
_WRITE: Final = """
umask 077
mkdir -p -m 0755 "$(dirname "$1")"
cat >"$1"
chmod "$2" "$1"
"""
# Ends what follows the journal, too.
_HEAR: Final = """
exec {journal}< <(exec journalctl --follow --lines all --output cat --boot --unit "$1")
following=$!
status=0
grep --quiet --max-count 1 --fixed-strings -- "$2" <&"$journal" || status=$?
kill "$following"
exit "$status"
"""


@dataclass(frozen=True)
class Done:
    """What a program has come to."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """What it printed, without the end of the last line."""
        return self.stdout.decode(errors="replace").rstrip("\n")


class TestHost:
    """One machine. `mounts` are directories of this machine that it has, by where it has them.

    Everything on it stays over a reboot, but for what is in /run and /tmp.
    """

    __test__: ClassVar = False

    def __init__(self, image: str = BARE, *, mounts: Mapping[str, Path] | None = None) -> None:
        self.image = image
        self.name = f"test-host-{secrets.token_hex(4)}"
        self.failed: tuple[str, ...] = ()
        """The units that failed while it booted."""
        self._mounts = dict(mounts or {})
        self._id: str | None = None
        self._relays: list[Relay] = []

    @property
    def id(self) -> str:
        """What it is to the engine."""
        assert self._id is not None, "it was not started"
        return self._id

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.remove()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.remove()

    async def start(self) -> None:
        """Make it, and boot it."""
        volumes = [f"--volume={place}:{path}" for path, place in self._mounts.items()]
        if "/var/lib/docker" not in self._mounts:
            # The engine's file systems cannot lie on one another; this one is on a disk.
            volumes.append("--volume=/var/lib/docker")
        made = await _docker(
            *("create", "--name", self.name, "--hostname", self.name, "--network", "none"),
            *("--label", f"{LABEL}={os.getpid()}"),
            *(*_LIKE_A_MACHINE, *volumes, self.image),
        )
        self._id = made.text
        await self.boot()

    async def boot(self) -> None:
        """Switch it on, and return when systemd has started all there is to start."""
        await _docker("start", self.id)
        for relay in self._relays:
            await relay.listen(await self.listener(relay.port))
        state = await self.run("sh", "-c", _BOOTED, check=False, patience_s=BOOT_S)
        if state.text not in ("running", "degraded"):
            jobs = await self.run("systemctl", "list-jobs", "--no-pager", check=False)
            raise AssertionError(
                f"{self.name} does not boot: {state}\n{jobs.text}\n{await self._console()}"
            )
        listed = await self.run("systemctl", "list-units", "--failed", "--plain", "--no-legend")
        self.failed = tuple(line.split()[0] for line in listed.text.splitlines())

    async def shut_down(self) -> None:
        """Let systemd stop everything, and switch it off."""
        # systemd's own signal for it: of SIGTERM it thinks otherwise.
        await _docker("kill", "--signal", "RTMIN+3", self.id)
        await _docker("wait", self.id, patience_s=SHUT_DOWN_S)
        await self._hang_up()

    async def kill(self) -> None:
        """Cut its power."""
        await _docker("kill", self.id)
        await self._hang_up()

    async def reboot(self) -> None:
        await self.shut_down()
        await self.boot()

    async def remove(self) -> None:
        """Leave nothing of it; harmless where nothing is."""
        await self._hang_up()
        # By name, which is there before the engine has said the id.
        await _docker("rm", "--force", "--volumes", self._id or self.name, check=False)
        self._id = None

    async def run(
        self,
        *argv: str,
        given: bytes | str = b"",
        check: bool = True,
        patience_s: float = PATIENCE_S,
    ) -> Done:
        """Run a program there as root. One that takes too long is ended, and that is a failure."""
        done = await _docker(
            *("exec", "--interactive", self.id),
            *("timeout", "--kill-after", "5", str(patience_s), *argv),
            given=given.encode() if isinstance(given, str) else given,
            check=False,
            patience_s=patience_s + _GRACE_S,
        )
        if check:
            late = f", not within {patience_s} s" if done.returncode == _TIMED_OUT else ""
            said = (done.stdout + done.stderr).decode(errors="replace")
            assert done.returncode == 0, f"{' '.join(argv)}: {done.returncode}{late}: {said}"
        return done

    async def write(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        """Write a file, root's; its directory is made where it is missing."""
        await self.run("sh", "-euc", _WRITE, "sh", path, f"{mode:o}", given=content)

    async def read(self, path: str) -> bytes:
        return (await self.run("cat", "--", path)).stdout

    async def copy_in(self, source: Path, path: str) -> None:
        """Copy a file or a directory of this machine to where `path` says; root owns it there."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(source, arcname=path.lstrip("/"), filter=_as_root)
        await self.run("tar", "--extract", "--directory", "/", given=packed.getvalue())

    async def journal(self, unit: str, *, boot: int = 0) -> list[dict[str, Any]]:
        """What a unit's journal has of this boot, or of the one before (-1)."""
        await self.run("journalctl", "--sync")
        lines = await self.run(
            "journalctl", "--output", "json", "--boot", str(boot), "--unit", unit, "--no-pager"
        )
        return [json.loads(line) for line in lines.stdout.splitlines()]

    async def hear(self, unit: str, text: str, *, patience_s: float = PATIENCE_S) -> None:
        """Return when a line with this text is in the unit's journal of this boot."""
        await self.run("bash", "-euc", _HEAR, "bash", unit, text, patience_s=patience_s)

    async def load_test_image(self) -> None:
        """Give its engine the image of `deploy/test-image.sh`."""
        saved = await _docker("save", IMAGE)
        await self.run("docker", "load", given=saved.stdout)

    async def listener(self, port: int) -> socket.socket:
        """A socket bound to a port of its loopback, until it is switched off."""
        pid = (await _docker("inspect", "--format", "{{.State.Pid}}", self.id)).text
        with inside(Path("/proc", pid, "ns/net")):
            return bound(port)

    @contextlib.asynccontextmanager
    async def reaching(self, port: int) -> AsyncIterator[None]:
        """What listens on this port of this machine's loopback listens on the same one of its own.

        So an address such as http://127.0.0.1:8080 means the same on both. It stays so over a reboot,
        and afterwards all connections are cut.
        """
        relay = Relay(port)
        await relay.listen(await self.listener(port))
        self._relays.append(relay)
        try:
            yield
        finally:
            self._relays.remove(relay)
            await relay.close()

    async def _hang_up(self) -> None:
        for relay in self._relays:
            await relay.close()

    async def _console(self) -> str:
        said = await _docker("logs", "--tail", "30", self.id, check=False)
        return (said.stdout + said.stderr).decode(errors="replace")


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


async def _docker(
    *arguments: str, given: bytes = b"", check: bool = True, patience_s: float = PATIENCE_S
) -> Done:
    process = await asyncio.create_subprocess_exec(
        "docker",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(patience_s):
            stdout, stderr = await process.communicate(given)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    done = Done(process.returncode, stdout, stderr)
    said = stderr.decode(errors="replace")
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {said}"
    return done
