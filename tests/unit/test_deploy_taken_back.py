"""A deployment that does not come up: what runs afterwards, and what is said of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from domain.content import ExtraFile
from domain.errors import Canceled, RuntimeUnavailable, StorageUnavailable
from domain.policy import STANDARD
from domain.project import ProjectName
from domain.revision import RevisionState
from tests.builders import compose_content, stop
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment
from tests.fakes.engine_state import found
from tests.unit.deploying import (
    BLOG,
    CRASHING,
    NEW,
    OLD,
    STARTING,
    UNHEALTHY,
    begin,
    commands_of,
    completed,
    failed,
    history,
    revision,
    steps_of,
    wish,
)

BUILT = compose_content("web") + b"    build: .\n"


@pytest.fixture
async def host() -> FakeDeployment:
    """One on which revision 1 of the project runs."""
    host = FakeDeployment()
    completed(await host.deploy(wish(OLD), "first"))
    return host


async def runs_as_before(host: FakeDeployment) -> None:
    """Revision 1 runs again, is the wanted one, and its files are the current ones."""
    assert host.files.content("blog") == OLD
    assert host.runtime.running == {"blog": OLD}
    assert [one.state for one in host.state.projects["blog"]] == ["running"]
    assert (await history(host)).current == 1
    assert (await revision(host, 1)).state is RevisionState.GOOD
    assert host.files.staged == []


# Each point at which it can fail.


async def test_an_up_that_fails_is_taken_back_to_the_revision_before(host: FakeDeployment) -> None:
    host.runtime.script("up", Scripted(exit_code=1, output=b"port is already allocated\n"))
    outcome = failed(await host.deploy(wish(NEW)))
    assert outcome.what.startswith("docker compose up failed with exit code 1; ")
    assert outcome.what.endswith(": revision 1 runs again")
    assert outcome.cause == "port is already allocated"
    assert outcome.logs == "port is already allocated\n"
    assert {key: outcome.data[key] for key in ("reason", "revision", "rolled_back_to")} == {
        "reason": "compose_failed",
        "revision": 2,
        "rolled_back_to": 1,
    }
    assert steps_of(outcome) == [
        ("validate", "ok"),
        ("policy", "ok"),
        ("apply", "failed"),
        ("rollback: validate", "ok"),
        ("rollback: policy", "ok"),
        ("rollback", "ok"),
        ("rollback: wait", "ok"),
        ("rollback: verify", "ok"),
    ]
    await runs_as_before(host)
    assert (await revision(host, 2)).state is RevisionState.FAILED
    assert "port is already allocated" in (await revision(host, 2)).error


@pytest.mark.parametrize(
    ("content", "word"), [(UNHEALTHY, "is unhealthy"), (CRASHING, "exited with code 3")]
)
async def test_one_that_ends_or_gets_unhealthy_is_taken_back(
    host: FakeDeployment, content: bytes, word: str
) -> None:
    outcome = failed(await host.deploy(wish(content)))
    assert word in outcome.cause
    assert outcome.data["reason"] == "unhealthy"
    assert outcome.data["services"] == {"web": "bad"}
    assert outcome.data["rolled_back_to"] == 1
    assert ("wait", "failed") in steps_of(outcome)
    await runs_as_before(host)


async def test_one_that_never_gets_healthy_is_taken_back_when_its_time_is_over(
    host: FakeDeployment,
) -> None:
    _, deploying = await begin(host, wish(STARTING, wait_timeout_s=20))
    await host.clock.advance(19)
    assert not deploying.done()
    await host.clock.advance(2)
    outcome = failed(await deploying)
    assert outcome.what.startswith("the project did not come up as it should within 20 s; ")
    assert outcome.data["services"] == {"web": "waiting"}
    await runs_as_before(host)


async def test_a_build_that_fails_is_taken_back_and_nothing_that_ran_was_touched(
    host: FakeDeployment,
) -> None:
    (before,) = host.state.projects["blog"]
    host.runtime.script("build", Scripted(exit_code=17, output=b"no such Dockerfile\n"))
    outcome = failed(await host.deploy(wish(BUILT, files=[ExtraFile("Dockerfile", b"FROM x")])))
    assert (outcome.data["reason"], outcome.data["rolled_back_to"]) == ("build_failed", 1)
    assert ("build", "failed") in steps_of(outcome)
    assert "apply" not in dict(steps_of(outcome))
    await runs_as_before(host)
    assert host.state.projects["blog"] == [before]
    assert host.files.content("blog", "Dockerfile") is None


async def test_one_whose_container_is_another_than_the_wanted_one_is_taken_back(
    host: FakeDeployment,
) -> None:
    """`up` was killed in its third attempt, as it were: it ends well, and the name stays wrong."""
    up = host.runtime.hang("up")
    _, deploying = await begin(host, wish(NEW))
    up.release.set()
    original = host.runtime._bring_up

    def bring_up(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]
        host.runtime._bring_up = original  # type: ignore[method-assign]
        host.runtime.misname("blog", "web")

    host.runtime._bring_up = bring_up  # type: ignore[method-assign,assignment]
    outcome = failed(await deploying)
    assert "does not have its proper name, blog-web-<number>" in outcome.cause
    await runs_as_before(host)


async def test_an_up_that_is_killed_again_and_again_is_taken_back(host: FakeDeployment) -> None:
    for _ in range(3):
        host.runtime.script("up", Scripted(exit_code=-9))
    outcome = failed(await host.deploy(wish(NEW)))
    assert outcome.what.startswith("docker compose up was killed 3 times; ")
    assert outcome.data["reason"] == "interrupted"
    await runs_as_before(host)


async def test_a_disk_that_fills_up_before_up_is_taken_back_as_far_as_that_goes(
    host: FakeDeployment,
) -> None:
    host.executor.is_full = True
    outcome = failed(await host.deploy(wish(NEW)))
    assert outcome.data["reason"] == "no_space"
    assert "no space left" in str(outcome.data["rollback_failed"])
    assert (await revision(host, 2)).state is RevisionState.FAILED


# Cancelled, or late.


@pytest.mark.parametrize("where", ["build", "up", "wait"])
async def test_cancelled_after_it_was_published_it_is_taken_back(
    host: FakeDeployment, where: str
) -> None:
    content = {"build": BUILT, "up": NEW, "wait": STARTING}[where]
    if where != "wait":
        host.runtime.hang(where)
    steps, deploying = await begin(host, wish(content))
    assert not deploying.done()
    steps.cancel()
    with pytest.raises(Canceled, match=r"^canceled.*: revision 1 runs again$"):
        await deploying
    await runs_as_before(host)
    failed_one = await revision(host, 2)
    assert (failed_one.state, "canceled" in failed_one.error) == (RevisionState.FAILED, True)


@pytest.mark.parametrize("where", ["up", "wait"])
async def test_at_the_jobs_deadline_it_is_taken_back_however_long_that_takes(
    host: FakeDeployment, where: str
) -> None:
    if where == "up":
        host.runtime.hang("up")
    back = None
    _, deploying = await begin(host, wish(NEW if where == "up" else STARTING), deadline_s=10)
    if where == "up":
        back = host.runtime.hang("up")
    await host.clock.advance(12)
    if back is not None:
        await back.started.wait()
        await host.clock.advance(100)
        assert not deploying.done()
        back.release.set()
    outcome = failed(await deploying)
    assert (outcome.data["reason"], outcome.data["rolled_back_to"]) == ("deadline", 1)
    await runs_as_before(host)


async def test_an_up_that_hangs_is_ended_after_its_own_deadline(host: FakeDeployment) -> None:
    host.runtime.hang("up")
    _, deploying = await begin(host, wish(NEW))
    await host.clock.advance(1799)
    assert not deploying.done()
    await host.clock.advance(1)
    outcome = failed(await deploying)
    assert outcome.what.startswith("docker compose up took longer than 1800 s and was ended; ")
    await runs_as_before(host)


async def test_going_back_cannot_be_cancelled(host: FakeDeployment) -> None:
    host.runtime.script("up", Scripted(exit_code=1))
    back = host.runtime.hang("up")
    steps, deploying = await begin(host, wish(NEW))
    assert back.started.is_set()
    steps.cancel()
    await host.clock.advance(5)
    assert not deploying.done()
    back.release.set()
    failed(await deploying)
    await runs_as_before(host)


# Going back that does not succeed.


async def test_going_back_that_fails_too_says_both_and_what_is_left(host: FakeDeployment) -> None:
    host.runtime.script("up", Scripted(exit_code=1, output=b"first\n"))
    host.runtime.script("up", Scripted(exit_code=2, output=b"second\n"))
    outcome = failed(await host.deploy(wish(NEW)))
    assert "going back to revision 1 failed too (docker compose up failed with exit code 2" in (
        outcome.what
    )
    assert outcome.what.endswith("left are blog-web-1 (Up 3 seconds)")
    assert outcome.cause == "first; second"
    assert outcome.data["left"] == "left are blog-web-1 (Up 3 seconds)"
    assert "second" in str(outcome.data["rollback_failed"])
    assert "rolled_back_to" not in outcome.data
    assert outcome.logs == "first\nsecond\n"


async def test_an_engine_that_is_down_is_waited_for_before_it_goes_back(
    host: FakeDeployment,
) -> None:
    up = host.runtime.hang("up")
    _, deploying = await begin(host, wish(STARTING, wait_timeout_s=5))
    up.release.set()
    host.lose_engine()
    await host.clock.advance(60)
    assert (deploying.done(), commands_of(host)) == (False, ["up", "up"])
    host.find_engine()
    await host.clock.advance(2)
    outcome = failed(await deploying)
    assert outcome.data["rolled_back_to"] == 1
    await runs_as_before(host)


async def test_an_engine_that_stays_down_is_said_and_so_is_that_nothing_is_known(
    host: FakeDeployment,
) -> None:
    up = host.runtime.hang("up")
    _, deploying = await begin(host, wish(NEW, wait_timeout_s=5))
    up.release.set()
    host.lose_engine()
    await host.clock.advance(200)
    outcome = failed(await deploying)
    assert outcome.data["reason"] == "runtime_unavailable"
    assert "what is left of it cannot be said" in str(outcome.data["left"])
    assert (await revision(host, 2)).state is RevisionState.FAILED


async def test_the_policy_is_asked_about_the_revision_before_as_well(
    host: FakeDeployment,
) -> None:
    completed(await host.deploy(wish(OLD + b"    privileged: true\n")))
    host.use(policy=STANDARD)
    host.runtime.script("up", Scripted(exit_code=1))
    outcome = failed(await host.deploy(wish(NEW)))
    assert "refused by this host's policy" in str(outcome.data["rollback_failed"])
    assert ("rollback: policy", "failed") in steps_of(outcome)


async def test_content_of_the_revision_before_that_is_spoilt_is_said(host: FakeDeployment) -> None:
    host.store.spoilt_contents.add((await revision(host, 1)).digest)
    host.runtime.script("up", Scripted(exit_code=1))
    outcome = failed(await host.deploy(wish(NEW)))
    assert "the content of revision 1 of project 'blog' is damaged" in outcome.error


# What there is to go back to.


async def test_a_first_deployment_that_fails_is_taken_away_and_the_fixed_one_comes_up() -> None:
    host = FakeDeployment()
    files = [ExtraFile("conf/a.conf", b"a")]
    outcome = failed(await host.deploy(wish(CRASHING, env=b"A=1\n", files=files)))
    assert outcome.what.endswith(
        "it was the project's first, and nothing of it is left but its volumes"
    )
    assert outcome.data["rolled_back_to"] is None
    assert outcome.data["left"] == "no container of it is left"
    assert ("take away", "ok") in steps_of(outcome)
    assert (host.files.on_disk, host.state.projects) == ({}, {})
    assert commands_of(host) == ["up", "down"]
    assert (await history(host)).current is None
    fixed = completed(await host.deploy(wish(NEW)))
    assert fixed.data["revision"] == 2


async def test_a_first_deployment_that_cannot_be_taken_away_says_so() -> None:
    host = FakeDeployment()
    host.runtime.script("down", Scripted(exit_code=1, output=b"device is busy\n"))
    outcome = failed(await host.deploy(wish(CRASHING)))
    assert "device is busy" in str(outcome.data["rollback_failed"])
    assert outcome.data["left"] == "left are blog-web-1 (Exited (3))"
    assert host.files.content("blog") == CRASHING


async def test_a_project_that_was_stopped_before_is_stopped_again_with_its_files(
    host: FakeDeployment,
) -> None:
    await host.stop(stop("blog"))
    outcome = failed(await host.deploy(wish(CRASHING)))
    assert outcome.what.endswith("the project was stopped before, and is again")
    assert (host.state.projects, host.files.content("blog")) == ({}, OLD)
    assert (await history(host)).current is None


async def test_without_auto_rollback_it_is_left_as_it_is_and_is_the_wanted_one(
    host: FakeDeployment,
) -> None:
    outcome = failed(await host.deploy(wish(CRASHING, auto_rollback=False)))
    assert outcome.data["left"] == "left are blog-web-1 (Exited (3))"
    assert "rolled_back_to" not in outcome.data
    assert commands_of(host) == ["up", "up"]
    assert host.files.content("blog") == CRASHING
    kept = await history(host)
    assert (kept.current, kept.find(2).state) == (2, RevisionState.FAILED)


async def test_after_one_that_was_left_failed_it_goes_back_to_the_last_good_one(
    host: FakeDeployment,
) -> None:
    failed(await host.deploy(wish(CRASHING, auto_rollback=False)))
    outcome = failed(await host.deploy(wish(UNHEALTHY)))
    assert outcome.data["rolled_back_to"] == 1
    await runs_as_before(host)


async def test_a_project_from_before_revisions_goes_back_to_what_it_had() -> None:
    host = FakeDeployment()
    host.files.put("blog", OLD)
    outcome = failed(await host.deploy(wish(CRASHING)))
    assert outcome.data["rolled_back_to"] == 1
    await runs_as_before(host)


async def test_files_that_it_brought_go_and_those_of_before_come_again(
    host: FakeDeployment,
) -> None:
    await host.deploy(wish(OLD, env=b"A=1\n", files=[ExtraFile("a", b"1"), ExtraFile("b", b"1")]))
    failed(
        await host.deploy(
            wish(CRASHING, env=b"A=2\n", files=[ExtraFile("a", b"2"), ExtraFile("c", b"2")])
        )
    )
    there = {path.removeprefix("/projects/blog/"): v for path, v in host.files.on_disk.items()}
    assert there == {"docker-compose.yml": OLD, ".env": b"A=1\n", "a": b"1", "b": b"1"}


async def test_containers_that_the_failed_one_has_added_go_where_orphans_are_to_go(
    host: FakeDeployment,
) -> None:
    host.state.put("blog", found("left-by-hand"))
    completed(await host.deploy(wish(OLD, remove_orphans=True)))
    two = NEW + CRASHING.replace(b"web:", b"job:").removeprefix(b"services:\n")
    failed(await host.deploy(wish(two)))
    assert [one.service for one in host.state.projects["blog"]] == ["web"]


# Waiting.


async def test_without_wait_it_is_enough_that_it_was_started(host: FakeDeployment) -> None:
    outcome = completed(await host.deploy(wish(STARTING, wait=False)))
    assert "wait" not in dict(steps_of(outcome))
    assert ("verify", "ok") in steps_of(outcome)


async def test_without_wait_what_has_ended_is_still_a_failure(host: FakeDeployment) -> None:
    outcome = failed(await host.deploy(wish(CRASHING, wait=False)))
    assert ("verify", "failed") in steps_of(outcome)
    await runs_as_before(host)


async def test_a_failure_that_cannot_be_written_down_does_not_keep_it_from_going_back(
    host: FakeDeployment,
) -> None:
    up = host.runtime.script("up", Scripted(exit_code=1, hangs=True))
    _, deploying = await begin(host, wish(NEW))
    calls = 0
    original = host.store.settle

    async def settle(*arguments: object, **more: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise StorageUnavailable("Input/output error")
        await original(*arguments, **more)  # type: ignore[arg-type]

    host.store.settle = settle  # type: ignore[method-assign]
    up.release.set()
    outcome = failed(await deploying)
    assert outcome.data["rolled_back_to"] == 1
    await runs_as_before(host)


# An agent that ended meanwhile.


async def test_one_that_was_being_taken_back_goes_on_being_so_whatever_was_written_down(
    host: FakeDeployment,
) -> None:
    """What runs by then, and what lies in the project's directory, is the revision before."""
    up = host.runtime.hang("up")
    _, deploying = await begin(host, wish(CRASHING))
    settle = host.store.settle

    async def fails(name: ProjectName, number: int, *arguments: Any, **more: Any) -> None:
        if number == 2:
            raise StorageUnavailable("Input/output error")
        await settle(name, number, *arguments, **more)

    host.store.settle = fails  # type: ignore[method-assign]
    up.release.set()
    failed(await deploying)
    host.store.settle = settle  # type: ignore[method-assign]
    assert (await revision(host, 2)).state is RevisionState.PENDING
    again = failed(await host.deploy(wish(CRASHING), "j1"))
    assert (again.data["reason"], again.data["rolled_back_to"]) == ("failed", 1)
    await runs_as_before(host)
    assert (await revision(host, 2)).state is RevisionState.FAILED


