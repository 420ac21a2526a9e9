"""The codec's promises, for frames and events that nobody thought of."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from adapters.wire.codec import decode, encode
from adapters.wire.messages import CommandType
from domain.events import JobCompleted, JobFailed, JobReceived
from domain.messages import MalformedMessage, RefusedRequest, Request

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
PAYLOADS = st.fixed_dictionaries(
    {}, optional={"project_name": JSON | st.just("blog"), "compose_file_base64": JSON}
)
COMMANDS = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON | st.just("j1"),
        "type": JSON | st.sampled_from([str(name) for name in CommandType]),
        "payload": JSON | PAYLOADS,
        "other": JSON,
    },
)
WORST_TEXT = st.builds(
    lambda text, times: text * times,
    st.text(st.characters(exclude_categories=[]), min_size=1, max_size=5),
    st.sampled_from([0, 1, 50, 300_000]),
)
DATA = st.dictionaries(ANY_TEXT, JSON | WORST_TEXT, max_size=3)
EVENTS = (
    st.builds(JobReceived, ANY_TEXT)
    | st.builds(JobCompleted, ANY_TEXT, WORST_TEXT, DATA)
    | st.builds(JobFailed, ANY_TEXT, WORST_TEXT, WORST_TEXT, DATA)
)


def answers_of(raw: str | bytes) -> None:
    """Decode a frame, and encode what it is answered with as far as the codec decides it."""
    message = decode(raw)
    if isinstance(message, Request):
        assert message.job_id.value
        return
    assert isinstance(message, MalformedMessage | RefusedRequest)
    check_response(encode(JobFailed(message.job_id, str(message.error))))


def check_response(text: str) -> Mapping[str, object]:
    """A response as every control plane of protocol v1 can take it."""
    assert text.isascii()
    assert len(text) <= 2**20
    response = json.loads(text)
    assert isinstance(response["job_id"], str)
    assert isinstance(response["logs"], str)
    assert response["status"] in ("QUEUED", "IN_PROGRESS", "COMPLETED", "FAILED")
    assert ("error" in response) == (response["status"] == "FAILED")
    assert set(response) <= {"job_id", "status", "logs", "error", "data"}
    assert isinstance(response.get("data", {}), dict)
    return dict(response)


@given(st.binary(max_size=200))
def test_no_bytes_make_decoding_raise(raw: bytes) -> None:
    answers_of(raw)


@given(st.text(st.characters(exclude_categories=[]), max_size=200))
def test_no_text_makes_decoding_raise(raw: str) -> None:
    answers_of(raw)


@given(COMMANDS | JSON)
def test_no_json_makes_decoding_raise(document: object) -> None:
    answers_of(json.dumps(document))


@given(COMMANDS, st.data())
def test_no_frame_that_is_cut_or_damaged_makes_decoding_raise(
    document: object, data: st.DataObject
) -> None:
    raw = bytearray(json.dumps(document).encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    answers_of(bytes(raw[:at]))
    raw[at] = data.draw(st.integers(0, 255))
    answers_of(bytes(raw))


@given(EVENTS)
def test_every_event_is_a_response_that_any_control_plane_can_take(
    event: JobReceived | JobCompleted | JobFailed,
) -> None:
    response = check_response(encode(event))
    assert response["job_id"] == event.job_id
