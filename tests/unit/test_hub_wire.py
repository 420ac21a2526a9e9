"""What stands in frames and upgrade requests, at the control plane's end."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers

from adapters.websocket.hub_codes import close_code, fitting, refused
from adapters.websocket.hub_upgrade import Refused, client_address, request_of, selected
from adapters.wire.codec import decode, encode
from adapters.wire.codec_v2 import decode_v2, encode_heard
from adapters.wire.command_frames import encode_command
from adapters.wire.plain_answers import decode_answer
from adapters.wire.stored_commands import WireCommands
from application.ports.agent_link import CommandFrame, TurnedAway
from domain.commands import CHANGING_COMMANDS, Command
from domain.events import Event, JobCompleted, JobFailed, JobReceived
from domain.fleet.host_effects import LinkEnd
from domain.link_messages import CommandMessage, Unusable
from domain.messages import Request
from tests.builders import stop
from tests.unit.command_strategies import COMMANDS

PROXY = ipaddress.ip_network("10.0.0.0/8")


# Commands, around payloads that are JSON already.


@given(
    command=COMMANDS,
    seq=st.integers(1, 2**63 - 1),
    generation=st.none() | st.integers(1, 2**63 - 1),
    deadline_s=st.none() | st.floats(0.001, 1e6),
    ack=st.none() | st.integers(0, 2**63 - 1),
)
def test_a_command_is_what_the_codec_would_have_written(
    command: Command,
    seq: int,
    generation: int | None,
    deadline_s: float | None,
    ack: int | None,
) -> None:
    kept = WireCommands().encode(command)
    frame = CommandFrame("job-1", kept.kind, kept.payload, seq, generation, deadline_s, ack)
    message = CommandMessage(seq, "job-1", command, generation, deadline_s, ack)
    text = encode_command(frame, 2)
    assert json.loads(text) == json.loads(encode_heard(message))
    assert decode_v2(text) == message


@given(command=COMMANDS, deadline_s=st.none() | st.floats(0.001, 1e6))
def test_over_v1_a_deadline_stands_in_the_payload(
    command: Command, deadline_s: float | None
) -> None:
    kept = WireCommands().encode(command)
    text = encode_command(CommandFrame("job-1", kept.kind, kept.payload, deadline_s=deadline_s), 1)
    assert json.loads(text).keys() == {"id", "type", "payload"}
    request = decode(text)
    assert isinstance(request, Request)
    assert request.command == command
    changes = isinstance(command, CHANGING_COMMANDS)
    assert request.deadline_s == (deadline_s if changes else None)


# What agents of v1 answer.


@pytest.mark.parametrize(
    "event",
    [
        JobReceived("job-1"),
        JobCompleted("job-1", "done", {"services": []}),
        JobFailed("job-1", "no", "out", {"reason": "busy"}),
    ],
)
def test_what_an_agent_of_v1_says_is_understood(event: Event) -> None:
    assert decode_answer(encode(event)) == event


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        ('{"job_id": "j", "status": "QUEUED"}', JobReceived("j")),
        ('{"job_id": "j", "status": "COMPLETED"}', JobCompleted("j", "")),
        (
            '{"job_id": "j", "status": "FAILED", "logs": null, "error": null, "data": null}',
            JobFailed("j", ""),
        ),
        ('{"job_id": "j", "status": "COMPLETED", "more": [1]}', JobCompleted("j", "")),
        (b'{"job_id": "j", "status": "IN_PROGRESS"}', JobReceived("j")),
    ],
)
def test_other_agents_of_v1_may_leave_things_out(frame: str | bytes, event: Event) -> None:
    assert decode_answer(frame) == event


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "[]",
        '{"status": "COMPLETED"}',
        '{"job_id": "", "status": "COMPLETED"}',
        '{"job_id": 5, "status": "COMPLETED"}',
        '{"job_id": "j"}',
        '{"job_id": "j", "status": "DONE"}',
        '{"job_id": "j", "status": "COMPLETED", "logs": 5}',
        '{"job_id": "j", "status": "FAILED", "error": []}',
        '{"job_id": "j", "status": "COMPLETED", "data": []}',
        b"\xff",
        "[" * 10_000,
    ],
)
def test_what_is_no_answer_is_of_no_use(frame: str | bytes) -> None:
    assert isinstance(decode_answer(frame), Unusable)


@given(st.binary() | st.text())
def test_nothing_that_arrives_raises(frame: bytes | str) -> None:
    decode_answer(frame)


# Upgrade requests.


@pytest.mark.parametrize(
    ("offered", "protocol"),
    [
        (["instadeploy.v2", "instadeploy.v1"], "instadeploy.v2"),
        (["instadeploy.v1"], "instadeploy.v1"),
        (["chat"], None),
        ([], None),
    ],
)
def test_the_newest_version_is_selected(offered: Sequence[str], protocol: str | None) -> None:
    assert selected(offered) == protocol


def test_who_connects_is_read_from_the_headers() -> None:
    headers = Headers(
        {
            "Authorization": "bearer  secret ",
            "X-Agent-Version": "1.2.3",
            "X-Agent-Architecture": "linux-amd64",
            "X-Agent-Hostname": "web\xad1" + "x" * 1000,
            "Sec-WebSocket-Protocol": "instadeploy.v2, instadeploy.v1",
        }
    )
    asked = request_of("/ws", headers, "192.0.2.1", [])
    assert not isinstance(asked, Refused)
    assert (asked.protocol, asked.token, asked.address) == (2, "secret", "192.0.2.1")
    assert (asked.version, asked.architecture) == ("1.2.3", "linux-amd64")
    assert asked.hostname == "web?1" + "x" * 251
    assert "secret" not in repr(asked)


@pytest.mark.parametrize("path", ["/ws", "/nowhere", "/ws/idh_" + "a" * 43])
@pytest.mark.parametrize(
    "query",
    [
        "token=x",
        "agent_secret_token=x",
        "enroll_token=",
        "agentToken=x",
        "x=idh_" + "a" * 43,
        "x=%69de_" + "b" * 43,
        "a=1&credential=x",
        "passwd=x",
    ],
)
def test_a_token_in_the_url_has_to_be_replaced_wherever_it_was_sent(path: str, query: str) -> None:
    refused = request_of(f"{path}?{query}", Headers(), "192.0.2.1", [])
    assert isinstance(refused, Refused)
    assert refused.status == 400
    assert "replace this one" in refused.text


def test_a_query_without_a_token_is_nobodys_business() -> None:
    asked = request_of("/ws?monkey=1&keys=2&x=ide_", Headers(), "192.0.2.1", [])
    assert not isinstance(asked, Refused)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.1"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
    ],
)
def test_addresses_are_believed_from_trusted_proxies_alone(
    peer: str, forwarded: list[str], address: str
) -> None:
    assert client_address(peer, forwarded, [PROXY]) == address


@given(st.lists(st.text()), st.sampled_from(["10.0.0.1", "192.0.2.1", ""]))
def test_no_header_is_too_strange(forwarded: list[str], peer: str) -> None:
    address = client_address(peer, forwarded, [PROXY])
    assert address == peer or ipaddress.ip_address(address)


# Codes.


def test_every_end_has_a_code_but_silence() -> None:
    assert {end for end in LinkEnd if close_code(end, 2) is None} == {LinkEnd.SILENT}
    v1 = {close_code(end, 1) for end in LinkEnd} - {None}
    assert all(code is not None and code < 2000 for code in v1), "v1 knows no codes of ours"


def test_who_is_turned_away_learns_when_to_come_again() -> None:
    refusal = refused(TurnedAway(LinkEnd.TOO_MUCH, 4.2))
    assert (refusal.status, refusal.headers) == (429, {"Retry-After": "5"})
    assert refused(TurnedAway(LinkEnd.GOING_AWAY)).status == 503


@given(st.text())
def test_every_reason_fits_a_close_frame(reason: str) -> None:
    assert len(fitting(reason).encode()) <= 123


def test_a_command_of_v1_says_nothing_of_v2() -> None:
    kept = WireCommands().encode(stop())
    text = encode_command(CommandFrame("job-1", kept.kind, kept.payload, 7, 3, None, 9), 1)
    assert json.loads(text) == {
        "id": "job-1",
        "type": "STOP_COMPOSE",
        "payload": {"project_name": "blog"},
    }
