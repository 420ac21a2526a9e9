"""The way to the control plane: each outcome of each check."""

from __future__ import annotations

from dataclasses import replace

import pytest

from application.inspecting.doctor import Doctor
from application.inspecting.network_checks import (
    Encryption,
    Idle,
    Names,
    PastLinks,
    Proxy,
    Reached,
    Skew,
    Upgrade,
    finding_of,
)
from application.ports.control_plane_way import WEBSOCKET, Answer, IdleEnd, Way
from domain.errors import RuntimeUnavailable, TransportLost, TransportRefused
from domain.idle_links import LogLine
from domain.inspection import Finding, Verdict
from entrypoints.agent.commands.doctor import network_checks
from tests.fakes.clock import EPOCH, FakeClock
from tests.fakes.inspection import FakeControlPlaneWay, FakeUnitLog, at_once
from tests.unit.test_idle_links import log

NOW = EPOCH.timestamp()
PROXIED = Way(
    "wss://cp.example/ws", "cp.example", 443, is_encrypted=True, proxy="http://proxy:3128"
)


@pytest.fixture
def way() -> FakeControlPlaneWay:
    return FakeControlPlaneWay()


async def test_the_proxy_is_named_or_said_to_be_none(way: FakeControlPlaneWay) -> None:
    (none,) = await Proxy(way)()
    assert none.found == "none; wss://cp.example/ws is dialled directly"
    way.leads = PROXIED
    (named,) = await Proxy(way)()
    assert named.found == "wss://cp.example/ws is reached through the proxy http://proxy:3128"


async def test_the_name_that_is_looked_up_is_that_of_what_is_dialled(
    way: FakeControlPlaneWay,
) -> None:
    (direct,) = await Names(way)()
    assert direct.found == "cp.example has the address 192.0.2.1, 2001:db8::1"
    way.leads = PROXIED
    (proxied,) = await Names(way)()
    assert proxied.found.startswith("the proxy http://proxy:3128 has the address ")


async def test_a_connection_that_can_be_made_is_well(way: FakeControlPlaneWay) -> None:
    (found,) = await Reached(way)()
    assert found.found == "cp.example, port 443, takes connections"


async def test_a_certificate_is_shown_and_warned_of_before_it_is_over(
    way: FakeControlPlaneWay,
) -> None:
    (found,) = await Encryption(way, FakeClock())()
    text = "TLSv1.3, certificate of cp.example by An authority, good until 2096-10-02"
    assert (found.verdict, found.found) == (Verdict.OK, text)
    way.certificate = replace(way.certificate, expires_at=NOW + 13 * 86_400)
    (soon,) = await Encryption(way, FakeClock())()
    assert soon.verdict is Verdict.WARNING


async def test_no_encryption_is_a_warning_and_nothing_is_dialled(way: FakeControlPlaneWay) -> None:
    way.leads = Way("ws://cp.example/ws", "cp.example", 80, is_encrypted=False)
    (found,) = await Encryption(way, FakeClock())()
    assert found.verdict is Verdict.WARNING
    assert way.went == []


@pytest.mark.parametrize("status", [101, 401, 426])
def test_what_a_control_plane_answers_without_a_token_is_well(status: int) -> None:
    assert finding_of(Answer(status), "wss://cp").verdict is Verdict.OK


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(302, "redirects"), (404, "path in SERVER_URL"), (503, "log"), (502, "log"), (200, "path")],
)
def test_other_answers_are_failures_with_what_to_look_at(status: int, remedy: str) -> None:
    found = finding_of(Answer(status), "wss://cp")
    assert found.verdict is Verdict.FAILURE
    assert remedy in found.remedy


async def test_an_upgrade_is_asked_for(way: FakeControlPlaneWay) -> None:
    (found,) = await Upgrade(way)()
    assert found.found == "wss://cp.example/ws answered HTTP 401, as expected without a token"


@pytest.mark.parametrize(
    ("off_by", "verdict", "said"),
    [
        (0.0, Verdict.OK, "as the control plane's"),
        (-299.0, Verdict.OK, ""),
        (302.0, Verdict.WARNING, "5 minutes behind"),
        (600.0, Verdict.WARNING, "10 minutes behind"),
        (-7300.0, Verdict.WARNING, "2 hours before"),
        (86_401.0, Verdict.FAILURE, "24 hours behind"),
        (-10 * 86_400.0, Verdict.FAILURE, "10 days before"),
    ],
)
async def test_the_clocks_are_compared(
    way: FakeControlPlaneWay, off_by: float, verdict: Verdict, said: str
) -> None:
    way.clock = lambda: NOW + off_by
    (found,) = await Skew(way, FakeClock())()
    assert found.verdict is verdict
    assert said in found.found


