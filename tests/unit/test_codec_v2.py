"""What an agent hears over protocol v2, good and bad."""

from __future__ import annotations

import json

import pytest

from adapters.wire.codec_v2 import decode_v2, encode_heard
from domain.commands import CheckHealth, StopCompose
from domain.errors import (
    InvalidInput,
    LocalProtocolViolation,
    RemoteProtocolViolation,
    UnknownCommand,
)
from domain.link_messages import (
    Acknowledge,
    Bye,
    CancelMessage,
    Challenge,
    CommandMessage,
    GoAway,
    Heard,
    Heartbeat,
    OutputPosition,
    Unusable,
    Welcome,
)
from domain.project import ProjectName
from tests.builders import deploy, deploy_frame

MOST = 2**63 - 1
NONCE = "0123456789abcdef"
WELCOME = {"type": "WELCOME", "session": "s", "epoch": "e", "last_seq_seen": 0}


def heard(**message: object) -> Heard:
    return decode_v2(json.dumps(message))


def unusable(raw: str | bytes) -> str:
    """Why a frame cannot be used."""
    message = decode_v2(raw)
    assert isinstance(message, Unusable), message
    return str(message.error)


def refused(**message: object) -> CommandMessage:
    """A command that keeps its number, and is refused."""
    found = heard(**message)
    assert isinstance(found, CommandMessage), found
    assert isinstance(found.command, InvalidInput), found
    return found


def test_what_may_be_missing_has_its_default() -> None:
    assert heard(type="CHALLENGE", nonce=NONCE) == Challenge(NONCE, "", "")
    assert heard(**WELCOME) == Welcome("s", "e", 0, 0, 15.0, {})
    assert heard(type="ACK", ack=0) == Acknowledge(0, {}, None)
    assert heard(type="HEARTBEAT") == Heartbeat({}, None)
    assert heard(type="STOP_COMPOSE", id="j", payload={"project_name": "a"}, seq=1) == (
        CommandMessage(1, "j", StopCompose(ProjectName("a")), None, None, None)
    )


def test_a_command_carries_v1s_fields_and_those_of_v2() -> None:
    frame = json.loads(deploy_frame("d1")) | {"seq": 7, "generation": 3, "deadline_s": 2, "ack": 5}

    assert decode_v2(json.dumps(frame)) == CommandMessage(7, "d1", deploy(), 3, 2.0, 5)


def test_fields_that_nobody_knows_are_ignored() -> None:
    assert heard(type="HEARTBEAT", facts=7, seq="x", extra=[{}]) == Heartbeat()
    assert heard(type="BYE", reason="x", ack=-1) == Bye("x")


@pytest.mark.parametrize("number", [1, MOST])
def test_numbers_go_from_one_to_the_largest_that_64_bits_hold(number: int) -> None:
    assert heard(type="CANCEL", seq=number, job_id="j") == CancelMessage(number, "j")
    assert heard(type="ACK", ack=number) == Acknowledge(number)


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        ("null", "must be a whole number, not null"),
        ("true", "must be a whole number, not a boolean"),
        ('"1"', "must be a whole number, not a string"),
        ("1.0", "must be a whole number, without fraction and exponent"),
        ("1e3", "must be a whole number, without fraction and exponent"),
        ("1e999", "must be a whole number, without fraction and exponent"),
        ("-1", f"must be a whole number from 0 to {MOST}"),
        (str(2**63), f"must be a whole number from 0 to {MOST}"),
        ("9" * 4000, f"must be a whole number from 0 to {MOST}"),
    ],
)
def test_what_is_no_whole_number_in_its_range_is_refused(number: str, rule: str) -> None:
    assert unusable(f'{{"type": "ACK", "ack": {number}}}') == f"ack: {rule}"
    assert unusable(f'{{"type": "ACK", "ack": 0, "prune_below": {number}}}') == (
        f"prune_below: {rule}"
    )


@pytest.mark.parametrize(
    ("window", "rule"),
    [
        ("true", "must be a number, not a boolean"),
        ("null", "must be a number, not null"),
        ("-0.1", "must be from 0 to 3600"),
        ("3600.5", "must be from 0 to 3600"),
        ("1e999", "must be from 0 to 3600"),
        ("-1e999", "must be from 0 to 3600"),
        ("9" * 4000, "must be from 0 to 3600"),
    ],
)
def test_what_is_no_number_in_its_range_is_refused(window: str, rule: str) -> None:
    raw = f'{{"type": "GOAWAY", "window_s": {window}, "reason": ""}}'
    assert unusable(raw) == f"window_s: {rule}"


