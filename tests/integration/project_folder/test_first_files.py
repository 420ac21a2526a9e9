"""Which compose files and env files a project begins with, and how several become one."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import psutil
import pytest

from adapters.project_folder import merging
from adapters.project_folder.collecting import collect
from adapters.project_folder.locating import COMPOSE_FILES, OVERRIDE_FILES
from adapters.yaml.bounded_reader import parse_fully
from adapters.yaml.bounds import YamlBounds
from domain.collecting import CannotCollect
from tests.integration.project_folder.folders import contents, make, problems

ONE = "services: {web: {image: one}}\n"
TWO = "services: {web: {command: two}}\n"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` that writes down what it was started with, and prints what it finds beside it."""
    directory = tmp_path / "bin"
    make(
        directory,
        {
            "docker": f"#!{sys.executable}\n"
            "import os, pathlib, sys\n"
            "beside = pathlib.Path(__file__).parent\n"
            "(beside / 'arguments').write_text('\\n'.join(sys.argv[1:]))\n"
            "(beside / 'environment').write_text(' '.join(sorted(os.environ)))\n"
            "sys.stdout.write((beside / 'merged').read_text())\n"
            "said = (beside / 'said').read_text()\n"
            "sys.stderr.write(said)\n"
            "sys.exit(15 if said else 0)\n",
            "merged": ONE,
            "said": "",
        },
    )
    (directory / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))
    return directory


@pytest.mark.parametrize("first", range(len(COMPOSE_FILES)))
def test_the_first_of_composes_names_is_taken(tmp_path: Path, first: int) -> None:
    names = COMPOSE_FILES[first:]
    make(tmp_path, {name: f"services: {{web: {{image: {name}}}}}\n" for name in names})
    project = collect(tmp_path)
    assert project.compose == f"services: {{web: {{image: {names[0]}}}}}\n".encode()
    assert project.compose_path == names[0]
    if len(names) > 1:
        assert project.notes == (
            f"Of {' and '.join(names)}, {names[0]} is taken, as Compose takes it.",
        )


def test_a_folder_without_a_compose_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").mkdir()
    assert problems(tmp_path) == (
        (
            "compose file: there is none of compose.yaml, compose.yml, docker-compose.yml, "
            f"docker-compose.yaml in {tmp_path}"
        ),
    )
    assert problems(tmp_path / "nowhere") == (f"{tmp_path / 'nowhere'}: must be a directory",)


def test_a_named_compose_file_says_where_the_project_is(tmp_path: Path) -> None:
    make(
        tmp_path,
        {
            "compose.yaml": "no: yaml: at all",
            "deploy/prod.yml": "services: {web: {image: x, volumes: ['./a:/a']}}\n",
            "deploy/compose.override.yml": "not read",
            "deploy/.env": "A=1\n",
            "deploy/a": "a",
        },
    )
    project = collect(tmp_path, compose_files=[Path("deploy/prod.yml")])
    assert (project.compose_path, project.env) == ("prod.yml", b"A=1\n")
    assert contents(project) == {"a": b"a"}


