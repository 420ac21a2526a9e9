"""DEPLOY_COMPOSE: what is said, and what lies on the host afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from application.agent.handling import Completed, Failed
from domain.commands import RegistryLogin, RollbackCompose
from domain.content import ExtraFile
from domain.engine_state import Health
from domain.errors import (
    Canceled,
    Conflict,
    InvalidInput,
    NoSpace,
    RuntimeUnavailable,
    StorageUnavailable,
)
from domain.policy import STANDARD
from domain.revision import RanImage, RevisionState
from tests.builders import IMAGE, REJECTED_CONTENT, compose_content, deploy, stop
from tests.fakes.clock import EPOCH
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment
from tests.fakes.engine_state import image_facts
from tests.unit.deploying import (
    APP,
    BLOG,
    NEW,
    OF_APP,
    OLD,
    begin,
    commands_of,
    completed,
    failed,
    history,
    revision,
    steps_of,
    wish,
)

GOOD_STEPS = [("validate", "ok"), ("policy", "ok"), ("apply", "ok")]
JUDGED = [("wait", "ok"), ("verify", "ok"), ("record", "ok")]
LOGIN = RegistryLogin("registry.example.com", "ann", "s3cr3t")


@pytest.fixture
def host() -> FakeDeployment:
    return FakeDeployment()


# What goes well.


async def test_a_deployment_says_protocol_v1s_sentence_and_what_compose_printed(
    host: FakeDeployment,
) -> None:
    command = deploy("blog", NEW)
    outcome = completed(await host.deploy(command))
    assert outcome.logs == (
        "Project 'blog' deployed successfully.\n\nOutput:\n"
        " Container blog-web-1  Created\n Container blog-web-1  Started\n"
    )
    assert steps_of(outcome) == GOOD_STEPS + JUDGED
    assert (outcome.data["revision"], outcome.data["digest"]) == (1, command.content.digest)
    assert host.files.content("blog") == NEW
    assert host.runtime.running == {"blog": NEW}


async def test_it_is_a_good_revision_with_the_images_that_ran(host: FakeDeployment) -> None:
    await host.deploy(wish(requested_by="ann"), "j1")
    (web,) = host.state.projects["blog"]
    made = await revision(host, 1)
    assert (made.state, made.job_id, made.options.requested_by) == (RevisionState.GOOD, "j1", "ann")
    assert made.created_at == EPOCH.timestamp()
    assert made.images == (RanImage("web", IMAGE, str(web.image_id)),)
    (expected,) = made.expected
    assert (expected.image_id, expected.config_hash) == (web.image_id, web.config_hash)
    assert (await history(host)).current == 1


async def test_the_name_is_said_as_it_was_given_and_compose_gets_it_lower_cased(
    host: FakeDeployment,
) -> None:
    outcome = completed(await host.deploy(deploy("MyApp", NEW)))
    assert outcome.logs.startswith("Project 'MyApp' deployed successfully.\n\nOutput:\n")
    assert host.files.content("MyApp") == NEW
    assert set(host.runtime.running) == {"myapp"}


async def test_what_is_judged_is_the_new_file_while_the_old_one_is_still_current(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    judging = host.runtime.hang("resolve")
    _, deploying = await begin(host, wish(NEW))
    assert judging.started.is_set()
    assert [host.files.at(path) for path in host.files.staged] == [NEW]
    assert host.files.content("blog") == OLD
    judging.release.set()
    completed(await deploying)
    assert (host.files.content("blog"), host.files.staged) == (NEW, [])


async def test_deploying_again_makes_another_revision_and_brings_up_what_it_says(
    host: FakeDeployment,
) -> None:
    for content in (OLD, NEW, NEW):
        completed(await host.deploy(wish(content)))
    assert host.runtime.running == {"blog": NEW}
    numbers = [(one.number, one.state) for one in (await history(host)).revisions]
    assert numbers == [(number, RevisionState.GOOD) for number in (1, 2, 3)]
    assert len(host.store.contents["blog"]) == 2


async def test_env_and_files_come_with_their_modes_and_those_of_before_go(
    host: FakeDeployment,
) -> None:
    content = NEW + b"    environment: {COLOUR: '${COLOUR}'}\n"
    files = [ExtraFile("conf/a.conf", b"a"), ExtraFile("run.sh", b"b", 0o755)]
    completed(await host.deploy(wish(content, env=b"COLOUR=red\n", files=files)))
    assert host.files.content("blog", ".env") == b"COLOUR=red\n"
    assert host.files.content("blog", "conf/a.conf") == b"a"
    assert host.files.modes["/projects/blog/run.sh"] == 0o755
    before = host.state.projects["blog"]
    completed(await host.deploy(wish(content, env=b"COLOUR=blue\n", files=files[:1])))
    assert host.files.content("blog", "run.sh") is None
    assert host.state.projects["blog"] != before


async def test_a_plain_deployment_asks_compose_once(host: FakeDeployment) -> None:
    completed(await host.deploy(wish(OLD)))
    assert [call for call, _ in host.runtime.calls] == ["resolve", "up"]
    assert host.runtime.told == [True]


async def test_with_files_it_is_asked_where_they_are_staged_and_nowhere_else(
    host: FakeDeployment,
) -> None:
    content = NEW + b"    volumes: ['./a.conf:/etc/a.conf']\n    env_file: web.env\n"
    files = [ExtraFile("a.conf", b"1"), ExtraFile("web.env", b"A=1\n")]
    outcome = completed(await host.deploy(wish(content, files=files)))
    assert steps_of(outcome) == GOOD_STEPS + JUDGED
    assert [call for call, _ in host.runtime.calls] == ["resolve", "hashes", "up"]
    assert host.runtime.told == [False]
    (expected,) = (await revision(host, 1)).expected
    assert expected.config_hash == host.state.projects["blog"][0].config_hash


async def test_a_container_made_from_other_variables_of_a_file_is_noticed(
    host: FakeDeployment,
) -> None:
    content = NEW + b"    env_file: web.env\n"
    content += compose_content("db").removeprefix(b"services:\n")
    completed(await host.deploy(wish(content, files=[ExtraFile("web.env", b"A=1\n")])))
    (before,) = [one for one in host.state.projects["blog"] if one.service == "web"]
    up = host.runtime.hang("up")
    _, deploying = await begin(host, wish(content, files=[ExtraFile("web.env", b"A=2\n")]), "j2")
    original = host.runtime._start

    async def lies(*arguments: Any) -> int:
        exit_code = await original(*arguments)
        host.state.change("blog", "blog-web-1", config_hash=before.config_hash)
        host.runtime._start = original  # type: ignore[method-assign]
        return exit_code

    host.runtime._start = lies  # type: ignore[method-assign,assignment]
    up.release.set()
    outcome = failed(await deploying)
    assert "web-1 was made from another configuration than the wanted one" in outcome.cause


async def test_options_reach_compose(host: FakeDeployment) -> None:
    host.runtime.registry[APP] = image_facts("b")
    content = OF_APP + b"    profiles: [debug]\n"
    completed(await host.deploy(wish(content, profiles=("debug",), remove_orphans=True)))
    told = dict(host.runtime.options)
    assert (told["pull"].services, told["pull"].profiles) == (("web",), ("debug",))
    assert (told["up"].remove_orphans, told["up"].profiles) == (True, ("debug",))
    assert told["up"].docker_config == ""


async def test_images_that_are_missing_are_pulled_before_anything_that_runs_is_touched(
    host: FakeDeployment,
) -> None:
    host.runtime.registry[APP] = image_facts("b")
    outcome = completed(await host.deploy(wish(OF_APP)))
    assert commands_of(host) == ["pull", "up"]
    assert [name for name, _ in steps_of(outcome)][:4] == ["validate", "policy", "pull", "apply"]
    completed(await host.deploy(wish(OF_APP)))
    assert commands_of(host) == ["pull", "up", "up"]


async def test_a_file_that_is_mounted_and_changed_makes_its_service_start_again(
    host: FakeDeployment,
) -> None:
    content = NEW + b"    volumes: ['./a.conf:/etc/a.conf']\n"
    completed(await host.deploy(wish(content, files=[ExtraFile("a.conf", b"1")])))
    outcome = completed(await host.deploy(wish(content, files=[ExtraFile("a.conf", b"2")])))
    assert ("reload", "ok") in steps_of(outcome)
    assert commands_of(host) == ["up", "up", "restart"]
    completed(await host.deploy(wish(content, files=[ExtraFile("a.conf", b"2")])))
    assert commands_of(host) == ["up", "up", "restart", "up"]


async def test_credentials_are_judged_first_and_are_there_for_the_pull_and_for_up(
    host: FakeDeployment,
) -> None:
    host.runtime.registry[APP] = image_facts("b")
    outcome = completed(await host.deploy(wish(OF_APP, registry_auth=[LOGIN]), "j1"))
    assert ("login", "ok") in steps_of(outcome)
    calls = [name for name, _ in host.runtime.calls]
    assert calls.index("login") < calls.index("pull")
    assert ("login", "registry.example.com") in host.runtime.calls
    assert {o.docker_config for n, o in host.runtime.options} == {"/state/logins/j1"}
    assert "s3cr3t" not in str(outcome)


# What is refused before anything is touched.


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
        data={
            "reason": "compose_failed",
            "exit_code": 15,
            "steps": [{"step": "validate", "state": "failed", "seconds": 0.0}],
        },
    )
    assert outcome.error == (
        f"docker compose config failed with exit code 15; nothing was changed: {cause}"
    )
    assert set(host.files.on_disk.values()) == {OLD}
    assert commands_of(host) == []
    assert [one.number for one in (await history(host)).revisions] == [1]  # The adopted one.


async def test_a_new_project_that_compose_rejects_leaves_no_trace(host: FakeDeployment) -> None:
    failed(await host.deploy(deploy("blog", REJECTED_CONTENT)))
    assert host.files.on_disk == {}
    assert (await history(host)).revisions == ()


async def test_a_question_to_compose_that_hangs_is_ended_and_replaces_nothing(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    judging = host.runtime.hang("resolve")
    deploying = asyncio.create_task(host.deploy(deploy("blog", NEW)))
    await judging.started.wait()
    await host.clock.advance(59.9)
    assert not deploying.done()
    await host.clock.advance(0.2)
    outcome = failed(await deploying)
    assert outcome.error == (
        "docker compose config took longer than 60 s and was ended; nothing was changed"
    )
    assert outcome.data["reason"] == "deadline"
    assert host.runtime.cancelled == [("resolve", "blog")]
    assert set(host.files.on_disk.values()) == {OLD}


async def test_what_the_policy_does_not_allow_changes_nothing(host: FakeDeployment) -> None:
    host.use(policy=STANDARD)
    host.files.put("blog", OLD)
    outcome = failed(await host.deploy(wish(NEW + b"    privileged: true\n")))
    assert outcome.data["reason"] == "policy"
    assert steps_of(outcome) == [("validate", "ok"), ("policy", "failed")]
    assert set(host.files.on_disk.values()) == {OLD}
    assert commands_of(host) == []


async def test_credentials_that_are_not_accepted_stop_it_and_the_password_is_never_said(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    host.runtime.script("login", Scripted(exit_code=1, output=b"denied for ann:s3cr3t\n"))
    outcome = failed(await host.deploy(wish(registry_auth=[LOGIN])))
    assert outcome.what == (
        "registry.example.com does not accept these credentials; nothing was changed"
    )
    assert (outcome.cause, outcome.logs) == ("denied for ann:***", "denied for ann:***\n")
    assert outcome.data["reason"] == "registry_login_failed"
    assert set(host.files.on_disk.values()) == {OLD}
    spoken = [step for step in host.live.steps("job-1") if step.step == "login"]
    assert b"s3cr3t" not in (await spoken[0].running.output(0, 1000))[1]


async def test_a_registry_that_hangs_is_given_up(host: FakeDeployment) -> None:
    login = host.runtime.hang("login")
    deploying = asyncio.create_task(host.deploy(wish(registry_auth=[LOGIN])))
    await login.started.wait()
    await host.clock.advance(61)
    outcome = failed(await deploying)
    assert outcome.error == "docker login took longer than 60 s and was ended; nothing was changed"
    assert outcome.data["reason"] == "deadline"


async def test_an_image_that_cannot_be_pulled_changes_nothing_that_runs(
    host: FakeDeployment,
) -> None:
    completed(await host.deploy(wish(OLD)))
    outcome = failed(await host.deploy(wish(OF_APP)))
    assert outcome.data["reason"] == "pull_failed"
    assert outcome.error == (
        "docker compose pull failed with exit code 1; nothing was changed: "
        f"Error response from daemon: {APP} not found"
    )
    assert (host.files.content("blog"), host.runtime.running) == (OLD, {"blog": OLD})
    assert commands_of(host) == ["up", "pull"]
    assert [one.number for one in (await history(host)).revisions] == [1]


async def test_compose_that_is_missing_is_said_and_nothing_is_replaced(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    host.runtime.unavailable = RuntimeUnavailable("there is no program 'docker'")
    with pytest.raises(RuntimeUnavailable, match="there is no program 'docker'"):
        await host.deploy(deploy("blog", NEW))
    assert set(host.files.on_disk.values()) == {OLD}


async def test_a_full_disk_is_said_and_nothing_is_run(host: FakeDeployment) -> None:
    host.files.put("blog", OLD)
    host.files.is_full = True
    with pytest.raises(NoSpace, match="no space left"):
        await host.deploy(deploy("blog", NEW))
    assert set(host.files.on_disk.values()) == {OLD}
    assert commands_of(host) == []


async def test_a_revision_that_cannot_be_kept_is_not_published(host: FakeDeployment) -> None:
    completed(await host.deploy(wish(OLD)))
    host.store.is_full = True
    with pytest.raises(NoSpace):
        await host.deploy(wish(NEW))
    assert (host.files.content("blog"), host.files.staged) == (OLD, [])
    assert commands_of(host) == ["up"]


async def test_a_file_that_cannot_be_published_is_not_brought_up(host: FakeDeployment) -> None:
    host.files.put("blog", OLD)
    host.files.fails_to_publish_with = StorageUnavailable("/projects cannot be used: I/O error")
    with pytest.raises(StorageUnavailable):
        await host.deploy(deploy("blog", NEW))
    assert set(host.files.on_disk.values()) == {OLD}
    assert commands_of(host) == []


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


# An engine that is down.


async def test_an_engine_that_is_down_is_waited_for(host: FakeDeployment) -> None:
    host.lose_engine()
    _, deploying = await begin(host, wish())
    await host.clock.advance(119)
    assert (deploying.done(), host.files.on_disk) == (False, {})
    host.find_engine()
    await host.clock.advance(1)
    outcome = completed(await deploying)
    assert steps_of(outcome)[0] == ("engine", "ok")
    told = host.live.steps("j1")[0]
    assert told.step == "engine"
    assert (await told.running.output(0, 1000))[1].endswith(b"it answers again\n")


async def test_an_engine_that_stays_down_is_said_and_nothing_is_written(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    host.lose_engine()
    _, deploying = await begin(host, wish())
    await host.clock.advance(121)
    with pytest.raises(RuntimeUnavailable, match="start Docker Engine"):
        await deploying
    assert set(host.files.on_disk.values()) == {OLD}
    assert commands_of(host) == []


async def test_it_is_waited_for_no_longer_than_the_jobs_deadline(host: FakeDeployment) -> None:
    host.lose_engine()
    _, deploying = await begin(host, wish(), deadline_s=5)
    await host.clock.advance(6)
    with pytest.raises(RuntimeUnavailable):
        await deploying


# Cancelled before anything was touched.


@pytest.mark.parametrize("where", ["engine", "pull"])
async def test_cancelled_before_it_was_published_nothing_was_changed(
    host: FakeDeployment, where: str
) -> None:
    host.files.put("blog", OLD)
    if where == "engine":
        host.lose_engine()
    else:
        host.runtime.hang("pull")
    steps, deploying = await begin(host, wish(OF_APP))
    steps.cancel()
    with pytest.raises(Canceled, match="nothing was changed"):
        await deploying
    assert set(host.files.on_disk.values()) == {OLD}
    assert "up" not in commands_of(host)
    assert ("canceled") in {one["state"] for one in steps.stages.report()}


async def test_the_jobs_deadline_ends_a_pull_and_nothing_was_changed(host: FakeDeployment) -> None:
    completed(await host.deploy(wish(OLD)))
    host.runtime.hang("pull")
    _, deploying = await begin(host, wish(OF_APP), deadline_s=5)
    await host.clock.advance(6)
    outcome = failed(await deploying)
    assert outcome.data["reason"] == "deadline"
    assert outcome.error == (
        "docker compose pull was ended, because the job's deadline had passed; nothing was changed"
    )
    assert (host.files.content("blog"), host.runtime.running) == (OLD, {"blog": OLD})


# An agent that ends when all is over but for the result.


@pytest.mark.parametrize("stopped", [False, True])
async def test_what_was_found_well_and_is_wanted_is_not_taken_back(
    host: FakeDeployment, stopped: bool
) -> None:
    completed(await host.deploy(wish(OLD)))
    completed(await host.deploy(wish(NEW)))
    await host.do(stop("blog") if stopped else RollbackCompose(BLOG))
    first = completed(await host.deploy(wish(OLD), "j1"))
    host.state.change("blog", "blog-web-1", health=Health.UNHEALTHY)
    begun = len(host.executor.starts)
    again = completed(await host.deploy(wish(OLD), "j1"))
    assert (again.logs, again.data["revision"]) == (first.logs, 3)
    assert steps_of(again) == [("apply", "ok")]
    assert (len(host.executor.starts), (await history(host)).current) == (begun, 3)


# What cannot be written down in the end.


async def test_a_history_that_cannot_be_written_is_said_though_the_project_runs(
    host: FakeDeployment,
) -> None:
    up = host.runtime.hang("up")
    _, deploying = await begin(host, wish())
    host.store.is_full, host.store.notes_left = True, 0
    up.release.set()
    outcome = failed(await deploying)
    assert outcome.what == "the project runs as it should, and that could not be written down"
    assert outcome.data["reason"] == "no_space"
    assert steps_of(outcome)[-1] == ("record", "failed")
    assert host.runtime.running == {"blog": NEW}
    host.store.is_full = False
    again = completed(await host.deploy(wish(), "j1"))
    assert (again.data["revision"], commands_of(host)) == (1, ["up"])
    assert (await history(host)).current == 1


async def test_a_project_from_before_revisions_is_adopted_so_that_it_can_be_gone_back_to(
    host: FakeDeployment,
) -> None:
    host.files.put("blog", OLD)
    completed(await host.deploy(wish(NEW)))
    adopted, made = (await history(host)).revisions
    assert (adopted.job_id, adopted.state) == ("adopted", RevisionState.GOOD)
    assert (await host.store.content(BLOG, adopted.number)).file.content == OLD
    assert made.number == 2


async def test_what_runs_in_one_project_is_no_concern_of_another(host: FakeDeployment) -> None:
    outcomes = await asyncio.gather(
        *(host.deploy(wish(name=name)) for name in ("blog", "shop", "wiki"))
    )
    assert all(isinstance(outcome, Completed) for outcome in outcomes)
    assert host.runtime.overlaps == 0
