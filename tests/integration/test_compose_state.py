"""`ComposeEngineState` with a `docker` that prints what other versions, and other hosts, print."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.compose.process import ProcessRunner
from adapters.compose.state import ComposeEngineState
from domain.engine_state import FoundContainer, Health
from domain.errors import RuntimeUnavailable
from domain.project import ProjectName
from domain.services import PublishedPort

BLOG = ProjectName("Blog")
WEB: dict[str, Any] = {
    "ID": "0123456789ab",
    "Name": "blog-web-1",
    "Service": "web",
    "Image": "web:1",
    "State": "running",
    "Health": "healthy",
    "ExitCode": 0,
    "Publishers": [
        {"URL": "0.0.0.0", "TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp"},
        {"URL": "::", "TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp"},
        {"URL": "", "TargetPort": 443, "PublishedPort": 0, "Protocol": "tcp"},
    ],
}
LABELS = (
    "com.docker.compose.config-hash=abc,com.docker.compose.container-number=2,"
    "com.docker.compose.image=sha256:1,com.docker.compose.oneoff=True,"
    "com.docker.compose.project.config_files=/srv/a.yml,/srv/b.yml,"
    "com.docker.compose.project.working_dir=/srv,x.y/z=a,b=c"
)

Prints = Callable[..., ComposeEngineState]


@pytest.fixture
def prints(tmp_path: Path) -> Prints:
    """What reads from a `docker` that prints these lines, and ends so."""

    def prints(*lines: str, exit_code: int = 0) -> ComposeEngineState:
        (tmp_path / "said").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        docker = tmp_path / "docker"
        docker.write_text(
            f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\ncat {tmp_path}/said\nexit {exit_code}\n',
            encoding="utf-8",
        )
        docker.chmod(0o755)
        return ComposeEngineState(ProcessRunner({"PATH": f"{tmp_path}:{os.environ['PATH']}"}))

    return prints


async def only(state: ComposeEngineState) -> FoundContainer:
    (container,) = await state.containers(BLOG)
    return container


async def test_what_compose_says_is_read_and_the_rest_is_not_known(
    prints: Prints, tmp_path: Path
) -> None:
    assert await only(prints("time=... level=warning msg=hello", json.dumps(WEB))) == (
        FoundContainer(
            id="0123456789ab",
            name="blog-web-1",
            service="web",
            state="running",
            health=Health.HEALTHY,
            image="web:1",
            published_ports=(
                PublishedPort("0.0.0.0", 8080, 80, "tcp"),
                PublishedPort("::", 8080, 80, "tcp"),
            ),
        )
    )
    asked = (tmp_path / "asked").read_text(encoding="utf-8")
    assert asked == "compose -p blog ps --all --format json\n"


async def test_the_array_of_older_versions(prints: Prints) -> None:
    found = await prints(json.dumps([WEB, WEB | {"Name": "a", "Service": "app"}])).containers(BLOG)
    assert [one.name for one in found] == ["a", "blog-web-1"]


async def test_labels(prints: Prints) -> None:
    found = await only(prints(json.dumps(WEB | {"Labels": LABELS})))
    assert (found.config_hash, found.number, found.image_id) == ("abc", 2, "sha256:1")
    assert found.is_oneoff
    assert (found.working_dir, found.config_files) == ("/srv", "/srv/a.yml,/srv/b.yml")


async def test_a_label_that_another_one_imitates_is_not_known(prints: Prints) -> None:
    labels = f"mine=x,com.docker.compose.config-hash=forged,{LABELS}"
    found = await only(prints(json.dumps(WEB | {"Labels": labels})))
    assert (found.config_hash, found.number) == (None, 2)


@pytest.mark.parametrize(
    ("state", "exit_code"), [("exited", 3), ("dead", 3), ("restarting", 3), ("running", None)]
)
async def test_an_exit_code_where_there_is_one(
    prints: Prints, state: str, exit_code: int | None
) -> None:
    found = await only(prints(json.dumps(WEB | {"State": state, "ExitCode": 3})))
    assert found.exit_code == exit_code


@pytest.mark.parametrize("question", ["containers", "networks", "volumes"])
async def test_a_failure_is_never_an_empty_project(prints: Prints, question: str) -> None:
    state = prints("docker: 'compose' is not a docker command", exit_code=1)
    with pytest.raises(RuntimeUnavailable, match=r"'docker .*' failed: docker: 'compose' is not a"):
        await getattr(state, question)(BLOG)


async def test_an_image_that_cannot_be_asked_for_is_not_missing(prints: Prints) -> None:
    with pytest.raises(RuntimeUnavailable, match="Cannot connect to the Docker daemon"):
        await prints("Cannot connect to the Docker daemon at ...", exit_code=1).image("web:1")
    with pytest.raises(RuntimeUnavailable, match="prints what it should not"):
        await prints("hello").image("web:1")


async def test_more_than_can_be_taken_in(prints: Prints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.compose.state.LISTING_BYTES", 100)
    with pytest.raises(RuntimeUnavailable, match="more than the agent can take in"):
        await prints(json.dumps(WEB)).containers(BLOG)


@pytest.mark.parametrize("line", ["[1]", '[{"Name": "x"}, 2]', json.dumps(WEB | {"ExitCode": []})])
async def test_what_is_no_listing(prints: Prints, line: str) -> None:
    with pytest.raises(RuntimeUnavailable, match="prints what it should not"):
        await prints(line.replace('"running"', '"exited"')).containers(BLOG)


async def test_names_and_nothing_else(prints: Prints) -> None:
    state = prints("WARNING: Error loading config file", '"blog_b"', '"blog_a"')
    assert list(await state.volumes(BLOG)) == ["blog_a", "blog_b"]
