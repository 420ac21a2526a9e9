"""Compose files read within bounds, whatever is in them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.yaml.bounded_reader import parse_bounded
from adapters.yaml.bounds import YamlBounds
from adapters.yaml.reader import BoundedYamlReader
from application.ports.compose_reader import ComposeReader
from domain.errors import InvalidInput
from domain.project import ComposeFile
from tests.builders import compose_content

BOUNDS = YamlBounds()
WHOLE = YamlBounds(kept_levels=64)
"""Shows how everything is read, where the agent looks at an outline."""
SECRET = "hunter2"

LAUGHS = "a: &a0 [lol]\n" + "".join(
    f"b{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
)
"""The billion laughs: ten thousand million nodes in half a kilobyte."""

SMALL_BOMB = "&a [x,x,x,x,x,x,x,x,x]".join(["x:\n- ", "\n"]) + "".join(
    f"- &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


def parse(text: str | bytes, bounds: YamlBounds = WHOLE) -> object:
    return parse_bounded(text.encode() if isinstance(text, str) else text, bounds)


def refusal(text: str | bytes, bounds: YamlBounds = BOUNDS) -> str:
    """The rule that a file breaks."""
    with pytest.raises(InvalidInput) as refused:
        parse(text, bounds)
    assert refused.value.field == "compose_file_base64"
    return refused.value.rule


def test_a_compose_file_is_read_as_mappings_sequences_and_strings() -> None:
    assert parse(compose_content()) == {
        "services": {
            "web": {
                "image": "instadeploy-demo:local",
                "command": ["sleep", "3600"],
                "init": "true",
                "stop_grace_period": "0s",
                "network_mode": "none",
            }
        }
    }


def test_scalars_are_not_interpreted() -> None:
    assert parse("a: [1, 1.5, yes, null, ~, 2026-01-31, '', 0o17]") == {
        "a": ["1", "1.5", "yes", "null", "~", "2026-01-31", "", "0o17"]
    }


def test_anchors_aliases_and_merge_keys_are_accepted() -> None:
    base = {"image": "nginx"}
    assert parse(
        "x: &base {image: nginx}\nservices:\n  web: {<<: *base, tty: true}\n  b: *base"
    ) == {
        "x": base,
        "services": {"web": {"image": "nginx", "tty": "true"}, "b": base},
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{<<: {a: x}, b: y}", {"a": "x", "b": "y"}),
        ("{a: own, <<: {a: merged}}", {"a": "own"}),
        ("{<<: {a: merged}, a: own}", {"a": "own"}),
        ("{<<: [{a: first}, {a: second, b: second}]}", {"a": "first", "b": "second"}),
        ("{<<: {<<: {a: x}}}", {"a": "x"}),
        ("{<<: []}", {}),
        ("{<<: x}", {"<<": "x"}),
        ("{<<: [{a: x}, y]}", {"<<": [{"a": "x"}, "y"]}),
    ],
)
def test_a_merge_key_gives_way_to_what_stands_beside_it(text: str, found: object) -> None:
    assert parse(text) == found


def test_an_outline_shows_two_levels_and_nothing_below() -> None:
    assert parse("a: {b: {c: {d: x}}, e: [f], g: h}\ni: [[j], k]\nl: m", BOUNDS) == {
        "a": {"b": {}, "e": [], "g": "h"},
        "i": [[], "k"],
        "l": "m",
    }


@pytest.mark.parametrize(
    "text",
    [
        "x: {y: {z: &deep {web: {image: nginx}}}}\nservices: *deep",
        "x: {y: &deep {z: {services: {web: {image: nginx}}}}}\n<<: {<<: *deep}\nservices: {web: {}}",
        "x: {y: {z: &deep {services: {web: {image: nginx}}}}}\n<<: *deep",
        "<<: {<<: [{<<: {services: {web: {image: nginx}}}}]}",
    ],
)
def test_an_alias_brings_its_outline_to_where_it_stands(text: str) -> None:
    document = parse(text, BOUNDS)
    assert isinstance(document, dict)
    assert "web" in document["services"]


def test_what_an_outline_leaves_out_is_counted_all_the_same() -> None:
    text = "a: {b: {c: [" + "x, " * 20 + "]}}"
    assert "more than 20 YAML nodes" in refusal(text, YamlBounds(nodes=20))
    bomb = "a: {b: {c: &c [" + "x, " * 20 + "], d: *c}}"
    assert "expand to more than 40 nodes" in refusal(bomb, YamlBounds(expanded_nodes=40))
    assert "deeper than 3 levels" in refusal(text, YamlBounds(depth=3))


def test_an_anchor_on_a_scalar_and_one_that_is_given_again() -> None:
    assert parse("[&a one, *a, &a two, *a]") == ["one", "one", "two", "two"]


@pytest.mark.parametrize(
    "text",
    [
        "services:\r\n  web:\r\n    image: nginx\r\n",
        "\ufeffservices:\n  web:\n    image: nginx\n",
        "---\nservices:\n  web:\n    image: nginx\n...\n",
        "%YAML 1.1\n---\nservices: {web: {image: nginx}}\n",
        "# a comment\nservices: {web: {image: nginx}}",
        '{"services": {"web": {"image": "nginx"}}}',
    ],
)
def test_the_usual_ways_to_write_it_are_all_accepted(text: str) -> None:
    assert parse(text) == {"services": {"web": {"image": "nginx"}}}


@pytest.mark.parametrize("text", ["# only a comment\n", "---\n", "--- # nothing\n...\n"])
def test_a_file_that_says_nothing_is_no_mapping(text: str) -> None:
    assert parse(text) in (None, "")


@pytest.mark.parametrize("bomb", [LAUGHS, SMALL_BOMB])
def test_an_alias_bomb_is_refused(bomb: str) -> None:
    assert refusal(bomb) == "the compose file's YAML aliases expand to more than 200000 nodes"


def test_the_small_bomb_is_as_small_as_the_one_seen_in_the_field() -> None:
    assert len(SMALL_BOMB) <= 287


def test_an_alias_costs_what_it_expands_to() -> None:
    # The list, four scalars below the anchor and itself, twice: 1 + 5 + 5.
    text = "[&a [x, x, x, x], *a]"
    assert parse(text, YamlBounds(expanded_nodes=11)) == [["x"] * 4] * 2
    assert "expand to more than 10 nodes" in refusal(text, YamlBounds(expanded_nodes=10))


def test_what_an_alias_names_is_shared_and_not_copied() -> None:
    document = parse("[&a [x], *a]")
    assert isinstance(document, list)
    assert document[0] is document[1]


@pytest.mark.parametrize("text", ["[*a]", "a: *b\nb: &b x", "&a [*a]", "&a {x: *a}"])
def test_an_alias_that_is_not_defined_before_it_is_used_is_refused(text: str) -> None:
    assert refusal(text) == "the compose file uses a YAML alias that is not defined"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 65 + "]" * 65,
        "[" * 100_000,
        '{"a":' * 100_000,
        "- " * 10_000 + "x",
        "? " * 1000 + "x",
    ],
)
def test_nesting_without_end_is_refused(text: str) -> None:
    assert refusal(text) == "the compose file is nested deeper than 64 levels"


def test_nesting_of_64_levels_is_allowed() -> None:
    parse("[" * 64 + "]" * 64)


@pytest.mark.parametrize(
    "text", ["- x\n" * 100_000, "[" + "x," * 100_000 + "]", "[{}," * 1 + "{}," * 100_000]
)
def test_more_nodes_than_any_project_has_are_refused(text: str) -> None:
    assert refusal(text) == "the compose file holds more than 100000 YAML nodes"


def test_each_mapping_sequence_scalar_and_alias_is_one_node() -> None:
    text = "{a: [&b x, *b]}"  # The mapping, its key, the sequence, the scalar, the alias.
    parse(text, YamlBounds(nodes=5))
    assert "more than 4 YAML nodes" in refusal(text, YamlBounds(nodes=4))


def test_a_scalar_of_a_mebibyte_is_one_node() -> None:
    assert parse("x" * 2**20) == "x" * 2**20


def test_two_documents_are_refused() -> None:
    assert refusal("a: 1\n---\nb: 2\n") == "the compose file holds more than one YAML document"


@pytest.mark.parametrize(
    "text",
    [
        "services:\n\tweb:\n",
        "a: [1, 2",
        "a: b: c",
        "- a\nb: c",
        "a: 'no end",
        "{",
        "@at",
        "%TAG ! tag:x\n%TAG ! tag:y\n---\na",
        "a: !nohandle!x y",
    ],
)
def test_what_is_no_yaml_is_refused_and_the_place_is_said(text: str) -> None:
    rule = refusal(text)
    assert re.fullmatch(r"the compose file is not valid YAML: [^\n]+ at line \d+, column \d+", rule)


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\ufffe"])
def test_a_character_that_yaml_forbids_is_refused(character: str) -> None:
    assert refusal(f"a: b{character}c").startswith("the compose file is not valid YAML: ")


@pytest.mark.parametrize(
    ("content", "byte"),
    [
        (b"a: \xff", 3),
        (b"\xff\xfea\x00", 0),
        (b"a: \xe9\n", 3),
        (b"\xed\xa0\x80", 0),
        (b"a: \xe2\x82", 3),
        (b"a" * 65535 + b"\xe2\x82\xac\xff", 65538),
        (b"a" * 65535 + b"\xe2\x82\xac" + b"a" * 70000 + b"\xff", 135538),
        (b"a" * 65535 + b"\xe2a", 65535),
        (b"a" * 65534 + b"\xe2\x82", 65534),
    ],
)
def test_what_is_not_utf_8_is_refused_and_the_place_is_said(content: bytes, byte: int) -> None:
    assert refusal(content) == f"the compose file is not UTF-8 text: byte {byte} is not valid"


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:pathlib.Path.touch [MARKER]",
        "!!python/object/new:os.system [touch MARKER]",
        "!!python/name:os.system",
        "!!binary aGVsbG8=",
        "!custom x",
    ],
)
def test_a_tag_is_never_acted_on(value: str, tmp_path: Path) -> None:
    marker = tmp_path / "touched"
    document = parse("a: " + value.replace("MARKER", str(marker)))
    assert isinstance(document, dict)
    assert isinstance(document["a"], str | list)
    assert not marker.exists()


@pytest.mark.parametrize(
    "text",
    [
        f"password: {SECRET}\n\tx",
        f"{SECRET}: [",
        f"a: *{SECRET}",
        f"a: !{SECRET}!x y",
        f"a: '{SECRET}",
        f"%{SECRET}\n---\n{SECRET}: {SECRET}: x",
        f"a: {SECRET}\x00",
        f"a: {SECRET}\n---\nb: {SECRET}",
        f"{SECRET}: " + "[" * 100,
        f'"\\q{SECRET}"',
    ],
)
def test_no_error_quotes_the_file(text: str) -> None:
    assert SECRET not in refusal(text)


@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
@example(b"")
@example(b"? ")
@example(b"{? [a]: b}")
@example(b"<<: [")
def test_whatever_the_file_is_the_only_error_is_a_refusal(content: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        parse_bounded(content, BOUNDS)


TREES = st.recursive(
    st.text("abc xyz:-#'\"{}[]", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcdef", min_size=1, max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(TREES)
def test_it_reads_what_any_other_yaml_reader_reads(tree: object) -> None:
    assert parse(yaml.safe_dump(tree)) == tree


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


async def test_the_reader_reads_in_a_thread_and_refuses_as_the_parser_does(
    executor: Executor,
) -> None:
    reader: ComposeReader = BoundedYamlReader(executor)
    assert await reader.read(ComposeFile(b"services: {web: {image: x}}")) == {
        "services": {"web": {}}
    }
    with pytest.raises(InvalidInput, match="not valid YAML"):
        await reader.read(ComposeFile(b"a: ["))
