"""Tokens of the API, and the requests that end with them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from application.ports.people import UserChange
from domain.errors import StorageUnavailable
from domain.fleet.access import Grant, Permission, Principal, Role
from domain.fleet.labels import Labels
from domain.fleet.people import TokenId
from tests.contracts.fleet import hashed
from tests.fakes.clock import settle
from tests.support.control_plane_parts import ADMIN, BY, METRICS_TOKEN, NOTED, ControlPlane

PROD = Labels.of({"env": "prod"})


@pytest.fixture
async def plane() -> ControlPlane:
    plane = ControlPlane()
    await plane.with_administrator()
    return plane


async def known(plane: ControlPlane, token: str) -> Principal:
    found = await plane.access.principal(token)
    assert found is not None
    return found


async def test_a_reset_makes_all_earlier_tokens_worthless(plane: ControlPlane) -> None:
    assert (await known(plane, ADMIN)).name == "administrator"
    await plane.access.adopt(hashed("ida_other"))
    assert await plane.access.principal(ADMIN) is None
    who = await known(plane, "ida_other")
    assert all(who.may_everywhere(permission) for permission in Permission)
    assert [entry.noted.action for entry in plane.fleet.state.trail] == ["token.reset"] * 2


async def test_whoever_has_another_token_is_nobody(plane: ControlPlane) -> None:
    for token in ("", "ida_", "ida_" + "0" * 43, hashed("x")):
        assert await plane.access.principal(token) is None


async def test_the_token_for_metrics_may_measure_and_nothing_else(plane: ControlPlane) -> None:
    who = await known(plane, METRICS_TOKEN)
    assert [p for p in Permission if who.may(p)] == [Permission.PUBLIC, Permission.METRICS_READ]


async def test_a_token_is_good_for_what_its_user_may_and_not_for_more_than_it_says(
    plane: ControlPlane,
) -> None:
    deployer = Grant(Role.DEPLOYER, PROD)
    all_of_it = await known(plane, await plane.add_user("ann", deployer, Grant(Role.VIEWER)))
    assert all_of_it.may(Permission.DEPLOYMENTS_WRITE)
    assert not all_of_it.may_everywhere(Permission.DEPLOYMENTS_WRITE)
    assert all_of_it.may_everywhere(Permission.JOBS_READ)
    less = await known(plane, await plane.add_user("bob", deployer, scope=Grant(Role.VIEWER)))
    assert not less.may(Permission.DEPLOYMENTS_WRITE)
    assert less.reach(Permission.JOBS_READ).alternatives == (PROD,)
    more = Grant(Role.ADMIN, Labels.of({"team": "a"}))
    narrowed = await known(plane, await plane.add_user("cyd", deployer, scope=more))
    assert narrowed.reach(Permission.DEPLOYMENTS_WRITE).alternatives == (
        Labels.of({"env": "prod", "team": "a"}),
    )
    assert not narrowed.may(Permission.HOSTS_WRITE)
    nothing = Grant(Role.ADMIN, Labels.of({"env": "staging"}))
    nobody = await known(plane, await plane.add_user("dan", deployer, scope=nothing))
    assert not any(nobody.may(permission) for permission in Permission)


async def test_a_token_whose_time_is_over_or_whose_user_is_disabled_is_none(
    plane: ControlPlane,
) -> None:
    token = await plane.add_user("ann", Grant(Role.VIEWER))
    ann = await known(plane, token)
    made = await plane.api_tokens.create("ci", ann, expires_in_s=60)
    assert await plane.access.principal(made.token) is not None
    await plane.clock.advance(59)
    assert await plane.access.principal(made.token) is not None
    await plane.clock.advance(1)
    await plane.clock.advance(2)
    assert await plane.access.principal(made.token) is None
    user = await plane.users.show("ann")
    await plane.fleet.people.change_user(user.id, UserChange(is_disabled=True), NOTED)
    plane.access.forget()
    assert await plane.access.principal(token) is None


async def test_when_a_token_was_used_is_written_down_now_and_then(plane: ControlPlane) -> None:
    token = await plane.add_user("ann", Grant(Role.VIEWER))
    who = await known(plane, token)
    writing = asyncio.create_task(plane.access.run())
    before = plane.clock.now().timestamp()
    await plane.clock.advance(61)
    found = (await plane.fleet.people.token(TokenId(who.token_id))).token
    assert found.last_used_at == pytest.approx(before, abs=1)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)


class TestSessions:
    async def test_one_ends_within_5_s_when_its_token_is_worth_nothing(
        self, plane: ControlPlane
    ) -> None:
        token = await plane.add_user("ann", Grant(Role.VIEWER))
        watching = asyncio.create_task(plane.sessions.run())
        ann, metrics = await known(plane, token), await known(plane, METRICS_TOKEN)
        with plane.sessions.opened(ann) as session, plane.sessions.opened(metrics) as other:
            await plane.clock.advance(10)
            assert not session.ended.is_set()
            await plane.api_tokens.revoke(ann.token_id, await known(plane, ADMIN))
            await plane.clock.advance(5)
            assert session.ended.is_set()
            assert not other.ended.is_set()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    @pytest.mark.parametrize("way", ["disabled", "removed", "less", "other hosts"])
    async def test_one_ends_within_5_s_when_its_user_may_not_do_the_same_any_more(
        self, plane: ControlPlane, way: str
    ) -> None:
        ann = await known(plane, await plane.add_user("ann", Grant(Role.DEPLOYER)))
        watching = asyncio.create_task(plane.sessions.run())
        with plane.sessions.opened(ann) as session:
            match way:
                case "disabled":
                    await plane.users.change("ann", BY, is_disabled=True)
                case "removed":
                    await plane.users.remove("ann", BY)
                case "less":
                    await plane.users.change("ann", BY, grants=[Grant(Role.VIEWER)])
                case _:
                    await plane.users.change("ann", BY, grants=[Grant(Role.DEPLOYER, PROD)])
            await plane.clock.advance(5)
            assert session.ended.is_set()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    async def test_each_token_is_looked_up_once_for_all_its_sessions(
        self, plane: ControlPlane
    ) -> None:
        who = await known(plane, ADMIN)
        sessions = [plane.sessions.opened(who) for _ in range(10)]
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
        with plane.sessions.opened(await known(plane, ADMIN)) as session:
            plane.fleet.reach.failure = StorageUnavailable("the disk is gone")
            with caplog.at_level(logging.WARNING):
                await plane.sessions._look()
            assert not session.ended.is_set()
            assert "the disk is gone" in caplog.text

    async def test_when_the_program_stops_all_end_and_so_do_those_to_come(
        self, plane: ControlPlane
    ) -> None:
        with plane.sessions.opened(BY) as session:
            plane.sessions.end_all()
            assert session.ended.is_set()
            with plane.sessions.opened(BY) as late:
                assert late.ended.is_set()
        await settle()


async def test_a_good_token_is_not_looked_up_for_each_request(plane: ControlPlane) -> None:
    await plane.access.principal(ADMIN)
    before = plane.fleet.reach.calls
    for _ in range(100):
        assert await plane.access.principal(ADMIN) is not None
    assert plane.fleet.reach.calls == before
    await plane.clock.advance(2)
    await plane.access.principal(ADMIN)
    assert plane.fleet.reach.calls == before + 1


async def test_a_token_that_is_not_good_is_looked_up_each_time_and_kept_nowhere(
    plane: ControlPlane,
) -> None:
    for n in range(100):
        assert await plane.access.principal(f"ida_{n}") is None
    assert vars(plane.access)["_known"] == {}
