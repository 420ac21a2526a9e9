"""DEPLOY_COMPOSE: what is said, and what lies on the host afterwards."""

from __future__ import annotations

import asyncio

import pytest

from application.agent.handling import Completed, Failed, Outcome
from domain.errors import Conflict, InvalidInput, NoSpace, RuntimeUnavailable, StorageUnavailable
from tests.builders import REJECTED_CONTENT, compose_content, deploy
from tests.fakes.clock import settle
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment

OLD = compose_content("old")
NEW = compose_content("new")


@pytest.fixture
def host() -> FakeDeployment:
    return FakeDeployment()


def failed(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed)
    return outcome


async def test_a_deployment_says_protocol_v1s_sentence_and_what_compose_printed(
    host: FakeDeployment,
) -> None:
    assert await host.deploy(deploy("blog", NEW)) == Completed(
        "Project 'blog' deployed successfully.\n\nOutput:\n"
        " Container blog-new-1  Created\n Container blog-new-1  Started\n"
    )
    assert host.files.content("blog") == NEW
    assert host.runtime.running == {"blog": NEW}


async def test_the_name_is_said_as_it_was_given_and_compose_gets_it_lower_cased(
    host: FakeDeployment,
) -> None:
    outcome = await host.deploy(deploy("MyApp", NEW))
    assert isinstance(outcome, Completed)
    assert outcome.logs.startswith("Project 'MyApp' deployed successfully.\n\nOutput:\n")
    assert host.files.content("MyApp") == NEW
    assert set(host.runtime.running) == {"myapp"}


async def test_what_is_checked_is_the_new_file_while_the_old_one_is_still_current(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    checking = host.runtime.hang("check")
    deploying = asyncio.create_task(host.deploy(deploy("blog", NEW)))
    await checking.started.wait()
    assert [host.files.read(path) for path in host.files.staged] == [NEW]
    assert host.files.content("blog") == OLD
    checking.release.set()
    await deploying
    assert host.files.content("blog") == NEW
    assert host.runtime.calls == [("check", "blog"), ("up", "blog")]


async def test_deploying_again_replaces_the_file_and_brings_up_what_it_says(
    host: FakeDeployment,
) -> None:
    for content in (OLD, NEW):
        assert isinstance(await host.deploy(deploy("blog", content)), Completed)
    assert host.runtime.running == {"blog": NEW}


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"a: [", "not valid YAML"),
        (b"just words", "must be a YAML mapping"),
        (b"- web", "must be a YAML mapping"),
        (b"version: '3'", "has no 'services'"),
        (b"services: {}", "must name at least one service"),
        (b"services: [web]", "must name at least one service"),
    ],
)
async def test_a_file_that_is_refused_is_never_written_and_nothing_is_run(
    host: FakeDeployment, content: bytes, rule: str
) -> None:
    host.files.put("blog", OLD)
    with pytest.raises(InvalidInput, match=rule):
        await host.deploy(deploy("blog", content))
    assert set(host.files.on_disk.values()) == {OLD}
    assert host.runtime.calls == []
    assert host.engine.asked == 0


