"""Frames that are no commands."""

from __future__ import annotations

import json

import pytest

from adapters.wire.codec import decode
from domain.commands import CheckHealth
from domain.errors import RemoteProtocolViolation
from domain.job import JobId
from domain.messages import MalformedMessage, Request
from tests.builders import frame


def malformed(raw: str | bytes) -> tuple[str, str]:
    """The id and the error of a frame that is no command."""
    message = decode(raw)
    assert isinstance(message, MalformedMessage)
    return message.job_id, str(message.error)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        " ",
        "{",
        "nonsense",
        '{"id": "j1", "type": "STATUS", "payload": {}',
        '{"id": "j1",}',
        "{'id': 'j1'}",
        '{"id": "j1", "type": "HEALTH_CHECK", "payload": {}} {}',
        '{"id": "a\nb"}',
        '\ufeff{"id": "j1", "type": "HEALTH_CHECK", "payload": {}}',
        b'\xef\xbb\xbf{"id": "j1", "type": "HEALTH_CHECK", "payload": {}}',
        b"\x00\x01\x02",
    ],
)
def test_what_is_no_json_is_malformed_and_the_place_is_said(raw: str | bytes) -> None:
    job_id, error = malformed(raw)
    assert job_id == "unknown"
    assert error.startswith("message: is not valid JSON: ")
    assert "at line 1, column " in error


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_number_is_malformed(constant: str) -> None:
    raw = f'{{"id": "j1", "type": "HEALTH_CHECK", "payload": {{"x": {constant}}}}}'
    assert malformed(raw) == (
        "unknown",
        f"message: is not valid JSON: {constant} is no JSON number",
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xfe",
        b'{"id": "\xe9", "type": "HEALTH_CHECK", "payload": {}}',
        b'{"id": "\xed\xa0\x80", "type": "HEALTH_CHECK", "payload": {}}',
        frame("j1", "HEALTH_CHECK").encode("utf-16"),
        frame("j1", "HEALTH_CHECK").encode("utf-32"),
    ],
)
def test_what_is_not_utf_8_is_malformed(raw: bytes) -> None:
    assert malformed(raw) == ("unknown", "message: is not valid UTF-8")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_json_in_another_encoding_is_not_guessed_at(encoding: str) -> None:
    job_id, _ = malformed(frame("j1", "HEALTH_CHECK").encode(encoding))
    assert job_id == "unknown"


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        ("[]", "an array"),
        ('[{"id": "j1", "type": "HEALTH_CHECK", "payload": {}}]', "an array"),
        ("null", "null"),
        ("true", "a boolean"),
        ("7", "a number"),
        ("7.5", "a number"),
        ('"j1"', "a string"),
    ],
)
def test_json_that_is_no_object_is_malformed(raw: str, what: str) -> None:
    assert malformed(raw) == ("unknown", f"message: must be a JSON object, not {what}")


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"id": "j1", "payload": ['])
@pytest.mark.parametrize("levels", [33, 10_000, 1_000_000])
def test_nesting_without_end_is_malformed(opening: str, levels: int) -> None:
    closing = "".join({"[": "]", "{": "}"}[bracket] for bracket in opening[::-1] if bracket in "[{")
    raw = opening * levels + "1" + closing * levels
    assert malformed(raw) == ("unknown", "message: is nested deeper than 32 levels")


def test_nesting_of_32_levels_is_allowed() -> None:
    nested = "[" * 30 + "]" * 30
    raw = f'{{"id": "j1", "type": "HEALTH_CHECK", "payload": {{"x": {nested}}}}}'
    assert decode(raw) == Request(JobId("j1"), CheckHealth())
    assert malformed(raw.replace(nested, f"[{nested}]"))[0] == "unknown"


@pytest.mark.parametrize("many", [json.dumps("[{" * 100), json.dumps([[{}]] * 100)])
def test_many_brackets_that_are_in_a_text_or_side_by_side_are_allowed(many: str) -> None:
    raw = f'{{"id": "j1", "type": "HEALTH_CHECK", "payload": {{"x": {many}}}}}'
    assert decode(raw) == Request(JobId("j1"), CheckHealth())


@pytest.mark.parametrize(
    "raw",
    [
        '{"id": "j1", "id": "j2", "type": "HEALTH_CHECK", "payload": {}}',
        '{"id": "j1", "type": "STATUS", "payload": {"project_name": "a", "project_name": "b"}}',
    ],
)
def test_an_object_that_names_a_key_twice_is_malformed(raw: str) -> None:
    assert malformed(raw) == ("unknown", "message: an object names the same key twice")


def test_a_number_of_thousands_of_digits_is_malformed() -> None:
    raw = f'{{"id": "j1", "type": "HEALTH_CHECK", "payload": {{"x": {"9" * 10_000}}}}}'
    assert malformed(raw) == ("unknown", "message: holds a number that is too long")


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e999", "1E-999"])
def test_a_huge_number_in_a_field_that_nobody_reads_does_no_harm(number: str) -> None:
    raw = f'{{"id": "j1", "type": "HEALTH_CHECK", "payload": {{"x": {number}}}}}'
    assert decode(raw) == Request(JobId("j1"), CheckHealth())


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"type": "HEALTH_CHECK", "payload": {}}, "id: is missing"),
        ({}, "id: is missing"),
        ({"id": None, "type": "STATUS"}, "id: must be a string, not null"),
        ({"id": 7, "type": "STATUS"}, "id: must be a string, not a number"),
        ({"id": True, "type": "STATUS"}, "id: must be a string, not a boolean"),
        ({"id": ["j1"], "type": "STATUS"}, "id: must be a string, not an array"),
        ({"id": {}, "type": "STATUS"}, "id: must be a string, not an object"),
        ({"id": "", "type": "STATUS"}, "id: must not be empty"),
        (
            {"id": "x" * 1025, "type": "STATUS"},
            "id: is 1025 characters long; it cannot even be repeated",
        ),
    ],
)
def test_without_a_readable_id_the_job_is_unknown(document: dict[str, object], error: str) -> None:
    assert malformed(json.dumps(document)) == ("unknown", error)


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"id": "j1", "payload": {}}, "type: is missing"),
        ({"id": "j1", "type": None, "payload": {}}, "type: must be a string, not null"),
        ({"id": "j1", "type": 4, "payload": {}}, "type: must be a string, not a number"),
        ({"id": "j1", "type": ["STATUS"]}, "type: must be a string, not an array"),
    ],
)
def test_without_a_readable_type_the_id_is_kept(document: dict[str, object], error: str) -> None:
    assert malformed(json.dumps(document)) == ("j1", error)


def test_a_protocol_violation_is_the_peers() -> None:
    message = decode("nonsense")
    assert isinstance(message, MalformedMessage)
    assert isinstance(message.error, RemoteProtocolViolation)
