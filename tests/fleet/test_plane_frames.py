"""What simulated agents take from a control plane, and what they call a fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.identity import HostKey, is_signed, signed_text, token_hash
from tests.fleet.plane_frames import PlaneFault, read_frame, read_plain_command

GOLDEN = Path(__file__).parents[1] / "golden" / "v2"
DOWN = sorted((GOLDEN / "messages").glob("down_*.json"))
SIGNATURES = json.loads((GOLDEN / "signatures.json").read_text(encoding="utf-8"))

COMMAND: dict[str, Any] = {
    "id": "a",
    "type": "STOP_COMPOSE",
    "payload": {"project_name": "blog"},
    "seq": 1,
}
POSITION = {"step": "apply", "attempt": 1, "offset": 5}


@pytest.mark.parametrize("path", DOWN, ids=lambda path: path.stem)
def test_each_example_of_a_message_to_the_agent_is_taken(path: Path) -> None:
    message = json.loads(path.read_text(encoding="utf-8"))["message"]

    assert read_frame(json.dumps(message)) == message


def test_there_are_examples() -> None:
    assert len(DOWN) >= 20


@pytest.mark.parametrize(
    "message",
    [
        {"type": "HELLO"},
        {"type": "RESPONSE"},
        {},
        {"type": "CHALLENGE", "nonce": "short"},
        {"type": "CHALLENGE", "nonce": "0123456789abcdef", "public_key": "no key"},
        {"type": "WELCOME", "session": "s", "epoch": "e"},
        {"type": "WELCOME", "session": "s", "epoch": "e", "last_seq_seen": 0, "more": 1},
        {"type": "WELCOME", "session": "s", "epoch": "e", "last_seq_seen": 0, "heartbeat_s": 61},
        {"type": "WELCOME", "session": "s", "epoch": "", "last_seq_seen": 0},
        {"type": "ACK"},
        {"type": "ACK", "ack": 1.0},
        {"type": "ACK", "ack": True},
        {"type": "ACK", "ack": 1 << 63},
        {"type": "ACK", "ack": 1, "output_seen": {"a": POSITION | {"more": 1}}},
        {"type": "ACK", "ack": 1, "output_seen": {"": POSITION}},
        {"type": "NACK", "expected": 0},
        {"type": "GOAWAY", "window_s": 3601, "reason": ""},
        {"type": "HEARTBEAT", "facts": {}},
        {"type": "CANCEL", "job_id": "a"},
        COMMAND | {"seq": 0},
        COMMAND | {"id": "a\n"},
        COMMAND | {"payload": []},
        COMMAND | {"payload": {"project_name": "-x"}},
        COMMAND | {"type": "DEPLOY_COMPOSE"},
        COMMAND | {"generation": 0},
        COMMAND | {"deadline_s": 0},
        COMMAND | {"more": 1},
    ],
    ids=str,
)
def test_what_is_not_documented_is_a_fault(message: dict[str, Any]) -> None:
    with pytest.raises(PlaneFault):
        read_frame(json.dumps(message))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "nonsense",
        '{"type": "ACK", "ack": 1, "ack": 1}',
        '{"type": "GOAWAY", "window_s": NaN, "reason": ""}',
        '{"type": "BYE", "reason": "\\ud800"}',
        json.dumps({"type": "BYE", "reason": "", "x": json.loads("[" * 33 + "]" * 33)}),
    ],
)
def test_what_is_not_strict_json_is_a_fault(text: str) -> None:
    with pytest.raises(PlaneFault):
        read_frame(text)


def test_over_v1_nothing_is_said_that_v1_does_not_know() -> None:
    plain = {name: COMMAND[name] for name in ("id", "type", "payload")}

    assert read_plain_command(json.dumps(plain)) == plain
    for more in ({"seq": 1}, {"generation": 1}, {"type": "CANCEL"}):
        with pytest.raises(PlaneFault):
            read_plain_command(json.dumps(plain | more))


@pytest.mark.parametrize("purpose", SIGNATURES["texts"])
def test_what_is_signed_is_the_text_of_the_examples(purpose: str) -> None:
    example = SIGNATURES["texts"][purpose]
    key = HostKey(bytes.fromhex(SIGNATURES["keys"][example["signed_by"]]["secret"]))
    fields = tuple(example["fields"].values())
    text = signed_text(f"instadeploy.v2 {purpose}", *fields)

    assert key.public_key == SIGNATURES["keys"][example["signed_by"]]["public_key"]
    assert text.hex() == example["text"]
    assert key.sign(f"instadeploy.v2 {purpose}", *fields) == example["signature"]
    assert is_signed(text, example["signature"], key.public_key)
    assert not is_signed(text + b"x", example["signature"], key.public_key)
    assert not is_signed(text, "", key.public_key)
    assert not is_signed(text, example["signature"], "no key")


def test_a_token_is_signed_as_its_hash() -> None:
    expected = SIGNATURES["texts"]["enroll"]["fields"]["token_hash"]

    assert token_hash(SIGNATURES["token"]) == expected
