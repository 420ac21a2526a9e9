"""Tokens of the API, and the requests that end with them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from domain.errors import StorageUnavailable
from domain.fleet.access import EVERYTHING, Permission
from tests.contracts.fleet import hashed
from tests.fakes.clock import settle
from tests.support.control_plane_parts import METRICS_TOKEN, ControlPlane


@pytest.fixture
def plane() -> ControlPlane:
    return ControlPlane()


async def test_the_first_token_is_told_once_and_kept_as_a_hash(plane: ControlPlane) -> None:
    token = await plane.access.first_token()
    assert token is not None
    assert token.startswith("ida_")
    assert await plane.access.first_token() is None
    assert list(plane.fleet.state.tokens) == [hashed(token)]
    assert token not in repr(plane.fleet.state)
    who = await plane.access.principal(token)
    assert who is not None
    assert (who.name, who.permissions) == ("administrator", EVERYTHING)
    assert all(who.may(permission) for permission in Permission)


async def test_a_reset_makes_all_earlier_tokens_worthless(plane: ControlPlane) -> None:
    first = await plane.access.first_token()
    second = "ida_other"
    await plane.access.adopt(hashed(second))
    assert first is not None
    assert await plane.access.principal(first) is None
    assert await plane.access.principal(second) is not None
    assert await plane.access.first_token() is None


async def test_whoever_has_another_token_is_nobody(plane: ControlPlane) -> None:
    await plane.access.first_token()
    for token in ("", "ida_", "ida_" + "0" * 43, hashed("x")):
        assert await plane.access.principal(token) is None


async def test_the_token_for_metrics_may_measure_and_nothing_else(plane: ControlPlane) -> None:
    who = await plane.access.principal(METRICS_TOKEN)
    assert who is not None
    assert [p for p in Permission if who.may(p)] == [Permission.PUBLIC, Permission.METRICS_READ]


class TestSessions:
    async def test_one_ends_within_5_s_when_its_token_is_replaced(
        self, plane: ControlPlane
    ) -> None:
        token = await plane.access.first_token()
        assert token is not None
        watching = asyncio.create_task(plane.sessions.run())
        with (
            plane.sessions.opened(hashed(token)) as session,
            plane.sessions.opened(hashed(METRICS_TOKEN)) as other,
        ):
            await plane.clock.advance(10)
            assert not session.ended.is_set()
            await plane.access.adopt(hashed("ida_other"))
            await plane.clock.advance(5)
            assert session.ended.is_set()
            assert not other.ended.is_set()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    async def test_each_token_is_looked_up_once_for_all_its_sessions(
        self, plane: ControlPlane
    ) -> None:
        token = await plane.access.first_token()
        assert token is not None
        sessions = [plane.sessions.opened(hashed(token)) for _ in range(10)]
        for session in sessions:
            session.__enter__()
        before = plane.fleet.reach.calls
        await plane.sessions._look()
        assert plane.fleet.reach.calls == before + 1
        for session in sessions:
            session.__exit__(None, None, None)
        await plane.sessions._look()
        assert plane.fleet.reach.calls == before + 1

    async def test_a_database_that_fails_ends_nothing_and_is_said(
        self, plane: ControlPlane, caplog: pytest.LogCaptureFixture
    ) -> None:
        token = await plane.access.first_token()
        assert token is not None
        with plane.sessions.opened(hashed(token)) as session:
            plane.fleet.reach.failure = StorageUnavailable("the disk is gone")
            with caplog.at_level(logging.WARNING):
                await plane.sessions._look()
            assert not session.ended.is_set()
            assert "the disk is gone" in caplog.text

    async def test_when_the_program_stops_all_end_and_so_do_those_to_come(
        self, plane: ControlPlane
    ) -> None:
        with plane.sessions.opened("a") as session:
            plane.sessions.end_all()
            assert session.ended.is_set()
            with plane.sessions.opened("b") as late:
                assert late.ended.is_set()
        await settle()


async def test_a_good_token_is_not_looked_up_for_each_request(plane: ControlPlane) -> None:
    token = await plane.access.first_token()
    assert token is not None
    await plane.access.principal(token)
    before = plane.fleet.reach.calls
    for _ in range(100):
        assert await plane.access.principal(token) is not None
    assert plane.fleet.reach.calls == before
    await plane.clock.advance(2)
    await plane.access.principal(token)
    assert plane.fleet.reach.calls == before + 1


async def test_a_token_that_is_not_good_is_looked_up_each_time_and_kept_nowhere(
    plane: ControlPlane,
) -> None:
    await plane.access.first_token()
    for n in range(100):
        assert await plane.access.principal(f"ida_{n}") is None
    assert vars(plane.access)["_known"] == {}
