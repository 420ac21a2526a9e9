"""Env files, read as Compose 2.26 was seen to read them."""

from __future__ import annotations

import pytest

from domain.collecting_env import variables_of
from domain.errors import InvalidInput

FILES = [
    ("", {}), ("# nothing\n\n   \n", {}),
    ("A=1\n", {"A": "1"}), ("A=1", {"A": "1"}), ("A = 1 \n", {"A": "1"}), ("  A=5\n", {"A": "5"}),
    ("export A=1\n", {"A": "1"}), ("export\tA=1\n", {"A": "1"}), ("A: 1\n", {"A": "1"}),
    ("A=\nB=4\n", {"A": "", "B": "4"}), ("A=1\nA=2\n", {"A": "2"}), ("A=a=b=c\n", {"A": "a=b=c"}),
    ("A=a b c  \n", {"A": "a b c"}), ("A=\t x\n", {"A": "x"}), ("A=x\\\n", {"A": "x\\"}),
    ("A=x # c\n", {"A": "x"}), ("A=x#c\n", {"A": "x#c"}), ("A= #x\n", {"A": "#x"}),
    ('A="x" # c\n', {"A": "x"}), ("A='multi\nline'\nB=3\n", {"A": "multi\nline", "B": "3"}),
    ("A=x\r\nB=y\r\n", {"A": "x", "B": "y"}), ("A.B-C=1\n", {"A.B-C": "1"}),
    ("A='$x'\n", {"A": "$x"}), ("A='it\\'s'\n", {"A": "it's"}), ("A='a\\nb'\n", {"A": "a\\nb"}),
    ("A='a\\\\'\nB=2\n", {"A": "a\\\\", "B": "2"}), ("A='a\"b'\n", {"A": 'a"b'}),
    ('A="x\\ny"\n', {"A": "x\ny"}), ('A="tab\\tx\\q"\n', {"A": "tab\tx\\q"}),
    ('A="q\\"q"\n', {"A": 'q"q'}), ('A="a\\\\b"\n', {"A": "a\\b"}), ('A="x\\\\\\"y"', {"A": 'x\\"y'}),
    ('A="a\\\\"\nB=2\n', {"A": "a\\", "B": "2"}), ('A="a\\$b"\nb=2\n', {"A": "a$b", "b": "2"}),
    ("B=2\nA=$B\n", {"B": "2", "A": "2"}), ('B=2\nA="<${B}>"\n', {"B": "2", "A": "<2>"}),
    ("A=${B:-d}\n", {"A": "d"}), ("A=$$x\n", {"A": "$x"}), ("A=a$\n", {"A": "a$"}),
    ("A\nB=1\n", {"B": "1"}), ("KNOWN\n", {"KNOWN": "known"}), ("A=$KNOWN\n", {"A": "known"}),
    ("\ufeffA=1\n", {"A": "1"}), ("A=ä\n", {"A": "ä"}),
]  # fmt: skip

REFUSED = [
    (b"A B=1\n", "line 1 must begin with a variable's name and '='"),
    (b"ok=1\n=1\n", "line 2 must begin with a variable's name and '='"),
    (b"ok=1\n\n\nA='never\nends\n", "line 4 has a quote that does not end"),
    (b"A=${B\n", "line 1 has a value that Compose cannot read: ${: must end with '}'"),
    (b"A=hunter2${B:?no}\n",
     "line 1 has a value that Compose cannot read: B: is required, and in no env file: no"),
    (b"A=\xff\n", "must be UTF-8 text: byte 2 is not valid"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FILES)
def test_variables_are_read(text: str, expected: dict[str, str]) -> None:
    assert variables_of(text.encode(), "env", {"KNOWN": "known"}) == expected


@pytest.mark.parametrize(("content", "rule"), REFUSED)
def test_what_compose_cannot_read_is_refused_by_its_line(content: bytes, rule: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        variables_of(content, "prod.env", {})
    assert (refused.value.field, refused.value.rule) == ("prod.env", rule)
    assert "hunter2" not in str(refused.value)
