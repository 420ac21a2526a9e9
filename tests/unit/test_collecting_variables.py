"""Variables of a compose file, put in as Compose 2.26 was seen to put them in."""

from __future__ import annotations

import pytest

from domain.collecting_variables import MAX_NESTING, Interpolated, interpolated, texts_in
from domain.errors import InvalidInput

VARIABLES = {"SET": "set", "EMPTY": "", "N": "n"}

TEXTS = [
    ("", ""), ("plain", "plain"), ("$SET", "set"), ("${SET}", "set"), ("x$SET.y", "xset.y"),
    ("${SET}${N}", "setn"), ("$SET$N", "setn"), ("{$SET}", "{set}"), ("$EMPTY|", "|"),
    ("$$SET", "$SET"), ("$$$SET", "$set"), ("$$$$", "$$"), ("$", "$"), ("a$", "a$"), ("$1", "$1"),
    ("$ {SET}", "$ {SET}"), ("$é", "$é"), ("a$/b", "a$/b"),
    ("${SET:-d}", "set"), ("${EMPTY:-d}", "d"), ("${NO:-d}", "d"), ("${NO:-}", ""),
    ("${SET-d}", "set"), ("${EMPTY-d}", ""), ("${NO-d}", "d"), ("${NO-}", ""),
    ("${SET:?m}", "set"), ("${SET?m}", "set"), ("${EMPTY?m}", ""),
    ("${SET:+r}", "r"), ("${EMPTY:+r}", ""), ("${NO:+r}", ""),
    ("${SET+r}", "r"), ("${EMPTY+r}", "r"), ("${NO+r}", ""),
    ("${NO:-${SET}}", "set"), ("${NO:-${ALSO:-$N}}", "n"), ("${SET:+${N}}", "n"),
    ("${NO:-a}b}", "ab}"), ("${NO:-a:b-c}", "a:b-c"), ("${NO:-{a}}", "{a}"), ("${NO:-$$x}", "$x"),
    ("${NO:-./a b}/c", "./a b/c"), ("${NO:-$}", "$"), ("${NO:+$}", ""),
]  # fmt: skip

REFUSED = [
    ("${NO:?must be given}", "NO: is required, and in no env file: must be given"),
    ("${EMPTY:?}", "EMPTY: is required, and in no env file"),
    ("${NO?}", "NO: is required, and in no env file"),
    ("${NO:-${ALSO?x}}", "ALSO: is required, and in no env file: x"),
    ("${", "${: must end with '}'"),
    ("${SET", "${: must end with '}'"),
    ("${NO:-${SET}", "${: must end with '}'"),
    ("${}", "${: must be followed by a variable's name"),
    ("${1}", "${: must be followed by a variable's name"),
    ("${SET!}", "${SET: must be followed by '}' or one of :- :? :+ - ? +"),
    ("${SET:x}", "${SET: must be followed by '}' or one of :- :? :+ - ? +"),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_variables_are_put_in(text: str, expected: str) -> None:
    assert interpolated(text, VARIABLES).text == expected


@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_what_compose_refuses_is_refused(text: str, expected: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        interpolated(text, VARIABLES)
    assert str(refused.value) == expected


def test_variables_without_value_or_default_are_told_once_and_in_order() -> None:
    text = "$B ${A} $B ${EMPTY} ${C:-x} ${D+x} ${SET:-$E} ${F:-$G}"
    assert interpolated(text, VARIABLES) == Interpolated("    x  set ", ("B", "A", "G"))


def test_a_value_is_not_interpolated_again() -> None:
    assert interpolated("$A", {"A": "$B", "B": "no"}).text == "$B"


def test_defaults_are_nested_only_so_deep() -> None:
    def nested(levels: int) -> str:
        return "${A:-" * levels + "x" + "}" * levels

    assert interpolated(nested(MAX_NESTING), {}).text == "x"
    with pytest.raises(InvalidInput, match="must not be nested deeper than 32 levels"):
        interpolated(nested(MAX_NESTING + 1), {})


def test_every_text_of_a_document_is_found_but_for_keys_and_extensions() -> None:
    document = {
        "web": {"image": "a", "list": ["b", {"c": "d"}], "x-mine": {"e": "f"}, "none": None},
    }
    assert list(texts_in(document, "services")) == [
        ("services.web.image", "a"),
        ("services.web.list[0]", "b"),
        ("services.web.list[1].c", "d"),
    ]
