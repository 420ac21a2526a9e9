"""The client's own part: what is repeated and what is not, what errors say, lists."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from adapters.api_client.client import check_token, checked_url, connected
from adapters.api_client.errors import FieldError, Misunderstood, Refused, Unreachable
from adapters.api_client.resources import PAGE
from adapters.api_client.sending import Patience
from domain.errors import InvalidInput
from tests.unit.cli.peer import TOKEN, Peer, problem, refused


class TestWhatIsRepeated:
    async def test_what_was_not_sent(self) -> None:
        peer = Peer(refused(), httpx.ConnectTimeout("x"), httpx.Response(201, json={"id": "enr"}))
        await peer.api.hosts.enrol("web-1", {})
        assert len(peer.requests) == 3
        assert 0 < peer.slept[0] <= 0.3

    async def test_not_what_may_have_been_carried_out(self) -> None:
        peer = Peer(httpx.ReadError("cut"), httpx.Response(201, json={}))
        with pytest.raises(Unreachable) as caught:
            await peer.api.hosts.enrol("web-1", {})
        assert not caught.value.is_certain
        assert len(peer.requests) == 1

    async def test_a_submission_under_the_same_key_with_the_same_body(self) -> None:
        peer = Peer(
            httpx.ReadError("cut"),
            refused(),
            problem(503, "busy"),
            httpx.Response(202, json={"id": "dep"}),
        )
        made = await peer.api.deployments.create({"project": "blog"})
        assert made["id"] == "dep"
        assert len(peer.requests) == 4
        assert len({one.headers["Idempotency-Key"] for one in peer.requests}) == 1
        assert {bytes(one.content) for one in peer.requests} == {b'{"project": "blog"}'}
        assert peer.slept[-1] >= 1.0

    async def test_each_submission_has_a_key_of_its_own(self) -> None:
        peer = Peer(httpx.Response(202, json={}))
        await peer.api.deployments.create({})
        await peer.api.deployments.create({})
        assert len({one.headers["Idempotency-Key"] for one in peer.requests}) == 2

    async def test_not_what_was_refused(self) -> None:
        peer = Peer(problem(422, "invalid_input"))
        with pytest.raises(Refused):
            await peer.api.deployments.create({})
        assert len(peer.requests) == 1

    async def test_not_for_ever(self) -> None:
        peer = Peer(refused())
        with pytest.raises(Unreachable, match="Connection refused") as caught:
            await peer.impatient.hosts.listed()
        assert caught.value.is_certain
        assert len(peer.requests) == 1

    async def test_once_sent_it_is_not_certain_any_more(self) -> None:
        peer = Peer(httpx.ReadError("cut"), refused())
        peer.impatient.deployments._sending._patience = Patience(0, 0.5)
        with pytest.raises(Unreachable) as caught:
            await peer.impatient.deployments.create({})
        assert not caught.value.is_certain


class TestWhatErrorsSay:
    async def test_a_problem(self) -> None:
        errors = [{"field": "hosts", "rule": "must be fewer"}]
        peer = Peer(problem(422, "invalid_input", errors=errors, retryable=False))
        with pytest.raises(Refused) as caught:
            await peer.api.hosts.listed()
        error = caught.value
        assert (error.status, error.problem, str(error)) == (422, "invalid_input", "a detail")
        assert error.errors == (FieldError("hosts", "must be fewer"),)
        assert error.retry_after_s == 1.0

    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            (httpx.Response(200, text="<html>"), "no JSON"),
            (httpx.Response(200, json=[]), "no JSON object"),
            (httpx.Response(200, json={"hello": 1}), "no list"),
            (httpx.Response(502, text="Bad Gateway"), "HTTP 502"),
            (httpx.Response(301, headers={"Location": "https://x/"}), "redirection to https://x/"),
            (httpx.Response(200, content=b"[" * 100_000), "no JSON"),
        ],
    )
    async def test_what_is_no_control_plane(self, answer: httpx.Response, says: str) -> None:
        with pytest.raises(Misunderstood, match=says):
            await Peer(answer).api.hosts.listed()

    @pytest.mark.parametrize(
        "error",
        [
            httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x"),
            httpx.LocalProtocolError(f"Illegal header value b'Bearer {TOKEN}'"),
            httpx.UnsupportedProtocol("x"), httpx.ProxyError("x"), TimeoutError(),
        ],
    )  # fmt: skip
    async def test_no_token_is_in_any_of_them(self, error: Exception) -> None:
        with pytest.raises(Unreachable) as caught:
            await Peer(error).impatient.hosts.listed()
        assert TOKEN not in str(caught.value)

    async def test_a_token_is_in_a_header_and_nowhere_else(self) -> None:
        peer = Peer(httpx.Response(200, json={"items": []}))
        await peer.api.hosts.listed({"env": "prod"})
        (request,) = peer.requests
        assert TOKEN not in str(request.url)
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"

    @pytest.mark.parametrize("token", ["", "a b", "a\nb", "\xe9", "a\x7f"])
    async def test_a_token_that_is_none_is_not_quoted(self, token: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            check_token(token)
        assert not token or token not in str(caught.value)
        with pytest.raises(InvalidInput):
            async with connected("https://cp.example", token):
                pass

    @pytest.mark.parametrize(
        "url",
        ["", "cp.example", "ftp://cp", "https://", "https://u@cp", "https://:p@cp", "https://cp?a=b",
         "https://cp#x", "https://cp:99999", "https://c p", "https://\xe9"],
    )  # fmt: skip
    def test_a_url_that_is_none(self, url: str) -> None:
        with pytest.raises(InvalidInput, match="url"):
            checked_url(url)

    async def test_a_certificate_file_that_cannot_be_used(self, tmp_path: Any) -> None:
        (tmp_path / "ca.pem").write_text("no PEM")
        for name in ("ca.pem", "missing.pem"):
            with pytest.raises(InvalidInput, match=name):
                async with connected("https://cp.example", TOKEN, ca_file=tmp_path / name):
                    pass


class TestLists:
    async def test_all_pages(self) -> None:
        peer = Peer(
            httpx.Response(200, json={"items": [{"name": "a"}], "next": "x"}),
            httpx.Response(200, json={"items": [{"name": "b"}], "next": None}),
        )
        assert [one["name"] for one in await peer.api.hosts.listed()] == ["a", "b"]
        assert [dict(one.url.params) for one in peer.requests] == [
            {"limit": str(PAGE)},
            {"limit": str(PAGE), "after": "x"},
        ]

    async def test_no_more_than_wanted(self) -> None:
        peer = Peer(httpx.Response(200, json={"items": [{}, {}], "next": "x"}))
        assert len(await peer.api.jobs.listed(limit=2)) == 2
        assert len(peer.requests) == 1

    @pytest.mark.parametrize("name", ["a/b", "..", "a?b", "a#b", "%2e"])
    async def test_a_name_leads_nowhere_else(self, name: str) -> None:
        peer = Peer(problem(404, "not_found"))
        with pytest.raises(Refused):
            await peer.api.hosts.show(name)
        path = peer.requests[0].url.raw_path
        assert path.startswith(b"/api/v1/hosts/")
        assert path.count(b"/") == 4
        assert not path.endswith(b"..")
