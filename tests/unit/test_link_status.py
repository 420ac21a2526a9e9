"""A line that says how the link stands, and is read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.link_status import LONGEST, LinkStatus, Standing


@given(st.sampled_from(Standing), st.text())
def test_it_is_one_line_whatever_the_far_end_says(standing: Standing, detail: str) -> None:
    text = str(LinkStatus(standing, detail))
    assert len(text.splitlines()) == 1
    assert "\0" not in text
    assert len(text) <= LONGEST
    found = LinkStatus.of(text)
    assert found is not None
    assert found.standing is standing


@pytest.mark.parametrize("text", ["", "Well", "connected", "Connected since: x"])
def test_what_is_no_status(text: str) -> None:
    assert LinkStatus.of(text) is None


def test_a_status_without_a_detail() -> None:
    status = LinkStatus(Standing.CONNECTING)
    assert LinkStatus.of(str(status)) == status
