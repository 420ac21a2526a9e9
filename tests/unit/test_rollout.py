"""Bringing a project up and looking whether it is: how long that is waited for, and what is said."""

from __future__ import annotations

import asyncio

import pytest

from application.agent.handling import Deadlines, Outcome
from application.ports.compose_executor import ComposeOptions
from domain.commands import DeployCompose
from domain.content import ExtraFile
from domain.errors import Canceled
from domain.expectation import COMPLETES_LABEL
from domain.revision import RanImage
from domain.verification import ExpectedService
from tests.builders import IMAGE, compose_content
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment
from tests.fakes.engine_state import found, image_facts
from tests.unit.deploying import (
    APP,
    BLOG,
    NEW,
    OF_APP,
    STARTING,
    begin,
    commands_of,
    completed,
    failed,
    revision,
    steps_of,
    wish,
)

SETTLE_S = 2.0
WAIT_S = 30.0


@pytest.fixture
def host() -> FakeDeployment:
    """One on which a container has to run for a while to be taken for well."""
    return FakeDeployment(Deadlines(settle_s=SETTLE_S, wait_s=WAIT_S))


async def said(host: FakeDeployment, step: str) -> str:
    """What the stage has said so far."""
    (printed,) = [one for one in host.live.steps("j1") if one.step == step]
    return (await printed.running.output(0, 100_000))[1].decode()


async def waiting(host: FakeDeployment, content: bytes = NEW, job_id: str = "j1") -> Outcome:
    """A deployment that is let go on until it has its end."""
    return await finished(host, wish(content), job_id)


async def finished(host: FakeDeployment, command: DeployCompose, job_id: str) -> Outcome:
    """The same of any deployment."""
    _, deploying = await begin(host, command, job_id)
    while not deploying.done():
        await host.clock.advance_to_next()
    return await deploying


async def test_a_container_has_to_run_for_a_while(host: FakeDeployment) -> None:
    _, deploying = await begin(host, wish())
    await host.clock.advance(SETTLE_S - 0.1)
    assert not deploying.done()
    assert "runs, for less than 2 s" in await said(host, "wait")
    await host.clock.advance(1.5)
    outcome = completed(await deploying)
    assert dict(steps_of(outcome))["wait"] == "ok"


async def test_one_that_ran_before_and_was_left_alone_need_not(host: FakeDeployment) -> None:
    await waiting(host)
    _, again = await begin(host, wish(), "j2")
    assert again.done()
    completed(await again)


async def test_one_that_becomes_healthy_is_waited_for(host: FakeDeployment) -> None:
    _, deploying = await begin(host, wish(STARTING))
    await host.clock.advance(20)
    assert not deploying.done()
    host.state.change("blog", "blog-web-1", health="healthy")
    await host.clock.advance(1)
    completed(await deploying)
    assert "is not healthy yet" in await said(host, "wait")
    assert "runs and is healthy" in await said(host, "verify")


async def test_one_that_does_not_is_said_when_the_hosts_time_is_over(host: FakeDeployment) -> None:
    _, deploying = await begin(host, wish(STARTING, auto_rollback=False))
    await host.clock.advance(WAIT_S - 1)
    assert not deploying.done()
    await host.clock.advance(2)
    outcome = failed(await deploying)
    assert "within 30 s" in outcome.what
    assert outcome.data["reason"] == "unhealthy"
    assert outcome.data["findings"] == ["service 'web': blog-web-1 runs and is not healthy yet"]


async def test_the_jobs_deadline_is_sooner_than_the_hosts_time(host: FakeDeployment) -> None:
    _, deploying = await begin(host, wish(STARTING, auto_rollback=False), deadline_s=5)
    await host.clock.advance(7)
    outcome = failed(await deploying)
    assert "before the job's deadline" in outcome.what
    assert outcome.data["reason"] == "deadline"


async def test_one_that_crashes_while_it_settles_is_not_waited_for_longer(
    host: FakeDeployment,
) -> None:
    _, deploying = await begin(host, wish(auto_rollback=False))
    await host.clock.advance(1)
    host.state.change("blog", "blog-web-1", state="exited", exit_code=137, is_oom_killed=True)
    await host.clock.advance(1)
    outcome = failed(await deploying)
    assert "exited with code 137; it ran out of memory" in outcome.cause


