"""What a deployment is judged by before Compose sees it, and by the host's policy after that."""

from __future__ import annotations

import asyncio

import pytest

from application.agent.handling import Failed
from application.agent.live_output import LiveOutput
from application.agent.project_judge import MAX_VIOLATIONS, Judged
from application.agent.stages import Stages
from domain.content import ExtraFile
from domain.errors import InvalidInput
from domain.output import BoundedOutput
from domain.policy import STANDARD
from tests.builders import REJECTED_CONTENT, compose_content
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment
from tests.unit.deploying import BLOG, NEW, wish


@pytest.fixture
def host() -> FakeDeployment:
    return FakeDeployment()


@pytest.fixture
def stages(host: FakeDeployment) -> Stages:
    return Stages("j1", host.clock, host.live)


def spoken(live: LiveOutput) -> dict[str, str]:
    said = {}
    for step in live.steps("j1"):
        content = getattr(step.running, "content")  # noqa: B009 - of a `SpokenOutput`
        said[step.step] = bytes(content).decode()
    return said


async def read(host: FakeDeployment, content: bytes, **brought: object) -> bool:
    return await host.handlers.judge.read(BLOG, wish(content, **brought).content)  # type: ignore[arg-type]


# What Compose would open.


async def test_a_file_that_names_no_others_has_no_variables_from_files(
    host: FakeDeployment,
) -> None:
    assert await read(host, NEW) is False


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (b"include: [/etc/passwd]\n", "include"),
        (b"include: [https://example.com/a.yml]\n", "include"),
        (b"include: ['../other/a.yml']\n", "include"),
        (b"include: ['${FILE}']\n", "include"),
    ],
)
async def test_sources_outside_of_the_project_are_refused(
    host: FakeDeployment, key: bytes, problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem):
        await read(host, key + NEW)
    assert host.runtime.calls == []


async def test_files_that_are_included_are_judged_too_whether_they_are_sent_or_there(
    host: FakeDeployment,
) -> None:
    bad = b"services: {a: {image: x, env_file: /etc/shadow}}\n"
    with pytest.raises(InvalidInput, match=r"more.yml: services.a.env_file"):
        await read(host, b"include: [more.yml]\n" + NEW, files=[ExtraFile("more.yml", bad)])
    host.files.put("blog", NEW)
    host.files.put("blog", bad, "more.yml")
    with pytest.raises(InvalidInput, match=r"more.yml: services.a.env_file"):
        await read(host, b"include: [more.yml]\n" + NEW)


async def test_what_is_sent_counts_before_what_is_there(host: FakeDeployment) -> None:
    host.files.put("blog", NEW)
    host.files.put("blog", b"services: {a: {image: x, env_file: /etc/shadow}}\n", "more.yml")
    files = [ExtraFile("more.yml", b"services: {a: {image: x}}\n")]
    assert await read(host, b"include: [more.yml]\n" + NEW, files=files) is False


async def test_a_file_that_is_not_there_is_composes_to_tell_of(host: FakeDeployment) -> None:
    assert await read(host, b"include: [more.yml]\n" + NEW) is False


@pytest.mark.parametrize("path", [".env", "web.env", "sub/.env"])
async def test_links_that_compose_would_follow_while_it_reads_are_refused(
    host: FakeDeployment, path: str
) -> None:
    host.files.put("blog", NEW)
    host.files.links.add(f"/projects/blog/{path}")
    content = b"include: [sub/more.yml]\n" + NEW + b"    env_file: web.env\n"
    with pytest.raises(InvalidInput, match="symbolic link"):
        await read(host, content, files=[ExtraFile("sub/more.yml", b"services: {}\n")])


async def test_variables_from_files_are_noticed_also_in_what_is_included(
    host: FakeDeployment,
) -> None:
    two = NEW + compose_content("db").removeprefix(b"services:\n") + b"    env_file: [a.env]\n"
    assert await read(host, two) is True
    files = [ExtraFile("more.yml", b"services: {db: {image: x, env_file: a.env}}\n")]
    assert await read(host, b"include: [more.yml]\n" + NEW, files=files) is True


# What Compose makes of it.


