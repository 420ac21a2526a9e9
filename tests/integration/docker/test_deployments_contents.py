"""What a deployment may carry, and what becomes of it on the real engine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domain.commands import (
    GetStatus,
    PlanCompose,
    RemoveCompose,
    RestartCompose,
    RollbackCompose,
    StopCompose,
)
from domain.project import ProjectName
from tests.builders import IMAGE
from tests.integration.docker.driver import (
    Driver,
    Ended,
    checked,
    deployment,
    docker,
    driver_at,
    running,
    runs,
)


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[Driver]:
    async with driver_at(tmp_path) as driver:
        yield driver


@pytest.fixture
def name(project_name: str) -> str:
    """The project's name."""
    return project_name


def five_services() -> dict[str, object]:
    """Of every kind that others can wait for."""
    well = {"condition": "service_healthy"}
    return {
        "db": checked("true"),
        "cache": checked("true"),
        "migrate": runs("exit 0", depends_on={"db": well}),
        "api": checked(
            "true",
            depends_on={
                "cache": well,
                "migrate": {"condition": "service_completed_successfully"},
            },
        ),
        "web": runs(depends_on={"api": well}),
    }


def good(ended: Ended) -> Ended:
    assert ended.state == "succeeded", str(ended)
    return ended


def printed(container: str) -> str:
    return docker("logs", container)


async def test_five_services_that_depend_on_each_other(driver: Driver, name: str) -> None:
    services = five_services()
    planned = good(await driver.ends(PlanCompose(deployment(name, services))))
    assert {one["action"] for one in planned.data["services"]} == {"create"}
    assert not driver.directory(name).exists()
    first = good(await driver.deploy(name, services))
    assert first.steps == ["validate", "policy", "apply", "wait", "verify", "record"]
    assert sorted(running(name)) == [f"{name}-{one}-1" for one in ("api", "cache", "db", "web")]
    assert await driver.drift(name) == []
    planned = good(await driver.ends(PlanCompose(deployment(name, services))))
    # What has completed is run again.
    assert {one["action"] for one in planned.data["services"]} == {"keep"}

    before = running(name)
    again = good(await driver.deploy(name, services))
    assert running(name) == before
    assert again.data["revision"] == 2
    good(await driver.ends(GetStatus(ProjectName(name))))


async def test_env_files_and_extends_from_the_payload(driver: Driver, name: str) -> None:
    text = """
services:
  web:
    extends: {file: base/common.yml, service: base}
    command: ["sh", "-c", "echo $$OWN $$GIVEN ${TAG} $$(cat /conf); exec sleep 3600"]
    env_file: [conf/web.env]
    volumes: ["./conf/web.conf:/conf:ro"]
"""
    base = f"""
services:
  base:
    image: {IMAGE}
    init: true
    stop_grace_period: 0s
    network_mode: none
    environment: {{OWN: "own-${{TAG}}"}}
"""
    files = {"base/common.yml": base, "conf/web.env": "GIVEN=given\n", "conf/web.conf": "conf"}
    ended = good(await driver.deploy(name, text, env={"TAG": "t1"}, files=files))
    assert ended.data["revision"] == 1
    assert printed(f"{name}-web-1") == "own-t1 given t1 conf"
    assert await driver.drift(name) == []
    directory = driver.directory(name)
    assert oct((directory / ".env").stat().st_mode & 0o777) == "0o600"
    assert oct((directory / "conf/web.conf").stat().st_mode & 0o777) == "0o644"

    async def plan(**changed: str) -> list[tuple[str, str]]:
        wish = deployment(name, text, env={"TAG": "t1"}, files={**files, **changed})
        services = good(await driver.ends(PlanCompose(wish))).data["services"]
        return [(one["action"], one["why"]) for one in services]

    assert await plan() == [("keep", "")]
    ((action, why),) = await plan(**{"conf/web.env": "GIVEN=more\n"})
    assert action == "recreate"
    assert why.endswith("was made from another configuration than the wanted one")
    assert await plan(**{"conf/web.conf": "other"}) == [
        ("restart", "a file that it mounts is another one")
    ]
    before = running(name)
    good(await driver.deploy(name, text, env={"TAG": "t1"}, files=files))
    assert running(name) == before
    # Only a file differs, which Compose does not see: the container has to see it all the same.
    changed = {**files, "conf/web.conf": "other", "conf/web.env": "GIVEN=more\n"}
    good(await driver.deploy(name, text, env={"TAG": "t2"}, files=changed))
    assert printed(f"{name}-web-1") == "own-t2 more t2 other"
    failed = await driver.deploy(name, text.replace("exec sleep 3600", "exit 3"), files={**changed})
    assert failed.state == "failed"
    good(await driver.ends(RollbackCompose(ProjectName(name), 1)))
    assert printed(f"{name}-web-1") == "own-t1 given t1 conf"
    assert await driver.drift(name) == []
    # What a revision does not bring any more is taken away.
    good(await driver.deploy(name, {"web": runs()}))
    found = sorted(str(one.relative_to(directory)) for one in directory.rglob("*"))
    assert found == ["docker-compose.yml"]


