"""The JSON Schemas of protocol v2 say of a message what the code does."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from adapters.wire.codec_v2 import decode_said, decode_v2, encode_heard, encode_v2
from adapters.wire.either import MessageType
from domain.errors import InstaDeployError, InvalidInput
from domain.job import JobState
from domain.link_messages import (
    Bye,
    CommandMessage,
    Heard,
    Heartbeat,
    Hello,
    OutputChunk,
    OutputPosition,
    Reject,
    Result,
    RunningJob,
    Said,
    Unusable,
)
from tests.unit.v2_messages import HEARD, SAID

ROOT: Final = Path(__file__).resolve().parents[2]
SCHEMAS: Final = ROOT / "docs" / "schemas"
GOLDEN: Final = sorted((ROOT / "tests" / "golden" / "v2" / "messages").glob("*.json"))

Place = tuple[str | int, ...]


def schema_of(kind: str) -> Any:
    return json.loads((SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8"))


DOWN_SCHEMA: Final = schema_of("v2-down")
UP_SCHEMA: Final = schema_of("v2-up")
REGISTRY: Final[Registry[Any]] = Registry().with_resource(
    "command.schema.json", Resource.from_contents(schema_of("command"))
)
DOWN: Final = Draft202012Validator(DOWN_SCHEMA, registry=REGISTRY)
UP: Final = Draft202012Validator(UP_SCHEMA)

INEXPRESSIBLE: Final = {"length", "logs", "output_base64", "compose_file_base64", "files"}
"""Fields with rules on bytes, and on what stands elsewhere, of which a schema knows nothing."""

VALUES: Final[list[object]] = [
    *(None, True, False, [], [1], ["a"], [{}], {}, {"a": 1}, {"a": {}}, {"": 1}),
    *(-(2**63), -1, 0, 1, 60, 61, 3600, 3601, 65536, 65537, 2**63 - 1, 2**63, 10**400),
    *(-0.5, 0.5, 1.5, 3600.5, 1e300),
    *("", "a", "x" * 15, "x" * 16, "x" * 256, "x" * 257, "x" * 1024, "x" * 1025, "0" * 64),
    *("0" * 64 + "\n", "a\nb", "a\u2028b", "\x7f", "\ud800", "accepted", "succeeded", "failed"),
    *("IN_PROGRESS", "COMPLETED", "FAILED", "QUEUED", *map(str, MessageType), "STATUS", "NEWS"),
]
"""What stands in the place of a field. No 1.0 is among them: a schema takes it for a whole number."""


def example(path: Path) -> dict[str, Any]:
    message = json.loads(path.read_text(encoding="utf-8"))["message"]
    assert isinstance(message, dict)
    return message


def places_in(value: object, path: Place = ()) -> Iterator[Place]:
    """The way to every field and entry of a message."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield (*path, key)
            yield from places_in(inner, (*path, key))


def changed(message: dict[str, Any], place: Place, value: object, *, removed: bool) -> Any:
    message = copy.deepcopy(message)
    holder: Any = message
    for key in place[:-1]:
        holder = holder[key]
    if removed:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return message


def error_of(decoded: Heard | Said) -> InstaDeployError | None:
    """Why a message is not taken, if it is not."""
    if isinstance(decoded, Unusable):
        return decoded.error
    if isinstance(decoded, CommandMessage) and isinstance(decoded.command, InstaDeployError):
        return decoded.command
    return None


def check_agreement(is_valid: bool, decoded: Heard | Said, message: object) -> None:
    """A schema and the codec take the same messages, but for what a schema cannot say."""
    error = error_of(decoded)
    if error is None:
        assert is_valid, message
    elif is_valid:
        assert isinstance(error, InvalidInput)
        assert error.field.partition(".")[0] in INEXPRESSIBLE, (message, error)


@pytest.mark.parametrize("schema", [DOWN_SCHEMA, UP_SCHEMA], ids=["down", "up"])
def test_a_schema_is_one(schema: dict[str, object]) -> None:
    Draft202012Validator.check_schema(schema)


