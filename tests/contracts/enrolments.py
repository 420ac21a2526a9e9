"""What every `HostDirectory` must do of enrolments."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from domain.errors import Conflict, Forbidden, NotFound
from domain.fleet.host import EnrolmentId, HostId, HostName
from domain.fleet.labels import Labels
from domain.fleet.page import PageRequest
from tests.contracts.fleet import (
    NOW,
    Fleet,
    FleetContract,
    Reopen,
    a_host,
    a_key_host,
    an_enrolment,
    hashed,
    with_hosts,
)


class EnrolmentsContract(FleetContract):
    async def test_an_enrolment_becomes_a_host_with_its_name_and_labels(
        self, fleet: Fleet, reopen: Reopen
    ) -> None:
        enrolment = an_enrolment("Web-1", role="web")
        await fleet.hosts.add_enrolment(enrolment, hashed("token"))
        assert await fleet.hosts.enrolment_with(hashed("token")) == enrolment
        assert await fleet.hosts.enrolment_with(hashed("another")) is None
        asked = replace(a_key_host("whatever"), created_at=NOW + 5)
        host = await fleet.hosts.redeem(hashed("token"), asked, NOW + 5)
        assert host == replace(asked, name=HostName("Web-1"), labels=Labels.of({"role": "web"}))
        fleet = await reopen(fleet)
        assert await fleet.hosts.host(host.id) == host
        assert (await fleet.hosts.hosts(PageRequest(), host.labels)).items == [host]
        used = replace(enrolment, used_at=NOW + 5, host_id=host.id)
        assert (await fleet.hosts.enrolments(PageRequest())).items == [used]
        assert await fleet.hosts.enrolment_with(hashed("token")) == used

    async def test_who_did_not_hear_the_answer_is_answered_the_same_whenever_it_asks(
        self, fleet: Fleet
    ) -> None:
        await fleet.hosts.add_enrolment(an_enrolment("a"), hashed("token"))
        host = await fleet.hosts.redeem(hashed("token"), a_key_host("a"), NOW)
        again = replace(a_key_host("a"), id=HostId("another"), created_at=NOW + 9)
        assert await fleet.hosts.redeem(hashed("token"), again, NOW + 10**6) == host
        assert (await fleet.hosts.hosts(PageRequest())).items == [host]
        revoked = (await fleet.hosts.revoke(host.id, NOW + 1)).host
        assert await fleet.hosts.redeem(hashed("token"), again, NOW + 10**6) == revoked

    async def test_a_token_that_is_good_for_nothing_is_refused_in_one_sentence(
        self, fleet: Fleet
    ) -> None:
        await fleet.hosts.add_enrolment(an_enrolment("used"), hashed("used"))
        await fleet.hosts.redeem(hashed("used"), a_key_host("used"), NOW)
        await fleet.hosts.add_enrolment(an_enrolment("late"), hashed("late"))
        withdrawn = an_enrolment("withdrawn")
        await fleet.hosts.add_enrolment(withdrawn, hashed("withdrawn"))
        await fleet.hosts.withdraw(withdrawn.id)
        sentences = set()
        for token, at in (("used", 0), ("late", 600), ("withdrawn", 0), ("unknown", 0)):
            with pytest.raises(Forbidden) as refusal:
                await fleet.hosts.redeem(hashed(token), a_key_host("thief"), NOW + at)
            sentences.add(str(refusal.value))
        assert len(sentences) == 1
        listed = (await fleet.hosts.hosts(PageRequest())).items
        assert [host.name.value for host in listed] == ["used"]

    async def test_of_those_who_come_together_one_becomes_the_host(self, fleet: Fleet) -> None:
        await fleet.hosts.add_enrolment(an_enrolment("a"), hashed("token"))
        outcomes = await asyncio.gather(
            *(fleet.hosts.redeem(hashed("token"), a_key_host(f"h{n}"), NOW) for n in range(8)),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Forbidden"] * 7 + [
            "Host"
        ]

    async def test_a_key_is_of_one_host_for_ever(self, fleet: Fleet) -> None:
        for name in ("a", "b"):
            await fleet.hosts.add_enrolment(an_enrolment(name), hashed(name))
        host = await fleet.hosts.redeem(hashed("a"), a_key_host("a"), NOW)
        same_key = replace(a_key_host("b"), public_key=host.public_key)
        with pytest.raises(Conflict):
            await fleet.hosts.redeem(hashed("b"), same_key, NOW)
        await fleet.hosts.revoke(host.id, NOW)
        with pytest.raises(Conflict):
            await fleet.hosts.redeem(hashed("b"), same_key, NOW)
        await fleet.hosts.redeem(hashed("b"), a_key_host("b"), NOW)

    async def test_a_name_that_is_taken_or_promised_is_not_promised(self, fleet: Fleet) -> None:
        await with_hosts(fleet, "host")
        await fleet.hosts.add_enrolment(an_enrolment("promised"), hashed("1"))
        for name in ("host", "HOST", "Promised"):
            with pytest.raises(Conflict):
                await fleet.hosts.add_enrolment(an_enrolment(name, at=NOW + 599), hashed("2"))
        await fleet.hosts.add_enrolment(an_enrolment("Promised", at=NOW + 600), hashed("3"))

    async def test_a_name_is_promised_again_after_a_withdrawal(self, fleet: Fleet) -> None:
        enrolment = an_enrolment("a")
        await fleet.hosts.add_enrolment(enrolment, hashed("1"))
        await fleet.hosts.withdraw(enrolment.id)
        again = an_enrolment("a", at=NOW + 1)
        await fleet.hosts.add_enrolment(again, hashed("2"))
        withdrawn = replace(enrolment, is_withdrawn=True)
        assert (await fleet.hosts.enrolments(PageRequest())).items == [again, withdrawn]

    async def test_a_name_that_was_taken_since_is_not_given_and_the_token_stays_good(
        self, fleet: Fleet
    ) -> None:
        await fleet.hosts.add_enrolment(an_enrolment("a"), hashed("token"))
        taken = a_host("A")
        await fleet.hosts.add(taken, hashed("a"))
        with pytest.raises(Conflict):
            await fleet.hosts.redeem(hashed("token"), a_key_host("key"), NOW)
        await fleet.hosts.revoke(taken.id, NOW)
        host = await fleet.hosts.redeem(hashed("token"), a_key_host("key"), NOW)
        assert await fleet.hosts.named("a") == host

    async def test_an_unused_one_is_withdrawn_and_a_used_one_is_not(self, fleet: Fleet) -> None:
        unused, used = an_enrolment("a"), an_enrolment("b")
        await fleet.hosts.add_enrolment(unused, hashed("1"))
        await fleet.hosts.add_enrolment(used, hashed("2"))
        await fleet.hosts.redeem(hashed("2"), a_key_host("b"), NOW)
        await fleet.hosts.withdraw(unused.id)
        await fleet.hosts.withdraw(unused.id)
        with pytest.raises(Conflict):
            await fleet.hosts.withdraw(used.id)
        with pytest.raises(NotFound):
            await fleet.hosts.withdraw(EnrolmentId("none"))
        listed = (await fleet.hosts.enrolments(PageRequest())).items
        assert listed[1] == replace(unused, is_withdrawn=True)

    async def test_the_newest_come_first_a_page_at_a_time(self, fleet: Fleet) -> None:
        all_of_them = [an_enrolment(f"h{n}", at=NOW - n) for n in range(5)]
        for enrolment in all_of_them:
            await fleet.hosts.add_enrolment(enrolment, hashed(enrolment.id))
        page = await fleet.hosts.enrolments(PageRequest(3))
        assert list(page.items) == all_of_them[:1:-1]
        page = await fleet.hosts.enrolments(PageRequest(3, page.next or "none"))
        assert list(page.items) == all_of_them[1::-1]
        assert page.next is None

    async def test_an_id_and_a_token_are_of_one_enrolment(self, fleet: Fleet) -> None:
        enrolment = an_enrolment("a")
        await fleet.hosts.add_enrolment(enrolment, hashed("1"))
        with pytest.raises(Conflict):
            await fleet.hosts.add_enrolment(replace(enrolment, name=HostName("b")), hashed("2"))
        with pytest.raises(Conflict):
            await fleet.hosts.add_enrolment(an_enrolment("b"), hashed("1"))

    async def test_what_nobody_can_use_any_more_is_forgotten_and_its_host_stays(
        self, fleet: Fleet, reopen: Reopen
    ) -> None:
        made = [an_enrolment(name, at=NOW + n) for n, name in enumerate("abcd")]
        for enrolment in made:
            await fleet.hosts.add_enrolment(enrolment, hashed(enrolment.name.value))
        host = await fleet.hosts.redeem(hashed("a"), a_key_host("a"), NOW + 1)
        await fleet.hosts.withdraw(made[1].id)
        assert await fleet.hosts.forget_enrolments(NOW + 600, 10) == 0
        assert await fleet.hosts.forget_enrolments(NOW + 603, 2) == 2
        assert await fleet.hosts.forget_enrolments(NOW + 603, 2) == 1
        assert await fleet.hosts.forget_enrolments(NOW + 603, 2) == 0
        fleet = await reopen(fleet)
        assert (await fleet.hosts.enrolments(PageRequest())).items == [made[3]]
        assert await fleet.hosts.host(host.id) == host
        for token in "abc":
            with pytest.raises(Forbidden):
                await fleet.hosts.redeem(hashed(token), a_key_host(token), NOW + 2)
        with pytest.raises(NotFound):
            await fleet.hosts.withdraw(made[1].id)
        assert (await fleet.hosts.redeem(hashed("d"), a_key_host("d"), NOW + 3)).name == made[
            3
        ].name