@pytest.mark.parametrize(("seconds", "fits"), [(0.9, False), (1, True), (60, True), (61, False)])
def test_a_heartbeat_comes_once_in_one_to_sixty_seconds(seconds: float, fits: bool) -> None:
    assert isinstance(heard(**WELCOME, heartbeat_s=seconds), Welcome) == fits


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_number_is_refused(constant: str) -> None:
    error = unusable(f'{{"type": "GOAWAY", "window_s": {constant}, "reason": ""}}')
    assert error == f"message: is not valid JSON: {constant} is no JSON number"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "message: is not valid JSON"),
        ("{", "message: is not valid JSON"),
        (b"\xff", "message: is not valid UTF-8"),
        (b'{"type": "HEARTBEAT"}\x00', "message: is not valid JSON"),
        ("[]", "message: must be a JSON object, not an array"),
        ("null", "message: must be a JSON object, not null"),
        ('{"type": "HEARTBEAT", "type": "BYE"}', "message: an object names the same key twice"),
        ('{"type": "HEARTBEAT", "x": %s}' % ("9" * 5000), "message: holds a number that is too"),
        ('{"type": "HEARTBEAT", "x": %s}' % ("[" * 40 + "]" * 40), "message: is nested deeper"),
        ("[" * 1_000_000, "message: is nested deeper"),
    ],
)
def test_what_is_no_strict_json_object_is_a_violation_of_the_peers(
    raw: str | bytes, why: str
) -> None:
    message = decode_v2(raw)
    assert isinstance(message, Unusable)
    assert isinstance(message.error, RemoteProtocolViolation)
    assert str(message.error).startswith(why)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({}, "type: is missing"),
        ({"type": None}, "type: must be a string, not null"),
        ({"type": ["ACK"]}, "type: must be a string, not an array"),
        ({"type": "NEWS"}, "Unknown command type: NEWS"),
        ({"type": "X" * 500}, "Unknown command type: " + "X" * 100),
        ({"type": "ACCEPT", "job_id": "j"}, "Unknown command type: ACCEPT"),
        ({"type": "CANCEL", "job_id": "j"}, "seq: is missing"),
        ({"type": "STATUS", "id": "j", "payload": {}}, "seq: is missing"),
        ({"type": "STATUS", "id": "j", "payload": {}, "seq": 0}, "seq: must be a whole number"),
        ({"type": "NEWS", "seq": "1"}, "seq: must be a whole number, not a string"),
        ({"type": "CHALLENGE"}, "nonce: is missing"),
        ({"type": "CHALLENGE", "nonce": "x" * 15}, "nonce: must be 16 to 256 characters long"),
        ({"type": "CHALLENGE", "nonce": "x" * 257}, "nonce: must be 16 to 256 characters long"),
        ({"type": "CHALLENGE", "nonce": NONCE + "\n"}, "nonce: must not contain control"),
        ({"type": "CHALLENGE", "nonce": NONCE, "server_time": 7}, "server_time: must be a string"),
        (WELCOME | {"session": ""}, "session: must be 1 to 256 characters long, not 0"),
        (WELCOME | {"epoch": "a\u2028b"}, "epoch: must not contain control characters"),
        (WELCOME | {"epoch": "\ud800"}, "epoch: must not contain control characters"),
        (WELCOME | {"output_seen": []}, "output_seen: must be a JSON object, not an array"),
        (WELCOME | {"output_seen": {"j": 7}}, "output_seen: must hold JSON objects, not a number"),
        (WELCOME | {"output_seen": {"": {}}}, "output_seen: must have keys of 1 to 1024"),
        (WELCOME | {"output_seen": {"j": {"step": "up"}}}, "output_seen.attempt: is missing"),
        ({"type": "ACK"}, "ack: is missing"),
        ({"type": "NACK", "expected": 0}, "expected: must be a whole number from 1"),
        ({"type": "GOAWAY", "window_s": 1}, "reason: is missing"),
        ({"type": "ERROR", "code": "x"}, "error: is missing"),
        ({"type": "BYE", "reason": None}, "reason: must be a string, not null"),
    ],
)
def test_a_message_that_breaks_a_rule_names_the_field_and_the_rule(
    message: dict[str, object], error: str
) -> None:
    assert unusable(json.dumps(message)).startswith(error)


