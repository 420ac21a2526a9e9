"""What a setting of the agent has to look like, beside what both programs have."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from domain.errors import InvalidInput
from domain.identity import check_pin
from entrypoints.values import split_url


def _server_url(value: str) -> str:
    parts = split_url(value)
    if parts.scheme not in ("ws", "wss"):
        raise ValueError("must begin with ws:// or wss://")
    if not parts.hostname:
        raise ValueError("names no host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user or password; the token is in AGENT_SECRET_TOKEN")
    if parts.fragment:
        raise ValueError("must not carry a fragment (#...)")
    return value


def _docker_host(value: str) -> str:
    parts = split_url(value)
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
        return value
    if parts.scheme == "tcp" and parts.hostname:
        return value
    raise ValueError("must look like unix:///var/run/docker.sock or tcp://127.0.0.1:2375")


def _key(value: str) -> str:
    try:
        check_pin("", value)
    except InvalidInput as exc:
        raise ValueError(exc.rule) from None
    return value


ServerUrl = Annotated[str, AfterValidator(_server_url)]
DockerHost = Annotated[str, AfterValidator(_docker_host)]
PublicKey = Annotated[str, AfterValidator(_key)]
"""A key, or its fingerprint."""
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)]