async def test_a_file_that_compose_rejects_replaces_nothing_and_the_cause_is_said(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    cause = (
        'service "web" has neither an image nor a build context specified: invalid compose project'
    )
    outcome = failed(await host.deploy(deploy("blog", REJECTED_CONTENT)))
    assert outcome == Failed(
        "docker compose config failed with exit code 15; nothing was changed",
        cause=cause,
        logs=f"{cause}\n",
        data={"reason": "compose_failed", "exit_code": 15},
    )
    assert outcome.error == (
        f"docker compose config failed with exit code 15; nothing was changed: {cause}"
    )
    assert set(host.files.on_disk.values()) == {OLD}
    assert host.runtime.names_of("up") == []


async def test_a_new_project_that_compose_rejects_leaves_no_trace(host: FakeDeployment) -> None:
    failed(await host.deploy(deploy("blog", REJECTED_CONTENT)))
    assert host.files.on_disk == {}


async def test_a_check_that_hangs_is_ended_after_its_deadline_and_replaces_nothing(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    check = host.runtime.script("check", Scripted(output=b"still checking\n", hangs=True))
    deploying = asyncio.create_task(host.deploy(deploy("blog", NEW)))
    await check.started.wait()
    await host.clock.advance(59.9)
    assert not deploying.done()
    await host.clock.advance(0.2)
    assert await deploying == Failed(
        "docker compose config took longer than 60 s and was ended; nothing was changed",
        logs="still checking\n",
        data={"reason": "deadline"},
    )
    assert host.runtime.cancelled == [("check", "blog")]
    assert set(host.files.on_disk.values()) == {OLD}


async def test_an_engine_that_is_down_is_said_before_anything_is_written(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    host.engine.is_down = True
    with pytest.raises(RuntimeUnavailable, match="start Docker Engine"):
        await host.deploy(deploy("blog", NEW))
    assert set(host.files.on_disk.values()) == {OLD}
    assert host.runtime.calls == []


async def test_compose_that_is_missing_is_said_and_nothing_is_replaced(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    host.runtime.unavailable = RuntimeUnavailable("there is no program 'docker'")
    with pytest.raises(RuntimeUnavailable, match="there is no program 'docker'"):
        await host.deploy(deploy("blog", NEW))
    assert set(host.files.on_disk.values()) == {OLD}


async def test_an_up_that_fails_keeps_the_new_file_and_says_so(host: FakeDeployment) -> None:
    host.files.put("blog", OLD)
    printed = b"blog-web Pulling\nError response from daemon: pull access denied for nothing\n"
    host.runtime.script("up", Scripted(exit_code=18, output=printed))
    outcome = failed(await host.deploy(deploy("blog", NEW)))
    assert outcome == Failed(
        "docker compose up failed with exit code 18; the new compose file is kept, and containers "
        "may be half-way between the old and the new",
        cause="Error response from daemon: pull access denied for nothing",
        logs=printed.decode(),
        data={"reason": "compose_failed", "exit_code": 18},
    )
    assert set(host.files.on_disk.values()) == {NEW}


async def test_an_up_that_fails_without_a_word_says_that(host: FakeDeployment) -> None:
    host.runtime.script("up", Scripted(exit_code=1))
    outcome = failed(await host.deploy(deploy("blog", NEW)))
    assert outcome.error.endswith("the old and the new: it printed nothing")
    assert outcome.data["exit_code"] == 1


async def test_an_up_that_is_killed_again_and_again_is_interrupted_and_keeps_the_new_file(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    for _ in range(3):
        host.runtime.script("up", Scripted(exit_code=-9, output=b"pulling\n"))
    outcome = failed(await host.deploy(deploy("blog", NEW)))
    assert outcome == Failed(
        "docker compose up was killed 3 times; the new compose file is kept, and containers may be "
        "half-way between the old and the new",
        logs="pulling\n",
        data={"reason": "interrupted"},
    )
    assert set(host.files.on_disk.values()) == {NEW}
    assert host.runtime.names_of("up") == ["blog"] * 3


async def test_a_check_that_is_killed_is_tried_again(host: FakeDeployment) -> None:
    host.runtime.script("check", Scripted(exit_code=-9))
    assert isinstance(await host.deploy(deploy("blog", NEW)), Completed)
    assert host.runtime.calls == [("check", "blog"), ("check", "blog"), ("up", "blog")]


async def test_an_up_that_hangs_is_ended_after_its_deadline_and_keeps_the_new_file(
    host: FakeDeployment,
) -> None:
    up = host.runtime.hang("up")
    deploying = asyncio.create_task(host.deploy(deploy("blog", NEW)))
    await up.started.wait()
    await host.clock.advance(1799)
    assert not deploying.done()
    await host.clock.advance(1)
    outcome = failed(await deploying)
    assert outcome.what == (
        "docker compose up took longer than 1800 s and was ended; the new compose file is kept, and "
        "containers may be half-way between the old and the new"
    )
    assert host.files.content("blog") == NEW
    assert (host.runtime.cancelled, host.runtime.calls_under_way) == ([("up", "blog")], 0)


async def test_each_step_has_a_deadline_of_its_own(host: FakeDeployment) -> None:
    check, up = host.runtime.hang("check"), host.runtime.hang("up")
    deploying = asyncio.create_task(host.deploy(deploy("blog", NEW)))
    await check.started.wait()
    await host.clock.advance(59)
    check.release.set()
    await up.started.wait()
    await host.clock.advance(1799)
    up.release.set()
    assert isinstance(await deploying, Completed)


@pytest.mark.parametrize("subcommand", ["check", "up"])
async def test_cancelled_it_leaves_the_step_alone_and_goes_on_with_it_when_it_is_called_again(
    host: FakeDeployment, subcommand: str
) -> None:
    host.files.put("blog", OLD)
    hanging = host.runtime.hang(subcommand)
    deploying = asyncio.create_task(host.deploy(deploy("blog", NEW), "j1"))
    await hanging.started.wait()
    deploying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deploying
    await settle()
    assert (host.runtime.cancelled, host.runtime.calls_under_way) == ([], 1)
    # A check that runs still reads its file.
    assert len(host.files.staged) == (subcommand == "check")
    again = asyncio.create_task(host.deploy(deploy("blog", NEW), "j1"))
    await settle()
    assert not again.done()
    hanging.release.set()
    assert isinstance(await again, Completed)
    assert host.runtime.calls == [("check", "blog"), ("up", "blog")]
    assert (host.files.staged, host.files.content("blog")) == ([], NEW)


async def test_called_again_after_the_check_it_asks_and_judges_nothing_again(
    host: FakeDeployment,
) -> None:
    check = host.runtime.hang("check")
    deploying = asyncio.create_task(host.deploy(deploy("blog", NEW), "j1"))
    await check.started.wait()
    deploying.cancel()
    await asyncio.wait({deploying})
    check.release.set()
    await settle()
    host.engine.is_down = True
    assert isinstance(await host.deploy(deploy("blog", NEW), "j1"), Completed)
    assert (host.reader.read_files, host.engine.asked, host.runtime.versions_asked) == (1, 1, 1)


async def test_called_again_after_the_file_was_published_it_brings_up_what_is_there_now(
    host: FakeDeployment,
) -> None:
    up = host.runtime.hang("up")
    deploying = asyncio.create_task(host.deploy(deploy("blog", NEW), "j1"))
    await up.started.wait()
    deploying.cancel()
    await asyncio.wait({deploying})
    host.executor.interrupt()
    host.files.put("blog", OLD)
    assert isinstance(await host.deploy(deploy("blog", NEW), "j1"), Completed)
    assert host.runtime.running == {"blog": OLD}
    assert host.files.publications == 1


async def test_killed_between_the_check_and_the_publication_the_file_is_published_once(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    check = host.runtime.hang("check")
    deploying = asyncio.create_task(host.deploy(deploy("blog", NEW), "j1"))
    await check.started.wait()
    host.disk.hold()
    check.release.set()
    await settle()
    deploying.cancel()
    host.disk.release()
    await asyncio.wait({deploying})
    assert isinstance(await host.deploy(deploy("blog", NEW), "j1"), Completed)
    assert (host.files.content("blog"), host.files.staged) == (NEW, [])
    assert host.runtime.names_of("check") == ["blog"]


async def test_a_full_disk_is_said_and_nothing_is_run(host: FakeDeployment) -> None:
    host.files.put("blog", OLD)
    host.files.is_full = True
    with pytest.raises(NoSpace, match="no space left"):
        await host.deploy(deploy("blog", NEW))
    assert set(host.files.on_disk.values()) == {OLD}
    assert host.runtime.calls == []


async def test_a_file_that_cannot_be_published_is_not_brought_up(host: FakeDeployment) -> None:
    host.files.put("blog", OLD)
    host.files.fails_to_publish_with = StorageUnavailable("/projects cannot be used: I/O error")
    with pytest.raises(StorageUnavailable):
        await host.deploy(deploy("blog", NEW))
    assert set(host.files.on_disk.values()) == {OLD}
    assert host.runtime.names_of("up") == []


async def test_a_name_that_compose_takes_for_another_project_is_a_conflict(
    host: FakeDeployment,
) -> None:
    host.files.put("MyApp", OLD)
    with pytest.raises(Conflict, match="'MyApp' are one project"):
        await host.deploy(deploy("myapp", NEW))
    assert set(host.files.on_disk.values()) == {OLD}
    assert host.runtime.calls == []


@pytest.mark.parametrize("links", ["linked_directories", "linked_files"])
async def test_a_link_in_the_projects_place_is_refused_and_nothing_is_run(
    host: FakeDeployment, links: str
) -> None:
    getattr(host.files, links).add("blog")
    with pytest.raises(InvalidInput, match="symbolic link"):
        await host.deploy(deploy("blog", NEW))
    assert host.files.on_disk == {}
    assert host.runtime.calls == []
