"""What every `ComposeRuntime` must do. Written for a real Docker Compose; the fake follows it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from application.ports.compose_runtime import ComposeRuntime
from domain.compose_model import ComposeModel
from domain.output import BoundedOutput
from domain.project import Project
from domain.services import ServiceContainer
from tests.builders import IMAGE, REJECTED_CONTENT, compose_content

PATIENCE_S = 60.0
"""How long a real engine may take to do what it was told; nothing waits that long in good health."""

ENDED_CONTENT = compose_content("job", command='["sh", "-c", "exit 3"]')

WAITING_CONTENT = (
    compose_content("db")
    + b'    healthcheck: {test: ["CMD", "false"], interval: 1h}\n'
    + compose_content("web").removeprefix(b"services:\n")
    + b"    depends_on: {db: {condition: service_healthy}}\n"
)
"""`up` starts `db`, and then waits for it to become healthy for as long as it is let."""


class ComposeRuntimeContract:
    """Give the `runtime`, and `project`, which gives a project the compose file with this content.

    It may be called again to replace the content. Whatever the tests leave running is the
    subclass's to take away.
    """

    @pytest.fixture
    def runtime(self) -> ComposeRuntime:
        raise NotImplementedError

    @pytest.fixture
    def project(self) -> Callable[[bytes], Project]:
        raise NotImplementedError

    async def test_a_good_file_is_resolved_and_nothing_is_started(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        good = project(compose_content())
        output = BoundedOutput()
        exit_code, resolved = await runtime.resolve(good, (), output)
        assert exit_code == 0
        assert resolved is not None
        (web,) = ComposeModel.from_document(resolved.document).services
        assert (web.name, web.image) == ("web", IMAGE)
        assert set(resolved.hashes) == {"web"}
        assert output.text() == ""
        assert IMAGE not in repr(resolved)
        assert await containers_of(runtime, good) == []

    async def test_a_file_that_compose_rejects_has_an_exit_code_and_says_why(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        output = BoundedOutput()
        exit_code, resolved = await runtime.resolve(project(REJECTED_CONTENT), (), output)
        assert exit_code > 0
        assert resolved is None
        assert "neither an image nor a build context" in output.text()

    async def test_services_of_other_profiles_are_left_out(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        both = project(
            compose_content("web")
            + compose_content("shell").removeprefix(b"services:\n")
            + b"    profiles: [debug]\n"
        )
        for profiles, services in (((), ["web"]), (("debug",), ["shell", "web"])):
            _, resolved = await runtime.resolve(both, profiles, BoundedOutput())
            assert resolved is not None
            model = ComposeModel.from_document(resolved.document)
            assert sorted(one.name for one in model.services) == services
            assert sorted(resolved.hashes) == services

    async def test_hashes_change_with_what_a_service_says_and_with_nothing_else(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        hashes = []
        for content in (
            compose_content(),
            compose_content() + b"# a remark\n",
            compose_content(command='["sleep", "1800"]'),
        ):
            _, resolved = await runtime.resolve(project(content), (), BoundedOutput())
            assert resolved is not None
            hashes.append(resolved.hashes["web"])
        assert hashes[0] == hashes[1] != hashes[2]

    async def test_what_is_brought_up_runs(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        assert await runtime.up(web, BoundedOutput()) == 0
        (container,) = await containers_of(runtime, web)
        assert container.service == "web"
        assert container.container == f"{web.name.compose_name}-web-1"
        assert container.state == "running"
        assert container.health == ""
        assert container.image == IMAGE
        assert container.published_ports == ()
        assert container.exit_code is None

    async def test_bringing_up_twice_is_harmless(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        assert await runtime.up(web, BoundedOutput()) == 0
        before = await containers_of(runtime, web)
        assert await runtime.up(web, BoundedOutput()) == 0
        assert await containers_of(runtime, web) == before

    async def test_what_is_taken_down_has_no_containers(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        await runtime.up(web, BoundedOutput())
        assert await runtime.down(web, BoundedOutput()) == 0
        assert await containers_of(runtime, web) == []

    async def test_taking_down_twice_is_harmless(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        await runtime.up(web, BoundedOutput())
        for _ in range(2):
            assert await runtime.down(web, BoundedOutput()) == 0

    async def test_a_project_that_never_ran_has_no_containers_and_can_be_taken_down(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        assert await containers_of(runtime, web) == []
        assert await runtime.down(web, BoundedOutput()) == 0

    async def test_a_container_that_ended_is_listed_with_its_exit_code(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        job = project(ENDED_CONTENT)
        await runtime.up(job, BoundedOutput())
        async with asyncio.timeout(PATIENCE_S):
            found = await containers_of(runtime, job)
            while found[0].state != "exited":
                await asyncio.sleep(0.05)
                found = await containers_of(runtime, job)
        assert [(c.service, c.exit_code) for c in found] == [("job", 3)]

    async def test_output_comes_in_the_order_of_what_happened(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        output = BoundedOutput()
        await runtime.up(project(compose_content()), output)
        text = output.text()
        assert -1 < text.find("Created") < text.find("Started")
        assert "\x1b" not in text

    async def test_a_call_that_is_cancelled_has_left_nothing_behind_that_goes_on(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        waiting = project(WAITING_CONTENT)
        output = BoundedOutput()
        bringing_up = asyncio.create_task(runtime.up(waiting, output))
        async with asyncio.timeout(PATIENCE_S):
            while "Waiting" not in output.text():  # noqa: ASYNC110 - a process boundary, again
                await asyncio.sleep(0.01)
        bringing_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bringing_up
        assert [
            c.service for c in await containers_of(runtime, waiting) if c.state == "running"
        ] == ["db"]
        assert await runtime.down(waiting, BoundedOutput()) == 0
        assert await containers_of(runtime, waiting) == []

    async def test_a_call_that_is_cancelled_at_once_leaves_nothing_behind_either(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        bringing_up = asyncio.create_task(runtime.up(web, BoundedOutput()))
        await asyncio.sleep(0)
        bringing_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bringing_up
        assert await runtime.down(web, BoundedOutput()) == 0
        assert await containers_of(runtime, web) == []

    async def test_one_that_is_supported_says_so_as_often_as_it_is_asked(
        self, runtime: ComposeRuntime
    ) -> None:
        await asyncio.gather(*(runtime.ensure_supported() for _ in range(3)))
        await runtime.ensure_supported()

    async def test_its_version_is_three_numbers(self, runtime: ComposeRuntime) -> None:
        assert re.fullmatch(r"\d+\.\d+\.\d+", await runtime.version())


async def containers_of(runtime: ComposeRuntime, project: Project) -> list[ServiceContainer]:
    """The containers, of a project whose containers can be listed."""
    output = BoundedOutput()
    exit_code, containers = await runtime.containers(project, output)
    assert exit_code == 0, output.text()
    return list(containers)
