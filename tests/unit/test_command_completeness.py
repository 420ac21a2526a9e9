"""A command that is added in one place and forgotten in another is found here."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest

from adapters.wire.messages import CommandType, command_from
from domain.commands import CHANGING_COMMANDS, COMMAND_NAMES, ChangingCommand, Command
from entrypoints.agent.container import AgentContainer
from entrypoints.agent.settings import load_settings
from tests.builders import compose_content

GOLDEN = Path(__file__).parent.parent / "golden" / "v1"
AGENT = Path(__file__).parent.parent.parent / "application" / "agent"

FULL_PAYLOAD: Mapping[str, object] = {
    "project_name": "blog",
    "compose_file_base64": base64.b64encode(compose_content()).decode(),
}
COMMANDS = set(get_args(Command))


def test_each_type_on_the_wire_is_a_command_of_its_own() -> None:
    commands = [type(command_from(name, {"payload": FULL_PAYLOAD})) for name in CommandType]
    assert set(commands) == COMMANDS
    assert len(commands) == len(COMMANDS)


def test_each_command_is_called_in_the_policy_as_on_the_wire() -> None:
    names = {
        type(command_from(name, {"payload": FULL_PAYLOAD})): name.value for name in CommandType
    }
    assert names == COMMAND_NAMES


def test_each_command_has_a_handler_of_its_own(bare_environment: pytest.MonkeyPatch) -> None:
    bare_environment.setenv("SERVER_URL", "wss://cp.example/ws")
    bare_environment.setenv("AGENT_SECRET_TOKEN", "tok")
    handlers = AgentContainer(settings=load_settings()).handlers()
    assert set(handlers) == COMMANDS
    assert {type(handler).__name__ for handler in handlers.values()} == {
        f"{command.__name__}Handler" for command in COMMANDS
    }


def test_each_command_has_a_file_in_the_application() -> None:
    for command in COMMANDS:
        verb_noun = re.sub(r"(?<!^)(?=[A-Z])", "_", command.__name__).lower()
        assert (AGENT / f"{verb_noun}.py").is_file()


def test_commands_that_change_something_are_commands() -> None:
    assert set(CHANGING_COMMANDS) == set(get_args(ChangingCommand)) < COMMANDS


def test_each_type_on_the_wire_has_a_golden_transcript() -> None:
    found = set()
    for path in GOLDEN.rglob("*.json*"):
        found |= set(re.findall(r'\\?"type\\?": *\\?"([A-Z_]+)', path.read_text(encoding="utf-8")))
    assert set(CommandType) <= found


def test_the_types_are_those_of_protocol_v1() -> None:
    assert json.loads(json.dumps(list(CommandType))) == [
        "DEPLOY_COMPOSE",
        "PLAN_COMPOSE",
        "ROLLBACK_COMPOSE",
        "RESTART_COMPOSE",
        "STOP_COMPOSE",
        "REMOVE_COMPOSE",
        "STATUS",
        "LIST_PROJECTS",
        "LIST_REVISIONS",
        "HEALTH_CHECK",
    ]