async def test_one_that_crashes_again_and_again_is_bad_before_the_time_is_over(
    host: FakeDeployment,
) -> None:
    _, deploying = await begin(host, wish(auto_rollback=False))
    for count in range(1, 7):
        host.state.change(
            "blog", "blog-web-1", restart_count=count, started_at=host.clock.monotonic()
        )
        await host.clock.advance(1)
    outcome = failed(await deploying)
    assert "crashes again and again" in outcome.cause


async def test_an_engine_that_goes_down_meanwhile_is_waited_for(host: FakeDeployment) -> None:
    _, deploying = await begin(host, wish())
    host.lose_engine()
    await host.clock.advance(10)
    assert not deploying.done()
    assert "start Docker Engine" in await said(host, "wait")
    host.find_engine()
    await host.clock.advance(5)
    completed(await deploying)


async def test_a_sentence_is_said_once_however_often_it_is_so(host: FakeDeployment) -> None:
    _, deploying = await begin(host, wish(STARTING))
    await host.clock.advance(10)
    assert (await said(host, "wait")).count("is not healthy yet") == 1
    host.state.change("blog", "blog-web-1", health="healthy")
    await host.clock.advance(1)
    await deploying


async def test_it_is_looked_often_at_first_and_every_second_later(host: FakeDeployment) -> None:
    _, deploying = await begin(host, wish(STARTING))
    await host.clock.advance(20)
    pauses = [one for one in host.clock.slept if one <= 1]
    assert pauses[0] == 0.05
    assert pauses[-1] == 1.0
    assert len(pauses) < 35
    host.state.change("blog", "blog-web-1", health="healthy")
    await host.clock.advance(1)
    await deploying


async def test_cancelled_while_it_waits_it_says_so(host: FakeDeployment) -> None:
    steps, deploying = await begin(host, wish(STARTING, auto_rollback=False))
    await host.clock.advance(1)
    steps.cancel()
    with pytest.raises(Canceled, match=r"^canceled; .*left are blog-web-1"):
        await asyncio.wait_for(deploying, 5)
    assert dict(steps_of_report(steps.stages.report()))["wait"] == "canceled"


async def test_what_somebody_has_renamed_by_hand_has_its_name_again(host: FakeDeployment) -> None:
    await waiting(host)
    host.state.change("blog", "blog-web-1", name="by-hand")
    completed(await waiting(host, job_id="j2"))
    assert [one.name for one in host.state.projects["blog"]] == ["blog-web-1"]


async def test_containers_of_others_are_nobodys_concern(host: FakeDeployment) -> None:
    host.state.put("blog", found("by-hand", state="exited", exit_code=1))
    completed(await waiting(host))


async def test_a_service_that_another_waits_for_may_have_completed(host: FakeDeployment) -> None:
    job = compose_content("job", command='["sh", "-c", "exit 0"]')
    content = (
        job
        + NEW.removeprefix(b"services:\n")
        + b"    depends_on: {job: {condition: service_completed_successfully}}\n"
    )
    completed(await waiting(host, content))


async def test_a_service_that_is_meant_to_end_may_have_completed_and_nothing_else(
    host: FakeDeployment,
) -> None:
    def job(code: int) -> bytes:
        ends = compose_content("job", command=f'["sh", "-c", "exit {code}"]')
        return NEW + ends.removeprefix(b"services:\n") + b"    labels: {%s: 'true'}\n"

    label = COMPLETES_LABEL.encode()
    completed(await waiting(host, job(0) % label))
    assert {one.name: one.completes for one in (await revision(host, 1)).expected} == {
        "web": False,
        "job": True,
    }
    outcome = failed(await waiting(host, job(1) % label, job_id="j2"))
    assert outcome.data["services"] == {"job": "bad"}


# Containers that somebody has paused.


