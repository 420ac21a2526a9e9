"""Frames and upgrades of simulated agents, against the websockets library on the server's side."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from tests.fleet import framing
from tests.fleet.framing import FrameReader, FramingFault, close_payload, frame, read_close
from tests.fleet.upgrade import (
    V1,
    V2,
    Answer,
    Caller,
    Target,
    UpgradeFault,
    chosen,
    new_key,
    read_answer,
    request,
)

TARGET = Target.of("ws://127.0.0.1:8000/ws?a=b")


def upgraded(caller: Caller, key: str) -> tuple[ServerProtocol, Answer]:
    server = ServerProtocol(subprotocols=[Subprotocol(V2), Subprotocol(V1)], max_size=1 << 20)
    server.receive_data(request(TARGET, caller, key))
    (asked,) = server.events_received()
    assert isinstance(asked, Request)
    server.send_response(server.accept(asked))
    answer = read_answer(b"".join(server.data_to_send()))
    assert answer is not None
    return server, answer


def test_an_upgrade_says_who_the_agent_is_and_offers_both_versions() -> None:
    key = new_key()
    server, answer = upgraded(Caller("web-1", token="a-token"), key)

    assert server.subprotocol == V2
    assert chosen(answer, key, (V2, V1)) == V2
    head = request(TARGET, Caller("web-1", token="a-token"), key).decode()
    assert head.startswith("GET /ws?a=b HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n")
    assert "\r\nAuthorization: Bearer a-token\r\n" in head
    assert "\r\nX-Agent-Hostname: web-1\r\n" in head
    assert "\r\nSec-WebSocket-Protocol: instadeploy.v2, instadeploy.v1\r\n" in head


def test_an_agent_with_a_key_sends_no_token_and_an_old_one_offers_nothing() -> None:
    head = request(TARGET, Caller("web-1", offer=()), new_key()).decode()

    assert "Authorization" not in head
    assert "Sec-WebSocket-Protocol" not in head


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"sec-websocket-accept": "x"}, "not that of the key"),
        ({"sec-websocket-protocol": "instadeploy.v3"}, "not offered"),
        ({"sec-websocket-extensions": "permessage-deflate"}, "extension"),
        ({"upgrade": "h2c"}, "Upgrade"),
        ({"connection": "close"}, "Connection"),
    ],
)
def test_an_answer_that_is_none_is_refused(change: dict[str, str], fault: str) -> None:
    key = new_key()
    _, answer = upgraded(Caller("web-1"), key)
    wrong = Answer(101, {**answer.headers, **change}, b"")

    with pytest.raises(UpgradeFault, match=fault):
        chosen(wrong, key, (V2, V1))


def test_an_answer_may_come_in_pieces_with_frames_behind_it() -> None:
    text = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\nlater"

    assert read_answer(text[:20]) is None
    answer = read_answer(text)
    assert answer is not None
    assert (answer.status, answer.retry_after_s, answer.rest) == (503, 7.0, b"later")
    with pytest.raises(UpgradeFault):
        read_answer(b"SSH-2.0-OpenSSH\r\n\r\n")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_what_is_sent_is_read_by_a_server(size: int) -> None:
    server, _ = upgraded(Caller("web-1"), new_key())
    payload = b"x" * size

    server.receive_data(frame(framing.TEXT, payload))

    (received,) = server.events_received()
    assert isinstance(received, Frame)
    assert (received.opcode, bytes(received.data)) == (Opcode.TEXT, payload)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_what_a_server_sends_is_read_however_it_is_cut(size: int, step: int) -> None:
    server, _ = upgraded(Caller("web-1"), new_key())
    payload = b"x" * min(size, 3_000 if step == 1 else size)
    server.send_text(payload)
    server.send_ping(b"p")
    data = b"".join(server.data_to_send())
    reader = FrameReader()

    found = [one for at in range(0, len(data), step) for one in reader.feed(data[at : at + step])]

    assert found == [(framing.TEXT, payload), (framing.PING, b"p")]


def test_fragments_are_put_together_with_control_frames_between_them() -> None:
    server, _ = upgraded(Caller("web-1"), new_key())
    server.send_text(b"one ", fin=False)
    server.send_ping(b"p")
    server.send_continuation(b"two", fin=True)
    data = b"".join(server.data_to_send())

    assert list(FrameReader().feed(data)) == [(framing.PING, b"p"), (framing.TEXT, b"one two")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x81....x", 1002),  # Masked.
        (b"\xc1\x01x", 1002),  # Compressed.
        (b"\x83\x01x", 1002),  # An opcode that there is not.
        (b"\x80\x01x", 1002),  # A continuation of nothing.
        (b"\x01\x01x\x81\x01x", 1002),  # A message within a message.
        (b"\x09\x01x", 1002),  # A ping in fragments.
        (b"\x89\x7e\x00\x7e" + b"x" * 126, 1002),  # A long ping.
        (b"\x81\x7f\x00\x00\x00\x01\x00\x00\x00\x00", 1009),  # 4 GiB, which are never waited for.
    ],
)
def test_what_breaks_the_rules_is_refused_with_its_code(data: bytes, code: int) -> None:
    with pytest.raises(FramingFault) as refused:
        list(FrameReader().feed(data))
    assert refused.value.code == code


def test_a_message_in_too_many_fragments_is_refused() -> None:
    reader = FrameReader()
    assert list(reader.feed(b"\x01\x01x" + b"\x00\x01x" * (framing.MAX_FRAGMENTS - 1))) == []
    with pytest.raises(FramingFault, match="fragments"):
        list(reader.feed(b"\x00\x01x"))


def test_a_close_frame_has_a_code_and_a_reason_that_is_cut_to_its_size() -> None:
    assert read_close(close_payload(4409, "newer")) == (4409, "newer")
    assert read_close(b"") == (None, "")
    assert len(close_payload(1001, "ü" * 100)) <= framing.MAX_CONTROL_BYTES
    assert read_close(close_payload(1001, "ü" * 100)) == (1001, "ü" * 61)
    with pytest.raises(FramingFault):
        read_close(b"\x03")
    with pytest.raises(FramingFault):
        read_close(b"\x03\xe8\xff")
