"""ROLLBACK_COMPOSE: back to what a project had, with the images that ran then."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from domain.commands import RollbackCompose
from domain.content import ExtraFile
from domain.deploy_options import PullPolicy
from domain.engine_state import Health
from domain.errors import Canceled, Conflict, NotFound, RuntimeUnavailable
from domain.policy import STANDARD
from domain.revision import RevisionState
from tests.builders import compose_content, stop
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment
from tests.fakes.engine_state import image_facts
from tests.fakes.project_files import PINS_FILE
from tests.unit.deploying import (
    APP,
    BLOG,
    CRASHING,
    NEW,
    OF_APP,
    OLD,
    begin,
    commands_of,
    completed,
    failed,
    history,
    revision,
    running_images,
    steps_of,
    wish,
)

LATEST = compose_content("web", command='["sleep", "3"]')
FIRST_IMAGE = image_facts("b", tag=APP, digest="registry.example.com/app@sha256:" + "1" * 64)
SECOND_IMAGE = image_facts("c", tag=APP, digest="registry.example.com/app@sha256:" + "2" * 64)


def back(to: int | None = None) -> RollbackCompose:
    return RollbackCompose(BLOG, to)


@pytest.fixture
async def host() -> FakeDeployment:
    """One on which revision 3 runs, and 1 and 2 ran before."""
    host = FakeDeployment()
    for content in (OLD, NEW, LATEST):
        completed(await host.deploy(wish(content)))
    return host


async def runs(host: FakeDeployment, content: bytes, number: int | None) -> None:
    assert host.files.content("blog") == content
    assert host.runtime.running == {"blog": content}
    assert (await history(host)).current == number


async def test_without_a_number_it_goes_to_the_last_good_one_before(host: FakeDeployment) -> None:
    outcome = completed(await host.do(back()))
    assert outcome.logs.startswith("Project 'blog' went back to revision 2.\n\nOutput:\n")
    assert (outcome.data["revision"], outcome.data["digest"]) == (2, wish(NEW).content.digest)
    assert dict(steps_of(outcome))["verify"] == "ok"
    await runs(host, NEW, 2)
    assert len((await history(host)).revisions) == 3


async def test_again_it_goes_further_back_and_then_there_is_nothing(host: FakeDeployment) -> None:
    completed(await host.do(back()))
    completed(await host.do(back()))
    await runs(host, OLD, 1)
    with pytest.raises(NotFound, match=r"no good revision before the one that is wanted now \(1\)"):
        await host.do(back())
    await runs(host, OLD, 1)


async def test_a_rollback_can_be_rolled_back_by_its_number(host: FakeDeployment) -> None:
    completed(await host.do(back(1)))
    await runs(host, OLD, 1)
    completed(await host.do(back(3)))
    await runs(host, LATEST, 3)


async def test_one_that_failed_is_passed_over_and_refused(host: FakeDeployment) -> None:
    failed(await host.deploy(wish(CRASHING)))
    completed(await host.deploy(wish(OLD)))
    completed(await host.do(back()))
    await runs(host, LATEST, 3)
    with pytest.raises(Conflict, match=r"4 of project 'blog' never came up \(failed\)"):
        await host.do(back(4))


async def test_an_unknown_number_is_refused_with_those_that_are_kept(host: FakeDeployment) -> None:
    with pytest.raises(NotFound, match="has no revision 9; kept are 1, 2, 3"):
        await host.do(back(9))
    with pytest.raises(NotFound):
        await host.do(RollbackCompose(wish(name="shop").project))
    assert commands_of(host) == ["up"] * 3


async def test_a_stopped_project_comes_up_again(host: FakeDeployment) -> None:
    await host.stop(stop("blog"))
    completed(await host.do(back()))
    await runs(host, LATEST, 3)


async def test_files_and_env_are_those_of_then(host: FakeDeployment) -> None:
    files = [ExtraFile("conf/a", b"1")]
    completed(await host.deploy(wish(OLD, env=b"A=1\n", files=files)))
    completed(await host.deploy(wish(NEW, env=b"A=2\n", files=[ExtraFile("conf/b", b"2")])))
    completed(await host.do(back()))
    there = {path.removeprefix("/projects/blog/"): v for path, v in host.files.on_disk.items()}
    assert there == {"docker-compose.yml": OLD, ".env": b"A=1\n", "conf/a": b"1"}


# The images that ran then.


@pytest.fixture
async def moved() -> FakeDeployment:
    """One whose revisions 1 and 2 both say `:latest`, which meant two images."""
    host = FakeDeployment()
    for image in (FIRST_IMAGE, SECOND_IMAGE):
        host.runtime.registry[APP] = image
        completed(await host.deploy(wish(OF_APP, pull=PullPolicy.ALWAYS)))
    assert running_images(host) == [SECOND_IMAGE.id]
    return host


async def test_a_name_that_moved_is_pinned_to_the_image_that_ran(moved: FakeDeployment) -> None:
    completed(await moved.do(back()))
    assert running_images(moved) == [FIRST_IMAGE.id]
    pins = moved.files.content("blog", PINS_FILE)
    assert pins is not None
    assert json.loads(pins) == {"services": {"web": {"image": FIRST_IMAGE.id}}}
    assert moved.files.content("blog") == OF_APP
    assert (await revision(moved, 1)).images[0].reference == APP


async def test_going_forward_again_the_pin_is_gone_where_it_is_not_needed(
    moved: FakeDeployment,
) -> None:
    completed(await moved.do(back()))
    completed(await moved.do(back(2)))
    assert running_images(moved) == [SECOND_IMAGE.id]
    assert moved.files.content("blog", PINS_FILE) is None


async def test_back_again_to_one_that_was_pinned_gives_its_image_again(
    moved: FakeDeployment,
) -> None:
    for number in (1, 2, 1):
        completed(await moved.do(back(number)))
    assert running_images(moved) == [FIRST_IMAGE.id]
    (ran,) = (await revision(moved, 1)).images
    assert (ran.reference, ran.image_id) == (APP, FIRST_IMAGE.id)


async def test_an_image_that_is_gone_is_pulled_by_its_digest(moved: FakeDeployment) -> None:
    (digest,) = FIRST_IMAGE.repo_digests
    del moved.state.images[FIRST_IMAGE.id]
    moved.runtime.registry[digest] = FIRST_IMAGE
    completed(await moved.do(back()))
    assert running_images(moved) == [FIRST_IMAGE.id]
    assert commands_of(moved)[-2:] == ["pull", "up"]


async def test_an_image_that_is_nowhere_any_more_leaves_what_runs_alone(
    moved: FakeDeployment,
) -> None:
    del moved.state.images[FIRST_IMAGE.id]
    before = moved.state.projects["blog"]
    outcome = failed(await moved.do(back()))
    assert outcome.data["reason"] == "pull_failed"
    assert moved.state.projects["blog"] == before
    assert (await history(moved)).current == 2


async def test_what_somebody_has_paused_goes_on_first(host: FakeDeployment) -> None:
    completed(await host.do(back(3)))
    host.state.change("blog", "blog-web-1", state="paused")
    outcome = completed(await host.do(back(3)))
    assert [name for name, _ in steps_of(outcome)][2:4] == [
        "apply revision 3 again unpause",
        "apply revision 3 again",
    ]
    await runs(host, LATEST, 3)


# What fails.


async def test_where_it_does_not_come_up_what_was_wanted_runs_again(host: FakeDeployment) -> None:
    host.runtime.script("up", Scripted(exit_code=1, output=b"port is taken\n"))
    outcome = failed(await host.do(back(1)))
    assert outcome.what.startswith("docker compose up failed with exit code 1; ")
    assert outcome.what.endswith(": revision 3 runs again")
    assert (outcome.data["revision"], outcome.data["rolled_back_to"]) == (1, 3)
    await runs(host, LATEST, 3)
    assert (await revision(host, 1)).state is RevisionState.GOOD


async def test_where_both_fail_both_are_said(host: FakeDeployment) -> None:
    for _ in range(2):
        host.runtime.script("up", Scripted(exit_code=1, output=b"port is taken\n"))
    outcome = failed(await host.do(back(1)))
    assert "going back to revision 3 failed too" in outcome.what
    assert outcome.data["left"] == "left are blog-web-1 (Up 3 seconds)"


async def test_the_policy_of_now_is_asked_and_nothing_that_runs_is_touched(
    host: FakeDeployment,
) -> None:
    completed(await host.deploy(wish(OLD + b"    privileged: true\n")))
    completed(await host.deploy(wish(NEW)))
    before = host.state.projects["blog"]
    host.use(policy=STANDARD)
    outcome = failed(await host.do(back()))
    assert outcome.data["reason"] == "policy"
    assert host.state.projects["blog"] == before
    assert host.files.content("blog") == NEW
    assert (await history(host)).current == 5


async def test_an_engine_that_is_down_is_said_and_nothing_is_changed(host: FakeDeployment) -> None:
    host.lose_engine()
    with pytest.raises(RuntimeUnavailable):
        await host.do(back())
    assert host.files.content("blog") == LATEST


async def test_cancelled_it_goes_forward_again(host: FakeDeployment) -> None:
    host.runtime.hang("up")
    steps, going = await begin(host, back())
    steps.cancel()
    with pytest.raises(Canceled, match=r"^canceled.*: revision 3 runs again$"):
        await going
    await runs(host, LATEST, 3)


async def test_at_the_jobs_deadline_it_goes_forward_again(host: FakeDeployment) -> None:
    host.runtime.hang("up")
    _, going = await begin(host, back(), deadline_s=10)
    await host.clock.advance(11)
    outcome = failed(await going)
    assert (outcome.data["reason"], outcome.data["rolled_back_to"]) == ("deadline", 3)
    await runs(host, LATEST, 3)


# Once it is the wanted revision, it was found well. What becomes of it later, while no agent runs that
# could say so, is no concern of the job that is over but for its result.


async def test_a_job_that_goes_on_goes_where_it_was_going(host: FakeDeployment) -> None:
    """Once the earlier revision is the wanted one, the last good one before it is another."""
    first = completed(await host.do(back(), "j1"))
    again = completed(await host.do(back(), "j1"))
    assert (again.data["revision"], again.logs) == (2, first.logs)
    await runs(host, NEW, 2)


async def test_one_that_was_over_but_for_its_result_is_not_undone(host: FakeDeployment) -> None:
    completed(await host.do(back(), "j1"))
    host.state.change("blog", "blog-web-1", health=Health.UNHEALTHY)
    again = completed(await host.do(back(), "j1"))
    assert again.data["revision"] == 2
    assert steps_of(again) == [("apply revision 2", "ok")]
    await runs(host, NEW, 2)
    assert commands_of(host) == ["up"] * 4


async def test_back_to_the_wanted_one_is_not_over_before_it_was_looked_at(
    host: FakeDeployment,
) -> None:
    """It is the wanted one from the beginning, so that this says nothing of how far it came."""
    up = host.runtime.hang("up")
    _, going = await begin(host, back(3))
    host.state.change("blog", "blog-web-1", health=Health.UNHEALTHY)
    going.cancel()
    await asyncio.wait({going})
    up.release.set()
    outcome = failed(await host.do(back(3), "j1"))
    assert (outcome.data["reason"], outcome.data["rolled_back_to"]) == ("unhealthy", 2)
    await runs(host, NEW, 2)


async def test_one_that_was_being_undone_when_the_agent_ended_goes_on_being_so(
    host: FakeDeployment,
) -> None:
    """What runs by then, and lies in the project's directory, is the revision it came from."""
    host.runtime.script("up", Scripted(exit_code=1, output=b"port is taken\n"))
    failed(await host.do(back(1), "j1"))
    again = failed(await host.do(back(1), "j1"))
    assert (again.data["revision"], again.data["rolled_back_to"]) == (1, 3)
    await runs(host, LATEST, 3)
    assert commands_of(host) == ["up"] * 5


async def test_one_that_was_about_to_be_undone_has_its_files_again_where_it_is_well_by_now(
    host: FakeDeployment,
) -> None:
    up = host.runtime.hang("up")
    _, going = await begin(host, back(1))
    original = host.runtime._start

    async def starts_ill(*arguments: Any) -> int:
        exit_code = await original(*arguments)
        host.state.change("blog", "blog-web-1", health=Health.UNHEALTHY)
        return exit_code

    host.runtime._start = starts_ill  # type: ignore[method-assign,assignment]
    undoing = host.runtime.hang("resolve")
    up.release.set()
    await undoing.started.wait()
    assert host.files.content("blog") == LATEST
    going.cancel()
    await asyncio.wait({going})
    host.state.change("blog", "blog-web-1", health=Health.NONE)
    completed(await host.do(back(1), "j1"))
    await runs(host, OLD, 1)
