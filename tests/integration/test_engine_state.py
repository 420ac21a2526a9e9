"""`SocketEngineState` against sockets that behave in every way an engine's socket can."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from adapters.engine.state import SocketEngineState
from domain.engine_state import Health, ImageFacts
from domain.errors import RuntimeUnavailable
from domain.project import ProjectName
from domain.services import PublishedPort
from tests.integration.scripted_engine import ScriptedEngine, inspected, listed, many_on

BLOG = ProjectName("Blog")
PATIENCE_S = 5.0
PORTS = [
    {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
    {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
    {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
    {"PrivatePort": 443, "Type": "tcp"},
    {"PrivatePort": 53, "PublicPort": 5353, "Type": "udp"},
]


OnSocket = Callable[[ScriptedEngine], SocketEngineState]


@pytest.fixture
async def on_socket(tmp_path: Path) -> AsyncIterator[OnSocket]:
    async with contextlib.AsyncExitStack() as stack:
        engines: list[ScriptedEngine] = []

        def on_socket(engine: ScriptedEngine) -> SocketEngineState:
            engines.append(engine)
            return SocketEngineState(f"unix://{tmp_path}/s", answer_s=0.5)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await engines[-1].serve(reader, writer)

        await stack.enter_async_context(await asyncio.start_unix_server(serve, tmp_path / "s"))
        yield on_socket
        for engine in engines:
            engine.stalls.set()


class TestConversation:
    async def test_one_connection_serves_a_whole_question(self, on_socket: OnSocket) -> None:
        engine = ScriptedEngine()
        await on_socket(engine).containers(BLOG)
        assert engine.connections == 1
        assert len(engine.asked) == 3
        assert {one.split()[0] for one in engine.asked} == {"GET"}

    async def test_an_engine_that_closes_after_each_answer_is_asked_all_the_same(
        self, on_socket: OnSocket
    ) -> None:
        engine = ScriptedEngine()
        engine.closes_after = 1
        assert len(await on_socket(engine).containers(BLOG)) == 1
        assert engine.connections == 3

    @pytest.mark.parametrize("closes_after", [2, 3, 5, 19, 100])
    async def test_an_engine_that_closes_among_many_answers_is_asked_for_the_rest(
        self, on_socket: OnSocket, closes_after: int
    ) -> None:
        engine = ScriptedEngine()
        names = many_on(engine)
        engine.closes_after = closes_after
        found = await on_socket(engine).containers(BLOG)
        assert [one.name for one in found] == names
        assert all(one.restart_count == 0 for one in found)

    async def test_an_engine_that_cuts_the_connection_when_much_is_asked_at_once(
        self, on_socket: OnSocket
    ) -> None:
        engine = ScriptedEngine()
        names = many_on(engine)
        engine.cuts_after = 5
        found = await on_socket(engine).containers(BLOG)
        assert [one.name for one in found] == names
        assert engine.connections == 2

    async def test_an_engine_that_cuts_every_connection_is_given_up(
        self, on_socket: OnSocket
    ) -> None:
        engine = ScriptedEngine()
        many_on(engine)
        engine.cuts_after = 5
        engine.cuts_again = True
        with pytest.raises(RuntimeUnavailable, match="does not answer"):
            await on_socket(engine).containers(BLOG)

    async def test_only_what_is_in_trouble_is_inspected_where_all_are_asked_for(
        self, on_socket: OnSocket
    ) -> None:
        ill = listed("2", project="shop", Status="Up 2 hours (unhealthy)")
        failed = listed("5", State="exited", Status="Exited (3) 2 hours ago")
        vanished = listed("6", State="dead", Status="Dead")
        gone = listed("3", State="exited", Status="Exited (0) 2 hours ago")
        engine = ScriptedEngine()
        engine.answers["/containers/json"] = [
            *(listed(), ill, gone, failed, vanished, listed("4", project=""))
        ]
        ended = inspected("5", Status="exited", ExitCode=3, OOMKilled=True)
        engine.answers[f"/containers/{'5' * 64}/json"] = ended
        log = [{"Output": "before"}, {"Output": "first\nlast\n"}]
        health = {"Status": "unhealthy", "Log": log}
        engine.answers[f"/containers/{'2' * 64}/json"] = inspected("2", Health=health)
        projects = await on_socket(engine).all_projects()
        assert list(projects) == ["blog", "shop"]
        assert [one.name for one in projects["blog"]] == ["blog-s1-1", "blog-s3-1", "blog-s5-1"]
        assert [one.exit_code for one in projects["blog"]] == [None, 0, 3]
        assert [one.restart_count for one in projects["blog"]] == [None, None, 0]
        (shop,) = projects["shop"]
        assert (shop.health, shop.health_output) == (Health.UNHEALTHY, "last")
        assert len(engine.asked) == 5

    async def test_cancelled_it_has_hung_up(self, on_socket: OnSocket) -> None:
        engine = ScriptedEngine()
        engine.stalls.clear()
        asking = asyncio.create_task(on_socket(engine).containers(BLOG))
        await engine.is_stalled.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        engine.stalls.set()
        async with asyncio.timeout(PATIENCE_S):
            await engine.is_left.wait()


class TestVersions:
    @pytest.mark.parametrize(
        ("speaks", "asked"),
        [
            (("1.12", "1.41"), "v1.41"),
            (("1.24", "1.9"), "v1.9"),
            (("1.44", "1.51"), "v1.51"),
            (("1.44", "1.99"), "v1.51"),
            (("1.60", "1.99"), "v1.99"),
        ],
    )
    async def test_the_newest_that_both_know(
        self, on_socket: OnSocket, speaks: tuple[str, str], asked: str
    ) -> None:
        engine = ScriptedEngine()
        engine.speaks = ("1.1", speaks[1]) if speaks[1] == "1.9" else speaks
        await on_socket(engine).containers(BLOG)
        assert engine.versions_asked()[-1] == asked

    async def test_it_is_agreed_on_once(self, on_socket: OnSocket) -> None:
        engine = ScriptedEngine()
        state = on_socket(engine)
        for _ in range(3):
            await state.containers(BLOG)
        assert engine.versions_asked().count("_ping") == 1

    @pytest.mark.parametrize("newest", ["1.40", "1.50"])
    async def test_and_again_when_the_engine_is_another_one(
        self, on_socket: OnSocket, newest: str
    ) -> None:
        engine = ScriptedEngine()
        state = on_socket(engine)
        await state.containers(BLOG)
        engine.speaks = (newest, newest)
        assert len(await state.containers(BLOG)) == 1
        assert engine.versions_asked()[-1] == f"v{newest}"

    async def test_an_image_is_not_missing_for_its_version(self, on_socket: OnSocket) -> None:
        engine = ScriptedEngine()
        engine.speaks = ("1.90", "1.80")
        with pytest.raises(RuntimeUnavailable, match="too old"):
            await on_socket(engine).image("web:1")


class TestFacts:
    async def test_ports_of_both_families_and_each_once(self, on_socket: OnSocket) -> None:
        engine = ScriptedEngine()
        engine.answers["/containers/json"] = [listed(Ports=PORTS)]
        (found,) = await on_socket(engine).containers(BLOG)
        assert set(found.published_ports) == {
            PublishedPort("0.0.0.0", 8080, 80, "tcp"),
            PublishedPort("::", 8080, 80, "tcp"),
            PublishedPort("", 5353, 53, "udp"),
        }
        assert len(found.published_ports) == 3

    async def test_what_was_inspected_is_newer_than_the_listing(self, on_socket: OnSocket) -> None:
        ended = inspected(
            Status="exited",
            ExitCode=137,
            OOMKilled=True,
            FinishedAt="2026-11-25T22:32:40.5+00:00",
        )
        engine = ScriptedEngine()
        engine.answers[f"/containers/{'1' * 64}/json"] = ended | {"Name": "/renamed"}
        (found,) = await on_socket(engine).containers(BLOG)
        assert (found.name, found.state, found.status) == ("renamed", "exited", "")
        assert (found.exit_code, found.is_oom_killed) == (137, True)
        assert (found.image, found.image_id) == ("web:1", "sha256:1")
        assert found.started_at is not None
        assert found.finished_at is not None
        assert found.finished_at - found.started_at == pytest.approx(1.376544, abs=1e-5)

    async def test_what_kept_it_from_starting(self, on_socket: OnSocket) -> None:
        error = "driver failed programming external connectivity:\nport is already allocated"
        never = inspected(
            Status="created", ExitCode=128, Error=error, StartedAt="0001-01-01T00:00:00Z"
        )
        engine = ScriptedEngine()
        engine.answers[f"/containers/{'1' * 64}/json"] = never
        (found,) = await on_socket(engine).containers(BLOG)
        assert (found.error, found.exit_code) == ("port is already allocated", 128)
        assert found.started_at is None

    async def test_one_that_goes_meanwhile_is_left_out(self, on_socket: OnSocket) -> None:
        engine = ScriptedEngine()
        engine.answers["/containers/json"] = [listed(), listed("2")]
        (found,) = await on_socket(engine).containers(BLOG)
        assert found.name == "blog-s1-1"

    async def test_an_engine_that_does_not_filter_gives_nobody_elses(
        self, on_socket: OnSocket
    ) -> None:
        engine = ScriptedEngine()
        engine.answers["/containers/json"] = [listed(), listed("2", project="shop")]
        engine.answers[f"/containers/{'2' * 64}/json"] = inspected("2", project="shop")
        assert len(await on_socket(engine).containers(BLOG)) == 1

    async def test_an_image(self, on_socket: OnSocket) -> None:
        said = {"Id": "sha256:1", "RepoTags": None, "RepoDigests": ["web@sha256:2"]}
        state = on_socket(
            ScriptedEngine(**{"/images/registry.example.com:5000/a/web:1/json": said})
        )
        assert await state.image("registry.example.com:5000/a/web:1") == ImageFacts(
            "sha256:1", ("web@sha256:2",), ()
        )

    @pytest.mark.parametrize("reference", ["web/../../containers/json", "a b", "-web", "web?x"])
    async def test_what_cannot_be_a_reference_is_not_asked_for(
        self, on_socket: OnSocket, reference: str
    ) -> None:
        engine = ScriptedEngine()
        assert await on_socket(engine).image(reference) is None
        assert engine.asked == []

    async def test_lists_that_are_empty_are_null(self, on_socket: OnSocket) -> None:
        nothing = {"/containers/json": None, "/networks": None, "/volumes": {"Volumes": None}}
        state = on_socket(ScriptedEngine(**nothing))
        assert list(await state.containers(BLOG)) == []
        assert list(await state.networks(BLOG)) == []
        assert list(await state.volumes(BLOG)) == []


class TestAnswersThatAreNone:
    @pytest.mark.parametrize(
        ("listing", "words"),
        [
            ((404, {"message": "page not found"}), "HTTP 404"),
            ((500, {"message": "why it failed"}), "HTTP 500: .*why it failed"),
            ((301, b""), "HTTP 301"),
            (b"hello", "is not Docker Engine"),
            (b"\xff", "is not Docker Engine"),
            ({"message": "hello"}, "is not Docker Engine"),
            ("hello", "is not Docker Engine"),
            (["hello"], "is not Docker Engine"),
            ([{}], "is not Docker Engine"),
            ([listed(Ports=[{"PublicPort": "x"}])], "is not Docker Engine"),
        ],
    )
    async def test_are_never_an_empty_project(
        self, on_socket: OnSocket, listing: object, words: str
    ) -> None:
        engine = ScriptedEngine()
        engine.answers["/containers/json"] = listing
        state = on_socket(engine)
        with pytest.raises(RuntimeUnavailable, match=words):
            await state.all_projects()

    @pytest.mark.parametrize("said", [{}, {"State": {}}, [], None, inspected(StartedAt="soon")])
    async def test_of_one_container(self, on_socket: OnSocket, said: object) -> None:
        engine = ScriptedEngine()
        engine.answers[f"/containers/{'1' * 64}/json"] = said
        with pytest.raises(RuntimeUnavailable, match="is not Docker Engine"):
            await on_socket(engine).containers(BLOG)

    async def test_a_server_that_names_no_version(self, on_socket: OnSocket) -> None:
        engine = ScriptedEngine()
        engine.speaks = ("", "")
        with pytest.raises(RuntimeUnavailable, match="is not Docker Engine"):
            await on_socket(engine).containers(BLOG)

    async def test_one_that_is_too_long(
        self, on_socket: OnSocket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("adapters.engine.reading.MAX_LISTING_BYTES", 100)
        with pytest.raises(RuntimeUnavailable, match="too long"):
            await on_socket(ScriptedEngine()).containers(BLOG)

    async def test_an_engine_that_stops_answering_halfway(self, on_socket: OnSocket) -> None:
        engine = ScriptedEngine()
        engine.stalls.clear()
        with pytest.raises(RuntimeUnavailable, match="hangs or is overloaded"):
            await on_socket(engine).containers(BLOG)
