"""Checks run at the same time, each within its time, and are told in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from application.inspecting.doctor import Check, Doctor
from domain.errors import NoSpace, RuntimeUnavailable, TransportRefused
from domain.inspection import Examined, Finding, Verdict, failure, unknown, warning, well, worst
from tests.fakes.clock import FakeClock


def says(*findings: Finding) -> object:
    async def examine() -> Sequence[Finding]:
        await asyncio.sleep(0)
        return findings

    return examine


def raises(error: Exception) -> object:
    async def examine() -> Sequence[Finding]:
        raise error

    return examine


async def hangs() -> Sequence[Finding]:
    await asyncio.Event().wait()
    return ()


def check(name: str, examine: object, *needs: str) -> Check:
    return Check(name, examine, "it matters", "put it right", needs)  # type: ignore[arg-type]


async def examined(*checks: Check) -> list[Examined]:
    return await Doctor(checks, FakeClock()).examine()


async def test_findings_come_in_the_order_of_the_checks() -> None:
    found = await examined(check("a", says(well("1"))), check("b", says(well("2"), well("3"))))
    assert [(one.check, len(one.findings)) for one in found] == [("a", 1), ("b", 2)]


async def test_one_that_hangs_holds_up_no_other_and_ends_when_its_time_is_over() -> None:
    clock = FakeClock()
    checks = [check("slow", hangs), check("also slow", hangs), check("quick", says(well("1")))]
    running = asyncio.create_task(Doctor(checks, clock).examine())
    await clock.advance(4.9)
    assert not running.done()
    await clock.advance(0.2)
    found = await running
    late = failure("there is no answer within 5 s", "it matters", "put it right")
    assert [one.findings for one in found] == [(late,), (late,), (well("1"),)]


async def test_what_our_own_errors_say_is_found_with_why_and_what_to_do() -> None:
    down = check("a", raises(RuntimeUnavailable("it is down")))
    refused = check("b", raises(TransportRefused("it said no", advice="ask it nicely")))
    gone = check("c", raises(RuntimeUnavailable("it is gone; look for it; there")))
    full = check("d", raises(NoSpace("no space left; none")))
    found = await examined(down, refused, gone, full)
    assert found[0].findings == (failure("it is down", "it matters", "put it right"),)
    assert found[1].findings == (failure("it said no", "it matters", "ask it nicely"),)
    assert found[2].findings == (failure("it is gone", "it matters", "look for it; there"),)
    assert found[3].findings == (failure("no space left; none", "it matters", "put it right"),)


async def test_a_check_that_breaks_is_said_without_its_words() -> None:
    (found,) = await examined(check("a", raises(ValueError("a secret"))))
    assert found.findings == (unknown("the check itself broke: ValueError"),)


@pytest.mark.parametrize("first", [failure("no", "", ""), unknown("not known")])
async def test_what_needs_another_that_is_not_well_is_not_looked_at(first: Finding) -> None:
    found = await examined(
        check("a", says(first)), check("b", says(well("1")), "a"), check("c", says(well("1")), "b")
    )
    assert found[1].findings == (unknown("not looked at: see a"),)
    assert found[2].findings == (unknown("not looked at: see b"),)


async def test_a_warning_keeps_nothing_from_being_looked_at() -> None:
    found = await examined(
        check("a", says(warning("hm", "", ""))), check("b", says(well("1")), "a")
    )
    assert found[1].verdict is Verdict.OK


def test_the_worst_counts() -> None:
    order = [Verdict.OK, Verdict.UNKNOWN, Verdict.WARNING, Verdict.FAILURE]
    for place in range(len(order)):
        assert worst(order[: place + 1]) is order[place]
    assert worst([]) is Verdict.OK
