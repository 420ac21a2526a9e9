"""What an agent says over protocol v2, as it is written, and as a control plane reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.wire.codec_v2 import decode_said, encode_v2
from domain.errors import LocalProtocolViolation
from domain.job import JobState, is_terminal
from domain.link_messages import (
    Accept,
    Acknowledge,
    Bye,
    Enroll,
    Heartbeat,
    Hello,
    OutputChunk,
    OutputPosition,
    PeerError,
    Reject,
    Result,
    RunningJob,
    Said,
    StepOutput,
    Unusable,
)

ONE_MEBIBYTE = 2**20
TOO_MUCH = "\u00fc" * ONE_MEBIBYTE
NONCE = "0123456789abcdef"
POSITION = OutputPosition("up", 2, 100)
HELLO = {
    "type": "HELLO",
    "nonce": NONCE,
    "epoch": "e",
    "peer_epoch": "",
    "last_seq_seen": 0,
    "version": "1.0.0",
    "architecture": "linux-amd64",
    "hostname": "web-1",
    "capabilities": [],
    "running": [],
    "generations": {},
}
CHUNK = {
    "type": "RESPONSE",
    "job_id": "j",
    "status": "IN_PROGRESS",
    "logs": "abc",
    "step": "up",
    "attempt": 1,
    "offset": 0,
    "length": 3,
}
STEP = {
    "step": "up",
    "attempt": 1,
    "exit_code": 0,
    "length": 3,
    "sha256": "0" * 64,
    "truncated": False,
}
RESULT = {
    "type": "RESPONSE",
    "seq": 1,
    "job_id": "j",
    "status": "COMPLETED",
    "state": "succeeded",
    "logs": "",
    "final": True,
    "output": [STEP],
}


def written(message: Said) -> dict[str, Any]:
    """The message as it is sent; whatever it holds, it can be sent."""
    text = encode_v2(message)
    assert text.isascii()
    assert len(text) <= ONE_MEBIBYTE
    document = json.loads(text)
    assert isinstance(document, dict)
    return document


def read_back(message: Said) -> Said:
    """The message as a control plane gets it."""
    found = decode_said(encode_v2(message))
    assert not isinstance(found, Unusable), found.error
    return found


def unusable(message: dict[str, object]) -> str:
    found = decode_said(json.dumps(message))
    assert isinstance(found, Unusable), found
    return str(found.error)


@pytest.mark.parametrize(
    "chunk", [b"", b"plain\n", "zażółć \U0001f680".encode(), b"\0\x1b[2K\r\x7f", "\ufeff".encode()]
)
def test_a_chunk_that_is_utf_8_is_the_logs_exactly(chunk: bytes) -> None:
    message = OutputChunk("j", POSITION, chunk, ack=4)
    document = written(message)

    assert document["logs"].encode() == chunk
    assert document["length"] == len(chunk)
    assert "output_base64" not in document
    assert read_back(message) == message


@pytest.mark.parametrize("chunk", [b"\xff", b"abc\xc5", "é".encode()[1:], b"\xed\xa0\x80"])
def test_a_chunk_that_is_not_utf_8_is_base64_and_the_logs_are_empty(chunk: bytes) -> None:
    message = OutputChunk("j", POSITION, chunk)
    document = written(message)

    assert (document["logs"], document["length"]) == ("", len(chunk))
    assert document["output_base64"]
    assert read_back(message) == message


@pytest.mark.parametrize("byte", [b"\0", b"x", b"\xff"])
def test_the_largest_chunk_can_be_sent_and_a_larger_one_is_a_bug(byte: bytes) -> None:
    largest = OutputChunk("j" * 1024, POSITION, byte * 65536)
    assert read_back(largest) == largest
    with pytest.raises(LocalProtocolViolation):
        encode_v2(OutputChunk("j", POSITION, byte * 65537))


@pytest.mark.parametrize("state", [state for state in JobState if is_terminal(state)])
def test_a_result_has_v1s_status_and_an_error_where_it_failed(state: JobState) -> None:
    document = written(Result(3, "j", state, "logs", "why", {"reason": "x"}))

    has_succeeded = state is JobState.SUCCEEDED
    assert document["status"] == ("COMPLETED" if has_succeeded else "FAILED")
    assert ("error" in document) == (not has_succeeded)
    assert (document["state"], document["final"], document["output"]) == (state, True, [])
    assert document["data"] == {"reason": "x"}


def test_what_there_is_none_of_is_not_there() -> None:
    assert written(Result(1, "j", JobState.SUCCEEDED, "", "")).keys() == {
        *("type", "seq", "job_id", "status", "state", "logs", "final", "output")
    }
    assert written(Accept(1, "j", JobState.ACCEPTED)).keys() == {"type", "seq", "job_id", "state"}
    assert written(Reject(1, "j", "busy", "busy")).keys() == {
        *("type", "seq", "job_id", "reason", "error")
    }
    assert written(Heartbeat()) == {"type": "HEARTBEAT", "facts": {}}


def test_what_only_a_control_plane_says_of_an_acknowledgement_is_left_out() -> None:
    assert written(Acknowledge(3, {"j": POSITION}, 2)) == {"type": "ACK", "ack": 3}


def test_what_makes_a_result_too_large_is_dropped_and_the_rest_is_kept() -> None:
    data = {"reason": "compose_failed"}
    logs = written(Result(1, "j", JobState.FAILED, TOO_MUCH, "why", data))
    assert logs["logs"] == "[the response passed 1 MiB; its logs was dropped]"
    assert (logs["error"], logs["data"], logs["seq"]) == ("why", data, 1)

    too_many = tuple(StepOutput("up", n, 0, 1, "0" * 64, False) for n in range(1, 10_000))
    all_of_it = written(
        Result(1, "j", JobState.FAILED, TOO_MUCH, TOO_MUCH, {"a": TOO_MUCH}, too_many)
    )
    assert all_of_it["data"] == {"dropped": "[the response passed 1 MiB; its data was dropped]"}
    assert all_of_it["output"] == []
    assert isinstance(decode_said(json.dumps(all_of_it)), Result)


@pytest.mark.parametrize(
    "message",
    [
        Reject(1, "j", "conflict", TOO_MUCH, {"a": TOO_MUCH}),
        Heartbeat({"load": TOO_MUCH}),
        PeerError(TOO_MUCH, TOO_MUCH),
        Bye(TOO_MUCH),
        Result(1, "\U0001f680" * 1024, JobState.CANCELED, TOO_MUCH, TOO_MUCH),
    ],
    ids=lambda message: type(message).__name__,
)
def test_whatever_a_message_holds_it_stays_under_one_mebibyte(message: Said) -> None:
    written(message)
    assert type(read_back(message)) is type(message)


def test_a_hello_lists_as_much_as_fits() -> None:
    long_id = "\U0001f680" * 256
    document = written(
        Hello(
            NONCE,
            "e",
            "",
            0,
            "1.0.0",
            "linux-amd64",
            "web-1",
            capabilities=tuple(long_id for _ in range(5000)),
            running=tuple(RunningJob(long_id, JobState.RUNNING, POSITION) for _ in range(5000)),
            generations={f"{long_id}{n}": n + 1 for n in range(5000)},
        )
    )

    for name in ("capabilities", "running", "generations"):
        assert 100 < len(document[name]) < 5000
    assert isinstance(decode_said(json.dumps(document)), Hello)


def test_a_hello_lists_at_most_ten_thousand() -> None:
    projects = {f"p{n}": 1 for n in range(10_001)}
    document = written(Hello(NONCE, "e", "", 0, "1", "a", "h", generations=projects))

    assert len(document["generations"]) == 10_000


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({}, "type: is missing"),
        ({"type": "CHALLENGE", "nonce": NONCE}, "type: must be one of ENROLL, HELLO, "),
        ({"type": "STATUS", "id": "j", "seq": 1}, "type: must be one of ENROLL, HELLO, "),
        (HELLO | {"nonce": "short"}, "nonce: must be 16 to 256 characters long, not 5"),
        (HELLO | {"epoch": ""}, "epoch: must be 1 to 256 characters long, not 0"),
        (HELLO | {"peer_epoch": None}, "peer_epoch: must be a string, not null"),
        (HELLO | {"capabilities": "cancel"}, "capabilities: must be an array, not a string"),
        (HELLO | {"capabilities": [7]}, "capabilities: must be a string, not a number"),
        (HELLO | {"running": [7]}, "running: must hold JSON objects, not a number"),
        (HELLO | {"running": [{"job_id": "j"}]}, "running.state: is missing"),
        (
            HELLO | {"running": [{"job_id": "j", "state": "running", "output": None}]},
            "running.output: must be a JSON object, not null",
        ),
        (
            HELLO | {"running": [{"job_id": "j", "state": "running", "output": {}}]},
            "running.output.step: is missing",
        ),
        (HELLO | {"generations": {"blog": 0}}, "generations: must be a whole number from 1"),
        (HELLO | {"host_id": ""}, "host_id: must be 1 to 256 characters long, not 0"),
        (HELLO | {"signature": None}, "signature: must be a string, not null"),
        ({"type": "ENROLL", "nonce": NONCE}, "token: is missing"),
        ({"type": "ENROLL", "nonce": NONCE, "token": "a\nb"}, "token: must not contain control"),
        (HELLO | {"generations": {"blog": "1"}}, "generations: must be a whole number, not a"),
        ({"type": "ACCEPT", "seq": 1, "job_id": "j", "state": "done"}, "state: must be one of acc"),
        (
            {"type": "ACCEPT", "seq": 1, "job_id": "j", "state": "accepted", "repeat": 1},
            "repeat: must be a boolean, not a number",
        ),
        ({"type": "REJECT", "seq": 1, "job_id": "j", "error": ""}, "reason: is missing"),
        (
            {"type": "REJECT", "seq": 1, "job_id": "j", "reason": "x", "error": "", "data": []},
            "data: must be a JSON object, not an array",
        ),
        ({"type": "HEARTBEAT"}, "facts: is missing"),
        (CHUNK | {"status": "QUEUED"}, "status: is of v1, and never sent over v2"),
        (CHUNK | {"status": "DONE"}, "status: must be one of QUEUED, "),
        (CHUNK | {"length": 4}, "length: must be the 3 bytes that the message brings"),
        (CHUNK | {"logs": "x" * 65537, "length": 65537}, "length: must be at most 65536"),
        (CHUNK | {"logs": "\ud800", "length": 3}, "logs: must be what UTF-8 can say"),
        (CHUNK | {"output_base64": "YWJj"}, "logs: must be empty beside output_base64"),
        (CHUNK | {"logs": "", "output_base64": "YWJ"}, "output_base64: is not valid base64"),
        (CHUNK | {"logs": "", "output_base64": "YWJ\u00fc"}, "output_base64: is not valid base64"),
        (CHUNK | {"attempt": 0}, "attempt: must be a whole number from 1"),
        (RESULT | {"final": False}, "final: must be true"),
        (RESULT | {"state": "running"}, "state: must be one that a job which COMPLETED can end in"),
        (RESULT | {"state": "failed"}, "state: must be one that a job which COMPLETED can end in"),
        (RESULT | {"status": "FAILED"}, "state: must be one that a job which FAILED can end in"),
        (RESULT | {"status": "FAILED", "state": "failed"}, "error: is missing"),
        (RESULT | {"output": [STEP | {"sha256": "A" * 64}]}, "output.sha256: must be 64 hex"),
        (RESULT | {"output": [STEP | {"exit_code": "0"}]}, "output.exit_code: must be a whole"),
        (RESULT | {"output": [STEP | {"exit_code": -(2**63)}]}, "output.exit_code: must be a"),
    ],
)
def test_what_an_agent_must_not_say_names_the_field_and_the_rule(
    message: dict[str, object], error: str
) -> None:
    assert unusable(message).startswith(error)


def test_an_enrolment_shows_no_token_where_it_is_shown() -> None:
    enroll = Enroll(NONCE, "the-token", "key", "signature", "1.0.0", "linux-amd64", "web-1")

    assert written(enroll)["token"] == "the-token"
    assert read_back(enroll) == enroll
    assert "the-token" not in repr(enroll)


def test_a_hello_without_a_key_has_no_fields_for_it() -> None:
    document = written(Hello(NONCE, "e", "", 0, "1", "a", "h"))

    assert not document.keys() & {"host_id", "signature"}
