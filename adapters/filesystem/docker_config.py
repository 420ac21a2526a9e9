"""What Docker has to find in a `config.json` for a job's logins to count. No I/O.

Measured on the docker command 20.10 and 28.2 and Compose 2.26: a registry is looked up by its host
name, with its port where it has one, Docker Hub by `https://index.docker.io/v1/`. A helper in
`credHelpers` counts before `credsStore`, and both before what `auths` says; but an empty helper has
`auths` count for its registry, and leaves `credsStore` to all others.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Final

from domain.commands import RegistryLogin

HUB: Final = "https://index.docker.io/v1/"

_HUB_NAMES: Final = frozenset({"docker.io", "index.docker.io"})


class Malformed(Exception):
    """This is no configuration of Docker's; says why without quoting it."""


def with_logins(host: object, logins: Sequence[RegistryLogin]) -> dict[str, object]:
    """The host's configuration, in which these logins count; raises `Malformed`."""
    if not isinstance(host, Mapping):
        raise Malformed("it is no JSON object")
    if not logins:
        return dict(host)
    ours = {key_of(login.registry): login for login in logins}
    auths = {key: auth for key, auth in _object(host, "auths").items() if key_of(key) not in ours}
    helpers = {
        key: helper
        for key, helper in _object(host, "credHelpers").items()
        if key_of(key) not in ours
    }
    if host.get("credsStore"):
        helpers |= dict.fromkeys(ours, "")
    merged = {key: value for key, value in host.items() if key not in ("auths", "credHelpers")}
    merged["auths"] = auths | {key: {"auth": _auth(login)} for key, login in ours.items()}
    if helpers:
        merged["credHelpers"] = helpers
    return merged


def key_of(registry: str) -> str:
    """How Docker calls a registry that has this name, or this key in a configuration."""
    host = registry.removeprefix("https://").removeprefix("http://").split("/", 1)[0]
    return HUB if host.lower() in _HUB_NAMES else host


def _object(host: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = host.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Malformed(f"{name!r} in it is no JSON object")
    return value


def _auth(login: RegistryLogin) -> str:
    return base64.b64encode(f"{login.username}:{login.password}".encode()).decode("ascii")
