"""What may be shown of a deployment: never a piece of a value."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.content import env_file_of, variables_in
from domain.fleet.deployment import DeploymentState, outcome_of
from domain.fleet.job import FleetJobState, is_over

S = FleetJobState


@pytest.mark.parametrize(
    ("env", "names"),
    [
        (b"", ()),
        (b"# nothing\n\n", ()),
        (b"A=1\nexport B=two\n  C: 3 # c\r\nA=again\n", ("A", "B", "C")),
        (b"A=\"x y\"\nB='z'  # b\n", ("A", "B")),
        (b'A="a \\" b"\n', ("A",)),
        # A value over several lines: its lines look like assignments.
        (b'KEY="-----BEGIN KEY-----\nMIIEabc==\n-----END KEY-----"\nB=1\n', ()),
        (b"KEY=-----BEGIN KEY-----\nMIIEabc==\n", ()),
        (b"A=1\nMIIE/abc==\n", ()),
        (b"A='it\nB=x'\n", ()),
        (b"A=1\n=x\n", ()),
    ],
)
def test_names_are_told_only_where_every_line_is_plainly_one(
    env: bytes, names: tuple[str, ...]
) -> None:
    assert variables_in(env) == names


NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
@example({"A": "=", "B": "==x"})
def test_of_variables_that_were_given_by_name_exactly_the_names_are_told(
    variables: dict[str, str],
) -> None:
    assert variables_in(env_file_of(variables)) == tuple(variables)


@given(st.lists(st.sampled_from(S), min_size=1))
def test_an_outcome_is_what_the_jobs_amount_to(states: list[FleetJobState]) -> None:
    outcome = outcome_of(states)
    if not all(is_over(state) for state in states):
        assert outcome is DeploymentState.RUNNING
    elif all(state is S.SUCCEEDED for state in states):
        assert outcome is DeploymentState.SUCCEEDED
    elif any(state is S.SUCCEEDED for state in states):
        assert outcome is DeploymentState.PARTIAL
    else:
        assert outcome is DeploymentState.FAILED
