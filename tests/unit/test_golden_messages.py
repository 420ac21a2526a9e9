"""The examples in tests/golden/v2/messages are what the codec reads and writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from adapters.wire.codec_v2 import decode_said, decode_v2, encode_heard, encode_v2
from adapters.wire.either import MessageType
from adapters.wire.messages import CommandType
from domain.errors import InstaDeployError
from domain.link_messages import CommandMessage, Unusable

MESSAGES: Final = sorted((Path(__file__).parents[1] / "golden" / "v2" / "messages").glob("*.json"))
DOWN: Final = [path for path in MESSAGES if path.stem.startswith("down_")]
UP: Final = [path for path in MESSAGES if path.stem.startswith("up_")]


def example(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["title"]
    message = document["message"]
    assert isinstance(message, dict)
    return message


@pytest.mark.parametrize("path", DOWN, ids=lambda path: path.stem)
def test_a_message_to_the_agent_is_read_and_written_as_in_the_example(path: Path) -> None:
    message = decode_v2(json.dumps(example(path)))

    assert not isinstance(message, Unusable)
    assert not (
        isinstance(message, CommandMessage) and isinstance(message.command, InstaDeployError)
    )
    assert json.loads(encode_heard(message)) == example(path)


@pytest.mark.parametrize("path", UP, ids=lambda path: path.stem)
def test_a_message_of_the_agent_is_read_and_written_as_in_the_example(path: Path) -> None:
    message = decode_said(json.dumps(example(path)))

    assert not isinstance(message, Unusable)
    assert json.loads(encode_v2(message)) == example(path)


def test_every_message_has_an_example() -> None:
    both = {"ACK", "NACK", "HEARTBEAT", "ERROR", "BYE"}
    down = {"CHALLENGE", "ENROLLED", "WELCOME", "CANCEL", "GOAWAY"}
    up = {"ENROLL", "HELLO", "ACCEPT", "REJECT", "RESPONSE"}
    assert both | down | up == set(MessageType)

    assert {example(path)["type"] for path in DOWN} - set(CommandType) == both | down
    assert {example(path)["type"] for path in DOWN} & set(CommandType) == set(CommandType)
    assert {example(path)["type"] for path in UP} == both | up
    assert len(DOWN) + len(UP) == len(MESSAGES)


def test_no_command_is_called_like_a_message() -> None:
    assert set(CommandType) & set(MessageType) == set()
