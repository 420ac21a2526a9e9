"""Verification and drift over what the real engine says of what the real Compose made."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.engine.state import SocketEngineState
from domain.compose_model import ComposeModel
from domain.drift import Drift, drift_of
from domain.engine_state import FoundContainer
from domain.expectation import expected_services
from domain.health_watch import HealthWatch, Patience
from domain.project import ProjectName
from domain.verification import Condition, ExpectedService, Kind, Verdict, verify
from entrypoints.agent.settings import AgentSettings
from tests.builders import IMAGE

PATIENCE_S = 60.0
LOOK_AGAIN_S = 0.1
GOOD, BAD = Condition.GOOD, Condition.BAD


def docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def runs(command: str = "exec sleep 3600", **more: Any) -> dict[str, Any]:
    """A service; `$` is the shell's, not Compose's."""
    return {
        "image": IMAGE,
        "command": ["sh", "-c", command.replace("$", "$$")],
        "init": True,
        "stop_grace_period": "0s",
        "network_mode": "none",
        **more,
    }


def checked(test: str, **more: Any) -> dict[str, Any]:
    check = {"test": ["CMD-SHELL", test.replace("$", "$$")], "interval": "200ms", "retries": 2}
    return runs(healthcheck=check, **more)


class Deployed:
    """A project on the disk, what is expected of it, and what the engine says."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = ProjectName(name)
        self.state = SocketEngineState(AgentSettings().docker_host)
        self.expected: tuple[ExpectedService, ...] = ()
        self.directory = directory
        self.file = directory / "docker-compose.yml"
        self._resolved = directory / "resolved.json"

    async def up(self, profiles: Sequence[str] = (), **services: dict[str, Any]) -> None:
        """Resolve, hash and bring up, and expect what was resolved."""
        self.file.write_text(json.dumps({"services": services}), encoding="utf-8")
        asked = [f"--profile={profile}" for profile in profiles]
        self._resolved.write_text(
            self.compose(self.file, *asked, "config", "--format", "json"), encoding="utf-8"
        )
        hashes = self.compose(self._resolved, *asked, "config", "--hash", "*").splitlines()
        model = ComposeModel.from_document(json.loads(self._resolved.read_text(encoding="utf-8")))
        image = await self.state.image(IMAGE)
        assert image is not None
        self.expected = expected_services(
            model,
            hashes=dict(line.split() for line in hashes),
            image_ids={service.name: image.id for service in model.services},
        )
        self.compose(self.file, *asked, "up", "--detach", "--remove-orphans")

    def compose(self, file: Path, *arguments: str) -> str:
        return docker(
            *("compose", "--ansi", "never", "-p", self.name.compose_name),
            *("--project-directory", str(self.directory), "-f", str(file), *arguments),
        )

    async def found(self) -> Sequence[FoundContainer]:
        return await self.state.containers(self.name)

    async def verdict(self) -> Verdict:
        return verify(self.name, self.expected, await self.found())

    async def outcome(self, *, settle_s: float = 0.5, crashes: int = 3) -> Verdict:
        """Watch it until it is good or bad."""
        patience = Patience(settle_s=settle_s, crashes=crashes)
        watch = HealthWatch(self.name, self.expected, patience=patience)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                verdict = watch.observe(loop.time(), await self.found())
                if verdict.condition is not Condition.WAITING:
                    return verdict
                await asyncio.sleep(LOOK_AGAIN_S)

    async def drift(self) -> tuple[Drift, ...]:
        return drift_of(self.name, self.expected, await self.found())

    def container(self, service: str, number: int = 1) -> str:
        return f"{self.name.compose_name}-{service}-{number}"


@pytest.fixture
def deployed(tmp_path: Path, project_name: str) -> Deployed:
    return Deployed(tmp_path, project_name)


def kinds(verdict: Verdict) -> list[Kind]:
    return [finding.kind for finding in verdict.findings]


