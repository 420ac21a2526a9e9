"""What doctor prints, for people and for programs, and what it exits with."""

from __future__ import annotations

import json

import pytest

from domain.inspection import Examined, failure, unknown, warning, well
from entrypoints.agent.commands import doctor
from entrypoints.agent.commands.doctor import document_of, lines_of, main

FOUND = [
    Examined("a", (well("fine"),)),
    Examined(
        "b", (warning("odd\x1b[2J\n", "it may end", "look"), failure("bad", "it ends", "mend"))
    ),
    Examined("c", (unknown("not known"),)),
]


def test_people_get_a_line_a_finding_and_what_to_do_below() -> None:
    assert lines_of(FOUND) == [
        "ok       a: fine",
        "warning  b: odd [2J ",
        "           why: it may end",
        "           do:  look",
        "failure  b: bad",
        "           why: it ends",
        "           do:  mend",
        "unknown  c: not known",
    ]


def test_programs_get_every_key() -> None:
    document = json.loads(json.dumps(document_of(FOUND)))
    assert document["verdict"] == "failure"
    assert [one["verdict"] for one in document["checks"]] == ["ok", "failure", "unknown"]
    assert document["checks"][1]["findings"][1] == {
        "verdict": "failure", "found": "bad", "why": "it ends", "remedy": "mend",
    }  # fmt: skip


@pytest.mark.parametrize(("found", "code"), [(FOUND, 1), (FOUND[::2], 0), ([FOUND[0]], 0)])
def test_the_exit_code_is_1_for_a_failure_alone(
    bare_environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: list[Examined],
    code: int,
) -> None:
    def examined(work: object) -> list[Examined]:
        work.close()  # type: ignore[attr-defined]
        return found

    bare_environment.setattr(doctor, "run_to_the_end", examined)
    assert main(["--json"]) == code
    assert json.loads(capsys.readouterr().out)["checks"][0]["check"] == found[0].check
