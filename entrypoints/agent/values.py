"""What a setting has to look like. A `ValueError` is the sentence behind the variable's name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, SecretStr

from domain.errors import InvalidInput
from domain.identity import check_pin


def _split(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a valid URL") from None
    return parts


def _server_url(value: str) -> str:
    parts = _split(value)
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
    parts = _split(value)
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
        return value
    if parts.scheme == "tcp" and parts.hostname:
        return value
    raise ValueError("must look like unix:///var/run/docker.sock or tcp://127.0.0.1:2375")


def checked_token(value: SecretStr) -> SecretStr:
    """A token without the white space around it; raises `ValueError` that does not quote it."""
    text = value.get_secret_value().strip()
    if not text:
        raise ValueError("must not be empty")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be printable ASCII without spaces; it is sent in an HTTP header")
    return SecretStr(text)


def _existing_file(value: Path) -> Path:
    if not value.is_file():
        raise ValueError("names a file that does not exist")
    return value.absolute()


def _key(value: str) -> str:
    try:
        check_pin("", value)
    except InvalidInput as exc:
        raise ValueError(exc.rule) from None
    return value


ServerUrl = Annotated[str, AfterValidator(_server_url)]
DockerHost = Annotated[str, AfterValidator(_docker_host)]
Token = Annotated[SecretStr, AfterValidator(checked_token)]
PublicKey = Annotated[str, AfterValidator(_key)]
"""A key, or its fingerprint."""
ExistingFile = Annotated[Path, AfterValidator(_existing_file)]
AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)]
