"""Which images are pulled and built, and when that is refused."""

from __future__ import annotations

import pytest

from application.agent.handling import Failed
from application.agent.images import ProjectImages
from application.agent.steps import JobSteps
from domain.compose_model import ComposeModel
from domain.deploy_options import DeployOptions, PullPolicy
from domain.errors import RuntimeUnavailable
from domain.project import Project
from tests.builders import IMAGE
from tests.fakes.compose_files import resolved
from tests.fakes.compose_runtime import Scripted
from tests.fakes.deployment import FakeDeployment
from tests.fakes.engine_state import image_facts
from tests.unit.deploying import APP, BLOG, commands_of, wish

MISSING, ALWAYS, NEVER = PullPolicy


class Bench:
    """A project with these services, and a job that sees to its images."""

    def __init__(self) -> None:
        self.host = FakeDeployment()
        self.host.runtime.registry[APP] = image_facts("b")

    @property
    def images(self) -> ProjectImages:
        return self.host.handlers.images

    def project(self, *services: str) -> tuple[Project, ComposeModel]:
        content = "services:\n" + "".join(
            f"  s{number}: {{{service}}}\n" for number, service in enumerate(services)
        )
        project = self.host.files.put("blog", content.encode())
        document = resolved(self.host.files.at, project, ())
        return project, ComposeModel.from_document(document)

    async def steps(self, job_id: str = "j1") -> JobSteps:
        return await self.host.steps(wish(), job_id)

    async def fetch(self, pull: PullPolicy, *services: str) -> Failed | None:
        options = DeployOptions(pull=pull)
        project, model = self.project(*services)
        return await self.images.fetch(project, model, options, await self.steps())

    @property
    def pulled(self) -> list[tuple[str, ...]]:
        """The services of each pull."""
        return [one.services for name, one in self.host.runtime.options if name == "pull"]


@pytest.fixture
def bench() -> Bench:
    return Bench()


HERE, AWAY, BUILT = f"image: '{IMAGE}'", f"image: '{APP}'", "build: ."


@pytest.mark.parametrize(
    ("policy", "service", "is_pulled"),
    [
        (MISSING, HERE, False),
        (MISSING, AWAY, True),
        (MISSING, BUILT, False),
        (MISSING, f"{AWAY}, build: .", False),
        (MISSING, f"{HERE}, pull_policy: missing", False),
        (MISSING, f"{HERE}, pull_policy: if_not_present", False),
        (MISSING, f"{AWAY}, pull_policy: build", True),
        (MISSING, f"{HERE}, pull_policy: always", True),
        (MISSING, f"{HERE}, pull_policy: daily", True),
        (MISSING, f"{AWAY}, pull_policy: never", False),
        (ALWAYS, HERE, True),
        (ALWAYS, AWAY, True),
        (ALWAYS, BUILT, False),
        (ALWAYS, f"{HERE}, pull_policy: never", False),
        (NEVER, HERE, False),
        (NEVER, f"{HERE}, pull_policy: always", False),
    ],
)
async def test_what_is_pulled(
    bench: Bench, policy: PullPolicy, service: str, is_pulled: bool
) -> None:
    bench.host.runtime.registry[IMAGE] = image_facts("c")
    assert await bench.fetch(policy, service) is None
    assert bench.pulled == ([("s0",)] if is_pulled else [])


async def test_only_those_that_are_missing_are_pulled(bench: Bench) -> None:
    assert await bench.fetch(MISSING, HERE, AWAY, BUILT) is None
    assert bench.pulled == [("s1",)]


async def test_where_nothing_is_to_be_pulled_compose_is_not_asked(bench: Bench) -> None:
    assert await bench.fetch(MISSING, HERE, HERE) is None
    assert commands_of(bench.host) == []


async def test_an_image_that_two_services_have_is_looked_for_once(bench: Bench) -> None:
    await bench.fetch(MISSING, AWAY, AWAY)
    assert bench.host.state.asked.count(("image", APP)) == 1
    assert bench.pulled == [("s0", "s1")]


async def test_an_image_that_is_missing_and_may_not_be_pulled_is_said_before_up(
    bench: Bench,
) -> None:
    assert await bench.fetch(NEVER, HERE, AWAY) == Failed(
        "images are missing that may not be pulled; nothing was changed",
        cause="'s1'",
        data={"reason": "image_missing", "services": ["s1"]},
    )
    assert commands_of(bench.host) == []


async def test_a_pull_that_fails_has_a_reason_of_its_own(bench: Bench) -> None:
    bench.host.runtime.script("pull", Scripted(exit_code=18, output=b"pull access denied\n"))
    failure = await bench.fetch(MISSING, AWAY)
    assert failure == Failed(
        "docker compose pull failed with exit code 18; nothing was changed",
        cause="pull access denied",
        logs="pull access denied\n",
        data={"reason": "pull_failed", "exit_code": 18},
    )


async def test_a_pull_that_is_killed_again_and_again_was_interrupted(bench: Bench) -> None:
    for _ in range(3):
        bench.host.runtime.script("pull", Scripted(exit_code=-9))
    failure = await bench.fetch(MISSING, AWAY)
    assert failure is not None
    assert failure.data == {"reason": "interrupted"}


async def test_a_pull_that_was_begun_in_an_earlier_life_is_found_again(bench: Bench) -> None:
    assert await bench.fetch(MISSING, AWAY) is None
    assert await bench.fetch(MISSING, AWAY) is None
    assert bench.pulled == [("s0",)]


async def test_an_engine_that_is_down_is_not_an_engine_without_images(bench: Bench) -> None:
    bench.host.lose_engine()
    with pytest.raises(RuntimeUnavailable):
        await bench.fetch(MISSING, HERE)


async def build(bench: Bench, *services: str) -> Failed | None:
    project, model = bench.project(*services)
    return await bench.images.build(
        project, model, DeployOptions(), await bench.steps(), consequence="who knows"
    )


async def test_what_has_a_build_section_is_built_and_nothing_else(bench: Bench) -> None:
    assert await build(bench, HERE, BUILT) is None
    assert [one.services for name, one in bench.host.runtime.options if name == "build"] == [
        ("s1",)
    ]
    assert await bench.host.state.image(f"{BLOG.compose_name}-s1") is not None


async def test_where_nothing_has_one_nothing_is_run(bench: Bench) -> None:
    assert await build(bench, HERE, AWAY) is None
    assert commands_of(bench.host) == []


async def test_a_build_that_fails_has_a_reason_of_its_own(bench: Bench) -> None:
    bench.host.runtime.script("build", Scripted(exit_code=17, output=b"no such file\n"))
    failure = await build(bench, BUILT)
    assert failure is not None
    assert (failure.data, failure.what) == (
        {"reason": "build_failed", "exit_code": 17},
        "docker compose build failed with exit code 17; who knows",
    )
