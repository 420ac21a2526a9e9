"""A command is the same one after it was written down as a message carries it."""

from __future__ import annotations

from hypothesis import given

from adapters.wire.messages import command_from, payload_of
from domain.commands import Command
from tests.unit.recording import COMMANDS


@given(COMMANDS)
def test_a_command_comes_back_from_its_payload(command: Command) -> None:
    type_name, payload = payload_of(command)
    assert command_from(type_name, {"payload": payload}) == command
