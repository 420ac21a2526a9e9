"""The audit trail's chain: whatever is done to it is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fleet.audit import AuditHead, Noted, chained, document_of, verified

Documents = list[dict[str, Any]]


def trail(count: int = 6) -> Documents:
    head = AuditHead()
    documents = []
    for n in range(count):
        noted = Noted(at=1000.0 + n, user="ann", action=f"a{n}", detail={"n": n, "é": "\ud800"})
        entry = chained(head, noted)
        head = AuditHead(entry.number, entry.hash)
        documents.append(json.loads(json.dumps(document_of(entry))))
    return documents


def head_of(documents: Documents) -> AuditHead:
    return AuditHead(documents[-1]["number"], documents[-1]["hash"])


def problems(documents: Documents, head: AuditHead) -> set[str]:
    return {finding.problem for finding in verified(documents, head)}


def test_what_nobody_has_touched_is_intact() -> None:
    assert verified(trail(), head_of(trail())) == []
    assert verified([], AuditHead()) == []


def swap(documents: Documents) -> None:
    documents[2], documents[3] = documents[3], documents[2]


DAMAGES: dict[str, tuple[Callable[[Documents], object], str]] = {
    "removed": (lambda d: d.pop(2), "gap"),
    "the first removed": (lambda d: d.pop(0), "gap"),
    "the last removed": (lambda d: d.pop(), "cut"),
    "all removed": (lambda d: d.clear(), "cut"),
    "repeated": (lambda d: d.insert(3, dict(d[2])), "reordered"),
    "moved": (swap, "reordered"),
    "another user": (lambda d: d[2].update(user="eve"), "edited"),
    "another detail": (lambda d: d[2]["detail"].update(n=7), "edited"),
    "another time": (lambda d: d[2].update(at=999.0), "edited"),
    "another hash": (lambda d: d[2].update(hash="0" * 64), "edited"),
    "a new field": (lambda d: d[2].update(more=1), "edited"),
    "a field less": (lambda d: d[2].pop("address"), "edited"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_is_found(name: str) -> None:
    damage, problem = DAMAGES[name]
    documents = trail()
    head = head_of(documents)
    damage(documents)
    assert problem in problems(documents, head)


def test_whoever_writes_all_later_entries_anew_is_found_by_who_knows_the_end() -> None:
    documents = trail()
    head = head_of(documents)
    forged = AuditHead(2, documents[1]["hash"])
    anew = documents[:2]
    for one in documents[2:]:
        entry = chained(forged, Noted(at=one["at"], user="eve", action=one["action"]))
        forged = AuditHead(entry.number, entry.hash)
        anew.append(document_of(entry))
    assert problems(anew, head) == {"edited"}
    assert verified(anew) == [], "it is a trail, and of that alone nobody can see it"


def test_a_clock_that_was_set_back_is_found_and_no_damage() -> None:
    first = chained(AuditHead(), Noted(at=1000.0, user="ann", action="a"))
    second = chained(AuditHead(1, first.hash), Noted(at=400.0, user="ann", action="b"))
    (finding,) = verified([document_of(first), document_of(second)])
    assert (finding.problem, finding.number, finding.is_damage) == ("clock_set_back", 2, False)


@given(st.data())
def test_no_single_change_of_a_value_goes_unnoticed(data: st.DataObject) -> None:
    documents = trail(3)
    head = head_of(documents)
    entry = data.draw(st.sampled_from(documents))
    field = data.draw(st.sampled_from(sorted(entry)))
    value = data.draw(st.one_of(st.none(), st.integers(), st.text(), st.booleans()))
    if value == entry[field] and type(value) is type(entry[field]):
        return
    entry[field] = value
    assert verified(documents, head)
