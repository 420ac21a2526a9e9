"""Deployments that come up, that do not, and what is left of them, on the real engine."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.commands import (
    ListRevisions,
    PlanCompose,
    RemoveCompose,
    RestartCompose,
    RollbackCompose,
)
from domain.deploy_options import PullPolicy
from domain.policy import STANDARD
from domain.project import ProjectName
from tests.builders import IMAGE
from tests.integration.docker.conftest import take_down
from tests.integration.docker.driver import (
    MISSING,
    Driver,
    Ended,
    checked,
    deployment,
    docker,
    driver_at,
    running,
    runs,
    until,
)
from tests.support.unremovable import unremovable

PLAIN = ["validate", "policy", "apply", "wait", "verify", "record"]


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[Driver]:
    async with driver_at(tmp_path) as driver:
        yield driver


@pytest.fixture
def name(project_name: str) -> str:
    """The project's name."""
    return project_name


def files_of(driver: Driver, name: str) -> dict[str, str]:
    """Everything in a project's directory, with its content."""
    root = driver.directory(name)
    return {
        str(path.relative_to(root)): path.read_text(encoding="utf-8")
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


async def good(driver: Driver, name: str, services: object, **options: Any) -> Ended:
    """A deployment that must succeed."""
    ended = await driver.deploy(name, services, **options)
    assert ended.state == "succeeded", str(ended)
    return ended


class TestThatFail:
    """Of each: what ran before runs on, untouched where nothing had to be touched."""

    @pytest.fixture
    async def before(self, driver: Driver, name: str) -> dict[str, str]:
        await good(driver, name, {"web": runs(), "db": runs()})
        return running(name)

    async def is_back(self, driver: Driver, name: str, ended: Ended) -> None:
        assert ended.state == "failed"
        assert ended.data["rolled_back_to"] == 1, str(ended)
        assert "the deployment is taken back: revision 1 runs again" in ended.error
        assert sorted(running(name)) == [f"{name}-db-1", f"{name}-web-1"]
        assert await driver.drift(name) == []
        status = await driver.status(name)
        assert status["wanted"]["revision"] == 1
        assert list(files_of(driver, name)) == ["docker-compose.yml"]

    async def test_an_image_that_exits_at_once(
        self, driver: Driver, name: str, before: dict[str, str]
    ) -> None:
        ended = await driver.deploy(name, {"web": runs("echo no; exit 3"), "db": runs()})
        await self.is_back(driver, name, ended)
        assert ended.data["reason"] == "unhealthy"
        assert ended.data["services"] == {"web": "bad"}
        assert f"service 'web': {name}-web-1 exited with code 3" in ended.error
        assert ended.steps == [
            *("validate", "policy", "apply", "wait!"),
            *(f"rollback: {one}" for one in ("validate", "policy")),
            "rollback",
            *(f"rollback: {one}" for one in ("wait", "verify")),
        ]
        # What was as it should be was left alone, twice.
        assert running(name)[f"{name}-db-1"] == before[f"{name}-db-1"]

    async def test_one_that_never_gets_healthy(
        self, driver: Driver, name: str, before: dict[str, str]
    ) -> None:
        ended = await driver.deploy(
            name, {"web": checked("echo no database; exit 1"), "db": runs()}
        )
        await self.is_back(driver, name, ended)
        assert "is unhealthy; its last check said: no database" in ended.error
        assert running(name)[f"{name}-db-1"] == before[f"{name}-db-1"]

    async def test_one_that_is_not_healthy_in_time(
        self, driver: Driver, name: str, before: dict[str, str]
    ) -> None:
        slow = checked("exit 1")
        slow["healthcheck"] |= {"start_period": "60s"}
        ended = await driver.deploy(name, {"web": slow, "db": runs()}, wait_timeout_s=0.7)
        await self.is_back(driver, name, ended)
        assert "the project did not come up as it should within 0.7 s" in ended.error
        assert "is not healthy yet" in ended.error

    async def test_a_port_that_is_taken(
        self, driver: Driver, name: str, before: dict[str, str]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            web = runs(ports=[f"127.0.0.1:{port}:80"])
            del web["network_mode"]
            ended = await driver.deploy(name, {"web": web, "db": runs()})
        await self.is_back(driver, name, ended)
        assert ended.data["reason"] == "compose_failed"
        assert "address already in use" in ended.error or "already allocated" in ended.error

    @pytest.mark.parametrize(
        ("web", "says"),
        [
            ({"command": ["no-such-program"], "init": False}, "no-such-program"),
            ({"volumes": [{"type": "bind", "source": "/no/such/place", "target": "/x"}]}, "exist"),
            ({"devices": ["/dev/no-such-device"]}, "no-such-device"),
        ],
        ids=["program", "bind", "device"],
    )
    async def test_a_file_that_breaks_only_on_up(
        self, driver: Driver, name: str, before: dict[str, str], web: dict[str, Any], says: str
    ) -> None:
        ended = await driver.deploy(name, {"web": runs() | web, "db": runs()})
        await self.is_back(driver, name, ended)
        assert ended.data["reason"] == "compose_failed"
        assert says in ended.error
        assert ended.data["exit_code"] == 1

    @pytest.mark.parametrize("pull", list(PullPolicy))
    async def test_an_image_that_nobody_has_touches_nothing(
        self, driver: Driver, name: str, before: dict[str, str], pull: PullPolicy
    ) -> None:
        files = files_of(driver, name)
        services = {"web": runs(image=MISSING), "db": runs(pull_policy="never")}
        ended = await driver.deploy(name, services, pull=pull)
        assert ended.state == "failed"
        assert ended.data["reason"] == (
            "image_missing" if pull is PullPolicy.NEVER else "pull_failed"
        )
        assert "nothing was changed" in ended.error
        assert running(name) == before
        assert files_of(driver, name) == files
        assert (await driver.status(name))["wanted"]["revision"] == 1
        assert await driver.drift(name) == []

    async def test_a_step_that_others_wait_for_and_that_fails(
        self, driver: Driver, name: str, before: dict[str, str]
    ) -> None:
        migrated = {"migrate": {"condition": "service_completed_successfully"}}
        ended = await driver.deploy(
            name,
            {"migrate": runs("echo no; exit 4"), "web": runs(depends_on=migrated), "db": runs()},
        )
        # Compose does not remove what it does not know: the migration is an orphan of revision 1.
        assert ended.data["rolled_back_to"] == 1
        assert await driver.drift(name) == [("extra", "migrate")]
        assert sorted(running(name)) == sorted(before)
        await good(driver, name, {"web": runs(), "db": runs()}, remove_orphans=True)
        assert await driver.drift(name) == []

    async def test_without_auto_rollback_it_stays_as_it_is_and_is_told(
        self, driver: Driver, name: str, before: dict[str, str]
    ) -> None:
        ended = await driver.deploy(
            name, {"web": runs("exit 3"), "db": runs()}, auto_rollback=False
        )
        assert ended.state == "failed"
        assert "rolled_back_to" not in ended.data
        assert f"{name}-web-1 (Exited (3)" in ended.data["left"]
        assert ended.data["left"] in ended.error
        status = await driver.status(name)
        assert (status["wanted"]["revision"], status["wanted"]["state"]) == (2, "failed")
        assert "exit 3" in files_of(driver, name)["docker-compose.yml"]
        assert running(name) == {f"{name}-db-1": before[f"{name}-db-1"]}
        back = await driver.ends(RollbackCompose(ProjectName(name)))
        assert back.data["revision"] == 1, str(back)
        assert await driver.drift(name) == []


async def test_a_first_deployment_that_fails_leaves_nothing_and_the_fixed_one_succeeds(
    driver: Driver, name: str
) -> None:
    document = (
        '{{"services": {{"web": {{"image": "{image}", "command": ["sh", "-c", "{command}"],'
        ' "stop_grace_period": "0s", "init": true, "volumes": ["data:/data"]}}}},'
        ' "volumes": {{"data": null}}}}'
    )
    broken = document.format(image=IMAGE, command="exit 3")
    ended = await driver.deploy(name, broken, env={"A": "1"}, files={"conf/a.conf": "a"})
    assert ended.state == "failed"
    assert ended.data["rolled_back_to"] is None
    assert "nothing of it is left but its volumes" in ended.error
    assert (await driver.status(name))["exists"] is False
    assert not driver.directory(name).exists()
    assert docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={name}") == ""
    assert docker("network", "ls", "-q", "--filter", f"name={name}") == ""
    again = await good(driver, name, document.format(image=IMAGE, command="exec sleep 3600"))
    assert again.data["revision"] == 2
    assert await driver.drift(name) == []
    removed = await driver.ends(RemoveCompose(ProjectName(name), volumes=True))
    assert removed.state == "succeeded", removed


async def test_a_project_of_an_older_agent_is_gone_back_to(
    driver: Driver, name: str, tmp_path: Path
) -> None:
    """Its file is there, and runs, and there is no history of it."""
    text = f"services:\n  web:\n    image: {IMAGE}\n    command: [sleep, '3600']\n"
    text += "    init: true\n    stop_grace_period: 0s\n    network_mode: none\n"
    directory = driver.directory(name)
    directory.mkdir(parents=True)
    (directory / "docker-compose.yml").write_text(text, encoding="utf-8")
    docker(
        *("compose", "-p", name, "--project-directory", str(directory)),
        *("-f", str(directory / "docker-compose.yml"), "up", "--detach"),
    )
    before = running(name)
    ended = await driver.deploy(name, {"web": runs("exit 3")})
    assert ended.data["rolled_back_to"] == 1, str(ended)
    assert sorted(running(name)) == sorted(before)
    assert files_of(driver, name) == {"docker-compose.yml": text}


async def test_a_policy_that_says_no_changes_nothing(
    driver: Driver, name: str, tmp_path: Path
) -> None:
    await good(driver, name, {"web": runs()})
    before, files = running(name), files_of(driver, name)
    async with driver_at(tmp_path) as strict:
        strict.container.policy.override(STANDARD)
        text = f"services:\n  web:\n    image: {IMAGE}\n    privileged: true\n"
        ended = await strict.deploy(name, text)
        assert ended.state == "failed"
        assert ended.data["reason"] == "policy"
        (violation,) = ended.data["violations"]
        assert violation["rule"] == "containers.privileged"
        assert (violation["service"], violation["line"]) == ("web", 4)
        assert "(line 4 of the compose file)" in ended.error
        planned = await strict.ends(PlanCompose(deployment(name, text)))
        assert planned.data["policy"]["allowed"] is False
        assert planned.data["policy"]["violations"] == [violation]
        assert running(name) == before
        assert files_of(driver, name) == files
        assert (await strict.status(name))["wanted"]["revision"] == 1


async def test_a_policy_that_has_changed_refuses_rollback_and_restart(
    driver: Driver, name: str, tmp_path: Path
) -> None:
    web = runs(cap_add=["SYS_ADMIN"])
    await good(driver, name, {"web": web})
    await good(driver, name, {"web": runs()})
    before = running(name)
    async with driver_at(tmp_path) as strict:
        strict.container.policy.override(STANDARD)
        back = await strict.ends(RollbackCompose(ProjectName(name)))
        assert back.data["reason"] == "policy", str(back)
        assert running(name) == before
        assert await strict.drift(name) == []
        assert "SYS_ADMIN" not in files_of(driver, name)["docker-compose.yml"]
    await driver.deploy(name, {"web": web})
    before = running(name)
    async with driver_at(tmp_path) as strict:
        strict.container.policy.override(STANDARD)
        restarted = await strict.ends(RestartCompose(ProjectName(name)))
        assert restarted.data["reason"] == "policy", str(restarted)
        assert running(name) == before


async def test_a_rollback_of_a_rollback(driver: Driver, name: str) -> None:
    for seconds in (1001, 1002, 1003):
        await good(driver, name, {"web": runs(f"exec sleep {seconds}")})

    async def back(revision: int | None = None) -> tuple[int, str]:
        ended = await driver.ends(RollbackCompose(ProjectName(name), revision))
        assert ended.state == "succeeded", str(ended)
        assert await driver.drift(name) == []
        (container,) = running(name)
        said = docker("inspect", "--format", "{{json .Config.Cmd}}", container)
        return ended.data["revision"], said.split()[-1].rstrip('"]')

    assert await back() == (2, "1002")
    assert await back() == (1, "1001")
    assert await back(3) == (3, "1003")
    assert await back() == (2, "1002")
    revisions = (await driver.ends(ListRevisions(ProjectName(name)))).data["revisions"]
    assert [one["revision"] for one in revisions] == [1, 2, 3]
    gone = await driver.ends(RollbackCompose(ProjectName(name), 7))
    assert gone.error.endswith("has no revision 7; kept are 1, 2, 3")


class TestTwoImagesOfOneTag:
    """`:latest` meant another image when revision 1 was deployed."""

    @pytest.fixture
    def tag(self, name: str) -> Iterator[str]:
        tag = f"instadeploy-test/{name}:latest"
        self.made: list[str] = []
        yield tag
        take_down(name)
        for image in self.made:
            docker("rmi", "--force", image)

    def build(self, tag: str, marker: str) -> str:
        """Let the tag mean a new image; returns its id."""
        change = ["--change", f"LABEL marker={marker}", "--change", "CMD sleep 3600"]
        container = docker("create", "--network", "none", IMAGE)
        try:
            image = docker("commit", *change, container, tag)
        finally:
            docker("rm", container)
        self.made.append(image)
        return image

    async def test_going_back_brings_the_image_that_ran_then(
        self, driver: Driver, name: str, tag: str
    ) -> None:
        services = {"web": runs(image=tag)}
        first = self.build(tag, "1")
        await good(driver, name, services)
        second = self.build(tag, "2")
        assert first != second
        await good(driver, name, services)

        def image() -> str:
            return docker("inspect", "--format", "{{.Image}}", f"{name}-web-1")

        assert image() == second
        back = await driver.ends(RollbackCompose(ProjectName(name), 1))
        assert back.state == "succeeded", str(back)
        assert image() == first
        assert await driver.drift(name) == []
        # The tag is nobody's to move.
        assert docker("image", "inspect", "--format", "{{.Id}}", tag) == second
        assert f'"{tag}"' in files_of(driver, name)["docker-compose.yml"]
        restarted = await driver.ends(RestartCompose(ProjectName(name)))
        assert restarted.state == "succeeded", str(restarted)
        assert image() == first
        forward = await driver.ends(RollbackCompose(ProjectName(name), 2))
        assert forward.state == "succeeded", str(forward)
        assert image() == second
        # A failed deployment goes back to the image too, not to the name.
        third = self.build(tag, "3")
        failed = await driver.deploy(name, {"web": runs("exit 1", image=tag)})
        assert failed.data["rolled_back_to"] == 2, str(failed)
        assert image() == second
        await good(driver, name, services)
        assert image() == third
        assert await driver.drift(name) == []


async def test_what_the_engine_cannot_remove_at_that_moment_fails_no_deployment(
    driver: Driver, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await good(driver, name, {"web": runs()})
    web = f"{name}-web-1"
    before = running(name)[web]
    with unremovable(before):
        job = driver.start(deployment(name, {"web": runs("exec sleep 7200")}))
        going = ("ps", "--all", "--quiet", "--no-trunc", "--filter", "status=removing")
        await until(lambda: before in docker(*going), "a removal that failed")
    ended = await job.ends()
    assert ended.state == "succeeded", str(ended)
    assert f"the engine did not get the container {web} removed" in caplog.text
    assert list(running(name)) == [web]
    assert running(name)[web] != before
    assert await driver.drift(name) == []
