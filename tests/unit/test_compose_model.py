"""The resolved model, in every spelling that Compose may give it, and in none."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.compose_model import ComposeModel, Service
from domain.errors import InvalidInput
from tests.unit.policy_models import document


def service(**keys: object) -> Service:
    return ComposeModel.from_document(document(keys)).services[0]


def test_a_service_that_asks_for_nothing_has_nothing() -> None:
    plain = service()
    assert plain.name == "web"
    assert plain.image == "docker.io/library/nginx:1"
    assert (plain.build, plain.provider, plain.container_name) == (None, None, None)
    assert not plain.privileged
    assert not plain.has_healthcheck
    assert plain.replicas == 1
    assert plain.limits.memory_bytes is plain.limits.cpus is plain.limits.pids is None
    assert (plain.ports, plain.mounts, plain.devices, plain.unknown) == ((), (), (), ())


@pytest.mark.parametrize(
    ("port", "address", "first", "last", "protocol"),
    [
        ("8080:80", "", 8080, 8080, "tcp"),
        ("8000-8010:80-90/udp", "", 8000, 8010, "udp"),
        ("127.0.0.1:80:80", "127.0.0.1", 80, 80, "tcp"),
        ("[::1]:80:80", "::1", 80, 80, "tcp"),
        ("::1:80:80", "::1", 80, 80, "tcp"),
        ("0.0.0.0:80:80", "", 80, 80, "tcp"),
        ("80", "", 0, 0, "tcp"),
        (80, "", 0, 0, "tcp"),
        ("127.0.0.1::80", "127.0.0.1", 0, 0, "tcp"),
        ({"target": 80, "published": "8080", "host_ip": "::"}, "", 8080, 8080, "tcp"),
        ({"target": 80, "published": 8080, "protocol": "UDP"}, "", 8080, 8080, "udp"),
        ({"target": 80, "published": "1-3", "host_ip": "0:0::1"}, "::1", 1, 3, "tcp"),
        ({"target": 80, "mode": "host"}, "", 0, 0, "tcp"),
    ],
)
def test_ports_have_one_form(
    port: object, address: str, first: int, last: int, protocol: str
) -> None:
    (read,) = service(ports=[port]).ports
    assert (read.address, read.first, read.last, read.protocol) == (address, first, last, protocol)


@pytest.mark.parametrize(
    ("mount", "kind", "source", "read_only"),
    [
        ("/srv:/x", "bind", "/srv", False),
        ("./a:/x:ro,z", "bind", "./a", True),
        ("~/a:/x", "bind", "~/a", False),
        ("data:/x:rw", "volume", "data", False),
        ("/x", "volume", "", False),
        ({"type": "bind", "source": "/srv", "read_only": True}, "bind", "/srv", True),
        ({"type": "volume", "source": "data"}, "volume", "data", False),
        ({"type": "volume", "source": "/etc"}, "bind", "/etc", False),
        ({"type": "volume", "source": "../etc"}, "bind", "../etc", False),
        ({"type": "tmpfs", "target": "/x"}, "tmpfs", "", False),
        ({"type": "bind", "source": "/srv/$$x"}, "bind", "/srv/$x", False),
    ],
)
def test_mounts_have_one_form(mount: object, kind: str, source: str, read_only: bool) -> None:
    (read,) = service(volumes=[mount]).mounts
    assert (read.kind, read.source, read.read_only) == (kind, source, read_only)


@pytest.mark.parametrize(
    ("keys", "memory", "cpus", "pids"),
    [
        ({"mem_limit": "50m", "cpus": 0.5, "pids_limit": 3}, 52428800, 0.5, 3),
        ({"mem_limit": 1024}, 1024, None, None),
        ({"mem_limit": "1.5 GiB"}, 1610612736, None, None),
        ({"mem_limit": "0", "cpus": 0, "pids_limit": -1}, None, None, None),
        ({"cpu_quota": 50000}, None, 0.5, None),
        ({"cpu_quota": 50000, "cpu_period": 10000}, None, 5.0, None),
        (
            {"deploy": {"resources": {"limits": {"memory": "1k", "cpus": "2", "pids": 9}}}},
            1024, 2.0, 9,
        ),
        (
            {"mem_limit": "2k", "deploy": {"resources": {"limits": {"memory": "1k"}}}},
            2048, None, None,
        ),
    ],
)  # fmt: skip
def test_limits_have_one_form(
    keys: dict[str, object], memory: int | None, cpus: float | None, pids: int | None
) -> None:
    limits = service(**keys).limits
    assert (limits.memory_bytes, limits.cpus, limits.pids) == (memory, cpus, pids)


def test_what_other_parts_ask_of_a_service_is_there() -> None:
    read = service(
        depends_on={"db": {"condition": "service_healthy"}, "cache": {}},
        healthcheck={"test": ["CMD", "x"]},
        profiles=["a"],
        restart="always",
        container_name="web-1",
        deploy={"replicas": 3},
        configs=[{"source": "c"}, "d"],
        secrets=["s"],
        networks={"front": None},
        tmpfs="/run",
        extra_hosts={"a": "1.2.3.4"},
        group_add=[999],
    )
    assert read.depends_on == (("db", "service_healthy"), ("cache", "service_started"))
    assert read.has_healthcheck
    assert (read.profiles, read.restart, read.container_name) == (("a",), "always", "web-1")
    assert (read.replicas, read.configs, read.secrets) == (3, ("c", "d"), ("s",))
    assert (read.networks, read.tmpfs, read.group_add) == (("front",), ("/run",), ("999",))
    assert read.extra_hosts == ("a",)
    assert service(depends_on=["db"]).depends_on == (("db", "service_started"),)


@pytest.mark.parametrize(
    "healthcheck", [{"disable": True, "test": ["CMD", "x"]}, {"test": ["NONE"]}, {"interval": "1s"}]
)
def test_a_healthcheck_that_checks_nothing_is_none(healthcheck: object) -> None:
    assert not service(healthcheck=healthcheck).has_healthcheck


def test_keys_that_nobody_knows_are_kept_by_name() -> None:
    model = ComposeModel.from_document(
        document(
            {"new": 1, "x-mine": 1, "build": {"new": 1}, "volumes": [{"type": "tmpfs", "new": 1}]},
            new=1,
            networks={"n": {"new": 1}},
        )
    )
    assert model.unknown == (("new",),)
    assert model.networks[0].unknown == (("networks", "n", "new"),)
    (web,) = model.services
    assert web.unknown == (("services", "web", "new"), ("services", "web", "volumes", "new"))
    assert web.build is not None
    assert web.build.unknown == (("services", "web", "build", "new"),)


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ([], "the resolved compose file must be a mapping"),
        ({"services": []}, "services must be a mapping"),
        ({"services": {"web": "x"}}, "services.web must be a mapping"),
        ({"services": {1: {}}}, "services must be a mapping whose keys are strings"),
        (document({"privileged": "maybe"}), "services.web.privileged must be true or false"),
        (document({"privileged": []}), "services.web.privileged must be a string"),
        (document({"pid": {}}), "services.web.pid must be a string"),
        (document({"ports": {}}), "services.web.ports must be a list"),
        (document({"ports": ["1", "http"]}), "services.web.ports[1] must be a port or a range"),
        (document({"ports": ["9-1:1"]}), "services.web.ports[0] must be a port or a range"),
        (document({"ports": ["70000:1"]}), "services.web.ports[0] must be a port or a range"),
        (document({"ports": ["here:1:1"]}), "services.web.ports[0] must be an IP address"),
        (document({"volumes": [{"type": "magic"}]}), "services.web.volumes[0] must be a mount"),
        (document({"volumes": [{"type": "bind"}]}), "services.web.volumes[0] must be a bind mount"),
        (document({"devices": [{}]}), "services.web.devices[0] must be a device with a source"),
        (document({"mem_limit": "much"}), "services.web.mem_limit must be a size"),
        (document({"cpus": "many"}), "services.web.cpus must be a number"),
        (document({"cpus": "nan"}), "services.web.cpus must be a finite number"),
        (document({"extends": {"service": "x"}}), "services.web.extends must be resolved"),
        (document({"cap_add": "\0"}), "services.web.cap_add must be text without NUL"),
        (document(volumes={"v": {"name": "/etc"}}), "volumes.v.name must be the name of a volume"),
        (document(volumes={"/etc": {"external": True}}), "must be the name of a volume"),
        (document(volumes={"v": {"driver_opts": 1}}), "volumes.v.driver_opts must be a list"),
        (document(networks={"n": []}), "networks.n must be a mapping"),
        (document(secrets={"s": {"file": []}}), "secrets.s.file must be a string"),
    ],
)
def test_what_cannot_be_right_is_refused_by_its_place(of: Any, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ComposeModel.from_document(of)
    assert refused.value.field == "compose_file_base64"
    assert said in refused.value.rule


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["ports", "volumes", "devices", "deploy", "build", "networks", "env_file", "gpus", "healthcheck",
     "depends_on", "post_start", "provider", "mem_limit", "scale", "sysctls", "volumes_from"]
)  # fmt: skip


@given(st.dictionaries(KEYS, JSON, max_size=4), JSON)
def test_whatever_stands_there_is_read_or_refused(keys: dict[str, object], top: object) -> None:
    with contextlib.suppress(InvalidInput):
        ComposeModel.from_document(document(keys, volumes=top))


def test_a_number_longer_than_any_is_refused() -> None:
    of = json.loads('{"services": {"web": {"cpus": 1' + "0" * 4000 + "}}}")
    with pytest.raises(InvalidInput, match="finite"):
        ComposeModel.from_document(of)
