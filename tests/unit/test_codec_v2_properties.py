"""The promises of protocol v2's codec, for messages and frames that nobody thought of."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from adapters.wire.codec_v2 import decode_said, decode_v2, encode_heard, encode_v2
from adapters.wire.either import MessageType
from adapters.wire.messages import CommandType
from domain.errors import InstaDeployError
from domain.link_messages import CancelMessage, CommandMessage, Heard, Said, Unusable
from tests.unit.v2_messages import ANY_CHARACTER, HEARD, SAID

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(ANY_CHARACTER, max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FIELDS = (
    *("type", "seq", "ack", "id", "payload", "job_id", "nonce", "epoch", "session", "output"),
    *("expected", "window_s", "reason", "code", "error", "status", "state", "final", "output_seen"),
    *("running", "generations", "logs", "length", "facts", "data"),
)
TYPES = st.sampled_from([*MessageType, *CommandType]).map(str)
SOMETHING_LIKE_A_MESSAGE = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(FIELDS, JSON) | {"type": TYPES | JSON}
)


def answer_to(raw: str | bytes) -> None:
    """Decode a frame as either side would; what an agent cannot use has a reason."""
    heard = decode_v2(raw)
    error = heard.command if isinstance(heard, CommandMessage) else None
    if isinstance(heard, Unusable):
        error = heard.error
    assert error is None or not isinstance(error, InstaDeployError) or str(error)
    said = decode_said(raw)
    assert not isinstance(said, Unusable) or str(said.error)


@given(HEARD)
def test_what_a_control_plane_says_is_heard_as_it_was_meant(message: Heard) -> None:
    text = encode_heard(message)
    assert text.isascii()
    assert decode_v2(text) == decode_v2(text.encode()) == message


@given(SAID)
def test_what_an_agent_says_is_read_as_it_was_meant(message: Said) -> None:
    text = encode_v2(message)
    assert text.isascii()
    assert decode_said(text) == decode_said(text.encode()) == message


@given(SAID)
def test_v1s_fields_of_a_response_are_there(message: Said) -> None:
    document = json.loads(encode_v2(message))
    if document["type"] == "RESPONSE":
        assert isinstance(document["job_id"], str)
        assert isinstance(document["logs"], str)
        assert document["status"] in ("IN_PROGRESS", "COMPLETED", "FAILED")
        assert ("error" in document) == (document["status"] == "FAILED")


@given(st.binary(max_size=200))
def test_no_bytes_make_decoding_raise(raw: bytes) -> None:
    answer_to(raw)


@given(st.text(ANY_CHARACTER, max_size=200))
def test_no_text_makes_decoding_raise(raw: str) -> None:
    answer_to(raw)


@given(SOMETHING_LIKE_A_MESSAGE | JSON)
def test_no_json_makes_decoding_raise(document: object) -> None:
    answer_to(json.dumps(document))


@given(HEARD.map(encode_heard) | SAID.map(encode_v2), st.data())
def test_no_frame_that_is_cut_or_damaged_makes_decoding_raise(
    text: str, data: st.DataObject
) -> None:
    raw = bytearray(text.encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    answer_to(bytes(raw[:at]))
    raw[at] = data.draw(st.integers(0, 255))
    answer_to(bytes(raw))


@given(SOMETHING_LIKE_A_MESSAGE, st.integers(1, 2**63 - 1))
def test_no_number_of_a_durable_message_is_ever_lost(document: dict[str, object], seq: int) -> None:
    message = decode_v2(json.dumps(document | {"seq": seq}))
    others = set(MessageType) - {"CANCEL", "HELLO", "ACCEPT", "REJECT", "RESPONSE"}
    kind = document.get("type")
    if not isinstance(kind, str) or kind not in others:
        assert isinstance(message, CommandMessage | CancelMessage)
        assert message.seq == seq
        assert 1 <= len(message.job_id) <= 1024
