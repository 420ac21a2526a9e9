"""What every `ComposeReader` must do, when it reads all of a file."""

from __future__ import annotations

import pytest

from application.ports.compose_reader import ComposeReader
from domain.errors import InvalidInput
from domain.project import ComposeFile


class ComposeReaderContract:
    """Give the `reader`."""

    @pytest.fixture
    def reader(self) -> ComposeReader:
        raise NotImplementedError

    async def test_a_file_is_read_to_its_last_level(self, reader: ComposeReader) -> None:
        content = b"a: {b: [{c: [1, yes, 'x']}]}"
        read = await reader.read_fully(ComposeFile(content))
        assert read == {"a": {"b": [{"c": ["1", "yes", "x"]}]}}

    async def test_null_is_none_and_quoted_null_is_text(self, reader: ComposeReader) -> None:
        content = b"a: null\nb: ~\nc:\nd: 'null'\ne: \"\"\nf: !!null x\ng: !!null null\n"
        read = await reader.read_fully(ComposeFile(content))
        assert read == {"a": None, "b": None, "c": None, "d": "null", "e": "", "f": "x", "g": None}

    async def test_aliases_and_merge_keys_are_resolved_deep_down(
        self, reader: ComposeReader
    ) -> None:
        content = b"a: &a {b: &b {c: d}}\ne: {f: {g: [{<<: *a, h: *b}]}}"
        read = await reader.read_fully(ComposeFile(content))
        assert read == {
            "a": {"b": {"c": "d"}},
            "e": {"f": {"g": [{"b": {"c": "d"}, "h": {"c": "d"}}]}},
        }

    @pytest.mark.parametrize(
        "content",
        [
            b"a: 1\n!!binary aW5jbHVkZQ==: [x]",
            b"include: [!!binary L2V0Yy9wYXNzd2Q=]",
            b"%TAG ! tag:yaml.org,2002:\n---\n!binary aW5jbHVkZQ==: [x]",
            b"!<tag:yaml.org,2002:binary> aW5jbHVkZQ==: [x]",
            b"a: !mine x",
            b"a: !mine [x]",
            b"a: !!set {x}",
        ],
    )
    async def test_tags_that_hide_what_compose_reads_are_refused(
        self, reader: ComposeReader, content: bytes
    ) -> None:
        with pytest.raises(InvalidInput, match="uses a YAML tag at line") as refused:
            await reader.read_fully(ComposeFile(content))
        assert "aW5j" not in str(refused.value)

    async def test_composes_own_tags_and_plain_ones_are_let_through(
        self, reader: ComposeReader
    ) -> None:
        content = b"a: !reset [x]\nb: !override {c: d}\ne: !!str 1\nf: ! 'x'"
        read = await reader.read_fully(ComposeFile(content))
        assert read == {"a": ["x"], "b": {"c": "d"}, "e": "1", "f": "x"}

    async def test_what_is_no_yaml_is_refused(self, reader: ComposeReader) -> None:
        with pytest.raises(InvalidInput, match="not valid YAML"):
            await reader.read_fully(ComposeFile(b"a: ["))