async def test_a_good_file_is_said_with_its_services(host: FakeDeployment, stages: Stages) -> None:
    project = host.files.put("blog", NEW)
    host.runtime.script("resolve", Scripted(output=b""))
    judged = await host.handlers.judge.resolve(project, (), stages)
    assert isinstance(judged, Judged)
    assert (set(judged.hashes), judged.directory) == ({"web"}, "/projects/blog")
    assert spoken(host.live) == {"validate": "1 service: web\n"}


async def test_hashes_are_asked_for_together_with_the_model(
    host: FakeDeployment, stages: Stages
) -> None:
    await host.handlers.judge.resolve(host.files.put("blog", NEW), (), stages)
    assert host.runtime.calls == [("resolve", "blog")]


async def test_with_env_files_the_hashes_are_those_that_containers_have(
    host: FakeDeployment, stages: Stages
) -> None:
    project = host.files.put("blog", NEW + b"    env_file: web.env\n")
    host.files.put("blog", b"A=1\n", "web.env")
    judged = await host.handlers.judge.resolve(project, (), stages, has_env_files=True)
    assert isinstance(judged, Judged)
    assert host.runtime.calls == [("resolve", "blog"), ("hashes", "blog")]
    assert host.runtime.told == [False]
    await host.runtime.up(project, BoundedOutput())
    (web,) = host.state.projects["blog"]
    assert judged.hashes == {"web": web.config_hash}


async def test_where_compose_does_not_take_its_own_model_there_are_no_hashes(
    host: FakeDeployment, stages: Stages
) -> None:
    project = host.files.put("blog", NEW + b"    env_file: web.env\n")
    host.files.put("blog", b"A=1\n", "web.env")
    host.runtime.script("hashes", Scripted(exit_code=1))
    judged = await host.handlers.judge.resolve(project, (), stages, has_env_files=True)
    assert isinstance(judged, Judged)
    assert judged.hashes == {}


@pytest.mark.parametrize("hanging", ["resolve", "hashes"])
async def test_both_calls_together_have_the_time_of_one(
    host: FakeDeployment, stages: Stages, hanging: str
) -> None:
    project = host.files.put("blog", NEW)
    host.runtime.hang(hanging)
    judging = asyncio.create_task(
        host.handlers.judge.resolve(project, (), stages, has_env_files=True)
    )
    await host.clock.advance(60)
    assert isinstance(await judging, Failed)


async def test_a_label_that_says_neither_yes_nor_no_is_refused_before_anything_is_touched(
    host: FakeDeployment, stages: Stages
) -> None:
    project = host.files.put("blog", NEW + b"    labels: {instadeploy.completes: perhaps}\n")
    with pytest.raises(InvalidInput, match=r"services.web.labels.instadeploy.completes must be"):
        await host.handlers.judge.resolve(project, (), stages)
    assert stages.report()[0]["state"] == "failed"


async def test_composes_complaints_name_the_file_as_its_author_knows_it(
    host: FakeDeployment, stages: Stages
) -> None:
    project = host.files.put("blog", NEW)
    warning = f"warning: {project.compose_file}: `version` is obsolete\n".encode()
    host.runtime.script("resolve", Scripted(output=warning))
    judged = await host.handlers.judge.resolve(project, (), stages)
    assert isinstance(judged, Judged)
    assert judged.complaints == "warning: the compose file: `version` is obsolete\n"
    assert spoken(host.live)["validate"].startswith(judged.complaints)


async def test_a_file_that_compose_rejects_is_a_stage_that_failed(
    host: FakeDeployment, stages: Stages
) -> None:
    project = host.files.put("blog", REJECTED_CONTENT)
    judged = await host.handlers.judge.resolve(project, (), stages, consequence="who knows")
    assert isinstance(judged, Failed)
    assert judged.what == "docker compose config failed with exit code 15; who knows"
    assert stages.report()[0]["state"] == "failed"
    assert "neither an image" in spoken(host.live)["validate"]


async def test_one_that_takes_too_long_has_failed(host: FakeDeployment, stages: Stages) -> None:
    project = host.files.put("blog", NEW)
    host.runtime.hang("resolve")
    judging = asyncio.create_task(host.handlers.judge.resolve(project, (), stages))
    await host.clock.advance(60)
    judged = await judging
    assert isinstance(judged, Failed)
    assert judged.data == {"reason": "deadline"}
    assert stages.report()[0]["state"] == "failed"


