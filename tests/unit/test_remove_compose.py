"""REMOVE_COMPOSE: a project off the host, with its files and its history."""

from __future__ import annotations

import pytest

from domain.commands import RemoveCompose
from domain.content import ExtraFile
from domain.errors import Canceled, NotFound
from tests.builders import stop
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment
from tests.unit.deploying import (
    BLOG,
    NEW,
    OLD,
    begin,
    commands_of,
    completed,
    failed,
    history,
    steps_of,
    wish,
)

WITH_VOLUME = NEW + b"volumes: {data: {}}\n"
REMOVE, WITH_ITS_VOLUMES = RemoveCompose(BLOG), RemoveCompose(BLOG, volumes=True)


@pytest.fixture
async def host() -> FakeDeployment:
    host = FakeDeployment()
    files = [ExtraFile("conf/a", b"a")]
    completed(await host.deploy(wish(WITH_VOLUME, env=b"A=1\n", files=files)))
    return host


async def test_containers_files_and_history_go_and_volumes_stay(host: FakeDeployment) -> None:
    outcome = completed(await host.do(REMOVE))
    assert outcome.logs == (
        "Project 'blog' removed; its volumes stay.\n\nOutput:\n Container blog-web-1  Removed\n"
    )
    assert (outcome.data["volumes_removed"], steps_of(outcome)) == (False, [("take off", "ok")])
    assert (host.files.on_disk, host.state.projects) == ({}, {})
    assert (await history(host)).revisions == ()
    assert host.state.volume_names["blog"] == ["blog_data"]
    assert commands_of(host)[-1] == "down"


async def test_volumes_go_where_the_command_says_so(host: FakeDeployment) -> None:
    outcome = completed(await host.do(WITH_ITS_VOLUMES))
    assert outcome.logs.startswith("Project 'blog' removed; its volumes too.\n")
    assert outcome.data["volumes_removed"] is True
    assert "blog" not in host.state.volume_names


async def test_what_somebody_else_put_there_or_has_changed_stays(host: FakeDeployment) -> None:
    host.files.put("blog", b"mine", "notes.txt")
    host.files.put("blog", b"changed by hand", "conf/a")
    completed(await host.do(REMOVE))
    there = {path.removeprefix("/projects/blog/") for path in host.files.on_disk}
    assert there == {"notes.txt", "conf/a"}


async def test_files_of_a_stopped_project_go_too(host: FakeDeployment) -> None:
    await host.stop(stop("blog"))
    completed(await host.do(REMOVE))
    assert host.files.on_disk == {}


async def test_orphans_go_too(host: FakeDeployment) -> None:
    completed(await host.deploy(wish(OLD.replace(b"web:", b"other:"))))
    assert len(host.state.projects["blog"]) == 2
    completed(await host.do(REMOVE))
    assert host.state.projects == {}


async def test_an_unknown_project_is_refused() -> None:
    host = FakeDeployment()
    with pytest.raises(NotFound, match="does not exist on this host"):
        await host.do(REMOVE)
    assert host.runtime.calls == []


async def test_where_compose_fails_everything_is_kept(host: FakeDeployment) -> None:
    host.runtime.script("down", Scripted(exit_code=1, output=b"device is busy\n"))
    outcome = failed(await host.do(REMOVE))
    assert outcome.error == (
        "docker compose down failed with exit code 1; some of it may be left; its files and history "
        "are kept: device is busy"
    )
    assert host.files.content("blog") == WITH_VOLUME
    assert (await history(host)).current == 1


async def test_cancelled_everything_is_kept(host: FakeDeployment) -> None:
    host.runtime.hang("remove")
    steps, removing = await begin(host, WITH_ITS_VOLUMES)
    steps.cancel()
    with pytest.raises(Canceled, match="its files and history are kept"):
        await removing
    assert (await history(host)).current == 1


async def test_removed_it_can_be_deployed_anew(host: FakeDeployment) -> None:
    completed(await host.do(REMOVE))
    outcome = completed(await host.deploy(wish(NEW)))
    assert isinstance(outcome.data["revision"], int)
    assert (await history(host)).current == outcome.data["revision"]


async def test_a_job_that_goes_on_after_its_files_were_gone_comes_to_its_end(
    host: FakeDeployment,
) -> None:
    first = completed(await host.do(REMOVE, "j1"))
    again = completed(await host.do(REMOVE, "j1"))
    assert again.logs == first.logs
    assert commands_of(host).count("down") == 1
