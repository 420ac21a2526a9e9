"""Folders as people keep them, deployed with `instadeploy`, and what lies on the host after that."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.docker.conftest import IMAGE
from tests.integration.project_folder.folders import Content, make
from tests.support.agent_process import running_agent
from tests.support.control_plane_process import running_control_plane

pytestmark = pytest.mark.xdist_group("cli-folders")

PATIENCE_S: Final = 120.0
HOST: Final = "web-1"
SENT_AS: Final = "docker-compose.yml"
KEPT_BY_AGENT: Final = ".instadeploy"
SERVICE: Final = f"""\
    image: {IMAGE}
    command: ["sleep", "3600"]
    init: true
    stop_grace_period: 0s
    network_mode: none
"""
SCRIPT: Final = "#!/bin/sh\ntest -r /srv/etc/app.conf || exit 9\nexec sleep 3600\n"
EVERY_BYTE: Final = bytes(range(256)) * 64


@dataclass(frozen=True)
class Folder:
    """A project as somebody has it: its files, how it is deployed, and what of it stays at home.

    `modes` has those that are not 0644. `env` is the file that becomes `.env`; `compose` the one that
    becomes `docker-compose.yml`, none where several are merged, of which `merged` is then known.
    """

    files: Mapping[str, Content]
    compose: str | None = "compose.yaml"
    env: str | None = None
    merged: Sequence[str] = ()
    at_home: frozenset[str] = frozenset()
    modes: Mapping[str, int] | None = None
    options: Sequence[str] = ()
    profiles: Sequence[str] = ()
    directory: str = "project"

    def expected(self) -> dict[str, tuple[bytes | None, int]]:
        """What has to be on the host, and nothing else; None for content that was merged."""
        modes = self.modes or {}
        gone = {*self.at_home, *self.merged, self.compose, self.env}
        found: dict[str, tuple[bytes | None, int]] = {
            path: (self._content(path), modes.get(path, 0o644))
            for path in self.files
            if path not in gone
        }
        compose = None if self.compose is None else self._content(self.compose)
        found[SENT_AS] = (compose, 0o644)
        if self.env is not None:
            found[".env"] = (self._content(self.env), 0o600)
        return found

    def _content(self, path: str) -> bytes:
        content = self.files[path]
        return content.encode() if isinstance(content, str) else content

    def made_in(self, parent: Path) -> Path:
        directory = make(parent / self.directory, self.files)
        for path, mode in (self.modes or {}).items():
            (directory / path).chmod(mode)
        return directory


FOLDERS: Final = {
    "a compose file alone": Folder(
        {
            "compose.yaml": f"services:\n  web:\n{SERVICE}",
            "README.md": "not sent",
            ".git/config": "not sent",
        },
        at_home=frozenset({"README.md", ".git/config"}),
    ),
    "variables, and files of services' own variables": Folder(
        {
            "docker-compose.yml": f"services:\n  web:\n{SERVICE}"
            "    env_file: [.env, env/web.env, {path: env/none.env, required: false}]\n"
            "    environment: {DB_PASSWORD: '${DB_PASSWORD:?}'}\n"
            "    hostname: ${NAME_OF_IT}\n"
            "    volumes:\n"
            "      - ./php.ini:/usr/local/etc/php.ini:ro\n"
            "      - ./docker-compose.yml:/srv/compose.yml:ro\n"
            "      - ./.env:/srv/env:ro\n",
            ".env": "NAME_OF_IT=shop\n# why not\nDB_PASSWORD='a $b \"c\"'\n",
            "env/web.env": "WORKERS=4\nMOTTO=it's ok\n",
            "php.ini": "upload_max_filesize = 64M\r\n",
            "notes.txt": "not sent",
        },
        compose="docker-compose.yml",
        env=".env",
        at_home=frozenset({"notes.txt"}),
    ),
    "secrets, configs and profiles": Folder(
        {
            "compose.yml": f"x-it: &it\n{SERVICE}services:\n"
            "  prometheus:\n    <<: *it\n    configs: [prometheus]\n"
            "    volumes: ['./rules:/etc/prometheus/rules:ro']\n"
            "  grafana:\n    <<: *it\n    profiles: [dashboards]\n    secrets: [admin]\n"
            "  never:\n    <<: *it\n    profiles: [never]\n    command: ['false']\n"
            "configs: {prometheus: {file: ./prometheus.yml}}\n"
            "secrets: {admin: {file: secrets/admin.txt}}\n",
            "prometheus.yml": "scrape_configs: []\n",
            "rules/a.yml": "groups: []\n",
            "rules/deep/er/b.yml": "groups: [b]\n",
            "secrets/admin.txt": "hunter2",
            "secrets/unused.txt": "not sent",
        },
        compose="compose.yml",
        at_home=frozenset({"secrets/unused.txt"}),
        modes={"secrets/admin.txt": 0o600},
        profiles=["dashboards"],
    ),
    "a compose file and its override": Folder(
        {
            "compose.yaml": f"services:\n  web:\n{SERVICE}    environment: {{A: one, B: '${{B}}'}}\n",
            "compose.override.yaml": "services:\n  web:\n    environment: {A: two}\n"
            "    volumes: ['./conf:/conf:ro']\n"
            f"  beside:\n{SERVICE}",
            ".env": "B=b\n",
            "conf/app.toml": "[a]\n",
        },
        compose=None,
        merged=["compose.yaml", "compose.override.yaml"],
        env=".env",
    ),
    "several compose files and env files that are named": Folder(
        {
            "base.yml": f"services:\n  web:\n{SERVICE}    env_file: [web.env]\n",
            "prod.yml": "services:\n  web:\n    environment: {WHERE: '${WHERE:?}'}\n"
            "    stop_signal: SIGKILL\n",
            "site.yml": "services:\n  web:\n    labels: {site: '$$here'}\n",
            "web.env": "W=1\n",
            ".env": "WHERE=nowhere\n",
            "prod.env": "WHERE=prod\n",
        },
        compose=None,
        merged=["base.yml", "prod.yml", "site.yml"],
        env="prod.env",
        at_home=frozenset({".env"}),
        options=["-f", "base.yml", "-f", "prod.yml", "-f", "site.yml", "--env-file", "prod.env"],
    ),
    "compose files that include and extend others": Folder(
        {
            "compose.yaml": "include:\n  - backend/compose.yaml\n"
            "  - {path: cache/redis.yml, env_file: cache/redis.env}\n"
            "services:\n  web:\n    extends: {file: common/base.yml, service: web}\n"
            "    env_file: [web.env]\n",
            "web.env": "W=1\n",
            "common/base.yml": "services:\n"
            "  web: {extends: root, volumes: ['./static:/static:ro'], label_file: labels}\n"
            f"  root:\n{SERVICE}    env_file: [base.env]\n",
            "common/static/index.html": "<html>\n",
            "common/labels": "a=b\n",
            "common/base.env": "B=1\n",
            "backend/compose.yaml": f"services:\n  api:\n{SERVICE}    volumes: ['./${{DIR}}:/d']\n",
            "backend/.env": "DIR=from-env\n",
            "backend/from-env/file": "f",
            "cache/redis.yml": f"services:\n  redis:\n{SERVICE}    hostname: redis-${{V}}\n"
            "    configs: [c]\nconfigs: {c: {file: ./redis.conf}}\n",
            "cache/redis.env": "V=7\n",
            "cache/redis.conf": "save ''\n",
        },
    ),
    "a whole project mounted, with mounts in mounts": Folder(
        {
            "docker-compose.yml": f"services:\n  web:\n{SERVICE}"
            "    volumes: ['.:/app', './src/static:/app/src/static:ro', './cache:/app/cache']\n",
            ".env": "A=1\n",
            "src/main.py": "main",
            "src/static/x.css": "css",
            "docker-compose.override.yml.off": "sent",
            "app/.env": "sent as well",
            "cache/.keep": "",
        },
        compose="docker-compose.yml",
        env=".env",
    ),
    "a script that is run": Folder(
        {
            "compose.yaml": f"services:\n  web:\n{SERVICE}"
            "    entrypoint: [/srv/bin/start]\n    volumes: ['./srv:/srv:ro']\n",
            "srv/bin/start": SCRIPT,
            "srv/bin/only-mine": SCRIPT,
            "srv/etc/app.conf": "listen = 1\n",
            "srv/etc/private.key": "-----BEGIN\n",
        },
        # What is for its owner alone is no less so there; one that is run is run by everybody.
        modes={"srv/bin/start": 0o755, "srv/etc/private.key": 0o600},
    ),
    "bytes that are no text, and text of every kind": Folder(
        {
            "compose.yaml": f"services:\n  web:\n{SERVICE}    volumes: ['./data:/data:ro']\n",
            "data/every-byte.bin": EVERY_BYTE,
            "data/nul": b"\0",
            "data/empty": b"",
            "data/latin-1.txt": "caf\u00e9".encode("latin-1"),
            "data/utf-16.txt": "caf\u00e9\n".encode("utf-16"),
            "data/bom.txt": b"\xef\xbb\xbfbom\n",
            "data/crlf.txt": b"a\r\nb\r\n\r\n",
            "data/no-end.txt": b"no newline at its end",
            "data/surrogate.txt": b"\xed\xa0\x80",
            "data/controls.txt": b"\x1b[31m\x07\x7f\x85\xe2\x80\xa8",
            "data/large.bin": EVERY_BYTE * 20,
        },
    ),
    "names with spaces and of all scripts": Folder(
        {
            "compose.yaml": f"services:\n  web:\n{SERVICE}    volumes:\n"
            "      - {type: bind, source: ./my data, target: /my data}\n"
            "      - ./donn\u00e9es:/donn\u00e9es:ro\n"
            "    configs: [c]\nconfigs: {c: {file: './it''s a [config] #1.conf'}}\n",
            "my data/a file with spaces.txt": "a",
            "my data/ leading, and trailing ": "b",
            "donn\u00e9es/\u00e9t\u00e9.txt": "composed",
            "donn\u00e9es/e\u0301te\u0301.txt": "decomposed: another file",
            "donn\u00e9es/\u65e5\u672c\u8a9e/\U0001f433.txt": "\U0001f433",
            "donn\u00e9es/quote'\"`$HOME;&|*?.txt": "never near a shell",
            "donn\u00e9es/back\\slash": "one name",
            "donn\u00e9es/-rf": "no option",
            "it's a [config] #1.conf": "c",
        },
        directory="Ann's pr\u00f6ject \U0001f433",
    ),
    "an image that is built": Folder(
        {
            "compose.yaml": f"services:\n  web:\n{SERVICE}".replace(
                f"image: {IMAGE}", "build: {context: ./app, dockerfile: ../docker/web.Dockerfile}"
            ),
            "docker/web.Dockerfile": f"FROM {IMAGE}\nCOPY . /app\nENV BUILT=1\n",
            "app/.dockerignore": "*.log\nnode_modules\n",
            "app/main.sh": SCRIPT,
            "app/big.log": "not sent",
            "app/node_modules/x/index.js": "not sent",
        },
        at_home=frozenset({"app/big.log", "app/node_modules/x/index.js"}),
        modes={"app/main.sh": 0o755},
    ),
    "files that no key names": Folder(
        {
            "compose.yaml": f"services:\n  web:\n{SERVICE}",
            "migrations/1.sql": "1",
            "migrations/2.sql": "2",
            "VERSION": "3",
            "other": "not sent",
        },
        at_home=frozenset({"other"}),
        options=["--file", "migrations", "--file", "VERSION"],
    ),
}


@dataclass(frozen=True)
class Site:
    """A control plane and a host, which is online, and an operator's place."""

    url: str
    token: str
    projects: Path
    home: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command line, somewhere else than where the project is."""
        return subprocess.run(
            [sys.executable, "-I", "-m", "entrypoints.cli", *arguments],
            cwd=self.home,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "INSTADEPLOY_CONFIG": str(self.home / "config" / "config.json"),
                "INSTADEPLOY_TOKEN_STORE": "file",
                "INSTADEPLOY_URL": self.url,
                "INSTADEPLOY_TOKEN": self.token,
                "PYTHONWARNINGS": "error",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def ok(self, *arguments: str) -> Any:
        """One that must succeed; the document that it prints."""
        ran = self.run(*arguments, "-o", "json")
        assert (ran.returncode, ran.stderr) == (0, ""), ran
        return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all folders: each has a project of its own."""
    homes = {name: tmp_path_factory.mktemp(f"cli-{name}") for name in ("plane", "host", "operator")}
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()

        async def begin() -> Site:
            plane = await stack.enter_async_context(running_control_plane(homes["plane"]))
            site = Site(plane.url, plane.token, homes["host"] / "projects", homes["operator"])
            made = await asyncio.to_thread(site.ok, "hosts", "enroll", HOST)
            settings = {
                "AGENT_ENROLL_TOKEN": made["token"],
                "AGENT_CONTROL_PLANE_KEY": made["control_plane_key"],
            }
            await stack.enter_async_context(
                running_agent(
                    homes["host"], server_url=plane.agents_url, token=None, settings=settings
                )
            )
            async with plane.client() as client, asyncio.timeout(PATIENCE_S):
                while True:
                    if (await client.get(f"/hosts/{HOST}")).json().get("online") is True:
                        return site
                    await asyncio.sleep(0.05)

        try:
            yield runner.run(begin())
        finally:
            runner.run(stack.aclose())


