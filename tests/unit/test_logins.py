"""Setting the control plane up, logging in, and how often either may be got wrong."""

from __future__ import annotations

import asyncio

import pytest

from domain.errors import Conflict, InvalidInput, TooManyAttempts, Unproven
from domain.fleet.access import Grant, Permission, Role
from domain.fleet.people import SESSION_S, UserName
from tests.contracts.password_hasher import PasswordHasherContract
from tests.support.control_plane_parts import BY, ControlPlane, PlainPasswords

HERE, THERE = "192.0.2.7", "198.51.100.9"
PASSWORD = "correct horse battery"


@pytest.fixture
def plane() -> ControlPlane:
    return ControlPlane()


async def with_ann(plane: ControlPlane) -> None:
    await plane.with_administrator()
    await plane.users.add(UserName("ann"), [Grant(Role.DEPLOYER)], PASSWORD, BY)


class TestPlainPasswords(PasswordHasherContract):
    @pytest.fixture
    def passwords(self) -> PlainPasswords:
        return PlainPasswords()


class TestSetUp:
    async def test_the_first_user_may_do_everything_and_is_logged_in(
        self, plane: ControlPlane
    ) -> None:
        code = plane.logins.new_code()
        login = await plane.logins.set_up(code, UserName("ann"), PASSWORD, HERE)
        who = await plane.access.principal(login.token)
        assert who is not None
        assert all(who.may_everywhere(permission) for permission in Permission)
        assert PASSWORD not in repr(plane.fleet.state)
        assert login.token not in repr(plane.fleet.state)
        assert login.token not in repr(login)

    async def test_it_is_closed_for_ever_then_also_with_another_code(
        self, plane: ControlPlane
    ) -> None:
        code = plane.logins.new_code()
        await plane.logins.set_up(code, UserName("ann"), PASSWORD, HERE)
        for again in (code, plane.logins.new_code()):
            with pytest.raises(Conflict, match="over for good"):
                await plane.logins.set_up(again, UserName("eve"), PASSWORD, THERE)
        later = ControlPlane(fleet=plane.fleet)
        with pytest.raises(Conflict):
            await later.logins.set_up(later.logins.new_code(), UserName("eve"), PASSWORD, HERE)

    async def test_it_is_closed_where_somebody_has_made_a_token_on_the_machine(
        self, plane: ControlPlane
    ) -> None:
        code = plane.logins.new_code()
        await plane.with_administrator()
        with pytest.raises(Conflict):
            await plane.logins.set_up(code, UserName("eve"), PASSWORD, HERE)

    async def test_without_a_code_nobody_gets_in(self, plane: ControlPlane) -> None:
        for code in ("", "ids_", "ids_x"):
            with pytest.raises(Unproven, match="code"):
                await plane.logins.set_up(code, UserName("eve"), PASSWORD, HERE)

    async def test_an_earlier_code_is_worth_nothing(self, plane: ControlPlane) -> None:
        first = plane.logins.new_code()
        plane.logins.new_code()
        with pytest.raises(Unproven):
            await plane.logins.set_up(first, UserName("eve"), PASSWORD, HERE)

    async def test_a_password_that_is_too_short_leaves_it_open(self, plane: ControlPlane) -> None:
        code = plane.logins.new_code()
        with pytest.raises(InvalidInput, match="12 to 256"):
            await plane.logins.set_up(code, UserName("ann"), "short", HERE)
        assert await plane.access.is_new()
        await plane.logins.set_up(code, UserName("ann"), PASSWORD, HERE)

    async def test_codes_cannot_be_tried_for_ever_and_not_everywhere_at_once(
        self, plane: ControlPlane
    ) -> None:
        code = plane.logins.new_code()
        for _ in range(20):
            with pytest.raises(Unproven):
                await plane.logins.set_up("ids_x", UserName("eve"), PASSWORD, THERE)
        with pytest.raises(TooManyAttempts):
            await plane.logins.set_up(code, UserName("eve"), PASSWORD, THERE)
        await plane.logins.set_up(code, UserName("ann"), PASSWORD, HERE)