async def test_what_somebody_has_paused_goes_on_before_it_is_brought_up(
    host: FakeDeployment,
) -> None:
    await waiting(host)
    (web,) = host.state.projects["blog"]
    host.state.change("blog", "blog-web-1", state="paused")
    outcome = completed(await waiting(host, job_id="j2"))
    assert [name for name, _ in steps_of(outcome)][2:4] == ["unpause", "apply"]
    assert commands_of(host) == ["up", "unpause", "up"]
    assert ("unpause", ComposeOptions(containers=(web.id,))) in host.runtime.options
    assert [one.state for one in host.state.projects["blog"]] == ["running"]


async def test_an_orphan_stays_paused(host: FakeDeployment) -> None:
    await waiting(host)
    host.state.put("blog", found("old", state="paused"))
    completed(await waiting(host, job_id="j2"))
    assert commands_of(host) == ["up", "up"]


async def test_what_goes_on_by_itself_meanwhile_is_no_failure(host: FakeDeployment) -> None:
    await waiting(host)
    host.state.change("blog", "blog-web-1", state="paused")
    unpause = host.runtime.script("unpause", Scripted(hangs=True))
    _, deploying = await begin(host, wish(), "j2")
    host.state.change("blog", "blog-web-1", state="running")
    unpause.release.set()
    completed(await deploying)


async def test_what_cannot_go_on_is_said(host: FakeDeployment) -> None:
    await waiting(host)
    host.state.change("blog", "blog-web-1", state="paused")
    for _ in range(2):
        # An engine that cannot: nothing is let go on, and Compose cannot bring it up either.
        host.runtime.script("unpause", Scripted(exit_code=1, output=b"cannot\n"))
    outcome = failed(await waiting(host, job_id="j2"))
    assert outcome.what.startswith("docker unpause failed with exit code 1; ")
    assert ("rollback unpause", "failed") in steps_of(outcome)


async def test_a_file_that_it_has_mounted_is_read_again_also_by_one_that_was_paused(
    host: FakeDeployment,
) -> None:
    content = NEW + b"    volumes: ['./a.conf:/etc/a.conf']\n"
    completed(await finished(host, wish(content, files=[ExtraFile("a.conf", b"1")]), "j1"))
    host.state.change("blog", "blog-web-1", state="paused")
    again = wish(content, files=[ExtraFile("a.conf", b"2")])
    outcome = completed(await finished(host, again, "j2"))
    names = [name for name, _ in steps_of(outcome)]
    assert names[2:5] == ["unpause", "apply", "reload"]


async def test_a_compose_that_labels_otherwise_than_it_tells_is_not_held_against_anybody(
    host: FakeDeployment,
) -> None:
    host.runtime.labels_otherwise = True
    completed(await waiting(host))
    assert (await revision(host, 1)).expected[0].config_hash is None


async def test_a_digest_is_kept_of_the_registry_that_the_image_is_named_after(
    host: FakeDeployment,
) -> None:
    own = "registry.example.com/app@sha256:" + "1" * 64
    image = image_facts("b")
    host.runtime.registry[APP] = type(image)(
        image.id, ("other.example.com/app@sha256:" + "2" * 64, own), (APP,)
    )
    completed(await waiting(host, OF_APP))
    assert (await revision(host, 1)).images == (RanImage("web", APP, image.id, own),)


async def test_what_is_left_is_said_in_words(host: FakeDeployment) -> None:
    rollout = host.handlers.rollout
    assert await rollout.what_is_left(BLOG) == "no container of it is left"
    host.state.put("blog", found("web"), found("db", status="", state="dead"))
    assert await rollout.what_is_left(BLOG) == (
        "left are blog-db-1 (dead), blog-web-1 (Up 3 seconds)"
    )
    host.lose_engine()
    assert "what is left of it cannot be said: " in await rollout.what_is_left(BLOG)


async def test_what_the_revision_expects_later_is_what_was_found_well(
    host: FakeDeployment,
) -> None:
    completed(await waiting(host))
    (web,) = host.state.projects["blog"]
    image = host.state.known(IMAGE)
    assert image is not None
    assert (await revision(host, 1)).expected == (
        ExpectedService(name="web", image_id=image.id, config_hash=web.config_hash),
    )


def steps_of_report(report: list[dict[str, object]]) -> list[tuple[object, object]]:
    return [(one["step"], one["state"]) for one in report]
