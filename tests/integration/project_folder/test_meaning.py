"""What was collected means to Compose, in another directory, what the folder meant."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from adapters.project_folder.collecting import collect
from domain.collecting import CollectedProject
from tests.integration.project_folder.folders import Content, make


def resolved(directory: Path) -> str:
    """What the real Docker Compose, which asks no engine for that, makes of a folder."""
    docker = shutil.which("docker")
    assert docker
    done = subprocess.run(
        [docker, "compose", "--project-name", "x", "--profile", "*", "config"],
        cwd=directory, env={"PATH": os.environ["PATH"], "HOME": "/nowhere"}, timeout=60,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.replace(str(directory), "")


def placed(project: CollectedProject, directory: Path) -> Path:
    """As the agent puts it down."""
    files: dict[str, Content] = {file.path: file.content for file in project.files}
    files["docker-compose.yml"] = project.compose
    if project.env is not None:
        files[".env"] = project.env
    return make(directory, files)


def test_a_project_of_many_files_means_the_same_elsewhere(tmp_path: Path) -> None:
    here = make(
        tmp_path / "here",
        {
            "compose.yaml": """
x-common: &common {restart: always, env_file: [common.env]}
include: [backend/compose.yaml, {path: cache/redis.yml, env_file: cache/redis.env}]
services:
  web:
    <<: *common
    extends: {file: common/base.yml, service: web}
    build: {context: ./app, args: {TAG: '${TAG}'}}
    configs: [c]
    secrets: [s]
    volumes: ['${DIR:-./none}/sub:/sub', 'named:/named', '/etc/localtime:/etc/localtime:ro']
  debug: {image: 'x:${TAG}', profiles: [debug], volumes: ['./debug:/d']}
configs: {c: {file: ./c.conf}}
secrets: {s: {file: ./s.txt}}
volumes: {named: }
""",
            ".env": "DIR=./data\nTAG='1 2'\n",
            "common.env": "C=1\nQUOTED=\"a b\"\n",
            "common/base.yml": "services: {web: {volumes: ['./static:/static'], env_file: base.env}}\n",
            "common/base.env": "B=1\n",
            "common/static/x": "x",
            "backend/compose.yaml": "services: {api: {image: 'api:${V}', env_file: api.env}}\n",
            "backend/.env": "V=3\nTAG=not-this\n",
            "backend/api.env": "A=1\n",
            "cache/redis.yml": "services: {redis: {image: 'redis:${V}-${TAG}'}}\n",
            "cache/redis.env": "V=7\n",
            "app/Dockerfile": "FROM x\n",
            "data/sub/x": "x", "debug/x": "x", "c.conf": "c", "s.txt": "s",
        },
    )  # fmt: skip
    there = placed(collect(here), tmp_path / "there")
    assert resolved(there) == resolved(here)


def test_merged_files_mean_the_same_elsewhere(tmp_path: Path) -> None:
    here = make(
        tmp_path / "here",
        {
            "docker-compose.yml": """
services:
  web:
    image: nginx:${TAG:-1}
    command: ["sh", "-c", "echo $$HOME ${GREETING}"]
    environment: {A: 'a$$b', N: '0123', E: ''}
    env_file: one.env
    extends: {file: base/base.yml, service: base}
    volumes: ['./data:/data', 'named:/named']
    ports: ['8080:80']
    depends_on: [db]
  db: {image: postgres, profiles: [db], healthcheck: {test: ["CMD", "x"], interval: 1m30s}}
volumes: {named: }
""",
            "docker-compose.override.yml": """
services:
  web:
    env_file: two.env
    environment: ['A=c$$d', 'B=${GREETING}']
    volumes: [{type: bind, source: ./more, target: /more}]
    ports: !override ['9090:80']
""",
            ".env": "GREETING='hello $you'\n",
            "base/base.yml": "services: {base: {volumes: ['./b:/b'], env_file: b.env}}\n",
            "base/b.env": "OF_BASE=1\n", "base/b/x": "x",
            "one.env": "ONE=1\n", "two.env": "TWO=2\n", "data/x": "x", "more/x": "x",
        },
    )  # fmt: skip
    there = placed(collect(here), tmp_path / "there")
    assert resolved(there) == resolved(here)