async def test_a_server_without_a_clock_is_said(way: FakeControlPlaneWay) -> None:
    (found,) = await Skew(way, FakeClock())()
    assert found.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("end", "verdict", "said"),
    [
        (IdleEnd(0.0, True, WEBSOCKET), Verdict.OK, "was open after 20 s"),
        (IdleEnd(10.0, False, WEBSOCKET, 4408), Verdict.OK, "did not introduce itself"),
        (IdleEnd(10.0, False, WEBSOCKET), Verdict.WARNING, "WebSocket connection was cut after 10"),
        (IdleEnd(10.0, False, "TLS"), Verdict.WARNING, "on which no request was made"),
        (IdleEnd(60.0, False, WEBSOCKET), Verdict.OK, "says something every 30 s"),
    ],
)
async def test_what_became_of_an_idle_connection(
    way: FakeControlPlaneWay, end: IdleEnd, verdict: Verdict, said: str
) -> None:
    way.end = end
    (found,) = await Idle(way, 20.0, 30.0)()
    assert found.verdict is verdict
    assert said in found.found
    if verdict is Verdict.WARNING:
        assert 'AGENT_PING_INTERVAL="3"' in found.remedy


async def past_links(unit_log: FakeUnitLog) -> Finding:
    (found,) = await PastLinks(unit_log, at_once)()
    return found


async def test_links_that_ended_after_regular_times_are_warned_of() -> None:
    found = await past_links(FakeUnitLog(log(60.0, 60.5, 61.0)))
    assert found.verdict is Verdict.WARNING
    assert found.found == "3 of the last links were lost after about 60 s each"


async def test_links_that_ended_as_it_comes_are_well() -> None:
    found = await past_links(FakeUnitLog(log(60.0, 600.0)))
    assert found.verdict is Verdict.OK
    assert found.found.startswith("2 links were lost")


@pytest.mark.parametrize("unit_log", [FakeUnitLog(), FakeUnitLog(error=RuntimeUnavailable("no"))])
async def test_a_journal_that_cannot_be_read_is_said(unit_log: FakeUnitLog) -> None:
    found = await past_links(unit_log)
    assert found.verdict is Verdict.UNKNOWN
    assert "--idle" in found.remedy


async def test_a_journal_in_which_no_link_began_says_nothing_of_links() -> None:
    found = await past_links(FakeUnitLog([LogLine(1.0, "stopped"), log(60.0)[1]]))
    assert found.verdict is Verdict.UNKNOWN
    assert "no link began in the last 2 lines" in found.found
    assert "--idle" in found.why + found.remedy


async def verdicts(way: FakeControlPlaneWay) -> dict[str, Verdict]:
    checks = network_checks(way, FakeUnitLog(log(60.0)), FakeClock(), 10.0, 30.0)
    found = await Doctor(checks, FakeClock()).examine()
    return {one.check: one.verdict for one in found}


async def test_the_way_is_gone_as_far_as_it_leads(way: FakeControlPlaneWay) -> None:
    way.clock = lambda: NOW
    assert set((await verdicts(way)).values()) == {Verdict.OK}
    way.fails = {"secure": TransportRefused("not trusted", advice="trust it")}
    found = await verdicts(way)
    assert found["TLS"] is Verdict.FAILURE
    assert found["WebSocket"] is found["idle"] is Verdict.UNKNOWN
    assert found["clock"] is Verdict.OK, "a wrong clock is why certificates are not trusted"
    way.fails = {"resolve": TransportLost("not known")}
    found = await verdicts(way)
    assert {found[one] for one in ("TCP", "TLS", "WebSocket", "clock")} == {Verdict.UNKNOWN}


async def test_a_proxy_that_cannot_be_used_is_the_end_of_the_way(way: FakeControlPlaneWay) -> None:
    way.fails = {"way": TransportRefused("a SOCKS proxy", advice="name an HTTP proxy")}
    found = await verdicts(way)
    assert found["proxy"] is Verdict.FAILURE
    assert found["DNS"] is Verdict.UNKNOWN