async def test_a_build(driver: Driver, name: str) -> None:
    def services(say: str) -> dict[str, object]:
        web = runs("cat /said; exec sleep 3600", build={"context": "./app"})
        del web["image"]
        return {"web": web, "db": runs(say and "exec sleep 3600")}

    def files(say: str) -> dict[str, str]:
        return {"app/Dockerfile": f"FROM {IMAGE}\nCOPY said /said\n", "app/said": f"{say}\n"}

    image = f"{name}-web"
    try:
        first = good(await driver.deploy(name, services("one"), files=files("one")))
        assert first.steps == [
            *("validate", "policy"),
            *("build", "apply", "wait", "verify", "record"),
        ]
        assert printed(f"{name}-web-1") == "one"
        before = running(name)
        broken = {**files("two"), "app/Dockerfile": f"FROM {IMAGE}\nRUN exit 7\n"}
        failed = await driver.deploy(name, services("two"), files=broken)
        assert failed.data["reason"] == "build_failed", str(failed)
        assert failed.data["rolled_back_to"] == 1
        assert running(name) == before
        assert await driver.drift(name) == []
        good(await driver.deploy(name, services("two"), files=files("two")))
        assert printed(f"{name}-web-1") == "two"
        assert await driver.drift(name) == []
        good(await driver.ends(RollbackCompose(ProjectName(name), 1)))
        assert printed(f"{name}-web-1") == "one"
        assert await driver.drift(name) == []
    finally:
        removed = await driver.ends(RemoveCompose(ProjectName(name)))
        used = docker("images", "-q", "--no-trunc", image).split()
        dangling = docker(
            *("images", "-q", "--no-trunc", "--filter", "dangling=true"),
            *("--filter", f"label=com.docker.compose.project={name}"),
        ).split()
        for one in {*used, *dangling}:
            docker("rmi", "--force", one)
    assert removed.state == "succeeded", removed


async def test_profiles_are_part_of_a_revision(driver: Driver, name: str) -> None:
    services = {"web": runs(), "debug": runs(profiles=["debug"])}
    both = [f"{name}-debug-1", f"{name}-web-1"]
    good(await driver.deploy(name, services, profiles=("debug",)))
    assert sorted(running(name)) == both
    assert await driver.drift(name) == []
    good(await driver.deploy(name, services))
    # No profile asks for it any more; Compose leaves it, and it is told.
    assert await driver.drift(name) == [("extra", "debug")]
    good(await driver.ends(RollbackCompose(ProjectName(name))))
    assert sorted(running(name)) == both
    assert await driver.drift(name) == []
    good(await driver.ends(StopCompose(ProjectName(name))))
    assert running(name) == {}
    assert await driver.drift(name) == []


async def test_orphans_stay_unless_they_are_to_go(driver: Driver, name: str) -> None:
    good(await driver.deploy(name, {"web": runs(), "old": runs()}))
    good(await driver.deploy(name, {"web": runs()}))
    assert sorted(running(name)) == [f"{name}-old-1", f"{name}-web-1"]
    assert await driver.drift(name) == [("extra", "old")]
    planned = await driver.ends(PlanCompose(deployment(name, {"web": runs()}, remove_orphans=True)))
    assert [(one["service"], one["action"]) for one in planned.data["services"]] == [
        ("web", "keep"),
        ("old", "remove"),
    ]
    good(await driver.deploy(name, {"web": runs()}, remove_orphans=True))
    assert sorted(running(name)) == [f"{name}-web-1"]
    assert await driver.drift(name) == []


