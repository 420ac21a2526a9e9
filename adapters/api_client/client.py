"""A client of one control plane."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from adapters.api_client.hosts import HostsApi
from adapters.api_client.jobs import DeploymentsApi, JobsApi
from adapters.api_client.people import AuditApi, SessionApi, TokensApi, UsersApi
from adapters.api_client.projects import ProjectsApi
from adapters.api_client.sending import ANSWER_S, CONNECT_S, Sending
from domain.errors import InvalidInput

LONGEST_SILENCE_S: Final = 120.0
"""Between two pieces of an answer: longer than any deadline of a request that is waited for."""


@dataclass(frozen=True, slots=True)
class ApiClient:
    """The API, by its parts. All of them raise `ApiFailure`, and nothing else of their own."""

    session: SessionApi
    hosts: HostsApi
    projects: ProjectsApi
    jobs: JobsApi
    deployments: DeploymentsApi
    users: UsersApi
    tokens: TokensApi
    audit: AuditApi


def client_over(sending: Sending) -> ApiClient:
    """The API, over this way of sending."""
    return ApiClient(
        session=SessionApi(sending),
        hosts=HostsApi(sending),
        projects=ProjectsApi(sending),
        jobs=JobsApi(sending),
        deployments=DeploymentsApi(sending),
        users=UsersApi(sending),
        tokens=TokensApi(sending),
        audit=AuditApi(sending),
    )


@contextlib.asynccontextmanager
async def connected(
    url: str, token: str | None, *, ca_file: Path | None = None, agent: str = "instadeploy"
) -> AsyncIterator[ApiClient]:
    """A client of the control plane at `url` that presents `token`, in a header and nowhere else.

    Certificates are verified always: by what this machine trusts, and those in `ca_file`. Nothing is
    sent before the first request. Raises `InvalidInput` for a URL, token or file that is of no use.
    """
    headers = {"User-Agent": agent, "Accept": "application/json"}
    if token is not None:
        check_token(token)
        headers["Authorization"] = f"Bearer {token}"
    limits = httpx.Timeout(ANSWER_S, connect=CONNECT_S, pool=CONNECT_S, read=LONGEST_SILENCE_S)
    async with httpx.AsyncClient(
        base_url=checked_url(url),
        headers=headers,
        verify=trusting(ca_file),
        timeout=limits,
        follow_redirects=False,
    ) as http:
        yield client_over(Sending(http))


def checked_url(url: str) -> str:
    """The URL of a control plane, without a slash at its end. Raises `InvalidInput`."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidInput("url", "must be a URL, such as https://control-plane.example") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidInput("url", "must begin with https:// or http://, and name a host")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("url", "must not have a user or password in it")
    if parts.query or parts.fragment:
        raise InvalidInput("url", "must end before any '?' or '#'")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInput("url", "must be printable ASCII without spaces")
    return url.rstrip("/")


def check_token(token: str) -> None:
    """Raises `InvalidInput`, which does not quote it."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput("token", "must be printable ASCII without spaces, such as ida_...")


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """By what this machine trusts, and the certificates in `ca_file`. Raises `InvalidInput`."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as exc:  # Also what is wrong with its content.
            why = exc.strerror if not isinstance(exc, ssl.SSLError) and exc.strerror else "no PEM"
            raise InvalidInput("ca_file", f"{ca_file} cannot be used: {why}") from None
    return context