class TestLogin:
    async def test_the_right_password_gives_a_token_for_some_hours(
        self, plane: ControlPlane
    ) -> None:
        await with_ann(plane)
        login = await plane.logins.log_in("ANN", PASSWORD, HERE)
        assert await plane.access.principal(login.token) is not None
        await plane.clock.advance(SESSION_S)
        await plane.clock.advance(3)
        assert await plane.access.principal(login.token) is None

    @pytest.mark.parametrize(
        ("name", "password"), [("ann", "wrong"), ("nobody", PASSWORD), ("ann", ""), ("", "")]
    )
    async def test_what_is_wrong_is_not_said(
        self, plane: ControlPlane, name: str, password: str
    ) -> None:
        await with_ann(plane)
        with pytest.raises(Unproven) as refused:
            await plane.logins.log_in(name, password, HERE)
        assert str(refused.value) == "the name or the password is not right"
        assert plane.fleet.state.trail[-1].noted.outcome == "refused"
        assert password not in repr(plane.fleet.state.trail[-1]) or not password

    async def test_a_disabled_user_does_not_get_in(self, plane: ControlPlane) -> None:
        await with_ann(plane)
        await plane.users.change("ann", BY, is_disabled=True)
        with pytest.raises(Unproven):
            await plane.logins.log_in("ann", PASSWORD, HERE)

    async def test_whoever_guesses_is_held_up_and_nobody_else(self, plane: ControlPlane) -> None:
        await with_ann(plane)
        await plane.logins.log_in("ann", PASSWORD, HERE)
        for _ in range(20):
            with pytest.raises(Unproven):
                await plane.logins.log_in("ann", "wrong", THERE)
        with pytest.raises(TooManyAttempts) as refused:
            await plane.logins.log_in("ann", PASSWORD, THERE)
        assert refused.value.wait_s > 0
        await plane.logins.log_in("ann", PASSWORD, HERE)
        await plane.clock.advance(refused.value.wait_s)
        await plane.logins.log_in("ann", PASSWORD, THERE)

    async def test_many_guesses_at_once_are_as_many_as_one_after_the_other(
        self, plane: ControlPlane
    ) -> None:
        await with_ann(plane)
        looked_at = 0
        is_right = plane.passwords.is_right

        async def counting(password: str, password_hash: str | None, *, is_stranger: bool) -> bool:
            nonlocal looked_at
            looked_at += 1
            await asyncio.sleep(0)
            return await is_right(password, password_hash, is_stranger=is_stranger)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plane.passwords, "is_right", counting)
            guesses = [plane.logins.log_in("ann", f"wrong {n}", THERE) for n in range(200)]
            found = await asyncio.gather(*guesses, return_exceptions=True)
        assert looked_at == 20
        assert sum(isinstance(one, TooManyAttempts) for one in found) == 180

    async def test_who_was_there_before_is_no_stranger_there(self, plane: ControlPlane) -> None:
        await with_ann(plane)
        passwords = plane.passwords
        for address, strangers in ((THERE, 1), (THERE, 1), ("203.0.113.77", 2), (THERE, 2)):
            await plane.logins.log_in("ann", PASSWORD, address)
            assert passwords.strangers == strangers

    async def test_who_is_right_again_and_again_is_never_held_up(self, plane: ControlPlane) -> None:
        await with_ann(plane)
        for _ in range(100):
            await plane.logins.log_in("ann", PASSWORD, THERE)

    async def test_a_login_under_way_does_not_survive_another_password(
        self, plane: ControlPlane
    ) -> None:
        await with_ann(plane)
        begun, go_on = asyncio.Event(), asyncio.Event()
        is_right = plane.passwords.is_right

        async def held(password: str, password_hash: str | None, *, is_stranger: bool) -> bool:
            begun.set()
            await go_on.wait()
            return await is_right(password, password_hash, is_stranger=is_stranger)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plane.passwords, "is_right", held)
            login = asyncio.create_task(plane.logins.log_in("ann", PASSWORD, HERE))
            await begun.wait()
            await plane.users.change("ann", BY, password="another good one")
            go_on.set()
            with pytest.raises(Unproven):
                await login

    @pytest.mark.parametrize("address", ["fe80::1%eth0", "", "::ffff:192.0.2.7", "no address"])
    async def test_any_address_can_log_in(self, plane: ControlPlane, address: str) -> None:
        await with_ann(plane)
        await plane.logins.log_in("ann", PASSWORD, address)

    async def test_guessing_from_many_places_does_not_keep_out_who_was_here_before(
        self, plane: ControlPlane
    ) -> None:
        await with_ann(plane)
        await plane.logins.log_in("ann", PASSWORD, HERE)
        for n in range(30):
            with pytest.raises(Unproven):
                await plane.logins.log_in("ann", "wrong", f"198.51.100.{n}")
        with pytest.raises(TooManyAttempts):
            await plane.logins.log_in("ann", "wrong", "198.51.100.200")
        await plane.logins.log_in("ann", PASSWORD, HERE)

    async def test_attempts_that_are_turned_away_are_not_in_the_trail(
        self, plane: ControlPlane
    ) -> None:
        await with_ann(plane)
        for _ in range(20):
            with pytest.raises(Unproven):
                await plane.logins.log_in("ann", "wrong", THERE)
        before = len(plane.fleet.state.trail)
        for _ in range(50):
            with pytest.raises(TooManyAttempts):
                await plane.logins.log_in("ann", "wrong", THERE)
        assert len(plane.fleet.state.trail) == before

    async def test_logging_out_makes_the_token_worthless(self, plane: ControlPlane) -> None:
        await with_ann(plane)
        login = await plane.logins.log_in("ann", PASSWORD, HERE)
        who = await plane.access.principal(login.token)
        assert who is not None
        await plane.logins.log_out(who)
        assert await plane.access.principal(login.token) is None

    async def test_ones_own_password_is_changed_by_who_has_the_old_one(
        self, plane: ControlPlane
    ) -> None:
        await with_ann(plane)
        login = await plane.logins.log_in("ann", PASSWORD, HERE)
        who = await plane.access.principal(login.token)
        assert who is not None
        with pytest.raises(Unproven, match="current"):
            await plane.logins.change_password(who, "wrong", "another good one")
        await plane.logins.change_password(who, PASSWORD, "another good one")
        assert await plane.access.principal(login.token) is None
        with pytest.raises(Unproven):
            await plane.logins.log_in("ann", PASSWORD, HERE)
        await plane.logins.log_in("ann", "another good one", HERE)