@pytest.mark.parametrize("comes_back", [False, True])
async def test_one_whose_files_were_published_waits_for_the_engine_and_is_taken_back_without_it(
    host: FakeDeployment, comes_back: bool
) -> None:
    build = host.runtime.hang("build")
    _, deploying = await begin(host, wish(BUILT))
    deploying.cancel()
    await asyncio.wait({deploying})
    host.lose_engine()
    _, again = await begin(host, wish(BUILT))
    await host.clock.advance(100)
    assert not again.done()
    if comes_back:
        host.find_engine()
        build.release.set()
        await host.clock.advance(2)
        completed(await again)
        return
    await host.clock.advance(200)
    outcome = failed(await again)
    assert outcome.data["reason"] == "runtime_unavailable"
    assert "start Docker Engine" in str(outcome.data["rollback_failed"])
    assert (await revision(host, 2)).state is RevisionState.FAILED


async def test_what_is_unavailable_while_it_is_taken_back_is_no_exception(
    host: FakeDeployment,
) -> None:
    up = host.runtime.hang("up")
    _, deploying = await begin(host, wish(CRASHING))
    up.release.set()
    host.runtime.unavailable = RuntimeUnavailable("there is no program 'docker'")
    outcome = failed(await asyncio.wait_for(deploying, 5))
    assert "there is no program 'docker'" in str(outcome.data["rollback_failed"])
    assert (await host.store.history(BLOG)).find(2).state is RevisionState.FAILED
