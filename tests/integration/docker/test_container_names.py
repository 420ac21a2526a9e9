"""`SocketContainerNames` on the real engine, with what the real Compose leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.engine.containers import SocketContainerNames
from application.ports.container_names import ContainerNames
from domain.project import ProjectName
from entrypoints.agent.settings import AgentSettings
from tests.builders import IMAGE, compose_content
from tests.contracts.container_names import (
    ContainerNamesContract,
    Leave,
    RenameByHand,
    web_of,
)
from tests.integration.docker.conftest import take_down
from tests.support.unremovable import unremovable

MOMENTS = ("Recreate", "Recreated", "Starting")
"""What Compose prints, upon which it is killed; each is another state of the containers."""


def docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


class ComposeProject:
    """A project on the disk, and Compose at work on it."""

    def __init__(self, directory: Path, name: str) -> None:
        directory.mkdir()
        self.name = name
        self._command = [
            *("docker", "compose", "--ansi", "never", "--progress", "plain", "-p", name),
            *("--project-directory", str(directory), "-f", str(directory / "compose.yml")),
            *("up", "--detach"),
        ]
        self._file = directory / "compose.yml"

    def write(self, content: bytes) -> None:
        self._file.write_bytes(content)

    def up(self) -> None:
        subprocess.run(self._command, capture_output=True, check=True)

    def up_until(self, word: str) -> bool:
        """Kill it, wholly, when it prints the word; whether it was killed before its end."""
        running = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert running.stderr is not None
        with running.stderr:
            next((line for line in running.stderr if line.strip().endswith(word)), None)
            os.killpg(running.pid, signal.SIGKILL)
        return running.wait() == -signal.SIGKILL

    def containers(self) -> list[dict[str, Any]]:
        label = f"label=com.docker.compose.project={self.name}"
        ids = docker("ps", "--all", "--quiet", "--no-trunc", "--filter", label).split()
        found: list[dict[str, Any]] = json.loads(docker("inspect", *ids)) if ids else []
        return found

    def names(self) -> list[str]:
        return sorted(container["Name"].removeprefix("/") for container in self.containers())


@pytest.fixture
def project(tmp_path: Path, project_name: str) -> ComposeProject:
    project = ComposeProject(tmp_path / "project", project_name)
    project.write(compose_content())
    project.up()
    return project


@pytest.fixture
def names() -> ContainerNames:
    return SocketContainerNames(AgentSettings().docker_host)


def create(project: str, name: str, **labels: str) -> str:
    """A container of the project's `web`, as Compose creates them; it is not started."""
    own = {"project": project, "service": "web", "container-number": "1", **labels}
    given = [f"--label=com.docker.compose.{label}={value}" for label, value in own.items()]
    return docker("create", "--name", name, "--network", "none", *given, IMAGE, "sleep", "3600")


