"""What happens to jobs, as events and as text."""

from __future__ import annotations

import base64
import codecs
import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from fastapi.sse import format_sse_event

from application.control_plane.following import Part
from domain.fleet.access import Principal
from domain.fleet.deployment import outcome_of
from domain.fleet.job import FeedEntry, FeedKind, FleetJobState
from entrypoints.control_plane.rest.held_response import HeldResponse
from entrypoints.control_plane.rest.parts import Parts
from entrypoints.control_plane.rest.views import moment

Document = dict[str, Any]

EVENTS: Final = "text/event-stream"
RETRY: Final = b"retry: 2000\n\n"
KEEPALIVE: Final = b": still here\n\n"

FEED_DESCRIPTION: Final = """Server-sent events, from the beginning and on until it is over:

- `state`: `{"job_id", "at", "state"}`;
- `output`: `{"job_id", "at", "step", "attempt", "offset", "length", "text"}`, or `base64` in the place
  of `text` where the bytes are no UTF-8;
- `cut`: `{"job_id", "at", "step", "attempt", "offset"}`: so much was printed that from there on
  nothing of the job's output is kept; once for a job;
- `end`: the last event: `{"state", "jobs_by_state": {"<state>": <how many>}}`.

An event's `id` is its number; `Last-Event-ID`, or `after`, resumes behind it. A comment comes every
15 s where nothing happens. The stream ends when the token is replaced."""

FEED_RESPONSE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Events", "content": {EVENTS: {"schema": {"type": "string"}}}}
}

CUT: Final = b"\n[more was printed, which is not kept]\n"

_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def events_of(
    parts: Parts, feed: AsyncGenerator[Part, None], by: Principal, *, of_deployment: bool
) -> HeldResponse:
    """The response that follows a feed for as long as the token is good."""
    return HeldResponse(
        _events(feed, of_deployment=of_deployment),
        lambda: parts.sessions.opened(by),
        media_type=EVENTS,
        may_end_early=True,
    )


def output_of(
    parts: Parts, entries: AsyncGenerator[FeedEntry, None], by: Principal, *, raw: bool
) -> HeldResponse:
    """What was printed; unless it is raw, with control characters shown and not acted upon."""
    return HeldResponse(
        _bytes(entries) if raw else _text(entries),
        lambda: parts.sessions.opened(by),
        media_type="application/octet-stream" if raw else "text/plain; charset=utf-8",
    )


async def _bytes(entries: AsyncGenerator[FeedEntry, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(entries):
        async for entry in entries:
            if entry.content:
                yield entry.content


async def _text(entries: AsyncGenerator[FeedEntry, None]) -> AsyncGenerator[bytes, None]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    is_cut = False
    async with aclosing(entries):
        async for entry in entries:
            yield _CONTROL.sub(_shown, decoder.decode(entry.content)).encode()
            is_cut = is_cut or entry.kind is FeedKind.CUT
    yield _CONTROL.sub(_shown, decoder.decode(b"", final=True)).encode()
    if is_cut:
        yield CUT


async def _events(
    feed: AsyncGenerator[Part, None], *, of_deployment: bool
) -> AsyncGenerator[bytes, None]:
    yield RETRY
    async with aclosing(feed):
        async for part in feed:
            for entry in part.entries:
                yield event_of(entry)
            if part.ended is not None:
                yield end_of(part.ended, of_deployment=of_deployment)
            elif not part.entries:
                yield KEEPALIVE


def end_of(ended: Mapping[FleetJobState, int], *, of_deployment: bool) -> bytes:
    """The last event; `ended` says how many jobs are in which state."""
    # A job is in the one state that there is.
    state = outcome_of(ended) if of_deployment else next(iter(ended))
    return _event("end", {"state": state, "jobs_by_state": ended})


def _event(name: str, data: Mapping[str, object], number: int | None = None) -> bytes:
    """As it goes over the wire; with a number, it can be resumed behind it."""
    return format_sse_event(
        data_str=json.dumps(data), event=name, id=None if number is None else str(number)
    )


def event_of(entry: FeedEntry) -> bytes:
    """An entry, as an event that can be resumed behind."""
    document: Document = {"job_id": entry.job_id, "at": _time(entry.at)}
    if entry.kind is FeedKind.STATE:
        document["state"] = None if entry.state is None else entry.state.value
        return _event("state", document, entry.number)
    document |= {"step": entry.step, "attempt": entry.attempt, "offset": entry.offset}
    if entry.kind is FeedKind.CUT:
        return _event("cut", document, entry.number)
    document["length"] = len(entry.content)
    try:
        document["text"] = entry.content.decode()
    except UnicodeDecodeError:
        document["base64"] = base64.b64encode(entry.content).decode("ascii")
    return _event("output", document, entry.number)


def _time(seconds: float) -> str:
    return moment(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"
