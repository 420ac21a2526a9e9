"""A sample of the kill sweep (`make kill-sweep` is all of it), and that what is broken is noticed.

One job, and then others, through one process after another, each of which dies a little later in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.fleet.kill_sweep.case import Breakage, run_case
from tests.fleet.kill_sweep.nursery import Nursery
from tests.fleet.kill_sweep.strikes import Fault
from tests.fleet.kill_sweep.template import DATABASES, SQLITE, Template, template

CHAINS = {
    # Asked for; kept; numbered; sent; acknowledged by its agent; that kept; its end told; that kept.
    "v2, step by step": "v2:before/queued/1,after/queued/1,after/numbered/1,after/COMMAND/1,"
    "before/accepted/1,after/accepted/1,before/succeeded/1,after/succeeded/1",
    # A cancel is kept; sent; obeyed. What waits for a host that is away is answered, and no more.
    "v2, canceled": "v2:after/canceling/1,after/CANCEL/1,before/canceled/1,after/202/4",
    # Marked as sent, and not; its end told; that kept; answered for a host that is away.
    "v1": "v1:after/sent/1,before/succeeded/1,after/succeeded/1,after/202/5",
}


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as one:
        yield one


@pytest.fixture(scope="module", params=DATABASES)
def made(request: pytest.FixtureRequest, nursery: Nursery) -> Iterator[Template]:
    with template(request.param, nursery) as one:
        yield one


@pytest.fixture(scope="module")
def made_of_a_file(nursery: Nursery) -> Iterator[Template]:
    with template(SQLITE, nursery) as one:
        yield one


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_nothing_is_lost_and_nothing_done_twice(
    made: Template, nursery: Nursery, chain: str
) -> None:
    report = asyncio.run(run_case(Fault.named(chain), made, nursery))

    assert report.violations == [], report.log
    assert report.struck == chain.partition(":")[2].split(",")


@pytest.mark.parametrize(
    ("name", "breakage", "words"),
    [
        # It answers, and the job is not in the database yet.
        ("v2:after/202/7", Breakage(late=("queued/6",)), "was answered with 202"),
        # It acknowledges what is not in the database yet.
        ("v2:after/ACK/1", Breakage(late=("accepted/1",)), "which it had acknowledged"),
        # Whoever is not answered asks again, as if for the first time.
        ("v2:after/queued/1", Breakage(is_careless=True), "is no answer to any request"),
    ],
)
def test_what_is_done_wrong_is_noticed(
    made_of_a_file: Template, nursery: Nursery, name: str, breakage: Breakage, words: str
) -> None:
    report = asyncio.run(run_case(Fault.named(name), made_of_a_file, nursery, breakage))

    assert report.struck == [name.partition(":")[2]]
    assert any(words in violation for violation in report.violations), report.violations