@given(HEARD)
def test_what_a_control_plane_says_fits_its_schema(message: Heard) -> None:
    document = json.loads(encode_heard(message))
    DOWN.validate(document)
    assert sorted(unknown_fields(document, DOWN_SCHEMA, schema_of("command"))) == []


@given(SAID)
def test_what_an_agent_says_fits_its_schema(message: Said) -> None:
    document = json.loads(encode_v2(message))
    UP.validate(document)
    assert sorted(unknown_fields(document, UP_SCHEMA)) == []


@pytest.mark.parametrize(
    "message",
    [
        Reject(1, "j", "conflict", "x" * 2**20, {"a": "x" * 2**20}),
        Heartbeat({"load": "x" * 2**20}),
        Bye("x" * 2**20),
        Result(1, "j", JobState.FAILED, "x" * 2**20, "x" * 2**20, {"a": "x" * 2**20}),
        OutputChunk("j", OutputPosition("up", 1, 0), b"\xff" * 65536),
        Hello(
            *("0123456789abcdef", "e", "", 0, "1.0.0", "linux-amd64", "web-1"),
            running=(RunningJob("x" * 1024, JobState.RUNNING),) * 10_001,
            generations={f"project-{n}": n + 1 for n in range(10_001)},
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_was_too_large_fits_the_schema_too(message: Said) -> None:
    UP.validate(json.loads(encode_v2(message)))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_an_example_fits_its_schema_and_not_the_other(path: Path) -> None:
    message = example(path)
    mine, other = (DOWN, UP) if path.stem.startswith("down_") else (UP, DOWN)
    mine.validate(message)
    if message["type"] not in ("ACK", "NACK", "HEARTBEAT", "ERROR", "BYE"):
        assert not other.is_valid(message)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_whatever_stands_in_a_field_schema_and_codec_agree(path: Path) -> None:
    is_down = path.stem.startswith("down_")
    message = example(path)
    for place in places_in(message):
        for variant in variants(message, place):
            text = json.dumps(variant)
            if is_down:
                check_agreement(DOWN.is_valid(variant), decode_v2(text), variant)
            else:
                check_agreement(UP.is_valid(variant), decode_said(text), variant)


def variants(message: dict[str, Any], place: Place) -> Iterator[Any]:
    yield changed(message, place, None, removed=True)
    for value in VALUES:
        yield changed(message, place, value, removed=False)


@given(st.sampled_from(GOLDEN), st.data())
def test_whatever_stands_in_two_fields_schema_and_codec_agree(
    path: Path, data: st.DataObject
) -> None:
    message = example(path)
    for _ in range(2):
        place = data.draw(st.sampled_from(list(places_in(message)) or [("type",)]))
        value = data.draw(st.sampled_from(VALUES))
        message = changed(message, place, value, removed=False)
    text = json.dumps(message)
    if path.stem.startswith("down_"):
        check_agreement(DOWN.is_valid(message), decode_v2(text), message)
    else:
        check_agreement(UP.is_valid(message), decode_said(text), message)


def unknown_fields(message: Mapping[str, Any], *schemas: object) -> Iterator[str]:
    """The keys, outside of what is free, that stand nowhere in the schemas."""
    known = {name for schema in schemas for name in properties_in(schema)}
    free = {"data", "facts", "output_seen", "generations", "env", "labels"}
    by_name = {"files", "registry_auth"}
    pending: list[object] = [message]
    for value in pending:
        if isinstance(value, Mapping):
            yield from (key for key in value if key not in known)
            pending += [inner for key, inner in value.items() if key not in free | by_name]
            for key in by_name & set(value):
                pending += value[key].values()
        elif isinstance(value, list):
            pending += value


def properties_in(schema: object) -> Iterator[str]:
    if isinstance(schema, Mapping):
        named = schema.get("properties")
        yield from named if isinstance(named, Mapping) else ()
        for value in schema.values():
            yield from properties_in(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from properties_in(value)
