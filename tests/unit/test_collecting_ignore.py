"""What a `.dockerignore` leaves out, by the rules of moby/patternmatcher."""

from __future__ import annotations

import pytest

from domain.collecting_ignore import MAX_PATTERNS, IgnoreRules
from domain.errors import InvalidInput

TABLE = [
    # Patterns, what they leave out, what they do not.
    ("", [], ["a", "a/b"]),
    ("# all of it\n#a\n  \n", [], ["a", "#a"]),
    ("a", ["a", "a/b", "a/b/c"], ["b/a", "ab", "A"]),
    ("/a", ["a", "a/b"], ["b/a"]),
    ("a/", ["a", "a/b"], ["b/a"]),
    ("./a/../b", ["b", "b/c"], ["a"]),
    ("  a  \r\n", ["a"], ["b"]),
    ("a b", ["a b"], ["a", "b"]),
    ("a/b", ["a/b", "a/b/c"], ["a", "a/c", "b"]),
    ("*", ["a", "a/b", ".x"], []),
    ("*.log", ["a.log", ".log", "x.log/y"], ["d/a.log", "a.logs"]),
    ("*/*.log", ["d/a.log"], ["a.log", "d/e/a.log"]),
    ("**/*.log", ["a.log", "d/a.log", "d/e/a.log"], ["a.logs"]),
    ("**.log", ["a.log", "d/a.log"], ["a.logs"]),
    ("**/node_modules", ["node_modules", "a/node_modules/b"], ["a/my_node_modules"]),
    ("node_modules/**", ["node_modules/a", "node_modules/a/b"], ["node_modules"]),
    ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a", "z", "a/b"]),
    ("**", ["a", "a/b"], []),
    ("temp?", ["temp1", "tempa/x"], ["temp", "temp/1", "temp12"]),
    ("[ab].txt", ["a.txt", "b.txt"], ["c.txt", "ab.txt"]),
    ("[a-c]x", ["ax", "bx", "cx"], ["dx", "-x"]),
    ("[^a-c]x", ["dx", "-x"], ["ax"]),
    ("[]]x", ["]x"], ["x"]),
    ("[a\\-c]x", ["-x", "ax"], ["bx"]),
    ("[[]x", ["[x"], ["x"]),
    ("a.b", ["a.b"], ["axb"]),
    ("a+(b)|{c}$^", ["a+(b)|{c}$^"], ["aab"]),
    ("\\*", ["*"], ["a"]),
    ("\\!a", ["!a"], ["a"]),
    ("ä*", ["äöü"], ["aou"]),
    ("*\n!a", ["b", "b/a"], ["a", "a/b"]),
    ("*\n! a", ["b"], ["a"]),
    ("!a\n*", ["a"], []),
    ("d\n!d/keep", ["d", "d/x"], ["d/keep", "d/keep/y"]),
    ("d\n!d/keep\nd/keep/not", ["d/x", "d/keep/not"], ["d/keep/y"]),
    ("*.md\n!README*.md\nREADME-secret.md", ["a.md", "README-secret.md"], ["README.md"]),
    ("*.md\nREADME-secret.md\n!README*.md", ["a.md"], ["README.md", "README-secret.md"]),
    ("**/*\n!**/*.py", ["a", "d/a"], ["a.py", "d/e/a.py"]),
    ("\ufeffa", ["a"], ["b"]),
    ("/", [], ["a"]),
    (".", [], ["a"]),
]  # fmt: skip


@pytest.mark.parametrize(("patterns", "left_out", "kept"), TABLE, ids=[one[0] for one in TABLE])
def test_patterns_leave_out(patterns: str, left_out: list[str], kept: list[str]) -> None:
    rules = IgnoreRules.read(patterns.encode(), ".dockerignore")
    assert [path for path in left_out + kept if rules.exclude(path)] == left_out


@pytest.mark.parametrize(
    ("patterns", "rule"),
    [
        ("a\n!", "line 2 must name what '!' takes back"),
        ("[a", "line 1 has a '[' without its ']'"),
        ("[]", "line 1 has a '[' without its ']'"),
        ("[z-a]", "line 1 has a range of characters that is none"),
        ("a\\", "line 1 must not end with a backslash"),
        ("a\n" * (MAX_PATTERNS + 1), "must have at most 1000 patterns"),
    ],
)
def test_what_is_no_pattern_is_refused(patterns: str, rule: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        IgnoreRules.read(patterns.encode(), "app/.dockerignore")
    assert (refused.value.field, refused.value.rule) == ("app/.dockerignore", rule)


def test_rules_know_whether_something_is_taken_back() -> None:
    assert IgnoreRules.read(b"a\n!a/b", "x").has_exceptions
    assert not IgnoreRules.read(b"a\nb", "x").has_exceptions