class TestSocketContainerNames(ContainerNamesContract):
    @pytest.fixture
    def names(self) -> ContainerNames:
        return SocketContainerNames(AgentSettings().docker_host, quiet_s=0.2)

    @pytest.fixture
    def absent_names(self, tmp_path: Path) -> ContainerNames:
        return SocketContainerNames(f"unix://{tmp_path}/absent")

    @pytest.fixture
    async def name(self, project: ComposeProject) -> ProjectName:
        return ProjectName(project.name.upper())

    @pytest.fixture
    async def other_name(self, tmp_path: Path, project_name: str) -> AsyncIterator[ProjectName]:
        other = ComposeProject(tmp_path / "other", f"{project_name}-other")
        other.write(compose_content())
        other.up()
        yield ProjectName(other.name)
        take_down(other.name)

    @pytest.fixture
    def leave_both(self) -> Leave:
        async def leave(name: ProjectName) -> str:
            old = docker("inspect", "--format", "{{.Id}}", web_of(name))
            wrong = f"{old[:12]}_{web_of(name)}"
            create(name.compose_name, wrong, replace=old)
            return wrong

        return leave

    @pytest.fixture
    def leave_new_alone(self, leave_both: Leave) -> Leave:
        async def leave(name: ProjectName) -> str:
            wrong = await leave_both(name)
            docker("rm", "--force", web_of(name))
            return wrong

        return leave

    @pytest.fixture
    def remove_by_half(self) -> Leave:
        async def remove(name: ProjectName) -> str:
            container = web_of(name)
            docker("stop", "--time", "0", container)
            with unremovable(container), pytest.raises(subprocess.CalledProcessError) as refused:
                docker("rm", container)
            assert "unable to remove filesystem" in refused.value.stderr
            return container

        return remove

    @pytest.fixture
    def names_of(self) -> Callable[[ProjectName], list[str]]:
        def names_of(name: ProjectName) -> list[str]:
            label = f"label=com.docker.compose.project={name.compose_name}"
            return sorted(docker("ps", "-a", "--format", "{{.Names}}", "--filter", label).split())

        return names_of

    @pytest.fixture
    def rename_by_hand(self) -> RenameByHand:
        def rename(name: ProjectName, wrong: str) -> str:
            docker("rename", web_of(name), wrong)
            return docker("inspect", "--format", "{{.Id}}", wrong)

        return rename


@pytest.mark.parametrize("moment", MOMENTS)
async def test_after_a_kill_at_any_moment_the_next_up_ends_well_with_the_proper_names(
    project: ComposeProject, names: ContainerNames, moment: str
) -> None:
    project.write(compose_content(command='["sleep", "7200"]'))
    project.up_until(moment)
    await names.settle(ProjectName(project.name))
    await names.put_right(ProjectName(project.name))
    project.up()
    await names.put_right(ProjectName(project.name))
    (container,) = project.containers()
    assert container["Name"] == f"/{project.name}-web-1"
    assert container["State"]["Running"]
    assert container["Config"]["Cmd"] == ["sleep", "7200"]


async def test_a_container_that_compose_went_on_with_under_the_wrong_name_keeps_running(
    project: ComposeProject, names: ContainerNames
) -> None:
    (old,) = project.containers()
    wrong = f"{old['Id'][:12]}_{project.name}-web-1"
    docker("rename", f"{project.name}-web-1", wrong)
    # As 2.26 and as newer versions mark the new container; docker cannot set labels afterwards.
    docker("rm", "--force", wrong)
    created = create(project.name, wrong, replace="web-1")
    docker("start", wrong)
    await names.put_right(ProjectName(project.name))
    (container,) = project.containers()
    assert (container["Id"], container["Name"]) == (created, f"/{project.name}-web-1")
    assert container["State"]["Running"]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("0123456789ab_{project}", {}),
        ("0123456789ab_{project}", {"replace": "f" * 64}),
        ("0123456789ab_{project}", {"replace": "something-else"}),
        ("0123456789ab_{project}", {"replace": "0123456789ab_{project}"}),
        ("{project}_{project}", {"replace": "{project}"}),
    ],
)
async def test_a_container_that_only_looks_so_is_left_alone(
    project: ComposeProject, names: ContainerNames, name: str, labels: dict[str, str]
) -> None:
    own = name.format(project=project.name)
    marks = {label: value.format(project=project.name) for label, value in labels.items()}
    create(project.name, own, **marks)
    assert list(await names.put_right(ProjectName(project.name))) == []
    assert own in project.names()


async def test_the_name_of_a_container_of_nobody_is_not_taken_from_it(
    project: ComposeProject, names: ContainerNames
) -> None:
    (old,) = project.containers()
    wrong = f"{old['Id'][:12]}_{project.name}-web-1"
    create(project.name, wrong, replace=old["Id"])
    docker("rm", "--force", f"{project.name}-web-1")
    stranger = docker("create", "--name", f"{project.name}-web-1", IMAGE, "true")
    try:
        assert list(await names.put_right(ProjectName(project.name))) == []
        assert project.names() == [wrong]
    finally:
        docker("rm", "--force", stranger)