@pytest.mark.parametrize("volumes", [False, True], ids=["they stay", "they go"])
async def test_remove_takes_all_but_volumes_unless_it_says_so(
    driver: Driver, name: str, volumes: bool
) -> None:
    web = runs(volumes=["data:/data"])
    text = json.dumps({"services": {"web": web}, "volumes": {"data": None}})
    good(await driver.deploy(name, text, env={"A": "1"}, files={"conf/a": "a"}))
    removed = good(await driver.ends(RemoveCompose(ProjectName(name), volumes=volumes)))
    assert removed.data["volumes_removed"] is volumes
    listed = docker("volume", "ls", "-q", "--filter", f"name={name}_data")
    if not volumes:
        docker("volume", "rm", f"{name}_data")
    assert listed == ("" if volumes else f"{name}_data")
    assert docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={name}") == ""
    assert not driver.directory(name).exists()
    assert (await driver.status(name))["exists"] is False
    gone = await driver.ends(RollbackCompose(ProjectName(name)))
    assert gone.state == "failed"


async def test_every_configuration_is_compared_of_all_that_comes_with_files(
    driver: Driver, name: str
) -> None:
    """What Compose hashes of the model that was resolved elsewhere is what its containers carry."""
    text = f"""
x-common: &common
  image: {IMAGE}
  init: true
  stop_grace_period: 0s
  command: ["sh", "-c", "exec sleep 3600"]
services:
  plain: {{<<: *common, network_mode: none, environment: [TAG, UNSET]}}
  given: {{<<: *common, network_mode: none, env_file: [conf/web.env], environment: {{PWD: , D: "a$$b"}}}}
  mounts:
    <<: *common
    network_mode: none
    volumes: ["./conf/web.env:/a:ro", "$PWD/conf:/b:ro", "data:/data"]
    labels: {{where: "$PWD/x"}}
  configured:
    <<: *common
    network_mode: none
    configs: [one, {{source: two, target: /two}}]
    secrets: [one]
    env_file: conf/web.env
  debug: {{<<: *common, network_mode: none, profiles: [debug], scale: 2, env_file: conf/web.env}}
  front: {{<<: *common, networks: {{front: {{aliases: [f]}}}}, env_file: conf/web.env}}
volumes: {{data: }}
networks: {{front: }}
configs: {{one: {{file: ./conf/web.env}}, two: {{content: "two ${{TAG}}"}}}}
secrets: {{one: {{file: ./conf/web.env}}}}
"""
    files = {"conf/web.env": "GIVEN=$TAG\nNOVALUE\nQUOTED='$x'\nDOLLARS=$$y\n"}
    options: dict[str, Any] = {"env": {"TAG": "t1"}, "files": files, "profiles": ("debug",)}
    good(await driver.deploy(name, text, **options))
    (wanted,) = (await driver.container.revision_store().history(ProjectName(name))).revisions
    found = await driver.container.engine_state().containers(ProjectName(name))
    assert len(wanted.expected) == 6
    for service in wanted.expected:
        assert service.config_hash is not None, service.name
        assert {one.config_hash for one in found if one.service == service.name} == {
            service.config_hash
        }
    planned = good(await driver.ends(PlanCompose(deployment(name, text, **options))))
    assert {one["action"] for one in planned.data["services"]} == {"keep"}
    removed = await driver.ends(RemoveCompose(ProjectName(name), volumes=True))
    assert removed.state == "succeeded"


async def test_a_job_that_says_that_it_is_meant_to_end(driver: Driver, name: str) -> None:
    def services(code: int) -> dict[str, object]:
        labels = {"instadeploy.completes": "true"}
        return {"web": runs(), "job": runs(f"sleep 0.3; exit {code}", labels=labels)}

    good(await driver.deploy(name, services(0)))
    assert await driver.drift(name) == []
    planned = good(await driver.ends(PlanCompose(deployment(name, services(0)))))
    assert {one["action"] for one in planned.data["services"]} == {"keep"}
    failed = await driver.deploy(name, services(3))
    assert failed.data["services"] == {"job": "bad"}
    assert failed.data["rolled_back_to"] == 1
    wrong = {"web": runs(labels={"instadeploy.completes": "perhaps"})}
    refused = await driver.deploy(name, wrong)
    assert refused.data["reason"] == "invalid_input"
    assert "services.web.labels.instadeploy.completes" in refused.error
    assert await driver.drift(name) == []