@pytest.mark.parametrize("override", OVERRIDE_FILES)
def test_a_file_and_its_override_are_merged_by_docker_compose(
    tmp_path: Path, docker: Path, override: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPOSE_PROFILES", "none")
    monkeypatch.setenv("SECRET", "of the shell")
    root = make(tmp_path / "p", {"compose.yaml": ONE, override: TWO, ".env": "A=1\n"})
    (docker / "merged").write_text("name: m\nservices: {web: {image: merged}}\n")
    project = collect(root)
    assert project.compose == b"name: m\nservices: {web: {image: merged}}\n"
    assert (project.name, project.compose_path) == ("m", f"compose.yaml + {override}")
    assert (docker / "arguments").read_text().split("\n") == [
        "compose", "--project-directory", str(root), "--env-file", "/dev/null",
        "--file", f"{root}/compose.yaml", "--file", f"{root}/{override}", "--profile", "*",
        "config", "--no-interpolate", "--no-path-resolution", "--no-normalize",
    ]  # fmt: skip
    passed = set((docker / "environment").read_text().split())
    assert not passed & {"COMPOSE_PROFILES", "SECRET"}


def test_named_files_are_merged_in_their_order(tmp_path: Path, docker: Path) -> None:
    make(tmp_path, {"a/b.yml": ONE, "c.yml": TWO, "a/.env": "A=1\n"})
    project = collect(tmp_path, compose_files=[Path("a/b.yml"), Path("c.yml")])
    arguments = (docker / "arguments").read_text().split("\n")
    assert [one for one in arguments if one.endswith(".yml")] == [
        str(tmp_path / "a/b.yml"), str(tmp_path / "c.yml"),
    ]  # fmt: skip
    assert (project.compose_path, project.env) == (f"b.yml + {tmp_path / 'c.yml'}", b"A=1\n")


def test_compose_file_in_the_env_names_them(tmp_path: Path, docker: Path) -> None:
    make(
        tmp_path,
        {
            "base.yml": ONE, "prod.yml": TWO, "compose.yaml": "not read",
            ".env": "COMPOSE_FILE=base.yml:prod.yml\nCOMPOSE_PROJECT_NAME=x\n",
        },
    )  # fmt: skip
    project = collect(tmp_path)
    assert project.compose_path == "base.yml + prod.yml"
    assert project.notes == (
        (
            "COMPOSE_PROJECT_NAME in the env does not name the project on the host: it is called as it is "
            "deployed."
        ),
    )
    make(tmp_path, {".env": "COMPOSE_PATH_SEPARATOR=,\nCOMPOSE_FILE=prod.yml,\n"})
    assert collect(tmp_path).compose_path == "prod.yml"
    make(tmp_path, {".env": "COMPOSE_FILE=gone.yml\n"})
    assert problems(tmp_path) == ("gone.yml: is not there; COMPOSE_FILE in the env names it",)


def test_without_docker_it_is_said_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    make(tmp_path, {"compose.yaml": ONE, "compose.override.yaml": TWO})
    assert problems(tmp_path) == (
        (
            "compose files: 2 files have to be made one, for which Docker Compose has to be on this "
            "machine, and 'docker' is not in PATH; elsewhere, merge them yourself with 'docker compose "
            "config --no-interpolate --no-path-resolution', look at what comes of it, and deploy that file"
        ),
    )


def test_what_docker_compose_has_to_say_is_passed_on(tmp_path: Path, docker: Path) -> None:
    root = make(tmp_path / "p", {"compose.yaml": ONE, "compose.override.yaml": TWO})
    (docker / "said").write_text("services.web: no such thing\n")
    (problem,) = problems(root)
    assert problem.startswith(
        "compose files: Docker Compose refuses them: services.web: no such thing; or merge them"
    )
    (docker / "said").write_text("")
    (docker / "merged").write_text("")
    assert problems(root) == ("compose.yaml + compose.override.yaml: the compose file is empty",)
    (docker / "docker").write_text("#!/nowhere\n")
    (problem,) = problems(root)
    assert problem.startswith("compose files: Docker Compose cannot be started: No such file")


def test_nothing_is_merged_that_the_agent_would_refuse_to_read(
    tmp_path: Path, docker: Path
) -> None:
    make(
        tmp_path,
        {
            "compose.yaml": "include: ['https://example.com/x.git', sub/i.yml]\n",
            "compose.override.yaml": "services: {web: {env_file: /etc/passwd}}\n",
            "sub/i.yml": "services: {a: {image: '$A'}}\n",
            "sub/.env": "A=1\n",
        },
    )
    assert problems(tmp_path) == (
        (
            "compose.yaml: include[0] must name a file of the project, not something that has to be "
            "fetched"
        ),
        (
            "compose.yaml: include[1]: has variables of its own in sub/.env, which are lost where compose "
            "files are merged; put them in the project's .env"
        ),
        "compose.override.yaml: services.web.env_file must be relative to the project's directory",
    )
    assert not (docker / "arguments").exists()


def test_a_docker_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    make(tmp_path, {"docker": f"#!/bin/sh\n/bin/cat {fifo} &\n/bin/cat {fifo}\n"})
    (tmp_path / "docker").chmod(0o755)
    with pytest.raises(
        CannotCollect, match=r"compose files: Docker Compose was not done within 0\.2 s"
    ):
        merging.merge(str(tmp_path), ["a", "b"], {"PATH": str(tmp_path)}, deadline_s=0.2)
    left = [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if str(fifo) in (process.info["cmdline"] or []) and process.info["status"] != "zombie"
    ]
    for process in left:
        process.wait(5)  # Killed, and gone as soon as the system has come to it.
    assert not [child for child in psutil.Process().children() if child.status() == "zombie"]


def test_docker_compose_itself_keeps_variables_and_paths(tmp_path: Path) -> None:
    """The real one, which has to be on the machine that tests run on, and asks no engine."""
    assert shutil.which("docker")
    make(
        tmp_path,
        {
            "compose.yaml": """
services:
  web:
    image: nginx:${TAG:-1}
    command: echo $$HOME ${PASSWORD}
    volumes: ['./data:/data', 'named:/named']
    env_file: one.env
    profiles: [debug]
    extends: {file: base/base.yml, service: base}
volumes: {named: }
""",
            "compose.override.yaml": "services: {web: {env_file: two.env, volumes: ['./more:/more']}}\n",
            "base/base.yml": "services: {base: {volumes: ['./b:/b']}}\n",
            "base/b": "b",
            "one.env": "SECRET=hunter2\n",
            "two.env": "B=2\n",
            "data/a": "a",
            "more": "m",
            ".env": "PASSWORD=secret\n",
        },
    )
    project = collect(tmp_path)
    assert contents(project) == {
        "base/b": b"b", "data/a": b"a", "more": b"m", "one.env": b"SECRET=hunter2\n",
        "two.env": b"B=2\n",
    }  # fmt: skip
    assert b"hunter2" not in project.compose
    assert b"PASSWORD=secret" not in project.compose
    assert str(tmp_path).encode() not in project.compose
    document = parse_fully(project.compose, YamlBounds())
    assert isinstance(document, dict)
    web = document["services"]["web"]
    assert web["image"] == "nginx:${TAG:-1}"
    assert web["command"] == "echo $$HOME ${PASSWORD}"
    assert web["profiles"] == ["debug"]


def test_a_mount_that_docker_compose_takes_for_a_volume_is_refused(tmp_path: Path) -> None:
    """Merging without interpolation, it knows `${DIR}` for no path."""
    assert shutil.which("docker")
    make(
        tmp_path,
        {
            "compose.yaml": "services: {web: {image: x, volumes: ['${DIR}:/d']}}\n",
            "compose.override.yaml": TWO,
            ".env": "DIR=./d\n",
            "d": "d",
        },
    )
    assert problems(tmp_path) == (
        (
            "compose.yaml + compose.override.yaml: services.web.volumes[0]: './d' is a path, and its type "
            "is 'volume'; write 'type: bind'"
        ),
    )