async def test_services_of_every_kind_that_come_up_are_good_and_without_drift(
    deployed: Deployed, tmp_path: Path
) -> None:
    (tmp_path / "web.env").write_text("A=1\nB=$C\nD='${E}'\n", encoding="utf-8")
    migrated = {"migrate": {"condition": "service_completed_successfully"}}
    await deployed.up(
        migrate=runs("exit 0"),
        web=checked("true", depends_on=migrated, env_file=["web.env"], scale=2),
        plain=runs(container_name=f"{deployed.name}-own-name"),
        joined=runs(network_mode="service:plain", volumes_from=["plain"]),
        debug=runs(profiles=["debug"]),
    )
    verdict = await deployed.outcome()
    assert verdict.condition is GOOD, verdict.findings
    assert sorted(kinds(verdict)) == sorted(
        [Kind.COMPLETED, Kind.HEALTHY, Kind.HEALTHY, Kind.RUNNING, Kind.RUNNING]
    )
    by_name = {service.name: service for service in deployed.expected}
    assert [one for one in by_name if by_name[one].config_hash is None] == ["joined"]
    assert await deployed.drift() == ()


async def test_one_that_exits_at_once_has_failed(deployed: Deployed) -> None:
    await deployed.up(web=runs("exit 3"), app=runs())
    verdict = await deployed.outcome()
    assert verdict.services["web"] is BAD
    (said,) = verdict.sentences(BAD)
    assert said == f"service 'web': {deployed.container('web')} exited with code 3"


async def test_one_that_exits_with_0_and_that_nobody_waits_for_has_failed(
    deployed: Deployed,
) -> None:
    await deployed.up(web=runs("exit 0"))
    assert kinds(await deployed.outcome()) == [Kind.EXITED]


async def test_one_that_exits_while_it_settles_has_failed(deployed: Deployed) -> None:
    await deployed.up(web=runs("sleep 0.4; exit 1"))
    assert kinds(await deployed.outcome(settle_s=5.0)) == [Kind.EXITED]


async def test_one_that_never_gets_healthy_has_failed_and_says_what_its_check_said(
    deployed: Deployed,
) -> None:
    await deployed.up(web=checked("echo no database; exit 1"), app=checked("true"))
    verdict = await deployed.outcome()
    assert verdict.services["web"] is BAD
    (said,) = verdict.sentences(BAD)
    assert said == (
        f"service 'web': {deployed.container('web')} is unhealthy; its last check said: no database"
    )


async def test_one_that_is_slow_to_get_healthy_is_good_in_the_end(deployed: Deployed) -> None:
    # BusyBox's shell counts its checks in a file of the container.
    slow = checked("echo >>/tmp/n; test $(wc -l </tmp/n) -ge 4")
    slow["healthcheck"] |= {"start_period": "60s"}
    await deployed.up(web=slow)
    assert (await deployed.verdict()).condition is Condition.WAITING
    assert kinds(await deployed.outcome()) == [Kind.HEALTHY]


@pytest.mark.parametrize("restart", ["always", "on-failure"])
async def test_a_crash_loop_has_failed(deployed: Deployed, restart: str) -> None:
    await deployed.up(web=runs("sleep 0.1; exit 7", restart=restart))
    verdict = await deployed.outcome(settle_s=20.0)
    (said,) = verdict.sentences(BAD)
    assert f"{deployed.container('web')} crashes again and again (" in said
    assert "it exited" in said


async def test_one_that_crashes_once_and_then_runs_is_good(deployed: Deployed) -> None:
    twice = "echo >>/tmp/n; test $(wc -l </tmp/n) -ge 2 || exit 1; exec sleep 3600"
    await deployed.up(web=runs(twice, restart="always"))
    assert kinds(await deployed.outcome(settle_s=1.0)) == [Kind.RUNNING]


async def test_a_step_that_others_wait_for_and_that_fails_has_failed(deployed: Deployed) -> None:
    migrated = {"migrate": {"condition": "service_completed_successfully"}}
    with pytest.raises(subprocess.CalledProcessError):
        await deployed.up(migrate=runs("exit 4"), web=runs(depends_on=migrated))
    verdict = await deployed.verdict()
    assert kinds(verdict) == [Kind.EXITED, Kind.CREATED]
    assert "exited with code 4" in verdict.findings[0].sentence


