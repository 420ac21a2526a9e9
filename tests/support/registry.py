"""A registry of images on loopback that wants a user name and a password: Debian's docker-registry."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
_CONFIG = """\
version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {directory}/images}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: test, path: {directory}/htpasswd}}}}
"""


class Registry:
    """What it holds is in `directory`, and there when it is started again, on the same port.

    Docker needs no TLS for 127.0.0.0/8. `user` may do everything, and so may whom `add_user` adds.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.user = "admin"
        self.password = secrets.token_hex(8)
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        (directory / "htpasswd").touch(0o600)
        self.add_user(self.user, self.password)

    @property
    def name(self) -> str:
        """What images of it begin with, and what logins are for."""
        return f"127.0.0.1:{self._port}"

    def add_user(self, user: str, password: str) -> None:
        """Let somebody in, or give them another password; it counts at once."""
        line = subprocess.run(
            ["htpasswd", "-niBC", "4", user],
            input=password,
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        path = self.directory / "htpasswd"
        others = [one for one in path.read_text().splitlines() if not one.startswith(f"{user}:")]
        path.write_text("\n".join([*others, line]) + "\n")

    def start(self) -> None:
        """Return when it listens."""
        assert self._process is None
        config = self.directory / "config.yml"
        config.write_text(_CONFIG.format(directory=self.directory, port=self._port))
        self._process = subprocess.Popen(
            ["docker-registry", "serve", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if (found := _LISTENING.search(line)) is not None:
                self._port = int(found[1])
                break
        else:
            self.stop()
            raise AssertionError(f"docker-registry does not start: {''.join(said)}")
        threading.Thread(target=_drain, args=[self._process.stderr], daemon=True).start()

    def stop(self) -> None:
        """Be down, until it is started again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def push(self, image: str, name: str) -> str:
        """Put an image of the engine's into it; returns what it is called there."""
        reference = f"{self.name}/{name}"
        with tempfile.TemporaryDirectory() as config:
            docker = ["docker", "--config", config]
            login = [*docker, "login", "--username", self.user, "--password-stdin", self.name]
            _run(login, self.password)
            _run([*docker, "tag", image, reference])
            try:
                _run([*docker, "push", "--quiet", reference])
            finally:
                _run([*docker, "rmi", "--no-prune", reference])
        return reference


@contextlib.contextmanager
def running_registry() -> Iterator[Registry]:
    """One that listens on a port of its own, and is gone with all it holds afterwards."""
    assert shutil.which("docker-registry"), "run deploy/ensure-registry.sh"
    with tempfile.TemporaryDirectory(prefix="registry-") as directory:
        registry = Registry(Path(directory))
        registry.start()
        try:
            yield registry
        finally:
            registry.stop()


def _drain(stream: IO[str]) -> None:
    with contextlib.suppress(ValueError), stream:
        for _ in stream:
            pass


def _run(command: list[str], given: str = "") -> None:
    ended = subprocess.run(
        command, input=given, capture_output=True, check=False, text=True, timeout=120
    )
    assert ended.returncode == 0, f"{command[3:]}: {ended.stdout}{ended.stderr}"
