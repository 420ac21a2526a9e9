"""Compose files read to their last level, and the lines of what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.yaml.bounded_reader import parse_fully
from adapters.yaml.bounds import YamlBounds
from adapters.yaml.lines import line_of, lines_of
from adapters.yaml.reader import BoundedYamlReader
from application.ports.compose_reader import ComposeReader
from domain.errors import InvalidInput
from tests.contracts.compose_reader import ComposeReaderContract
from tests.fakes.compose_reader import FakeComposeReader

BOUNDS = YamlBounds()
BOMB = "a: &a0 [x]\n" + "".join(
    f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
FILE = b"""\
x-base: &base
  privileged: true
services:
  "web":
    image: nginx   # privileged: true
    ports: [{target: 80}, "8080:80"]
    privileged: true
    ? build
    : {context: ., ssh: [default]}
  db: {<<: *base, cap_add: [ALL], image: *base}
  other: *base
volumes: {data: {driver_opts: {device: /x}}}
"""


class TestBoundedYamlReader(ComposeReaderContract):
    @pytest.fixture
    def reader(self) -> Iterator[ComposeReader]:
        with ThreadPoolExecutor(1) as threads:
            yield BoundedYamlReader(threads)


class TestFakeComposeReader(ComposeReaderContract):
    @pytest.fixture
    def reader(self) -> ComposeReader:
        return FakeComposeReader()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: " + b"[" * 65, "nested deeper than 64 levels"),
        (b"a: [" + b"x," * 100_001 + b"]", "more than 100000 YAML nodes"),
        (BOMB.encode(), "aliases expand to more than 200000 nodes"),
        (b"a: b\n---\nc: d", "more than one YAML document"),
    ],
)  # fmt: skip
def test_reading_all_of_a_file_has_the_same_bounds(content: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse_fully(content, BOUNDS)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("services",), 3),
        (("services", "web"), 4),
        (("services", "web", "privileged"), 7),
        (("services", "web", "ports"), 6),
        (("services", "web", "build"), 8),
        (("services", "web", "build", "ssh"), 9),
        (("services", "db", "cap_add"), 10),
        (("services", "db", "privileged"), None),
        (("services", "other"), 11),
        (("services", "other", "privileged"), None),
        (("services", "web", "ports", "target"), None),
        (("services", "web", "ports", "", "target"), None),
        (("volumes", "data", "driver_opts", "device"), 12),
        (("volumes", "web"), None),
        (("privileged",), None),
        ((), None),
    ],
)
def test_a_key_is_found_where_it_stands(path: tuple[str, ...], line: int | None) -> None:
    assert line_of(FILE, path) == line


def test_several_keys_are_found_in_one_reading() -> None:
    wanted = [("services", "db"), ("volumes",), ("nothing",)]
    assert lines_of(FILE, wanted) == {("services", "db"): 10, ("volumes",): 12}


def test_what_is_no_yaml_has_the_lines_before_it_breaks() -> None:
    assert line_of(b"a: b\nc: [", ("a",)) == 1
    assert line_of(b"a: b\n]: x\nc: d", ("c",)) is None
    assert line_of(b"\xff\xfe\x00", ("a",)) is None


def test_a_search_is_bounded() -> None:
    assert line_of(b"a: [" + b"x," * 1000 + b"]\nb: c", ("b",), YamlBounds(nodes=100)) is None
    assert line_of(b"a: [[[[x]]]]\nb: c", ("b",), YamlBounds(depth=3)) is None
    assert line_of(b"a: [[[[x]]]]\nb: c", ("b",), YamlBounds(depth=5)) == 2


KEYS = st.sampled_from("abc")


@given(st.recursive(KEYS, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=9))
def test_every_key_of_a_block_is_found_on_its_line(tree: object) -> None:
    lines: list[str] = []
    paths: dict[tuple[str, ...], int] = {}

    def write(node: object, path: tuple[str, ...]) -> None:
        for key, below in node.items() if isinstance(node, dict) else ():
            lines.append(
                "  " * len(path) + f"{key}:{f' {below}' if isinstance(below, str) else ''}"
            )
            paths[(*path, key)] = len(lines)
            write(below, (*path, key))

    write(tree, ())
    assert lines_of("\n".join(lines).encode(), [*paths, ("z",)]) == paths
