"""The settings file is read as systemd reads it, and edited so that it reads as it should."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.environment_file import entries_of, variables_of, with_variables

FILES = st.text(st.sampled_from("AB='\"\\#; \t\n\r$x"), max_size=40)
NAMES = st.sampled_from(["A", "B", "SERVER_URL"])
VALUES = st.text(st.sampled_from("x'\"\\#; \t\n$`="), max_size=12)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A=b", {"A": "b"}),
        ("  A = b c  \n", {"A": "b c"}),
        ("A=b\nA=c\n", {"A": "c"}),
        ("A=\n", {"A": ""}),
        ("A=b\r\nC=d\r\n", {"A": "b", "C": "d"}),
        # Comments, also of what would be an assignment; within a line there are none.
        ("# A=b\n; C=d\n  #E=f\nG=h # i\n", {"G": "h # i"}),
        ("# A \\\nB=c\nD=e\n", {"D": "e"}),
        # Quotes of both kinds, over lines too, and joined to what follows.
        ("A=\"b c\"\nD='e f'\n", {"A": "b c", "D": "e f"}),
        ("A='b\nC=d'\nE=f\n", {"A": "b\nC=d", "E": "f"}),
        ('A="b\nC=d"\nE=\'f\'"g"h\n', {"A": "b\nC=d", "E": "fgh"}),
        ("A='b\\'\n", {"A": "b\\"}),
        ('A="b\\"\\\\\\$\\`\\n"\n', {"A": 'b"\\$`\\n'}),
        ('A=b"c"\n', {"A": 'b"c"'}),
        # Backslashes: one at the end of a line carries it on.
        ("A=b\\\nC=d\nE=f\n", {"A": "bC=d", "E": "f"}),
        ('A="b\\\nc"\n', {"A": "bc"}),
        ("A=b\\ \\c \n", {"A": "b c"}),
        # What the shell would take and systemd does not.
        ("export A=b\n", {}),
        ("A-B=c\n1A=b\nA\n=b\n", {}),
        # Only line feeds and carriage returns end a line.
        ("A=b\x0bC=d\u2028E=f\n", {"A": "b\x0bC=d\u2028E=f"}),
        # What does not end counts all the same.
        ("A='b", {"A": "b"}),
        ("A=b \\", {"A": "b "}),
    ],
)
def test_a_file_says_what_it_says_to_systemd(text: str, found: dict[str, str]) -> None:
    assert variables_of(text) == found


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("", 'A="1"\n'),
        ("# A=b\nC=d", '# A=b\nC=d\nA="1"\n'),
        ("\n\nA=b\nC=d\nA=e\n", '\n\nA="1"\nC=d\n'),
        ("A='b\nC=d'\nE=f\n", 'A="1"\nE=f\n'),
        ("C=d\\\nA=b\n", 'C=d\\\nA=b\nA="1"\n'),
        ("C='d\nA=b\n'\n", "C='d\nA=b\n'\nA=\"1\"\n"),
        ("C=d\\\n", 'C=d\\\n\nA="1"\n'),
        ("#\\\n", '#\\\n\nA="1"\n'),
        ("C=d \\", 'A="1"\nC=d \\'),
        ("E=f\nC='d", 'E=f\nA="1"\nC=\'d'),
        ("# to be continued \\", 'A="1"\n# to be continued \\'),
    ],
)
def test_nothing_is_changed_within_what_goes_on(text: str, edited: str) -> None:
    assert with_variables(text, {"A": "1"}) == edited


def test_what_is_not_wanted_goes_with_all_its_lines() -> None:
    assert with_variables("A='b\nc'\nD=e\nA=f\n", {"A": None}) == "D=e\n"


@given(FILES)
def test_the_pieces_are_the_file(text: str) -> None:
    assert "".join(entry.text for entry in entries_of(text)) == text


@settings(max_examples=1000, deadline=None)
@given(FILES, st.dictionaries(NAMES, st.none() | VALUES, max_size=3))
@example("A=\\", {"SERVER_URL": "x"})
@example("#\\", {"A": "x"})
def test_an_edited_file_says_what_it_said_and_what_is_wanted(
    text: str, wanted: dict[str, str | None]
) -> None:
    edited = with_variables(text, wanted)
    said = variables_of(text) | wanted
    assert variables_of(edited) == {key: value for key, value in said.items() if value is not None}
    assert with_variables(edited, wanted) == edited
