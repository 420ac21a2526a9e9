"""A job's logins in the host's Docker configuration."""

from __future__ import annotations

import base64

import pytest

from adapters.filesystem.docker_config import HUB, Malformed, key_of, with_logins
from domain.commands import RegistryLogin

EXAMPLE = RegistryLogin("registry.example.com", "ann", "p:w")
AUTH = {"auth": base64.b64encode(b"ann:p:w").decode()}


@pytest.mark.parametrize("name", ["docker.io", "index.docker.io", "Docker.IO", HUB])
def test_docker_hub_has_a_key_of_its_own(name: str) -> None:
    assert key_of(name) == HUB == "https://index.docker.io/v1/"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("registry.example.com", "registry.example.com"),
        ("registry.example.com:5000", "registry.example.com:5000"),
        ("https://registry.example.com/v2/", "registry.example.com"),
        ("http://127.0.0.1:5000", "127.0.0.1:5000"),
        ("[::1]:5000", "[::1]:5000"),
        ("registry-1.docker.io", "registry-1.docker.io"),
    ],
)
def test_any_other_registry_is_its_host_and_port(name: str, key: str) -> None:
    assert key_of(name) == key


def test_a_host_without_a_configuration_has_the_jobs_logins() -> None:
    hub = RegistryLogin("docker.io", "ann", "p:w")
    assert with_logins({}, [EXAMPLE, hub]) == {"auths": {"registry.example.com": AUTH, HUB: AUTH}}


def test_without_logins_the_hosts_configuration_is_as_it_was() -> None:
    host = {"credsStore": "pass", "auths": {HUB: {}}, "anything": [1]}
    assert with_logins(host, []) == host


def test_what_else_the_host_says_stays() -> None:
    auths = {"other.example.com": {"auth": "eA=="}}
    host = {
        "auths": auths,
        "proxies": {"default": {"httpProxy": "http://proxy.example.com"}},
        "HttpHeaders": {"a": "b"},
        "currentContext": "remote",
    }
    merged = with_logins(host, [EXAMPLE])
    assert merged.pop("auths") == {**auths, "registry.example.com": AUTH}
    assert merged == {name: value for name, value in host.items() if name != "auths"}


@pytest.mark.parametrize("key", ["registry.example.com", "https://registry.example.com/v2/"])
def test_the_jobs_login_counts_above_the_hosts_however_that_is_spelled(key: str) -> None:
    host = {
        "auths": {key: {"auth": "eA==", "identitytoken": "t"}},
        "credHelpers": {key: "ecr", "other.example.com": "pass"},
    }
    assert with_logins(host, [EXAMPLE]) == {
        "auths": {"registry.example.com": AUTH},
        "credHelpers": {"other.example.com": "pass"},
    }


def test_a_store_for_everything_is_kept_from_the_jobs_registries_alone() -> None:
    host = {"credsStore": "pass", "auths": {HUB: {}}, "credHelpers": {"a.example.com": "ecr"}}
    assert with_logins(host, [EXAMPLE]) == {
        "credsStore": "pass",
        "auths": {HUB: {}, "registry.example.com": AUTH},
        "credHelpers": {"a.example.com": "ecr", "registry.example.com": ""},
    }


@pytest.mark.parametrize("host", [None, [], "x", {"auths": []}, {"credHelpers": "x"}])
def test_what_is_no_configuration_is_refused(host: object) -> None:
    with pytest.raises(Malformed, match="no JSON object"):
        with_logins(host, [EXAMPLE])


def test_null_is_nothing() -> None:
    host = {"auths": None, "credHelpers": None}
    assert with_logins(host, [EXAMPLE]) == {"auths": {"registry.example.com": AUTH}}
