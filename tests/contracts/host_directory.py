"""What every `HostDirectory` must do of hosts; of enrolments, see `enrolments`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.errors import Conflict, InvalidInput, NotFound
from domain.fleet.host import AgentReport, HostId, HostName
from domain.fleet.job import FleetJobState
from domain.fleet.labels import Labels, Selector
from domain.fleet.page import PageRequest
from tests.contracts.fleet import (
    NOW,
    Fleet,
    FleetContract,
    Reopen,
    a_host,
    a_job,
    a_key_host,
    a_submission,
    an_enrolment,
    hashed,
    say,
    states_in_feed,
    with_hosts,
    with_jobs,
)

REPORT = AgentReport(
    protocol=2,
    version="1.2.3",
    architecture="x86_64",
    hostname="web\0one\ud800",
    address="192.0.2.1",
    connected_at=NOW,
    last_seen_at=NOW + 5.25,
    facts={"load": 0.25, "engine_reachable": True, "n\0": ["\udfff", None, 2**70]},
)


class HostDirectoryContract(FleetContract):
    async def test_a_host_is_found_by_its_id_its_name_and_its_token(self, fleet: Fleet) -> None:
        host = a_host("Web-1", role="web", zone="a")
        await fleet.hosts.add(host, hashed("secret"))
        assert await fleet.hosts.host(host.id) == host
        for name in ("Web-1", "web-1", "WEB-1", host.id):
            assert await fleet.hosts.named(name) == host
        assert await fleet.hosts.with_token(hashed("secret")) == host

    async def test_what_is_not_there_is_not_found(self, fleet: Fleet) -> None:
        await with_hosts(fleet, "web-1")
        for name in ("web-2", "", "web-1\0", "\ud800", "%", "web_1"):
            with pytest.raises(NotFound):
                await fleet.hosts.host(HostId(name))
            with pytest.raises(NotFound):
                await fleet.hosts.named(name)
            assert await fleet.hosts.with_token(name) is None

    async def test_a_name_is_taken_in_whatever_case_and_so_are_an_id_and_a_token(
        self, fleet: Fleet
    ) -> None:
        (host,) = await with_hosts(fleet, "web-1")
        with pytest.raises(Conflict):
            await fleet.hosts.add(replace(a_host("other"), name=HostName("WEB-1")), hashed("x"))
        with pytest.raises(Conflict):
            await fleet.hosts.add(replace(a_host("other"), id=host.id), hashed("x"))
        assert (await fleet.hosts.hosts(PageRequest())).items == [host]

    async def test_an_id_counts_before_a_name(self, fleet: Fleet) -> None:
        (host,) = await with_hosts(fleet, "web-1")
        impostor = replace(a_host("web-2"), name=HostName("host_web-1"))
        await fleet.hosts.add(impostor, hashed("impostor"))
        assert await fleet.hosts.named("host_web-1") == host
        assert await fleet.hosts.selected(Selector.naming(["host_web-1"])) == [host]

    async def test_hosts_are_listed_by_name_a_page_at_a_time(self, fleet: Fleet) -> None:
        await with_hosts(fleet, "c", "B", "a", "d-1", "d.1", "E")
        page = await fleet.hosts.hosts(PageRequest(4))
        assert [host.name.value for host in page.items] == ["a", "B", "c", "d-1"]
        assert page.next
        page = await fleet.hosts.hosts(PageRequest(4, page.next))
        assert [host.name.value for host in page.items] == ["d.1", "E"]
        assert page.next is None

    async def test_many_are_named_at_once_also_those_that_are_revoked(self, fleet: Fleet) -> None:
        one, other = await with_hosts(fleet, "web-1", "Web-2")
        many = await with_hosts(fleet, *(f"n-{number}" for number in range(600)))
        await fleet.hosts.revoke(other.id, NOW)
        ids = [one.id, other.id, HostId("host_unknown"), *(host.id for host in many)]
        names = await fleet.hosts.names(ids)
        assert names == {host.id: host.name.value for host in (one, other, *many)}
        assert await fleet.hosts.names([]) == {}

    async def test_a_page_that_is_full_at_the_end_is_the_last_one(self, fleet: Fleet) -> None:
        await with_hosts(fleet, "a", "b")
        page = await fleet.hosts.hosts(PageRequest(2))
        assert (len(page.items), page.next) == (2, None)

    @pytest.mark.parametrize("after", ["nonsense", "\0", "~", "-1", "9" * 40, "\ud800"])
    async def test_a_page_behind_what_never_was_one_is_refused(
        self, fleet: Fleet, after: str
    ) -> None:
        with pytest.raises(InvalidInput):
            await fleet.hosts.hosts(PageRequest(1, after))
        with pytest.raises(InvalidInput):
            await fleet.hosts.enrolments(PageRequest(1, after))

    async def test_hosts_are_listed_by_all_of_their_labels(self, fleet: Fleet) -> None:
        for host in (
            a_host("a", role="web", zone="1"),
            a_host("b", role="web", zone="2"),
            a_host("c", role="db", zone="1"),
            a_host("d"),
        ):
            await fleet.hosts.add(host, hashed(host.id))
        assert await self._named_by(fleet, role="web") == ["a", "b"]
        assert await self._named_by(fleet, role="web", zone="1") == ["a"]
        assert await self._named_by(fleet, zone="1") == ["a", "c"]
        assert await self._named_by(fleet, role="1") == []
        assert await self._named_by(fleet) == ["a", "b", "c", "d"]
        page = await fleet.hosts.hosts(PageRequest(1), Labels.of({"role": "web"}))
        page = await fleet.hosts.hosts(PageRequest(1, page.next or ""), Labels.of({"role": "web"}))
        assert ([host.name.value for host in page.items], page.next) == (["b"], None)

    async def test_labels_are_replaced(self, fleet: Fleet) -> None:
        host = a_host("a", role="web", zone="1")
        await fleet.hosts.add(host, hashed("a"))
        labels = Labels.of({"role": "db", "empty": ""})
        changed = await fleet.hosts.change(host.id, labels=labels)
        assert changed == replace(host, labels=labels)
        assert await fleet.hosts.host(host.id) == changed
        assert await self._named_by(fleet, role="web") == []
        assert await self._named_by(fleet, zone="1") == []
        assert await self._named_by(fleet, role="db", empty="") == ["a"]
        with pytest.raises(NotFound):
            await fleet.hosts.change(HostId("none"), labels=labels)

    async def test_a_selector_means_hosts_in_the_order_in_which_it_names_them_each_once(
        self, fleet: Fleet
    ) -> None:
        a, b, c = await with_hosts(fleet, "a", "b", "c")
        selector = Selector.naming(["C", a.id, "c", "A", b.id])
        assert await fleet.hosts.selected(selector) == [c, a, b]

    async def test_a_selector_that_names_what_is_not_there_says_what(self, fleet: Fleet) -> None:
        await with_hosts(fleet, "a", "b")
        with pytest.raises(NotFound, match=r"x.*y") as failure:
            await fleet.hosts.selected(Selector.naming(["a", "x", "b", "y"]))
        assert "a," not in str(failure.value)

    async def test_a_selector_of_labels_means_hosts_by_name(self, fleet: Fleet) -> None:
        for host in (a_host("B", role="web"), a_host("a", role="web"), a_host("c")):
            await fleet.hosts.add(host, hashed(host.id))
        found = await fleet.hosts.selected(Selector(labels=Labels.of({"role": "web"})))
        assert [host.name.value for host in found] == ["a", "B"]
        with pytest.raises(NotFound):
            await fleet.hosts.selected(Selector(labels=Labels.of({"role": "db"})))

    async def test_a_host_is_renamed_unless_the_name_is_taken(self, fleet: Fleet) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        renamed = await fleet.hosts.change(a.id, name=HostName("A"))
        assert renamed == replace(a, name=HostName("A"))
        with pytest.raises(Conflict):
            await fleet.hosts.change(a.id, name=HostName("B"))
        assert await fleet.hosts.change(b.id, name=HostName("z")) == replace(b, name=HostName("z"))
        assert await fleet.hosts.change(a.id, name=HostName("b")) == await fleet.hosts.named("b")
        with pytest.raises(NotFound):
            await fleet.hosts.change(HostId("none"), name=HostName("c"))

    async def test_name_and_labels_are_changed_together_or_not_at_all(self, fleet: Fleet) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        labels = Labels.of({"role": "db"})
        with pytest.raises(Conflict):
            await fleet.hosts.change(a.id, name=b.name, labels=labels)
        assert await fleet.hosts.host(a.id) == a
        assert await self._named_by(fleet, role="db") == []
        changed = await fleet.hosts.change(a.id, name=HostName("c"), labels=labels)
        assert changed == replace(a, name=HostName("c"), labels=labels)
        assert await fleet.hosts.named("c") == changed
        assert await self._named_by(fleet, role="db") == ["c"]
        assert await fleet.hosts.change(a.id) == changed

    async def test_a_host_that_uses_a_token_gets_another_one(self, fleet: Fleet) -> None:
        (host,) = await with_hosts(fleet, "a")
        assert await fleet.hosts.set_token(host.id, hashed("new")) == host
        assert await fleet.hosts.with_token(hashed("new")) == host
        assert await fleet.hosts.with_token(hashed("a")) is None
        with pytest.raises(NotFound):
            await fleet.hosts.set_token(HostId("none"), hashed("x"))
        await fleet.hosts.add_enrolment(an_enrolment("b"), hashed("e"))
        with_key = await fleet.hosts.redeem(hashed("e"), a_key_host("b"), NOW)
        with pytest.raises(Conflict):
            await fleet.hosts.set_token(with_key.id, hashed("x"))

    async def test_a_revoked_host_is_found_by_its_id_and_stays_as_it_is(self, fleet: Fleet) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        revoked = await fleet.hosts.revoke(a.id, NOW + 1)
        assert revoked.host == replace(a, revoked_at=NOW + 1)
        assert revoked.ended == ()
        assert await fleet.hosts.host(a.id) == revoked.host
        assert await fleet.hosts.named(a.id) == revoked.host
        assert await fleet.hosts.with_token(hashed("a")) == revoked.host
        assert (await fleet.hosts.hosts(PageRequest())).items == [b]
        assert (await fleet.hosts.hosts(PageRequest(), with_revoked=True)).items == [
            revoked.host,
            b,
        ]
        for selector in (Selector.naming(["a"]), Selector.naming([a.id])):
            with pytest.raises(NotFound):
                await fleet.hosts.selected(selector)
        with pytest.raises(NotFound):
            await fleet.hosts.named("a")
        for change in (
            fleet.hosts.change(a.id, name=HostName("c")),
            fleet.hosts.change(a.id, labels=Labels()),
            fleet.hosts.set_token(a.id, hashed("new")),
        ):
            with pytest.raises(Conflict):
                await change
        assert (await fleet.hosts.revoke(a.id, NOW + 9)).host == revoked.host
        assert await fleet.hosts.host(a.id) == revoked.host
        with pytest.raises(NotFound):
            await fleet.hosts.revoke(HostId("none"), NOW)

    async def test_the_name_of_a_revoked_host_is_free_and_its_token_is_not(
        self, fleet: Fleet
    ) -> None:
        (a,) = await with_hosts(fleet, "a")
        await fleet.hosts.revoke(a.id, NOW)
        second = replace(a, id=HostId("host_second"))
        with pytest.raises(Conflict):
            await fleet.hosts.add(second, hashed("a"))
        await fleet.hosts.add(second, hashed("second"))
        assert await fleet.hosts.named("a") == second
        listed = await fleet.hosts.hosts(PageRequest(1), with_revoked=True)
        assert [host.id for host in listed.items] == [a.id]
        listed = await fleet.hosts.hosts(PageRequest(1, listed.next or ""), with_revoked=True)
        assert [host.id for host in listed.items] == [second.id]

    async def test_revoking_ends_what_is_not_over(self, fleet: Fleet) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        await with_jobs(fleet, a_job(1, a), a_job(2, a, "STATUS"), a_job(3, b), a_job(4, a))
        await fleet.jobs.end("job-2", FleetJobState.FAILED, NOW, reason="other", error="it")
        await fleet.jobs.number(a.id, NOW)
        revoked = await fleet.hosts.revoke(a.id, NOW + 1)
        assert revoked.ended == ("job-4",)
        job = await fleet.jobs.job("job-4")
        assert (job.state, job.reason, job.finished_at) == (
            FleetJobState.FAILED,
            "revoked",
            NOW + 1,
        )
        assert job.error
        assert (await states_in_feed(fleet, "job-4"))[-1] is FleetJobState.FAILED
        assert (await fleet.jobs.job("job-2")).reason == "other"
        assert not (await fleet.jobs.job("job-3")).is_over
        assert (await fleet.jobs.number(a.id, NOW)).said == ()
        with pytest.raises(NotFound):
            await fleet.jobs.submit(a_submission(a_job(5, a)))
        assert (await fleet.hosts.revoke(a.id, NOW + 2)).ended == ()
        recorded = await say(fleet, a, running=["job-4"])
        assert recorded.changed == ()

    async def test_a_suspicion_is_noted_and_settled(self, fleet: Fleet) -> None:
        (a,) = await with_hosts(fleet, "a")
        await fleet.hosts.suspect_clone(a.id, NOW)
        assert await fleet.hosts.host(a.id) == replace(a, clone_suspected_at=NOW)
        await fleet.hosts.suspect_clone(a.id, None)
        assert await fleet.hosts.host(a.id) == a
        with pytest.raises(NotFound):
            await fleet.hosts.suspect_clone(HostId("none"), NOW)

    async def test_reports_of_many_are_kept_as_they_are(self, fleet: Fleet, reopen: Reopen) -> None:
        a, b = await with_hosts(fleet, "a", "b")
        later = replace(REPORT, protocol=1, facts={})
        await fleet.hosts.note_reports({})
        await fleet.hosts.note_reports({a.id: REPORT, HostId("none"): REPORT, b.id: later})
        fleet = await reopen(fleet)
        assert await fleet.hosts.host(a.id) == replace(a, report=REPORT)
        assert await fleet.hosts.host(b.id) == replace(b, report=later)
        await fleet.hosts.note_reports({a.id: later})
        assert (await fleet.hosts.hosts(PageRequest())).items == [
            replace(a, report=later),
            replace(b, report=later),
        ]

    async def _named_by(self, fleet: Fleet, **labels: str) -> list[str]:
        page = await fleet.hosts.hosts(PageRequest(), Labels.of(labels))
        return [host.name.value for host in page.items]
