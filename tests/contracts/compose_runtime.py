"""What every `ComposeRuntime` must do. Written for a real Docker Compose; the fake follows it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from application.ports.compose_runtime import ComposeRuntime, ResolvedProject
from domain.compose_model import ComposeModel
from domain.output import BoundedOutput
from domain.project import Project
from tests.builders import IMAGE, REJECTED_CONTENT, compose_content


class ComposeRuntimeContract:
    """Give the `runtime`, `project`, which gives a project the compose file with this content and may
    be called again to replace it, and `put`, which puts a file beside it.
    """

    @pytest.fixture
    def runtime(self) -> ComposeRuntime:
        raise NotImplementedError

    @pytest.fixture
    def project(self) -> Callable[[bytes], Project]:
        raise NotImplementedError

    @pytest.fixture
    def put(self) -> Callable[[Project, str, bytes], None]:
        raise NotImplementedError

    async def test_a_good_file_is_resolved(
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

    async def test_hashes_of_the_model_are_those_of_the_file(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        _, resolved = await runtime.resolve(web, (), BoundedOutput())
        assert resolved is not None
        assert await runtime.hashes(web.name, web.directory, resolved.document) == resolved.hashes

    async def test_without_hashes_the_model_is_the_same(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        _, resolved = await runtime.resolve(web, (), BoundedOutput())
        exit_code, alone = await runtime.resolve(web, (), BoundedOutput(), hashed=False)
        assert exit_code == 0
        assert resolved is not None
        assert alone == ResolvedProject(resolved.document, {})
        rejected = project(REJECTED_CONTENT)
        exit_code, alone = await runtime.resolve(rejected, (), BoundedOutput(), hashed=False)
        assert exit_code > 0
        assert alone is None

    async def test_hashes_of_the_model_change_with_variables_from_other_files(
        self,
        runtime: ComposeRuntime,
        project: Callable[[bytes], Project],
        put: Callable[[Project, str, bytes], None],
    ) -> None:
        web = project(compose_content() + b"    env_file: web.env\n")
        hashes = []
        for variables in (b"A=1\n", b"A=1\n", b"A=2\n"):
            put(web, "web.env", variables)
            _, resolved = await runtime.resolve(web, (), BoundedOutput(), hashed=False)
            assert resolved is not None
            hashes.append(await runtime.hashes(web.name, web.directory, resolved.document))
        assert set(hashes[0]) == {"web"}
        assert hashes[0] == hashes[1] != hashes[2]

    async def test_hashes_of_the_model_do_not_depend_on_what_lies_in_the_directory(
        self,
        runtime: ComposeRuntime,
        project: Callable[[bytes], Project],
        put: Callable[[Project, str, bytes], None],
    ) -> None:
        both = project(
            compose_content("web")
            + b"    environment: {UNSET: }\n"
            + compose_content("shell").removeprefix(b"services:\n")
            + b"    profiles: [debug]\n"
        )
        _, resolved = await runtime.resolve(both, ("debug",), BoundedOutput())
        assert resolved is not None
        put(both, ".env", b"UNSET=of another revision\nCOMPOSE_PROFILES=none\n")
        assert await runtime.hashes(both.name, both.directory, resolved.document) == resolved.hashes

    async def test_every_character_that_a_model_can_hold_is_hashed(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        escaped = rb'"\u00e9 \u2028 \U0001f600 \u007f \u0085 \ufeff \t\r\n $$ # : {} \\ \" \x01"'
        web = project(compose_content() + b"    labels: {a: " + escaped + b"}\n")
        _, resolved = await runtime.resolve(web, (), BoundedOutput())
        assert resolved is not None
        assert await runtime.hashes(web.name, web.directory, resolved.document) == resolved.hashes

    async def test_a_call_that_is_cancelled_is_over_and_the_next_one_is_not_disturbed(
        self, runtime: ComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        for turns in (1, 10):
            asking = asyncio.create_task(runtime.resolve(web, (), BoundedOutput()))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait({asking})
        exit_code, _ = await runtime.resolve(web, (), BoundedOutput())
        assert exit_code == 0

    async def test_for_one_that_is_supported_nothing_is_raised_however_often_it_is_asked(
        self, runtime: ComposeRuntime
    ) -> None:
        """That these calls come back, and raise nothing, is all that there is to see."""
        await asyncio.gather(*(runtime.ensure_supported() for _ in range(3)))
        await runtime.ensure_supported()

    async def test_its_version_is_three_numbers(self, runtime: ComposeRuntime) -> None:
        assert re.fullmatch(r"\d+\.\d+\.\d+", await runtime.version())