def test_a_map_has_at_most_ten_thousand_entries() -> None:
    position = {"step": "up", "attempt": 1, "offset": 0}
    seen: dict[str, object] = {f"j{n}": position for n in range(10_000)}
    assert heard(type="ACK", ack=1, output_seen=seen) == Acknowledge(
        1, {job_id: OutputPosition("up", 1, 0) for job_id in seen}
    )
    seen["one more"] = position
    message = {"type": "ACK", "ack": 1, "output_seen": seen}
    assert unusable(json.dumps(message)) == "output_seen: must have at most 10000 entries"


@pytest.mark.parametrize(
    ("fields", "job_id", "error"),
    [
        ({}, "unknown", "id: is missing"),
        ({"id": 7}, "unknown", "id: must be a string, not a number"),
        ({"id": ""}, "unknown", "id: must not be empty"),
        ({"id": "x" * 1025}, "unknown", "id: is 1025 characters long; it cannot even be repeated"),
        ({"id": "x" * 1024}, "x" * 1024, "id: must be at most 256 characters long"),
        ({"id": "a\nb"}, "a\nb", "id: must not contain control characters or line breaks"),
        ({"id": "j", "type": "NEWS"}, "j", "Unknown command type: NEWS"),
        ({"id": "j", "type": 7}, "j", "type: must be a string, not a number"),
        ({"id": "j", "payload": None}, "j", "payload: must be a JSON object, not null"),
        ({"id": "j", "payload": {}}, "j", "project_name: is missing from the payload"),
        ({"id": "j", "generation": 0}, "j", "generation: must be a whole number from 1"),
        ({"id": "j", "generation": None}, "j", "generation: must be a whole number, not null"),
        ({"id": "j", "deadline_s": 0}, "j", "deadline_s: must be over 0"),
        ({"id": "j", "deadline_s": -0.5}, "j", "deadline_s: must be over 0"),
        ({"id": "j", "ack": 1.5}, "j", "ack: must be a whole number, without fraction"),
    ],
)
def test_a_command_that_breaks_a_rule_keeps_its_number_so_that_it_can_be_rejected(
    fields: dict[str, object], job_id: str, error: str
) -> None:
    good = {"type": "STATUS", "payload": {"project_name": "blog"}, "seq": 4}
    message = refused(**(good | fields))

    assert (message.seq, message.job_id) == (4, job_id)
    assert str(message.command).startswith(error)


def test_a_refused_command_keeps_what_could_be_read_of_it() -> None:
    message = refused(type="NEWS", id="j", seq=4, generation=2, deadline_s=3, ack=9)

    assert isinstance(message.command, UnknownCommand)
    assert (message.generation, message.deadline_s, message.ack) == (2, 3.0, 9)


@pytest.mark.parametrize(
    ("fields", "job_id", "error"),
    [
        ({}, "unknown", "job_id: is missing"),
        ({"job_id": ""}, "unknown", "job_id: must not be empty"),
        ({"job_id": "j", "ack": "x"}, "j", "ack: must be a whole number, not a string"),
    ],
)
def test_a_cancel_that_breaks_a_rule_can_be_rejected_too(
    fields: dict[str, object], job_id: str, error: str
) -> None:
    message = refused(type="CANCEL", seq=4, **fields)

    assert (message.seq, message.job_id, str(message.command)) == (4, job_id, error)


def test_a_message_may_come_as_bytes_or_as_text() -> None:
    text = json.dumps({"type": "BYE", "reason": "zażółć"}, ensure_ascii=False)
    assert decode_v2(text) == decode_v2(text.encode()) == Bye("zażółć")


def test_what_is_only_ever_heard_cannot_be_sent() -> None:
    messages: list[Heard] = [
        Unusable(InvalidInput("seq", "is missing")),
        CommandMessage(1, "j", InvalidInput("id", "is missing")),
    ]
    for message in messages:
        with pytest.raises(LocalProtocolViolation):
            encode_heard(message)


def test_what_a_control_plane_leaves_out_is_not_there() -> None:
    messages: list[Heard] = [
        Challenge(NONCE),
        CommandMessage(1, "j", CheckHealth()),
        Acknowledge(1),
        Heartbeat({"facts": "are the agent's"}),
        GoAway(0, ""),
    ]
    assert [json.loads(encode_heard(message)) for message in messages] == [
        {"type": "CHALLENGE", "nonce": NONCE},
        {"type": "HEALTH_CHECK", "id": "j", "payload": {}, "seq": 1},
        {"type": "ACK", "ack": 1},
        {"type": "HEARTBEAT"},
        {"type": "GOAWAY", "window_s": 0, "reason": ""},
    ]