def on_host(directory: Path) -> dict[str, tuple[bytes, int]]:
    """What is in a project's directory there, by path: content and mode."""
    found = {}
    for path in directory.rglob("*"):
        within = path.relative_to(directory)
        assert not path.is_symlink(), within
        if path.is_file() and not within.parts[0].startswith(KEPT_BY_AGENT):
            found[str(within)] = (path.read_bytes(), path.stat().st_mode & 0o7777)
    return found


def model(
    directory: Path, name: str, *, options: Sequence[str] = (), profiles: Sequence[str] = ()
) -> Any:
    """What Docker Compose makes of a directory, wherever that is."""
    chosen = [argument for profile in profiles for argument in ("--profile", profile)]
    ran = subprocess.run(
        ["docker", "compose", *options, *chosen, "-p", name, "config", "--format", "json"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout.replace(str(directory), "THERE"))


@pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS.keys())
def test_what_is_on_the_host_is_what_was_in_the_folder(
    site: Site, project_name: str, tmp_path: Path, folder: Folder
) -> None:
    directory = folder.made_in(tmp_path)
    there = site.projects / project_name
    profiles = [argument for one in folder.profiles for argument in ("--profile", one)]
    options = [
        str(directory / one) if one in folder.files or (directory / one).is_dir() else one
        for one in folder.options
    ]
    try:
        made = site.ok("deploy", HOST, project_name, "-C", str(directory), *options, *profiles)
        assert made["jobs_by_state"] == {"succeeded": 1}
        assert made["jobs"][0]["result"]["data"]["revision"] == 1

        found, expected = on_host(there), folder.expected()
        assert sorted(found) == sorted(expected)
        assert {path: mode for path, (_, mode) in found.items()} == {
            path: mode for path, (_, mode) in expected.items()
        }
        for path, (content, _) in expected.items():
            if content is not None:
                assert found[path][0] == content, path

        compose_options = [one for one in folder.options if not one.startswith("--file")]
        if "--file" in folder.options:
            compose_options = []
        here = model(directory, project_name, options=compose_options, profiles=folder.profiles)
        assert model(there, project_name, profiles=folder.profiles) == here
        status = site.ok("status", HOST, project_name)
        assert (status["wanted"]["revision"], status["drift"]) == (1, [])
    finally:
        site.ok("remove", HOST, project_name, "--yes")
        if "build" in str(folder.files[folder.compose or folder.merged[0]]):
            built = f"{project_name}-web"
            subprocess.run(["docker", "rmi", built], capture_output=True, check=False)
    assert not there.exists()