async def test_files_that_will_lie_elsewhere_are_judged_as_they_will_be(
    host: FakeDeployment, stages: Stages
) -> None:
    content = NEW + b"    volumes: ['./data:/data']\n"
    command = wish(content, files=[ExtraFile("a", b"a")])
    async with host.files.stage(BLOG, command.content, "k") as staged:
        assert staged.candidate.directory != staged.directory
        judged = await host.handlers.judge.resolve(
            staged.candidate, (), stages, directory=staged.directory
        )
        assert isinstance(judged, Judged)
        project = await staged.publish(None)
    assert judged.model.services[0].mounts[0].source == "/projects/blog/data"
    await host.runtime.up(project, BoundedOutput())
    (web,) = host.state.projects["blog"]
    assert (judged.directory, judged.hashes) == ("/projects/blog", {"web": web.config_hash})


# What the policy says.


async def allowed(host: FakeDeployment, stages: Stages, content: bytes) -> Failed | None:
    host.use(policy=STANDARD)
    project = host.files.put("blog", content)
    judged = await host.handlers.judge.resolve(project, (), stages)
    assert isinstance(judged, Judged)
    return await host.handlers.judge.allow(BLOG, wish(content).content, judged, stages)


async def test_what_is_allowed_is_said_with_the_policys_name(
    host: FakeDeployment, stages: Stages
) -> None:
    assert await allowed(host, stages, NEW) is None
    assert spoken(host.live)["policy"] == "allowed by the host's policy (standard)\n"


async def test_a_refusal_names_the_rule_the_service_the_place_and_the_line(
    host: FakeDeployment, stages: Stages
) -> None:
    content = NEW + b"    privileged: true\n    volumes: ['/etc:/etc']\n"
    failure = await allowed(host, stages, content)
    assert failure is not None
    line = 1 + content.splitlines().index(b"    privileged: true")
    assert failure.what == "refused by this host's policy; nothing was changed"
    assert (failure.data["reason"], failure.data["policy"]) == ("policy", "standard")
    told = failure.data["violations"]
    assert isinstance(told, list)
    by_rule = {one["rule"]: one for one in told}
    privileged = by_rule["containers.privileged"]
    assert {key: privileged[key] for key in ("service", "where", "line", "allowed_by")} == {
        "service": "web",
        "where": "services.web.privileged",
        "line": line,
        "allowed_by": "[containers] privileged = true",
    }
    assert privileged["message"].endswith(f"(line {line} of the compose file)")
    assert {one["service"] for one in told} == {"web"}
    assert len(told) >= 2
    assert failure.cause.endswith(f"(and {len(told) - 1} more)")
    assert failure.logs == "".join(f"{one['message']}\n" for one in told)
    assert spoken(host.live)["policy"] == failure.logs
    assert stages.report()[-1]["state"] == "failed"


async def test_a_path_is_judged_by_where_its_links_lead(
    host: FakeDeployment, stages: Stages
) -> None:
    host.paths.links["/projects/blog/data"] = "/etc"
    failure = await allowed(host, stages, NEW + b"    volumes: ['./data:/data']\n")
    assert "/projects/blog/data" in host.paths.asked
    assert failure is not None
    assert '"/etc"' in failure.error


async def test_the_agents_own_directory_is_nobodys_to_mount(
    host: FakeDeployment, stages: Stages
) -> None:
    failure = await allowed(host, stages, NEW + b"    volumes: ['/state/revisions:/r']\n")
    assert failure is not None
    assert "/state/revisions" in failure.error


async def test_what_breaks_very_many_rules_is_told_up_to_a_point(
    host: FakeDeployment, stages: Stages
) -> None:
    services = b"".join(
        compose_content(f"s{number}").removeprefix(b"services:\n") + b"    privileged: true\n"
        for number in range(MAX_VIOLATIONS + 10)
    )
    failure = await allowed(host, stages, b"services:\n" + services)
    assert failure is not None
    told = failure.data["violations"]
    assert isinstance(told, list)
    assert len(told) == MAX_VIOLATIONS
    assert failure.cause.endswith(f"(and {MAX_VIOLATIONS + 9} more)")
