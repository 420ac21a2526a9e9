"""TLS: whom the agent believes, and what it says of whom it does not."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from adapters.websocket.client import WebSocketTransport
from domain.errors import TransportLost, TransportRefused
from entrypoints.agent.settings import AgentSettings
from entrypoints.agent.transports import tls_context
from tests.integration.websocket.peers import (
    RawPeer,
    RawServer,
    link_of,
    listens,
    raw_server,
    refusal_of,
    server_tls,
    soon,
    transport_to,
    upgrades,
)


def _context_trusting(ca_file: Path | None) -> ssl.SSLContext:
    """What the agent makes of AGENT_CA_FILE."""
    return tls_context(AgentSettings(ca_file=ca_file))


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private authority's file, on a machine with its own authorities and no agent's settings."""
    for variable in ("AGENT_CA_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    authority.cert_pem.write_to_path(str(tmp_path / "private-ca.pem"))
    return tmp_path / "private-ca.pem"


async def _connects(transport: WebSocketTransport) -> bool:
    link = await link_of(transport)
    await soon(link.close("the test is over"))
    return True


def _transport(server: RawServer, tls: ssl.SSLContext) -> WebSocketTransport:
    return transport_to(server.url(), tls=tls)


async def test_a_private_authority_is_believed_beside_the_machines_own(
    authority: trustme.CA, ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_the_machine = trustme.CA()
    of_the_machine.cert_pem.write_to_path(str(tmp_path / "roots.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    tls = _context_trusting(ca_file)

    for issuer in (authority, of_the_machine):
        context = server_tls(issuer)
        async with raw_server(upgrades, tls=context) as server:
            assert await _connects(_transport(server, tls))


async def test_a_name_in_a_certificate_is_matched_as_a_name(
    authority: trustme.CA, ca_file: Path
) -> None:
    context = server_tls(authority, "localhost")
    async with raw_server(upgrades, tls=context) as server:
        url = server.url(host="localhost")
        assert await _connects(transport_to(url, tls=_context_trusting(ca_file)))


async def _refused(server_context: ssl.SSLContext, tls: ssl.SSLContext) -> TransportRefused:
    async with raw_server(upgrades, tls=server_context) as server:
        failure = await refusal_of(_transport(server, tls))
        assert str(failure).startswith(f"the certificate of {server.url()} is not trusted: ")
    assert isinstance(failure, TransportRefused)
    return failure


async def test_a_certificate_for_another_host_is_refused(
    authority: trustme.CA, ca_file: Path
) -> None:
    failure = await _refused(server_tls(authority, "cp.example"), _context_trusting(ca_file))

    assert "127.0.0.1" in str(failure)
    assert "the host's name in SERVER_URL" in failure.advice


async def test_an_authority_that_nobody_named_is_refused(
    authority: trustme.CA, ca_file: Path
) -> None:
    failure = await _refused(server_tls(authority), _context_trusting(None))

    assert "AGENT_CA_FILE" in failure.advice


async def test_a_self_signed_certificate_is_refused(ca_file: Path, tmp_path: Path) -> None:
    lonely = trustme.CA()
    lonely.cert_pem.write_to_path(str(tmp_path / "self-signed.pem"))
    lonely.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "self-signed.pem", tmp_path / "key.pem")
    failure = await _refused(context, _context_trusting(ca_file))

    assert "self-signed certificate" in str(failure).replace("self signed", "self-signed")


async def test_a_certificate_that_has_expired_is_refused(
    authority: trustme.CA, ca_file: Path
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", not_after=yesterday).configure_cert(context)
    failure = await _refused(context, _context_trusting(ca_file))

    assert "certificate has expired" in str(failure)
    assert "this machine's clock" in failure.advice


async def test_a_refused_server_never_sees_the_token(authority: trustme.CA, ca_file: Path) -> None:
    context = server_tls(authority, "cp.example")
    async with raw_server(listens, tls=context) as server:
        await refusal_of(_transport(server, _context_trusting(ca_file)))
        assert server.peers == []


async def test_a_server_without_tls_is_told_from_an_untrusted_one(ca_file: Path) -> None:
    async def answers_in_clear(peer: RawPeer) -> None:
        await peer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with raw_server(answers_in_clear) as server:
        url = f"wss://127.0.0.1:{server.port}/ws"
        failure = await refusal_of(transport_to(url, tls=_context_trusting(ca_file)))

    assert isinstance(failure, TransportRefused)
    assert str(failure) == f"{url} does not speak TLS"


async def test_a_server_that_hangs_up_in_the_tls_handshake_is_tried_again(ca_file: Path) -> None:
    async def hangs_up(peer: RawPeer) -> None:
        await peer.reader.read(1)
        peer.writer.close()

    async with raw_server(hangs_up) as server:
        url = f"wss://127.0.0.1:{server.port}/ws"
        failure = await refusal_of(transport_to(url, tls=_context_trusting(ca_file)))

    assert isinstance(failure, TransportLost)
    assert str(failure) == f"{url} ended the connection in the middle of the TLS handshake"


async def test_a_server_with_tls_asked_without_it_is_tried_again_or_refused_in_words(
    authority: trustme.CA,
) -> None:
    context = server_tls(authority)
    async with raw_server(upgrades, tls=context) as server:
        url = f"ws://127.0.0.1:{server.port}/ws"
        failure = await refusal_of(transport_to(url))

    assert str(failure).startswith(url)