async def test_what_somebody_has_paused_is_no_obstacle(driver: Driver, name: str) -> None:
    services: dict[str, object] = {"web": runs(scale=2), "db": runs()}
    good(await driver.deploy(name, services))
    before = running(name)
    docker("pause", f"{name}-web-2")
    again = good(await driver.deploy(name, services))
    assert again.steps[2:4] == ["unpause", "apply"]
    assert running(name) == before

    # Nor is it one to what takes a failed deployment back, ...
    docker("pause", f"{name}-db-1")
    broken = {**services, "web": runs("exit 3", scale=2)}
    failed = await driver.deploy(name, broken, wait=False)
    assert failed.data["rolled_back_to"] == 2, str(failed)
    # ... to going back, or, since the engine does that by itself, to a restart and a stop.
    for command in (RollbackCompose, RestartCompose, StopCompose):
        docker("pause", f"{name}-web-1", f"{name}-db-1")
        good(await driver.ends(command(ProjectName(name))))
    assert running(name) == {}


async def test_a_restart_is_of_the_services_that_it_names(driver: Driver, name: str) -> None:
    good(await driver.deploy(name, {"web": runs(), "db": runs()}))

    def begun() -> dict[str, str]:
        names = [f"{name}-db-1", f"{name}-web-1"]
        return dict(
            zip(
                names,
                docker("inspect", "--format", "{{.State.StartedAt}}", *names).split(),
                strict=True,
            )
        )

    before = begun()
    good(await driver.ends(RestartCompose(ProjectName(name), ("web",))))
    after = begun()
    assert after[f"{name}-db-1"] == before[f"{name}-db-1"]
    assert after[f"{name}-web-1"] != before[f"{name}-web-1"]
    unknown = await driver.ends(RestartCompose(ProjectName(name), ("none",)))
    assert unknown.error.endswith("has no service none")


class TestChangesByHand:
    """Each is told by STATUS, and put right by the next deployment of the same."""

    @pytest.fixture
    async def services(self, driver: Driver, name: str) -> dict[str, object]:
        services: dict[str, object] = {
            "web": runs(),
            "db": runs(),
            "own": runs(container_name=f"{name}-my-own"),
        }
        good(await driver.deploy(name, services))
        assert await driver.drift(name) == []
        return services

    @pytest.mark.parametrize(
        ("by_hand", "told"),
        [
            (("rename {name}-web-1 {name}-by-hand",), [("renamed", "web")]),
            (("rename {name}-my-own {name}-by-hand",), [("renamed", "own")]),
            (
                # Two have the name of another one.
                (
                    "rename {name}-web-1 {name}-by-hand",
                    "rename {name}-db-1 {name}-web-1",
                    "rename {name}-my-own {name}-db-1",
                ),
                [("renamed", "web"), ("renamed", "db"), ("renamed", "own")],
            ),
            (("stop {name}-web-1",), [("stopped", "web")]),
            (("rm --force {name}-web-1",), [("missing", "web")]),
            (
                (
                    "run -d --name {name}-extra --network none --label "
                    "com.docker.compose.project={name} --label com.docker.compose.service=extra "
                    "--label com.docker.compose.oneoff=False --label com.docker.compose.config-hash=0 "
                    + IMAGE
                    + " sleep 3600",
                ),
                [("extra", "extra")],
            ),
        ],
        ids=["renamed", "own name", "names changed", "stopped", "removed", "extra"],
    )
    async def test_it_is_told_and_put_right(
        self,
        driver: Driver,
        name: str,
        services: dict[str, object],
        by_hand: tuple[str, ...],
        told: list[tuple[str, str]],
    ) -> None:
        for command in by_hand:
            docker(*command.format(name=name).split())
        assert sorted(await driver.drift(name)) == sorted(told)
        good(await driver.deploy(name, services, remove_orphans=True))
        assert await driver.drift(name) == []
        assert sorted(running(name)) == [f"{name}-db-1", f"{name}-my-own", f"{name}-web-1"]

    async def test_a_file_changed_by_hand_is_the_revisions_again(
        self, driver: Driver, name: str, services: dict[str, object]
    ) -> None:
        file = driver.directory(name) / "docker-compose.yml"
        before = file.read_text(encoding="utf-8")
        file.write_text("services: {}\n", encoding="utf-8")
        good(await driver.deploy(name, services))
        assert file.read_text(encoding="utf-8") == before
