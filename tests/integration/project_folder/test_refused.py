"""Folders that cannot be sent: every reason at once, by file, key and rule."""

from __future__ import annotations

import errno
import os
import re
import socket
from pathlib import Path

import pytest

from adapters.project_folder import tree
from tests.integration.project_folder.folders import make, problems

MOUNTS_A = "services: {web: {image: x, volumes: ['./a:/a']}}\n"
BUILDS_A = "services: {web: {build: a}}\n"
AT = "compose.yaml: services.web.volumes[0]"


def of(tmp_path: Path, compose: str | bytes, **files: str) -> tuple[str, ...]:
    make(tmp_path, {"compose.yaml": compose, **files})
    return problems(tmp_path)


@pytest.mark.parametrize(
    ("compose", "problem"),
    [
        (b"services: {web: [", r"compose\.yaml: the compose file is not valid YAML: .* at line 2, .*"),
        (b"services: {web: {image: \xff}}",
         r"compose\.yaml: the compose file is not UTF-8 text: byte 24 is not valid"),
        (b" \n", r"compose\.yaml: the compose file is empty"),
        (b"[]", r"compose\.yaml: the compose file must be a YAML mapping with a 'services' key"),
        (b"a: b", r"compose\.yaml: the compose file has no 'services'"),
        (b"services: {}", r"compose\.yaml: 'services' in the compose file must name at least one .*"),
        (b"services: {}\n---\na: b", r"compose\.yaml: the compose file holds more than one YAML .*"),
        (b"#" * (1024 * 1024 + 1), r"compose\.yaml: is 1048577 bytes long; at most 1048576 .*"),
        (b"services: {web: !!python/none x}", r"compose\.yaml: the compose file uses a YAML tag .*"),
    ],
)  # fmt: skip
def test_a_compose_file_that_is_none(tmp_path: Path, compose: bytes, problem: str) -> None:
    (said,) = of(tmp_path, compose)
    assert re.fullmatch(problem, said)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    make(
        tmp_path,
        {
            "compose.yaml": """
include: [gone.yml, bad.yml, latin.yml]
services:
  web:
    image: x:${TAG:?say which}
    env_file: [gone.env, dir, ../up.env]
    volumes: ['../up:/up', './pipe:/pipe', './out:/out']
    secrets: [s]
    build: {context: ./file}
  api: {build: {context: ctx}}
secrets: {s: {file: gone.txt}}
""",
            "dir/": "", "file": "", "ctx/": "", "bad.yml": "a: [", "latin.yml": b"a: \xe4",
        },
    )  # fmt: skip
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "out").symlink_to("/etc/passwd")
    found = problems(tmp_path, extra_files=[Path("../x"), Path("gone")])
    assert sorted(found) == [
        f"{tmp_path}/../x: must stay in the project's directory",
        (
            "bad.yml: the compose file is not valid YAML: did not find expected node content at line 2, "
            "column 1"
        ),
        "compose.yaml: include[0]: gone.yml: is not there",
        "compose.yaml: secrets.s.file: gone.txt: is not there",
        (
            "compose.yaml: services.api.build.context: ctx/Dockerfile: is not there; the image is built "
            "of it"
        ),
        "compose.yaml: services.web.build.context: file: must be a directory; it is a file",
        "compose.yaml: services.web.env_file must stay in the project's directory",
        "compose.yaml: services.web.env_file: dir: must be a file; it is a directory",
        "compose.yaml: services.web.env_file: gone.env: is not there",
        "compose.yaml: services.web.image: TAG: is required, and in no env file: say which",
        "compose.yaml: services.web.volumes[0]: '../up' must stay in the project's directory",
        (
            "compose.yaml: services.web.volumes[1]: pipe: must be a file or directory; it is a device, "
            "socket or pipe"
        ),
        (
            "compose.yaml: services.web.volumes[2]: out: is, or lies behind, a symbolic link that leaves "
            "the project's directory"
        ),
        "extra files: gone: is not there",
        "latin.yml: the compose file is not UTF-8 text: byte 3 is not valid",
    ]


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../../outside", "../../outside-dir", "inner/../../../outside"]
)
def test_a_link_out_of_the_project_is_refused(tmp_path: Path, target: str) -> None:
    make(tmp_path, {"outside": "private", "outside-dir/x": "private", "p/a/inner/": ""})
    make(tmp_path / "p", {"compose.yaml": MOUNTS_A})
    (tmp_path / "p/a/link").symlink_to(target)
    assert problems(tmp_path / "p") == (
        f"{AT}: a/link: is, or lies behind, a symbolic link that leaves the project's directory",
    )


def test_a_project_beside_one_whose_name_begins_alike_is_outside(tmp_path: Path) -> None:
    make(tmp_path, {"p/compose.yaml": MOUNTS_A, "p2/private": "x"})
    (tmp_path / "p/a").symlink_to("../p2/private")
    (problem,) = problems(tmp_path / "p")
    assert problem.endswith("a symbolic link that leaves the project's directory")


@pytest.mark.parametrize("name", ["compose.yaml", ".env"])
def test_what_is_found_by_its_name_is_no_link_out_of_the_project(tmp_path: Path, name: str) -> None:
    make(tmp_path, {"private": "A=1\n", "p/compose.yaml": MOUNTS_A, "p/a": "a"})
    (tmp_path / "p" / name).unlink(missing_ok=True)
    (tmp_path / "p" / name).symlink_to("../private")
    assert problems(tmp_path / "p") == (
        f"{name}: is, or lies behind, a symbolic link that leaves the project's directory",
    )


