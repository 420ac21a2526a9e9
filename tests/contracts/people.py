"""What every `People` and every `AuditTrail` must do."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from application.ports.audit_trail import AuditQuery
from application.ports.people import KnownToken, UserChange
from domain.errors import Conflict, NotFound, Unproven
from domain.fleet.access import Grant, Role
from domain.fleet.audit import GENESIS, Noted, document_of, verified
from domain.fleet.labels import Labels
from domain.fleet.link_state import Heard
from domain.fleet.page import PageRequest
from domain.fleet.people import AccessToken, TokenId, TokenKind, User, UserId, UserName
from tests.contracts.fleet import (
    NOW,
    Fleet,
    FleetContract,
    a_host,
    a_job,
    accept,
    hashed,
    result,
    with_hosts,
    with_jobs,
)

ALL = (Grant(Role.ADMIN),)


def a_user(name: str, *grants: Grant) -> User:
    return User(UserId(f"user_{name}"), UserName(name), grants or ALL, NOW)


def a_token(
    name: str, user: User, kind: TokenKind = TokenKind.API, expires_at: float | None = None
) -> AccessToken:
    return AccessToken(TokenId(f"tok_{name}"), user.id, name, kind, NOW, expires_at=expires_at)


def noted(action: str, at: float = NOW) -> Noted:
    return Noted(at=at, user="ann", action=action, address="192.0.2.7", detail={"n": 1.5})


ANN = a_user("Ann")
BOB = a_user("bob", Grant(Role.VIEWER, Labels.of({"env": "prod"})))


async def set_up(fleet: Fleet) -> None:
    token = a_token("first", ANN, TokenKind.SESSION)
    assert await fleet.people.set_up(ANN, "hash of ann", token, hashed("first"), noted("setup"))


async def actions(fleet: Fleet) -> list[str]:
    return [entry.noted.action for entry in await fleet.audit.after(0, 100)]


class PeopleContract(FleetContract):
    async def test_the_first_user_is_made_once_for_ever(self, fleet: Fleet) -> None:
        assert not await fleet.people.is_set_up()
        await set_up(fleet)
        assert await fleet.people.is_set_up()
        again = a_token("second", BOB)
        second = await fleet.people.set_up(BOB, "x", again, hashed("second"), noted("setup"))
        assert not second
        assert await fleet.people.token_with(hashed("second")) is None
        assert await actions(fleet) == ["setup"]
        known = await fleet.people.token_with(hashed("first"))
        assert known is not None
        assert known.user == replace(ANN, has_password=True)
        assert known.token == a_token("first", ANN, TokenKind.SESSION)

    async def test_of_those_who_come_together_one_is_the_first(self, fleet: Fleet) -> None:
        users = [a_user(f"user{n}") for n in range(10)]
        setting_up = [
            fleet.people.set_up(user, "x", a_token(user.id, user), hashed(user.id), noted("setup"))
            for user in users
        ]
        assert sorted(await asyncio.gather(*setting_up)) == [False] * 9 + [True]

    async def test_taking_over_makes_all_other_tokens_worthless(self, fleet: Fleet) -> None:
        await set_up(fleet)
        fallen = a_user("ann", Grant(Role.ADMIN))
        token = a_token("new", fallen)
        await fleet.people.take_over(fallen, token, hashed("new"), noted("token.reset"))
        assert await fleet.people.token_with(hashed("first")) is None
        known = await fleet.people.token_with(hashed("new"))
        assert known is not None
        assert known.user.id == ANN.id
        assert not known.user.has_password
        assert await fleet.people.password_hash("ann") is None
        await fleet.people.take_over(BOB, a_token("b", BOB), hashed("b"), noted("token.reset"))
        assert await fleet.people.token_with(hashed("new")) is None
        assert (await fleet.people.user("bob")).grants == BOB.grants

    async def test_names_are_unique_whatever_their_case(self, fleet: Fleet) -> None:
        await set_up(fleet)
        with pytest.raises(Conflict, match="Ann"):
            await fleet.people.add_user(
                replace(a_user("ANN"), id=UserId("user_2")), None, noted("user.add")
            )
        await fleet.people.add_user(BOB, None, noted("user.add"))
        assert [one.name.value for one in (await fleet.people.users(PageRequest())).items] == [
            "Ann",
            "bob",
        ]
        first = await fleet.people.users(PageRequest(1))
        assert first.next is not None
        rest = await fleet.people.users(PageRequest(1, first.next))
        assert [one.id for one in rest.items] == [BOB.id]

    async def test_a_user_is_found_by_name_and_id(self, fleet: Fleet) -> None:
        await set_up(fleet)
        for name in ("Ann", "ann", "ANN", ANN.id):
            assert (await fleet.people.user(name)).id == ANN.id
        with pytest.raises(NotFound):
            await fleet.people.user("nobody")

    async def test_a_password_is_known_by_its_hash(self, fleet: Fleet) -> None:
        await set_up(fleet)
        found = await fleet.people.password_hash("ANN")
        assert found is not None
        assert found[1] == "hash of ann"
        await fleet.people.add_user(BOB, None, noted("user.add"))
        assert await fleet.people.password_hash("bob") is None
        assert await fleet.people.password_hash("nobody") is None

    async def test_another_password_ends_sessions_and_no_token_for_programs(
        self, fleet: Fleet
    ) -> None:
        await set_up(fleet)
        await fleet.people.add_token(
            a_token("ci", ANN), hashed("ci"), 10, noted("token.add"), hashed("first")
        )
        changed = await fleet.people.change_user(
            ANN.id, UserChange(password_hash="other"), noted("user.change")
        )
        assert changed.has_password
        assert await fleet.people.token_with(hashed("first")) is None
        assert await fleet.people.token_with(hashed("ci")) is not None
        found = await fleet.people.password_hash("ann")
        assert found is not None
        assert found[1] == "other"

    async def test_the_last_who_may_do_everything_stays(self, fleet: Fleet) -> None:
        await set_up(fleet)
        await fleet.people.add_user(BOB, None, noted("user.add"))
        before = await actions(fleet)
        for change in (
            UserChange(is_disabled=True),
            UserChange(grants=()),
            UserChange(grants=(Grant(Role.ADMIN, Labels.of({"env": "prod"})),)),
        ):
            with pytest.raises(Conflict, match="nobody would be left"):
                await fleet.people.change_user(ANN.id, change, noted("user.change"))
        with pytest.raises(Conflict, match="nobody would be left"):
            await fleet.people.remove_user(ANN.id, noted("user.remove"))
        assert await actions(fleet) == before
        assert (await fleet.people.user("ann")).grants == ALL
        await fleet.people.change_user(BOB.id, UserChange(grants=ALL), noted("user.change"))
        await fleet.people.remove_user(ANN.id, noted("user.remove"))

    async def test_who_is_removed_has_no_token_and_leaves_the_name(self, fleet: Fleet) -> None:
        await set_up(fleet)
        await fleet.people.add_user(BOB, "hash", noted("user.add"))
        await fleet.people.add_token(
            a_token("b", BOB), hashed("b"), 10, noted("token.add"), hashed("first")
        )
        await fleet.people.remove_user(BOB.id, noted("user.remove"))
        assert await fleet.people.token_with(hashed("b")) is None
        assert await fleet.people.password_hash("bob") is None
        with pytest.raises(NotFound):
            await fleet.people.user(BOB.id)
        with pytest.raises(NotFound):
            await fleet.people.add_token(
                a_token("c", BOB), hashed("c"), 10, noted("token.add"), hashed("first")
            )
        await fleet.people.add_user(replace(BOB, id=UserId("user_2")), None, noted("user.add"))

    async def test_a_disabled_user_is_known_as_one(self, fleet: Fleet) -> None:
        await set_up(fleet)
        await fleet.people.add_user(BOB, None, noted("user.add"))
        await fleet.people.add_token(
            a_token("b", BOB), hashed("b"), 10, noted("token.add"), hashed("first")
        )
        await fleet.people.change_user(BOB.id, UserChange(is_disabled=True), noted("user.change"))
        known = await fleet.people.token_with(hashed("b"))
        assert known is not None
        assert known.user.is_disabled

    async def test_tokens_are_listed_revoked_and_forgotten(self, fleet: Fleet) -> None:
        await set_up(fleet)
        await fleet.people.add_user(BOB, None, noted("user.add"))
        scoped = replace(
            a_token("b", BOB, expires_at=NOW + 10),
            scope=Grant(Role.VIEWER, Labels.of({"env": "prod"})),
        )
        await fleet.people.add_token(scoped, hashed("b"), 10, noted("token.add"), hashed("first"))
        assert await fleet.people.token(scoped.id) == KnownToken(scoped, BOB)
        everybodys = await fleet.people.tokens(None, PageRequest())
        assert [known.token.id for known in everybodys.items] == [scoped.id, "tok_first"]
        bobs = await fleet.people.tokens(BOB.id, PageRequest())
        assert [known.token for known in bobs.items] == [scoped]
        await fleet.people.note_used({scoped.id: NOW + 5, TokenId("tok_none"): NOW})
        assert (await fleet.people.token(scoped.id)).token.last_used_at == NOW + 5
        assert await fleet.people.forget_tokens(NOW + 10, 10) == 0
        assert await fleet.people.forget_tokens(NOW + 11, 10) == 1
        with pytest.raises(NotFound):
            await fleet.people.token(scoped.id)
        await fleet.people.revoke_token(TokenId("tok_first"), noted("token.revoke"))
        assert await fleet.people.token_with(hashed("first")) is None
        with pytest.raises(NotFound):
            await fleet.people.revoke_token(TokenId("tok_first"), noted("token.revoke"))

    @pytest.mark.parametrize("what", ["another password", "disabled", "revoked", "nothing"])
    async def test_what_was_proven_by_something_that_is_worth_nothing_now_is_not_done(
        self, fleet: Fleet, what: str
    ) -> None:
        await set_up(fleet)
        await fleet.people.add_user(BOB, "hash of bob", noted("user.add"))
        await fleet.people.add_token(
            a_token("b", BOB), hashed("b"), 10, noted("token.add"), "hash of bob"
        )
        proof = "hash of bob"
        match what:
            case "another password":
                change = UserChange(password_hash="other")
                await fleet.people.change_user(BOB.id, change, noted("user.change"))
            case "disabled":
                change = UserChange(is_disabled=True)
                await fleet.people.change_user(BOB.id, change, noted("user.change"))
            case "revoked":
                proof = hashed("b")
                await fleet.people.revoke_token(TokenId("tok_b"), noted("token.revoke"))
            case _:
                proof = "nothing"
        before = await actions(fleet)
        with pytest.raises(Unproven):
            await fleet.people.add_token(
                a_token("c", BOB, TokenKind.SESSION), hashed("c"), 10, noted("login"), proof
            )
        assert await fleet.people.token_with(hashed("c")) is None
        assert await actions(fleet) == before

    async def test_too_many_tokens_are_refused_and_too_many_sessions_end_the_oldest(
        self, fleet: Fleet
    ) -> None:
        await set_up(fleet)
        await fleet.people.add_token(
            a_token("a", ANN), hashed("a"), 1, noted("token.add"), hashed("first")
        )
        with pytest.raises(Conflict, match="revoke one first"):
            await fleet.people.add_token(
                a_token("b", ANN), hashed("b"), 1, noted("token.add"), hashed("first")
            )
        session = a_token("s", ANN, TokenKind.SESSION)
        await fleet.people.add_token(session, hashed("s"), 1, noted("login"), hashed("first"))
        assert await fleet.people.token_with(hashed("first")) is None
        assert await fleet.people.token_with(hashed("s")) is not None
        assert await fleet.people.token_with(hashed("a")) is not None


class AuditTrailContract(FleetContract):
    async def test_entries_are_chained_and_verified(self, fleet: Fleet) -> None:
        assert (await fleet.audit.head()).hash == GENESIS
        await set_up(fleet)
        await fleet.audit.note(noted("refused"))
        host = a_host("web")
        await fleet.hosts.add(host, hashed("web"), noted("host.add"))
        await fleet.hosts.revoke(host.id, NOW, noted("host.revoke"))
        entries = await fleet.audit.after(0, 100)
        assert [entry.number for entry in entries] == [1, 2, 3, 4]
        assert [entry.noted for entry in entries] == [
            noted("setup"),
            noted("refused"),
            noted("host.add"),
            noted("host.revoke"),
        ]
        documents = [document_of(entry) for entry in entries]
        assert verified(documents, await fleet.audit.head()) == []

    async def test_what_was_not_done_is_not_noted(self, fleet: Fleet) -> None:
        host = a_host("web")
        await fleet.hosts.add(host, hashed("web"), noted("host.add"))
        with pytest.raises(Conflict):
            await fleet.hosts.add(host, hashed("web"), noted("host.add"))
        await fleet.hosts.revoke(host.id, NOW, noted("host.revoke"))
        await fleet.hosts.revoke(host.id, NOW, noted("host.revoke"))
        assert await actions(fleet) == ["host.add", "host.revoke"]

    async def test_what_has_become_of_a_job_is_noted_once_with_its_hosts_name(
        self, fleet: Fleet
    ) -> None:
        (web,) = await with_hosts(fleet, "web")
        await with_jobs(fleet, a_job(1, web))
        for _ in range(2):
            await fleet.jobs.request_cancel("job-1", NOW, noted("job.cancel"))
        await with_jobs(fleet, a_job(2, web))
        await fleet.jobs.number(web.id, NOW)
        said = (accept(1, "job-2"), result(2, "job-2"))
        for _ in range(2):
            await fleet.jobs.record(Heard(web.id, NOW, said, ()))
        ends = [one.noted for one in await fleet.audit.after(0, 100) if one.noted.job_id]
        assert [(one.action, one.job_id, one.host, one.outcome) for one in ends] == [
            ("job.end", "job-1", "web", "canceled"),
            ("job.end", "job-2", "web", "succeeded"),
        ]
        assert await actions(fleet) == ["job.cancel", "job.end", "job.end"]

    async def test_those_who_come_together_are_in_one_chain(self, fleet: Fleet) -> None:
        await asyncio.gather(*(fleet.audit.note(noted(f"a{n}", NOW + n)) for n in range(50)))
        entries = await fleet.audit.after(0, 100)
        assert len(entries) == 50
        found = verified([document_of(entry) for entry in entries], await fleet.audit.head())
        assert [one for one in found if one.is_damage] == []

    async def test_it_is_read_a_page_at_a_time_and_by_what_is_asked(self, fleet: Fleet) -> None:
        for n in range(5):
            each = replace(
                noted(f"a{n % 2}"), user=f"u{n}", host="web", host_id=None, project="blog"
            )
            await fleet.audit.note(each)
        first = await fleet.audit.entries(AuditQuery(), PageRequest(3))
        assert [entry.number for entry in first.items] == [5, 4, 3]
        assert first.next is not None
        rest = await fleet.audit.entries(AuditQuery(), PageRequest(3, first.next))
        assert [entry.number for entry in rest.items] == [2, 1]
        for query, numbers in (
            (AuditQuery(user="u3"), [4]),
            (AuditQuery(action="a1"), [4, 2]),
            (AuditQuery(host="web", project="blog"), [5, 4, 3, 2, 1]),
            (AuditQuery(host="other"), []),
        ):
            found = await fleet.audit.entries(query, PageRequest())
            assert [entry.number for entry in found.items] == numbers
        assert [entry.number for entry in await fleet.audit.after(2, 2)] == [3, 4]