def test_a_second_deployment_takes_away_what_is_not_in_the_folder_any_more(
    site: Site, project_name: str, tmp_path: Path
) -> None:
    files: dict[str, Content] = {
        "compose.yaml": f"services:\n  web:\n{SERVICE}    volumes: ['./conf:/conf:ro']\n",
        "conf/old": "old",
        "conf/same": "same",
        "conf/changes": "before",
        ".env": "A=1\n",
    }
    directory = make(tmp_path / "project", files)
    try:
        site.ok("deploy", HOST, project_name, "-C", str(directory))
        shutil.rmtree(directory)
        del files["conf/old"]
        files |= {"conf/changes": "after", "conf/new/er": "new", ".env": "A=2\n"}
        folder = Folder(files, env=".env", modes={"conf/same": 0o600})
        site.ok("deploy", HOST, project_name, "-C", str(folder.made_in(tmp_path)))
        assert on_host(site.projects / project_name) == folder.expected()
        site.ok("rollback", HOST, project_name)
        found = on_host(site.projects / project_name)
        assert found["conf/old"] == (b"old", 0o644)
        assert found["conf/same"] == (b"same", 0o644)
        assert found["conf/changes"] == (b"before", 0o644)
        assert found[".env"] == (b"A=1\n", 0o600)
        assert "conf/new/er" not in found
    finally:
        site.ok("remove", HOST, project_name, "--yes")
