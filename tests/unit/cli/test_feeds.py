"""Feeds: events in any pieces, and connections that end before their time."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from adapters.api_client.errors import Misunderstood, Refused, Unreachable
from adapters.api_client.feed import FeedEvent
from adapters.api_client.sse import LONGEST_EVENT, Event, EventReader
from tests.unit.cli.peer import Peer, problem, refused


class TestEvents:
    def test_events_in_any_pieces(self) -> None:
        text = b'retry: 1\n\nevent: state\ndata: {"a": 1}\nid: 7\n\n: here\n\ndata: x\r\ndata: y\r\n\r\n'
        expected = [Event("state", '{"a": 1}', "7"), Event("message", "x\ny", "7")]
        for size in (1, 2, 3, 7, len(text)):
            reader = EventReader()
            found = [
                event
                for start in range(0, len(text), size)
                for event in reader.feed(text[start : start + size])
            ]
            assert found == expected

    @pytest.mark.parametrize("piece", [b"x" * 65536, b"data: x\n" * 8192])
    def test_an_event_without_end_is_given_up(self, piece: bytes) -> None:
        reader = EventReader()
        pieces = [piece] * (2 * LONGEST_EVENT // len(piece) + 2)
        with pytest.raises(Misunderstood):
            list(itertools.chain.from_iterable(map(reader.feed, pieces)))


class Stream(httpx.AsyncByteStream):
    """What is sent of a feed, and how it ends."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self._pieces = pieces
        self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._error is not None:
            raise self._error

    async def aclose(self) -> None:
        pass


def streaming(*pieces: bytes, error: Exception | None = None) -> httpx.Response:
    headers = {"Content-Type": "text/event-stream"}
    return httpx.Response(200, headers=headers, stream=Stream(*pieces, error=error))


def event(number: int, name: str = "state", **data: Any) -> bytes:
    document = json.dumps({"job_id": "job_1", **data})
    return f"event: {name}\ndata: {document}\nid: {number}\n\n".encode()


END = b'event: end\ndata: {"state": "succeeded"}\n\n'


class TestFeeds:
    async def collect(self, peer: Peer, **how: Any) -> list[FeedEvent]:
        return [one async for one in peer.api.jobs.follow("job_1", **how)]

    async def test_up_to_the_end(self) -> None:
        peer = Peer(
            streaming(event(3, state="queued"), b": still here\n\n", event(4, state="failed") + END)
        )
        found = await self.collect(peer)
        assert [(one.name, one.number) for one in found] == [("state", 3), ("state", 4), ("end", 0)]

    async def test_taken_up_behind_the_last_event_and_nothing_twice(self) -> None:
        peer = Peer(
            streaming(event(3), event(4)[:20], error=httpx.ReadError("cut")),
            refused(),
            problem(503, "busy"),
            streaming(event(3), event(4)),
            streaming(event(5), END),
        )
        troubles: list[str] = []
        found = await self.collect(peer, troubled=troubles.append)
        assert [one.number for one in found] == [3, 4, 5, 0]
        last_ids = [one.headers.get("Last-Event-ID") for one in peer.requests]
        assert last_ids == [None, "3", "3", "3", "4"]
        assert len(troubles) == len(peer.slept) == 4
        assert "Connection refused" in troubles

    async def test_output_in_text_and_in_bytes(self) -> None:
        told = {"step": "apply", "attempt": 1, "offset": 0}
        peer = Peer(
            streaming(
                event(1, "output", text="é", **told), event(2, "output", base64="/w==", **told), END
            )
        )
        assert [one.content for one in await self.collect(peer)] == [b"\xc3\xa9", b"\xff", b""]

    async def test_it_is_given_up_in_the_end(self) -> None:
        with pytest.raises(Unreachable, match="tried again for"):
            await self.collect(Peer(refused()), patience_s=0.01)

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (problem(401, "unauthenticated"), Refused),
            (problem(404, "not_found"), Refused),
            (httpx.Response(200, json={}), Misunderstood),
            (streaming(b"event: output\ndata: {}\n\n"), Misunderstood),
            (streaming(b"data: [1]\n\n"), Misunderstood),
            (streaming(b"data: {\n\n"), Misunderstood),
            (streaming(b"id: x\ndata: {}\n\n"), Misunderstood),
        ],
    )
    async def test_what_cannot_be_mended_ends_it(
        self, answer: httpx.Response, kind: type[Exception]
    ) -> None:
        peer = Peer(answer)
        with pytest.raises(kind):
            await self.collect(peer)
        assert peer.slept == []

    async def test_the_trail_is_passed_on_as_it_comes(self) -> None:
        peer = Peer(httpx.Response(200, stream=Stream(b'{"number": 1}\n{"n', b'umber": 2}\n')))
        pieces = [piece async for piece in peer.api.audit.export(5)]
        assert b"".join(pieces) == b'{"number": 1}\n{"number": 2}\n'
        assert peer.requests[0].url.params["after"] == "5"
