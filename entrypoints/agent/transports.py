"""Which transport the settings ask for, made ready to connect."""

from __future__ import annotations

import ssl

from adapters.websocket.client import LinkTimes, WebSocketTransport
from application.ports.host import HostFacts
from application.ports.transport import Transport
from entrypoints.agent.settings import AgentSettings, Identification
from entrypoints.configuration import SettingsError


def make_transport(
    settings: AgentSettings, identification: Identification, facts: HostFacts
) -> Transport:
    """The transport; raises `SettingsError` where the settings cannot be carried out."""
    bearer = identification.bearer_token
    token = None if bearer is None else bearer.get_secret_value()
    if settings.transport == "http":
        assert token is not None
        return _debug_http(settings, token, facts)
    assert settings.server_url is not None
    return WebSocketTransport(
        settings.server_url,
        token=token,
        facts=facts,
        times=LinkTimes(
            stage_s=settings.connect_timeout,
            ping_s=settings.ping_interval,
            pong_s=settings.pong_timeout,
        ),
        tls=tls_context(settings) if settings.server_url.startswith("wss:") else None,
    )


def tls_context(settings: AgentSettings) -> ssl.SSLContext:
    """The system's roots, and the private authority that AGENT_CA_FILE names beside them."""
    context = ssl.create_default_context()
    if settings.ca_file is not None:
        try:
            context.load_verify_locations(cafile=settings.ca_file)
        except (ssl.SSLError, OSError):
            raise SettingsError(["AGENT_CA_FILE: holds no PEM certificate"]) from None
    return context


def _debug_http(settings: AgentSettings, token: str, facts: HostFacts) -> Transport:
    # Imported here: what it needs is an extra, which a production agent does not carry.
    try:
        from adapters.debug_http.server import DebugHttpTransport  # noqa: PLC0415
    except ImportError:
        why = "AGENT_TRANSPORT: http needs the extra 'debug-http', which is not installed here"
        raise SettingsError([why]) from None
    return DebugHttpTransport(port=settings.http_port, token=token, facts=facts)
