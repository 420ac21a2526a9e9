"""Docker and Compose find a job's logins, and the host's own, at a registry that wants them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.filesystem.registry_logins import LocalRegistryLogins
from domain.commands import RegistryLogin
from tests.support.registry import Registry

PASSWORD = "p:ä\"w'$(x) "
HELPER = """#!/bin/sh
read -r server
case $1 in
    get) printf '{"ServerURL":"%s","Username":"host","Secret":"hosts"}' "$server" ;;
    list) printf '{}' ;;
    *) cat >/dev/null ;;
esac
"""


@pytest.fixture
def host_config(tmp_path: Path) -> Path:
    path = tmp_path / "home" / ".docker"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def logins(tmp_path: Path, host_config: Path) -> Iterator[LocalRegistryLogins]:
    with ThreadPoolExecutor(1) as executor:
        yield LocalRegistryLogins(tmp_path / "state", executor, host_config=host_config)


def docker(config: str, *arguments: str, tools: Path | None = None) -> tuple[int, str]:
    path = os.environ["PATH"] if tools is None else f"{tools}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["docker", "--config", config, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": path},
    )
    return ended.returncode, ended.stdout + ended.stderr


async def test_a_login_is_checked_without_its_password_and_used_by_docker_and_compose(
    logins: LocalRegistryLogins, registry: Registry, image: str, tmp_path: Path
) -> None:
    config = await logins.provide("job-1", [RegistryLogin(registry.name, "ann", PASSWORD)])
    assert docker(config, "login", registry.name)[0] == 0
    assert docker(config, "pull", image)[0] == 0
    docker(config, "rmi", "--no-prune", image)
    (tmp_path / "docker-compose.yml").write_text(f"services: {{web: {{image: {image}}}}}\n")
    compose = ["compose", "--project-directory", str(tmp_path), "-p", "idtest-logins"]
    status, said = docker(
        config, *compose, "-f", str(tmp_path / "docker-compose.yml"), "pull", "--quiet"
    )
    assert status == 0, said


async def test_a_wrong_password_is_noticed_before_anything_is_pulled(
    logins: LocalRegistryLogins, registry: Registry, image: str
) -> None:
    config = await logins.provide("job-1", [RegistryLogin(registry.name, "ann", "wrong")])
    status, said = docker(config, "login", registry.name)
    assert (status, "401" in said or "unauthorized" in said.lower()) == (1, True)
    assert "wrong" not in said
    status, said = docker(config, "pull", image)
    assert status == 1
    assert "auth" in said


async def test_without_a_login_the_image_is_out_of_reach(
    logins: LocalRegistryLogins, image: str
) -> None:
    assert docker(await logins.provide("job-1", ()), "pull", image)[0] == 1


async def test_the_hosts_own_login_goes_on_working(
    logins: LocalRegistryLogins, registry: Registry, image: str, host_config: Path
) -> None:
    auth = base64.b64encode(b"host:hosts").decode()
    (host_config / "config.json").write_text(
        json.dumps({"auths": {f"http://{registry.name}/v2/": {"auth": auth}}})
    )
    config = await logins.provide("job-1", [RegistryLogin("docker.io", "ann", "x")])
    assert docker(config, "pull", image)[0] == 0


async def test_a_store_of_the_hosts_counts_for_its_own_registries_and_not_for_the_jobs(
    logins: LocalRegistryLogins, registry: Registry, image: str, host_config: Path, tmp_path: Path
) -> None:
    helper = tmp_path / "tools" / "docker-credential-test"
    helper.parent.mkdir()
    helper.write_text(HELPER)
    helper.chmod(0o755)
    (host_config / "config.json").write_text('{"credsStore": "test"}')
    theirs = await logins.provide("job-1", [RegistryLogin("registry.example.com", "ann", "x")])
    assert docker(theirs, "pull", image, tools=helper.parent)[0] == 0
    registry.add_user("host", "changed")
    assert docker(theirs, "pull", image, tools=helper.parent)[0] == 1
    ours = await logins.provide("job-2", [RegistryLogin(registry.name, "ann", PASSWORD)])
    assert docker(ours, "login", registry.name, tools=helper.parent)[0] == 0
    assert docker(ours, "pull", image, tools=helper.parent)[0] == 0


async def test_a_registry_that_was_stopped_comes_back_with_what_it_held(
    logins: LocalRegistryLogins, registry: Registry, image: str
) -> None:
    config = await logins.provide("job-1", [RegistryLogin(registry.name, "ann", PASSWORD)])
    registry.stop()
    assert docker(config, "login", registry.name)[0] == 1
    registry.start()
    assert docker(config, "pull", image)[0] == 0
