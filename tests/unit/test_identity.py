"""What is signed, and what keys look like. The vectors in tests/golden/v2 are for other implementations."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from domain import identity
from domain.errors import InvalidInput
from domain.identity import (
    check_pin,
    check_public_key,
    encoded,
    enroll_text,
    enrolled_text,
    fingerprint_of,
    hello_text,
    is_pinned,
    key_of,
    signature_of,
    token_hash_of,
    welcome_text,
)
from tests.unit.v2_messages import LABELS

GOLDEN: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "v2" / "signatures.json").read_text(encoding="utf-8")
)
TEXTS: Final[dict[str, Callable[..., bytes]]] = {
    "enroll": enroll_text,
    "enrolled": enrolled_text,
    "hello": hello_text,
    "welcome": welcome_text,
}
KEY: Final = encoded(bytes(range(32)))
OTHER: Final = encoded(bytes(32))
NOT_KEYS: Final = [
    "",
    "key",
    KEY[:-1],
    KEY[:-2] + "9=",  # The same bytes, with bits where base64 has none.
    KEY + "\n",
    " " + KEY,
    KEY.replace("=", "-"),
    encoded(bytes(31)),
    encoded(bytes(33)),
    "é" * 44,
    "\ud800" * 44,
]


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_the_one_of_the_example_and_signed_as_there(name: str) -> None:
    example = GOLDEN["texts"][name]
    text = TEXTS[name](**example["fields"])
    assert text.hex() == example["text"]
    secret = bytes.fromhex(GOLDEN["keys"][example["signed_by"]]["secret"])
    assert encoded(Ed25519PrivateKey.from_private_bytes(secret).sign(text)) == example["signature"]


@pytest.mark.parametrize("name", GOLDEN["keys"])
def test_a_fingerprint_is_the_one_of_the_example(name: str) -> None:
    key = GOLDEN["keys"][name]
    assert fingerprint_of(key["public_key"]) == key["fingerprint"]


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_made_of_fields_behind_their_lengths_as_the_document_says(name: str) -> None:
    fields = [f"instadeploy.v2 {name}", *GOLDEN["texts"][name]["fields"].values()]
    text = bytes.fromhex(GOLDEN["texts"][name]["text"])
    for field in fields:
        length, text = int.from_bytes(text[:4], "big"), text[4:]
        assert text[:length] == field.encode()
        text = text[length:]
    assert text == b""


def test_the_messages_of_the_examples_are_signed_as_the_texts() -> None:
    messages = Path(__file__).parents[1] / "golden" / "v2" / "messages"
    for name, file in [
        ("enroll", "up_enroll"),
        ("enrolled", "down_enrolled"),
        ("hello", "up_hello_signed"),
        ("welcome", "down_welcome_signed"),
    ]:
        message = json.loads((messages / f"{file}.json").read_text(encoding="utf-8"))["message"]
        assert message["signature"] == GOLDEN["texts"][name]["signature"]


FIELDS: Final = st.tuples(*[LABELS] * 5)


@given(st.sampled_from(sorted(TEXTS)), st.sampled_from(sorted(TEXTS)), FIELDS, FIELDS)
def test_no_two_things_that_are_said_are_one_text(
    name: str, other: str, fields: tuple[str, ...], others: tuple[str, ...]
) -> None:
    def text(name: str, fields: tuple[str, ...]) -> tuple[bytes, tuple[str, ...]]:
        make = TEXTS[name]
        taken = fields[: len(inspect.signature(make).parameters)]
        return make(*taken), (name, *taken)

    (one, what), (two, what_else) = text(name, fields), text(other, others)
    assert (one == two) == (what == what_else)


@given(st.lists(LABELS, min_size=5, max_size=5), st.integers(0, 3))
def test_a_character_that_goes_to_the_next_field_makes_another_text(
    fields: list[str], place: int
) -> None:
    moved = list(fields)
    moved[place], moved[place + 1] = fields[place][:-1], fields[place][-1] + fields[place + 1]
    assert hello_text(*fields) != hello_text(*moved)


def test_a_token_is_kept_as_its_sha_256() -> None:
    assert token_hash_of("a-token") == hashlib.sha256(b"a-token").hexdigest()


def test_a_key_has_32_bytes_and_a_signature_64() -> None:
    assert key_of(KEY) == bytes(range(32))
    assert signature_of(encoded(bytes(64))) == bytes(64)
    assert key_of(encoded(bytes(64))) is None
    assert signature_of(KEY) is None


@pytest.mark.parametrize("value", NOT_KEYS)
def test_what_is_no_key_is_none(value: str) -> None:
    assert key_of(value) is None
    assert not is_pinned(value, value)
    with pytest.raises(InvalidInput, match=r"^key: must be 32 bytes in base64"):
        check_public_key("key", value)
    with pytest.raises(InvalidInput):
        fingerprint_of(value)


@pytest.mark.parametrize("pin", [KEY, fingerprint_of(KEY)])
def test_a_key_is_pinned_by_itself_and_by_its_fingerprint(pin: str) -> None:
    check_pin("pin", pin)
    assert is_pinned(pin, KEY)
    assert not is_pinned(pin, OTHER)
    assert not is_pinned(pin, "")
    assert not is_pinned(pin, fingerprint_of(KEY))


@pytest.mark.parametrize(
    "pin",
    [
        *NOT_KEYS,
        "sha256:",
        "md5:" + "0" * 64,
        fingerprint_of(KEY).upper(),
        fingerprint_of(KEY)[:-1],
        fingerprint_of(KEY) + "\n",
    ],
)
def test_what_pins_nothing_is_refused(pin: str) -> None:
    with pytest.raises(InvalidInput, match=r"^pin: must be a key, .* or its fingerprint"):
        check_pin("pin", pin)


def test_every_text_has_an_example() -> None:
    makers = {
        name
        for name, made in vars(identity).items()
        if name.endswith("_text") and not name.startswith("_") and callable(made)
    }
    assert makers == {f"{name}_text" for name in GOLDEN["texts"]} == {f"{n}_text" for n in TEXTS}
