"""A Docker Engine of a test's own, which it may do anything to."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.builders import IMAGE

START_S = 60.0


class PrivateEngine:
    """A dockerd with its files in `directory`, and without a network for containers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log = (directory / "log").open("wb")
        self.socket = directory / "docker.sock"
        self.process = self._start()

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    def _start(self) -> subprocess.Popen[bytes]:
        where = self._directory
        return subprocess.Popen(
            [
                *("dockerd", "--host", self.address, "--pidfile", f"{where}/pid"),
                *("--data-root", f"{where}/data", "--exec-root", f"{where}/exec"),
                *("--bridge", "none", "--iptables=false", "--ip-masq=false"),
                *("--storage-driver", "vfs"),
            ],
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_S
        while self.docker("info").returncode != 0:
            assert self.process.poll() is None, (self._directory / "log").read_text()
            assert time.monotonic() < deadline, "the private engine does not start"
            time.sleep(0.05)

    def docker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "--host", self.address, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    def kill(self) -> None:
        """Kill it and its containerd, which where nobody reaps it would look alive for ever."""
        self.process.kill()
        self.process.wait()
        containerd = self._directory / "exec/containerd/containerd.pid"
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(containerd.read_text(encoding="ascii")), signal.SIGKILL)
        containerd.unlink()

    def start_again(self) -> None:
        """After `kill`: its containers live on without it, and it finds them again."""
        self.process = self._start()
        self.wait_until_it_answers()

    def remove(self) -> None:
        """End it and everything that it started."""
        if self.process.poll() is not None:
            self.start_again()
        self.process.send_signal(signal.SIGCONT)
        for container in self.docker("ps", "--all", "--quiet").stdout.split():
            self.docker("rm", "--force", container)
        self.process.terminate()
        self.process.wait(timeout=START_S)
        self._log.close()
        # One that was killed once has left its data directory mounted.
        subprocess.run(
            ["umount", "--lazy", f"{self._directory}/data"], capture_output=True, check=False
        )
        shutil.rmtree(self._directory, ignore_errors=True)


@contextlib.contextmanager
def private_engine(directory: Path) -> Iterator[PrivateEngine]:
    """One that has the test image, ended and removed afterwards with all that it runs."""
    private = PrivateEngine(directory)
    try:
        private.wait_until_it_answers()
        saved = subprocess.run(["docker", "save", IMAGE], capture_output=True, check=True)
        subprocess.run(
            ["docker", "--host", private.address, "load"],
            input=saved.stdout,
            capture_output=True,
            check=True,
        )
        yield private
    finally:
        private.remove()
