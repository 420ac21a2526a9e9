"""The history of a project."""

from __future__ import annotations

import pytest

from domain.errors import NotFound
from domain.project import ProjectName
from domain.revision import ProjectHistory, Revision, RevisionState

GOOD, FAILED, PENDING = RevisionState.GOOD, RevisionState.FAILED, RevisionState.PENDING


def history(*states: RevisionState, current: int | None = None) -> ProjectHistory:
    """Revisions from 1 on."""
    revisions = tuple(
        Revision(number, f"digest-{number}", f"job-{number}", 0.0, state=state)
        for number, state in enumerate(states, 1)
    )
    return ProjectHistory(ProjectName("blog"), revisions, current)


def numbers(found: ProjectHistory) -> list[int]:
    return [one.number for one in found.revisions]


def test_an_empty_history_wants_nothing() -> None:
    empty = history()
    assert (empty.wanted, empty.good_before(None)) == (None, None)
    assert empty.pruned(3) == empty


def test_the_wanted_revision_is_the_current_one() -> None:
    assert history(GOOD, GOOD, current=1).wanted == history(GOOD).find(1)
    assert history(GOOD, current=7).wanted is None


def test_a_revision_is_found_by_its_number_or_its_job() -> None:
    found = history(GOOD, FAILED)
    assert found.find(2).job_id == "job-2"
    assert found.of_job("job-1") == found.find(1)
    assert found.of_job("job-3") is None


def test_who_asks_for_an_unknown_one_hears_which_there_are() -> None:
    with pytest.raises(NotFound, match="project 'blog' has no revision 3; kept are 1, 2"):
        history(GOOD, GOOD).find(3)
    with pytest.raises(NotFound, match="kept are none"):
        history().find(1)


@pytest.mark.parametrize(
    ("before", "expected"), [(None, 4), (9, 4), (5, 4), (4, 2), (3, 2), (2, None), (1, None)]
)
def test_the_last_good_one_is_found_before_any(before: int | None, expected: int | None) -> None:
    found = history(FAILED, GOOD, FAILED, GOOD, PENDING).good_before(before)
    assert (None if found is None else found.number) == expected


def test_a_revision_takes_its_place_by_number() -> None:
    changed = Revision(2, "other", "job-2", 1.0, state=GOOD)
    found = history(GOOD, PENDING, FAILED).with_revision(changed)
    assert numbers(found) == [1, 2, 3]
    assert found.find(2) == changed
    added = found.with_revision(Revision(9, "d", "job-9", 2.0))
    assert numbers(added) == [1, 2, 3, 9]


def test_pruning_keeps_the_newest_and_those_still_needed() -> None:
    states = (GOOD, PENDING, GOOD, FAILED, FAILED, FAILED)
    assert numbers(history(*states, current=1).pruned(2)) == [1, 2, 3, 5, 6]
    assert numbers(history(*states).pruned(2)) == [2, 3, 5, 6]
    assert numbers(history(GOOD, GOOD, GOOD).pruned(1)) == [3]
    assert numbers(history(GOOD, GOOD, GOOD).pruned(20)) == [1, 2, 3]
