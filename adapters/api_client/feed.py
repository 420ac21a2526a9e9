"""What happens to jobs, live: taken up again behind the last event where the connection ends."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Final

from adapters.api_client.errors import Misunderstood, Refused, Unreachable
from adapters.api_client.sending import Sending, half_to_whole
from adapters.api_client.sse import Event, EventReader
from domain.backoff import reconnect_delays

SILENCE_S: Final = 45.0
"""A control plane says something every 15 s, if only that it is still there."""
PATIENCE_S: Final = 300.0
"""For so long a feed is asked for again, before the control plane counts as lost."""
LONGEST_DELAY_S: Final = 10.0

END: Final = "end"
_TRANSIENT: Final = 500


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """`name` is `state`, `output`, `cut` or `end`, or what a later version says, with all in `data`.

    `content` is what was printed, in bytes: a piece may end in the middle of a character.
    """

    name: str
    data: dict[str, Any]
    number: int = 0
    content: bytes = b""

    @property
    def job_id(self) -> str:
        """The job that it is about; empty at the end."""
        return str(self.data.get("job_id", ""))


Trouble = Callable[[str], None]


async def follow(
    sending: Sending,
    path: str,
    *,
    after: int = 0,
    patience_s: float = PATIENCE_S,
    troubled: Trouble = lambda _: None,
) -> AsyncGenerator[FeedEvent, None]:
    """Every event behind `after` once, up to the end, which is the last.

    A connection that ends is made again, as is one that says nothing; `troubled` is told each time why,
    in words. Raises `Unreachable` where that has been to no avail for `patience_s`, and what else the
    control plane answers.
    """
    loop = asyncio.get_running_loop()
    place = _Place(after)
    heard = loop.time()
    delays = reconnect_delays(first_s=0.5, longest_s=LONGEST_DELAY_S, jitter=half_to_whole)
    while True:
        try:
            async for event in _connected(sending, path, place):
                heard = loop.time()
                delays = reconnect_delays(
                    first_s=0.5, longest_s=LONGEST_DELAY_S, jitter=half_to_whole
                )
                if event is not None:
                    yield event
                    if event.name == END:
                        return
            why = "the stream has ended before its time"
        except Unreachable as exc:
            why = str(exc)
        except Refused as exc:
            if exc.status < _TRANSIENT:
                raise
            why = str(exc)
        wait_s = next(delays)
        if loop.time() - heard + wait_s > patience_s:
            raise Unreachable(f"{why}; tried again for {patience_s:g} s", is_certain=False)
        troubled(why)
        await sending.sleep(wait_s)


@dataclass(slots=True)
class _Place:
    """How far a feed was read."""

    number: int


async def _connected(
    sending: Sending, path: str, place: _Place
) -> AsyncGenerator[FeedEvent | None, None]:
    """The events of one connection; None for a sign of life."""
    headers = {"Accept": "text/event-stream"}
    if place.number:
        headers["Last-Event-ID"] = str(place.number)
    reader = EventReader()
    async with sending.opened(path, headers=headers) as response:
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise Misunderstood("what answers there is no feed: is this a control plane's URL?")
        pieces = response.aiter_bytes()
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Unreachable(f"silence for {SILENCE_S:g} s", is_certain=False) from None
            events = [event_of(one) for one in reader.feed(piece)]
            if not events:
                yield None
            for event in events:
                if event.number and event.number <= place.number:
                    continue  # It was there before the connection ended.
                place.number = max(place.number, event.number)
                yield event


def event_of(event: Event) -> FeedEvent:
    """As it is used here. Raises `Misunderstood`."""
    try:
        data = json.loads(event.data)
        if not isinstance(data, dict):
            raise TypeError
        number = int(event.id) if event.id and event.name != END else 0
        content = b""
        if event.name == "output":
            text = data.get("text")
            content = base64.b64decode(data["base64"]) if text is None else text.encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error):
        raise Misunderstood("the feed has an event that cannot be read") from None
    return FeedEvent(event.name, data, number, content)