async def test_one_that_cannot_be_started_has_failed(deployed: Deployed) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        await deployed.up(web=runs() | {"command": ["no-such-program"], "init": False})
    (said,) = (await deployed.outcome()).findings
    assert said.kind is Kind.NOT_STARTED
    assert "no-such-program" in said.sentence


class TestByHand:
    @pytest.fixture
    async def deployed(self, tmp_path: Path, project_name: str) -> Deployed:
        deployed = Deployed(tmp_path, project_name)
        await deployed.up(app=runs(), web=runs(scale=2))
        assert await deployed.drift() == ()
        return deployed

    async def test_renamed(self, deployed: Deployed) -> None:
        renamed = f"{deployed.name}-by-hand"
        docker("rename", deployed.container("app"), renamed)
        (item,) = await deployed.drift()
        assert (item.kind, item.container) == ("renamed", renamed)
        # Compose goes by the labels, and is content.
        deployed.compose(deployed.file, "up", "--detach")
        assert Kind.MISNAMED in kinds(await deployed.verdict())

    async def test_stopped(self, deployed: Deployed) -> None:
        docker("stop", deployed.container("app"))
        (item,) = await deployed.drift()
        assert (item.kind, item.service) == ("stopped", "app")
        assert (await deployed.verdict()).services == {"app": BAD, "web": GOOD}

    async def test_paused(self, deployed: Deployed) -> None:
        docker("pause", deployed.container("app"))
        (item,) = await deployed.drift()
        assert (item.kind, item.service) == ("stopped", "app")

    async def test_removed_and_made_again_under_another_number(self, deployed: Deployed) -> None:
        docker("rm", "--force", deployed.container("web"))
        (item,) = await deployed.drift()
        assert (item.kind, item.service) == ("scale", "web")
        deployed.compose(deployed.file, "up", "--detach")
        names = [one.name for one in await deployed.found() if one.service == "web"]
        assert names == [deployed.container("web", 2), deployed.container("web", 3)]
        assert await deployed.drift() == ()

    async def test_made_of_another_image_and_configuration(self, deployed: Deployed) -> None:
        name = deployed.container("app")
        labels = json.loads(docker("inspect", "--format", "{{json .Config.Labels}}", name))
        labels["com.docker.compose.config-hash"] = "f" * 64
        docker("rm", "--force", name)
        image = docker("import", "--change", "CMD sleep 3600", archive(deployed))
        given = [f"--label={label}={value}" for label, value in labels.items()]
        try:
            docker("create", "--name", name, "--network", "none", *given, image)
            items = await deployed.drift()
            assert [item.kind for item in items] == ["image", "config", "stopped"]
            assert {item.service for item in items} == {"app"}
        finally:
            docker("rm", "--force", name)
            docker("rmi", image)

    async def test_an_extra_container_with_the_projects_label(self, deployed: Deployed) -> None:
        project = deployed.name.compose_name
        label = f"--label=com.docker.compose.project={project}"
        docker("run", "-d", "--name", f"{project}-extra", "--network", "none", label, IMAGE, "true")
        (item,) = await deployed.drift()
        assert (item.kind, item.service, item.container) == ("extra", "", f"{project}-extra")
        assert (await deployed.verdict()).condition is GOOD

    async def test_what_runs_on_the_side_is_none(self, deployed: Deployed) -> None:
        deployed.compose(deployed.file, "run", "--detach", "app")
        assert len(await deployed.found()) == 4
        assert await deployed.drift() == ()


def archive(deployed: Deployed) -> str:
    """The archive of a root with one file, to make an image of."""
    path = str(deployed.directory / "root.tar")
    command = ["tar", "--create", "--file", path, "--directory", str(deployed.directory)]
    subprocess.run([*command, deployed.file.name], check=True)
    return path