def test_links_that_lead_nowhere_or_in_a_circle_are_refused(tmp_path: Path) -> None:
    make(tmp_path, {"compose.yaml": MOUNTS_A, "a/deep/x": "x"})
    (tmp_path / "a/nowhere").symlink_to("gone")
    (tmp_path / "a/self").symlink_to("self")
    (tmp_path / "a/deep/up").symlink_to("..")
    assert problems(tmp_path) == (
        f"{AT}: a/deep/up: is a symbolic link that leads in a circle",
        f"{AT}: a/nowhere: is a symbolic link that leads nowhere",
        f"{AT}: a/self: cannot be looked at: {os.strerror(errno.ELOOP)}",
    )


def test_pipes_and_sockets_in_a_directory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(
        tmp_path,
        {"compose.yaml": BUILDS_A, "a/Dockerfile": "FROM x\n", "a/.dockerignore": "left\n"},
    )
    os.mkfifo(tmp_path / "a/pipe")
    os.mkfifo(tmp_path / "a/left")
    monkeypatch.chdir(tmp_path / "a")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        found = problems(tmp_path)
    what = "is a device, socket or pipe, which cannot be sent"
    assert found == (
        f"compose.yaml: services.web.build.context: a/pipe: {what}",
        f"compose.yaml: services.web.build.context: a/socket: {what}",
    )


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, {f"a/node_modules/{number}": "" for number in range(257)})
    (problem,) = of(tmp_path, MOUNTS_A)
    assert problem.startswith("files: 257 files belong to the project; at most 256 can be sent.")
    assert "Most are in a/node_modules (257)" in problem
    monkeypatch.setattr(tree, "MAX_ENTRIES", 100)
    assert problems(tmp_path) == (f"{AT}: a: holds more than 100 files and directories",)


def test_the_agents_own_names_are_refused_where_a_key_means_them(tmp_path: Path) -> None:
    make(
        tmp_path,
        {
            "compose.yaml": "services: {web: {image: x, env_file: .env, extends: "
            "{file: docker-compose.yml, service: web}, volumes: ['./.instadeploy.x:/x']}}\n",
            "docker-compose.yml": "services: {web: {image: y}}\n",
            ".env": "A=1\n", "prod.env": "A=2\n", ".instadeploy.x": "x",
        },
    )  # fmt: skip
    rule = "is a name that the agent keeps for itself; give the file another one"
    assert sorted(problems(tmp_path, env_files=[Path("prod.env")])) == [
        f"compose.yaml: services.web.env_file: .env: {rule}",
        f"compose.yaml: services.web.extends.file: docker-compose.yml: {rule}",
        f"{AT}: .instadeploy.x: {rule}",
    ]


@pytest.mark.parametrize(
    ("env", "problem"),
    [
        (b"LD_PRELOAD=/x\n", "env.LD_PRELOAD: would reach the programs that Docker Compose starts"),
        (
            b"docker_host=x\n",
            "env.docker_host: would reach the programs that Docker Compose starts",
        ),
        (b"A=\0\n", "env: must not contain NUL"),
        (b"A=\xff\n", ".env: must be UTF-8 text: byte 2 is not valid"),
        (b"A='x\n", ".env: line 1 has a quote that does not end"),
    ],
)
def test_an_env_file_that_the_agent_would_refuse_is_refused(
    tmp_path: Path, env: bytes, problem: str
) -> None:
    make(tmp_path, {"compose.yaml": MOUNTS_A, "a": "a", ".env": env})
    (said,) = problems(tmp_path)
    assert said.startswith(problem)


def test_named_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    make(tmp_path, {"compose.yaml": MOUNTS_A, "a": "a"})
    missing = "cannot be read: No such file or directory"
    assert problems(tmp_path, env_files=[Path("x.env")]) == (f"{tmp_path}/x.env: {missing}",)
    assert problems(tmp_path, compose_files=[Path("x.yml")]) == (f"{tmp_path}/x.yml: {missing}",)
    os.mkfifo(tmp_path / "pipe")
    what = "must be a file; it is a device, socket or pipe"
    assert problems(tmp_path, env_files=[Path("pipe")]) == (f"{tmp_path}/pipe: {what}",)


def test_names_that_cannot_be_sent_are_told(tmp_path: Path) -> None:
    make(tmp_path, {"compose.yaml": MOUNTS_A, "a/tab\there": "x", "/".join("a" * 17): "x"})
    Path(os.fsdecode(os.fsencode(tmp_path / "a") + b"/\xff")).write_text("x")
    assert problems(tmp_path) == (
        f"{AT}: {'/'.join('a' * 16)}: holds files more than 16 parts deep",
        f"{AT}: files.'a/tab\\there': must not contain control characters or line breaks",
        f"{AT}: a/\\xff: must have a name of UTF-8 text",
    )


def test_a_dockerignore_that_docker_cannot_read_is_told(tmp_path: Path) -> None:
    make(tmp_path, {"compose.yaml": BUILDS_A, "a/Dockerfile": "FROM x\n", "a/.dockerignore": "[\n"})
    assert problems(tmp_path) == (
        "compose.yaml: services.web.build.context: a/.dockerignore: line 1 has a '[' without its ']'",
    )
