"""Hosts and enrolments as operators handle them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from application.ports.host_directory import Revoked
from domain.errors import Conflict, NotFound, StorageUnavailable
from domain.fleet.abilities import Abilities, Guarantee
from domain.fleet.audit import Noted
from domain.fleet.host import AgentReport, Credential, Host, HostId, HostName
from domain.fleet.host_effects import LinkEnd
from domain.fleet.labels import NO_LABELS, Labels
from domain.fleet.page import PageRequest
from tests.contracts.fleet import a_job, a_submission, hashed
from tests.fakes.clock import EPOCH
from tests.support.control_plane_parts import BY, ControlPlane

NOW = EPOCH.timestamp()
PROD = Labels.of({"env": "prod"})


@pytest.fixture
def plane() -> ControlPlane:
    return ControlPlane()


def a_report(protocol: int, at: float = NOW) -> AgentReport:
    return AgentReport(protocol, "1.0.0", "linux-amd64", "web", "192.0.2.7", at, at, {"load": 1})


class TestEnrolments:
    async def test_one_is_good_for_its_time_and_its_token_is_kept_as_a_hash(
        self, plane: ControlPlane
    ) -> None:
        made = await plane.enrolments.create(HostName("web-1"), PROD, BY)
        enrolment = made.enrolment
        assert (enrolment.created_at, enrolment.expires_at) == (NOW, NOW + 600)
        assert (enrolment.created_by, enrolment.labels) == ("ann", PROD)
        assert made.token.startswith("ide_")
        assert made.token not in repr((made, plane.fleet.state))
        assert plane.fleet.state.enrolment_tokens == {hashed(made.token): enrolment.id}
        assert (await plane.enrolments.list(PageRequest(), BY)).items == [enrolment]

    async def test_it_is_open_until_its_time_is_over(self, plane: ControlPlane) -> None:
        made = await plane.enrolments.create(HostName("web-1"), NO_LABELS, BY)
        assert plane.enrolments.is_open(made.enrolment)
        await plane.clock.advance(600)
        assert not plane.enrolments.is_open(made.enrolment)

    async def test_one_is_withdrawn_by_its_id(self, plane: ControlPlane) -> None:
        made = await plane.enrolments.create(HostName("web-1"), NO_LABELS, BY)
        await plane.enrolments.withdraw(made.enrolment.id, BY)
        with pytest.raises(NotFound):
            await plane.enrolments.withdraw("enr_0", BY)
        await plane.enrolments.create(HostName("web-1"), NO_LABELS, BY)

    async def test_a_name_that_is_taken_is_refused(self, plane: ControlPlane) -> None:
        await plane.add_hosts("web-1")
        with pytest.raises(Conflict):
            await plane.enrolments.create(HostName("WEB-1"), NO_LABELS, BY)


class TestTokenHosts:
    async def test_one_is_known_by_its_token_alone(self, plane: ControlPlane) -> None:
        made = await plane.enrolments.add_host(HostName("old-1"), PROD, BY)
        assert made.token.startswith("idh_")
        assert made.host.credential is Credential.TOKEN
        assert await plane.fleet.hosts.with_token(hashed(made.token)) == made.host
        assert made.token not in repr((made, plane.fleet.state))

    async def test_another_token_puts_out_who_uses_the_old_one(self, plane: ControlPlane) -> None:
        first = await plane.enrolments.add_host(HostName("old-1"), PROD, BY)
        second = await plane.hosts.new_token("old-1", BY)
        assert second.token != first.token
        assert await plane.fleet.hosts.with_token(hashed(first.token)) is None
        assert await plane.fleet.hosts.with_token(hashed(second.token)) == first.host
        assert plane.links.dismissed == [(first.host.id, LinkEnd.UNPROVEN)]

    async def test_a_host_with_a_key_has_no_token(self, plane: ControlPlane) -> None:
        await plane.add_key_host("web-1")
        with pytest.raises(Conflict, match="enrol the machine again"):
            await plane.hosts.new_token("web-1", BY)

    async def test_a_revoked_host_gets_no_token(self, plane: ControlPlane) -> None:
        made = await plane.enrolments.add_host(HostName("old-1"), PROD, BY)
        await plane.hosts.revoke("old-1", BY)
        with pytest.raises(NotFound):
            await plane.hosts.new_token(made.host.id, BY)


class TestHosts:
    async def test_they_are_listed_by_name_with_their_labels(self, plane: ControlPlane) -> None:
        await plane.add_hosts("web-2", "web-1", env="prod")
        await plane.add_hosts("db-1", env="test")
        everything = await plane.hosts.list(PageRequest())
        assert [view.host.name.value for view in everything.items] == ["db-1", "web-1", "web-2"]
        first = await plane.hosts.list(PageRequest(1), PROD)
        assert [view.host.name.value for view in first.items] == ["web-1"]
        assert first.next is not None
        rest = await plane.hosts.list(PageRequest(1, first.next), PROD)
        assert [view.host.name.value for view in rest.items] == ["web-2"]

    async def test_what_an_agent_says_now_counts_before_what_the_directory_has(
        self, plane: ControlPlane
    ) -> None:
        (host,) = await plane.add_hosts("web-1")
        await plane.fleet.hosts.note_reports({host.id: a_report(2)})
        assert not (await plane.hosts.show("web-1")).is_online
        plane.links.connected[host.id] = 2
        plane.links.reports[host.id] = newer = a_report(2, NOW + 5)
        view = await plane.hosts.show(host.id)
        assert view.is_online
        assert view.host.report == newer

    async def test_what_can_be_relied_on_goes_by_the_protocol(self, plane: ControlPlane) -> None:
        (token,) = await plane.add_hosts("old-1")
        key = await plane.add_key_host("web-1")
        assert plane.hosts.view(token).abilities is None
        exactly = Abilities(Guarantee.EXACTLY_ONCE, cancel=True, live_output=True)
        assert plane.hosts.view(key).abilities == exactly
        await plane.fleet.hosts.note_reports({token.id: a_report(1)})
        seen = await plane.hosts.show("old-1")
        at_least = Abilities(Guarantee.AT_LEAST_ONCE, cancel=False, live_output=False)
        assert seen.abilities == at_least

    async def test_name_and_labels_are_changed_together_or_by_themselves(
        self, plane: ControlPlane
    ) -> None:
        (host,) = await plane.add_hosts("web-1", env="test")
        await plane.hosts.change("web-1", BY, name=HostName("web-9"))
        view = await plane.hosts.change("web-9", BY, labels=PROD)
        assert (view.host.id, view.host.name.value) == (host.id, "web-9")
        assert view.host.labels == PROD
        same = await plane.hosts.change("web-9", BY, name=HostName("web-9"), labels=PROD)
        assert same == view
        with pytest.raises(NotFound):
            await plane.hosts.change("web-1", BY, labels=PROD)

    async def test_a_name_that_is_taken_changes_nothing(self, plane: ControlPlane) -> None:
        await plane.add_hosts("web-1", "web-2")
        with pytest.raises(Conflict):
            await plane.hosts.change("web-1", BY, name=HostName("Web-2"), labels=PROD)
        assert (await plane.hosts.show("web-1")).host.labels == NO_LABELS

    async def test_revoking_puts_the_host_out_and_tells_who_follows_its_jobs(
        self, plane: ControlPlane
    ) -> None:
        (host,) = await plane.add_hosts("web-1")
        plane.links.connected[host.id] = 2
        job = a_job(1, host)
        await plane.fleet.jobs.submit(a_submission(job))
        with plane.happenings.watching([job.id]) as watch:
            view = await plane.hosts.revoke("web-1", BY)
            await watch.news()
        assert view.host.revoked_at == NOW
        assert not view.is_online
        assert plane.links.dismissed == [(host.id, LinkEnd.REVOKED)]
        assert (await plane.jobs.show(job.id)).reason == "revoked"

    async def test_revoking_again_is_harmless_and_by_name_finds_nobody(
        self, plane: ControlPlane
    ) -> None:
        (host,) = await plane.add_hosts("web-1")
        first = await plane.hosts.revoke("web-1", BY)
        await plane.clock.advance(10)
        assert await plane.hosts.revoke(host.id, BY) == first
        with pytest.raises(NotFound):
            await plane.hosts.revoke("web-1", BY)
        for change in (
            plane.hosts.change(host.id, BY, labels=PROD),
            plane.hosts.settle_clone(host.id, BY),
        ):
            with pytest.raises(NotFound):
                await change

    async def test_a_suspected_clone_is_settled(self, plane: ControlPlane) -> None:
        (host,) = await plane.add_hosts("web-1")
        await plane.fleet.hosts.suspect_clone(host.id, NOW)
        assert (await plane.hosts.show("web-1")).host.clone_suspected_at == NOW
        assert (await plane.hosts.settle_clone("web-1", BY)).host.clone_suspected_at is None

    @pytest.mark.parametrize("many", [3, 600])
    async def test_names_are_found_for_few_and_for_many_hosts(
        self, plane: ControlPlane, many: int
    ) -> None:
        hosts = await plane.add_hosts(*(f"web-{n}" for n in range(many)))
        await plane.hosts.revoke("web-1", BY)
        names = await plane.hosts.names([host.id for host in hosts[: many - 1]])
        assert names == {host.id: host.name.value for host in hosts[: many - 1]}
        assert await plane.hosts.names([]) == {}

    async def test_names_are_read_once_and_a_new_name_is_the_one_that_is_shown(
        self, plane: ControlPlane
    ) -> None:
        (host,) = await plane.add_hosts("web-1")
        assert await plane.hosts.names([host.id, HostId("host_0")]) == {host.id: "web-1"}
        before = plane.fleet.reach.calls
        assert await plane.hosts.names([host.id]) == {host.id: "web-1"}
        assert plane.fleet.reach.calls == before
        await plane.hosts.change("web-1", BY, name=HostName("web-2"))
        assert await plane.hosts.names([host.id]) == {host.id: "web-2"}

    async def test_a_name_that_was_read_during_a_rename_is_not_kept(
        self, plane: ControlPlane
    ) -> None:
        (host,) = await plane.add_hosts("web-1")
        read = plane.fleet.hosts.names

        async def read_before_a_rename(host_ids: Collection[HostId]) -> Mapping[HostId, str]:
            found = await read(host_ids)
            await plane.hosts.change(host.id, BY, name=HostName("web-2"))
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plane.fleet.hosts, "names", read_before_a_rename)
            await plane.hosts.names([host.id])
        assert await plane.hosts.names([host.id]) == {host.id: "web-2"}

    async def test_a_change_of_which_nobody_knows_whether_it_was_made_leaves_no_old_name(
        self, plane: ControlPlane
    ) -> None:
        (host,) = await plane.add_hosts("web-1")
        await plane.hosts.names([host.id])
        change = plane.fleet.hosts.change

        async def in_doubt(host_id: HostId, **more: Any) -> Host:
            await change(host_id, **more)
            raise StorageUnavailable("the link was lost")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plane.fleet.hosts, "change", in_doubt)
            with pytest.raises(StorageUnavailable):
                await plane.hosts.change("web-1", BY, name=HostName("web-2"))
        assert await plane.hosts.names([host.id]) == {host.id: "web-2"}

    async def test_who_may_have_been_revoked_has_to_prove_itself_again(
        self, plane: ControlPlane
    ) -> None:
        (host,) = await plane.add_hosts("web-1")
        revoke = plane.fleet.hosts.revoke

        async def in_doubt(host_id: HostId, at: float, noted: Noted) -> Revoked:
            await revoke(host_id, at, noted)
            raise StorageUnavailable("the link was lost")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plane.fleet.hosts, "revoke", in_doubt)
            with pytest.raises(StorageUnavailable):
                await plane.hosts.revoke("web-1", BY)
        assert plane.links.dismissed == [(host.id, LinkEnd.GOING_AWAY)]
