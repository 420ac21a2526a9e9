"""Each rule of the policy: what breaks it, what does not, and what the refusal says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from domain.policy import (
    PERMISSIVE,
    STANDARD,
    STRICT,
    HostPlaces,
    judge_command,
    policy_from_document,
)
from domain.project import ProjectName
from tests.unit.policy_models import (
    DIRECTORY,
    Document,
    bind,
    document,
    local_volume,
    rules,
    violations,
)

HEX = "0123456789abcdef" * 4
BROKEN: list[tuple[Document, str]] = [
    (document({"privileged": True}), "containers.privileged"),
    (document({"privileged": "TRUE"}), "containers.privileged"),
    (document({"post_start": [{"command": "x", "privileged": True}]}), "containers.privileged"),
    (document({"pre_stop": [{"command": "x", "privileged": True}]}), "containers.privileged"),
    (document({"build": {"context": ".", "privileged": True}}), "containers.privileged"),
    (
        document({"build": {"context": ".", "entitlements": ["security.insecure"]}}),
        "containers.privileged",
    ),
    (document({"network_mode": "host"}), "containers.host_network"),
    (
        document({"networks": {"out": None}}, networks={"out": {"name": "host", "external": True}}),
        "containers.host_network",
    ),
    (document(networks={"host": {"external": True}}), "containers.host_network"),
    (document(networks={"out": {"external": {"name": "host"}}}), "containers.host_network"),
    (document(networks={"out": {"driver": "host"}}), "containers.host_network"),
    (document(networks={"out": {"name": HEX, "external": True}}), "containers.host_network"),
    (document({"build": {"context": ".", "network": "host"}}), "containers.host_network"),
    (
        document({"build": {"context": ".", "entitlements": ["network.host"]}}),
        "containers.host_network",
    ),
    (document({"pid": "host"}), "containers.host_pid"),
    (document({"ipc": "host"}), "containers.host_ipc"),
    (document({"uts": "host"}), "containers.host_uts"),
    (document({"userns_mode": "host"}), "containers.host_users"),
    (document({"cgroup": "host"}), "containers.host_cgroup"),
    (document({"pid": "container:agent"}), "containers.other_containers"),
    (document({"ipc": "container:agent"}), "containers.other_containers"),
    (document({"network_mode": "container:agent"}), "containers.other_containers"),
    (document({"volumes_from": ["container:agent:ro"]}), "containers.other_containers"),
    (document({"volumes_from": ["agent"]}), "containers.other_containers"),
    (
        {"services": {"container": {}, "web": {"volumes_from": ["container:agent"]}}},
        "containers.other_containers",
    ),
    (document({"external_links": ["agent"]}), "containers.other_containers"),
    (
        document({"build": {"context": ".", "network": "container:x"}}),
        "containers.other_containers",
    ),
    (document({"cap_add": ["sys_admin"]}), "containers.cap_add"),
    (document({"cap_add": ["CAP_SYS_ADMIN"]}), "containers.cap_add"),
    (document({"cap_add": ["all"]}), "containers.cap_add"),
    (document({"security_opt": ["seccomp:unconfined"]}), "containers.security_opt"),
    (document({"security_opt": ["apparmor=unconfined"]}), "containers.security_opt"),
    (document({"security_opt": ["label:disable"]}), "containers.security_opt"),
    (document({"security_opt": ["systempaths=unconfined"]}), "containers.security_opt"),
    (document({"security_opt": ["seccomp=/root/profile.json"]}), "containers.security_opt"),
    (document({"devices": ["/dev/sda"]}), "containers.devices"),
    (document({"devices": [{"source": "/dev/sda", "target": "/dev/x"}]}), "containers.devices"),
    (document({"devices": ["vendor.com/class=name"]}), "containers.devices"),
    (document({"device_cgroup_rules": ["a *:* rwm"]}), "containers.device_cgroup_rules"),
    (document({"gpus": "all"}), "containers.gpus"),
    (document({"gpus": [{"count": 1}]}), "containers.gpus"),
    (
        document(
            {"deploy": {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}}}
        ),
        "containers.gpus",
    ),
    (document({"sysctls": {"kernel.core_pattern": "|/x"}}), "containers.sysctls"),
    (document({"sysctls": ["vm.overcommit_memory=1"]}), "containers.sysctls"),
    (document({"runtime": "kata"}), "containers.runtimes"),
    (document({"cgroup_parent": "system.slice"}), "containers.cgroup_parent"),
    (document({"credential_spec": {"file": "c.json"}}), "containers.credential_spec"),
    (document({"annotations": {"run.oci.handler": "x"}}), "containers.annotations"),
    (document({"logging": {"driver": "syslog"}}), "containers.logging_drivers"),
    (document({"provider": {"type": "compose-bridge"}}), "containers.providers"),
    (document({"models": ["llm"]}), "containers.providers"),
    (document(models={"llm": {"model": "ai/x"}}), "containers.providers"),
    (document({"use_api_socket": True}), "containers.engine_socket"),
    (bind("/var/run/docker.sock", read_only=True), "containers.engine_socket"),
    (bind("/run/docker.sock"), "containers.engine_socket"),
    (bind("/run"), "containers.engine_socket"),
    (bind("/var/run/"), "containers.engine_socket"),
    (bind("/"), "containers.engine_socket"),
    (bind("/var/../run/./docker.sock"), "containers.engine_socket"),
    (bind("/run/containerd/containerd.sock"), "containers.engine_socket"),
    (bind("/run/podman"), "containers.engine_socket"),
    (document({"volumes": ["/var/run/docker.sock:/s"]}), "containers.engine_socket"),
    (local_volume(type="none", o="bind", device="/run/docker.sock"), "containers.engine_socket"),
    (
        document({"volumes": [{"type": "npipe", "source": "/run/docker.sock"}]}),
        "containers.engine_socket",
    ),
    (bind("/"), "binds.roots"),
    (bind("/etc"), "binds.roots"),
    (bind("/root/.ssh", read_only=True), "binds.roots"),
    (bind("/proc"), "binds.roots"),
    (bind(f"{DIRECTORY}/../other"), "binds.roots"),
    (bind(f"{DIRECTORY}er"), "binds.roots"),
    (bind("../other"), "binds.roots"),
    (bind("~/x"), "binds.roots"),
    (document({"volumes": ["/etc:/e:ro"]}), "binds.roots"),
    (document({"volumes": [{"type": "volume", "source": "/etc", "target": "/e"}]}), "binds.roots"),
    (bind("/etc/localtime"), "binds.roots"),
    (document(secrets={"s": {"file": "/etc/shadow"}}), "binds.roots"),
    (document(configs={"c": {"file": "/etc/shadow"}}), "binds.roots"),
    (document({"env_file": "/etc/environment"}), "binds.roots"),
    (document({"label_file": ["../labels"]}), "binds.roots"),
    (document({"env_file": [{"path": "/etc/environment"}]}), "binds.roots"),
    (document({"build": {"context": "/etc"}}), "binds.roots"),
    (document({"build": "/etc"}), "binds.roots"),
    (document({"build": {"context": ".", "dockerfile": "../../x"}}), "binds.roots"),
    (document({"build": {"context": ".", "dockerfile": "/etc/shadow"}}), "binds.roots"),
    (document({"build": {"additional_contexts": {"a": "/etc"}}}), "binds.roots"),
    (document({"build": {"additional_contexts": ["a=oci-layout:///etc"]}}), "binds.roots"),
    (document({"build": {"cache_to": ["type=local,dest=/etc/cron.d"]}}), "binds.roots"),
    (local_volume(type="none", o="bind", device="/etc"), "binds.roots"),
    (local_volume(o="rw,rbind", device="/etc"), "binds.roots"),
    (local_volume(type="nfs", o="bind", device="/etc"), "binds.roots"),
    (local_volume(type="nfs", o="ro,rbind", device="/etc"), "binds.roots"),
    (local_volume(type="tmpfs", o="BIND", device="/etc"), "binds.roots"),
    (local_volume(type="overlay", o="lowerdir=etc", device="overlay"), "binds.roots"),
    (local_volume(type="none", o="bind,rw", device="etc"), "binds.roots"),
    (local_volume(type="none", o="bind", device=f"{DIRECTORY}/../shop/x"), "binds.roots"),
    (local_volume(type="cifs", o="credentials=/root/c", device="//nas/x"), "binds.roots"),
    (local_volume(type="overlay", o="lowerdir=/etc:/x", device="overlay"), "binds.roots"),
    (local_volume(mountpoint="/etc"), "binds.roots"),
    (local_volume(type="ext4", device="/dev/sda1"), "binds.roots"),
    (local_volume(type="ext4", device="/dev/sda1"), "volumes.mount_types"),
    (local_volume(type="proc", device="proc"), "volumes.mount_types"),
    (local_volume(type="overlay", o="lowerdir=etc", device="overlay"), "volumes.mount_types"),
    (document(volumes={"v": {"driver": "rclone"}}), "volumes.drivers"),
    (document(networks={"n": {"driver": "macvlan"}}), "networks.drivers"),
    (document(networks={"n": {"driver_opts": {"parent": "eth0"}}}), "networks.driver_options"),
    (document({"build": {"context": "https://example.com/x.git"}}), "builds.remote_contexts"),
    (document({"build": {"context": "git@example.com:x"}}), "builds.remote_contexts"),
    (
        document({"build": {"additional_contexts": {"a": "https://example.com/x"}}}),
        "builds.remote_contexts",
    ),
    (document({"build": {"context": ".", "ssh": ["default"]}}), "builds.ssh"),
    (document({"oom_score_adj": -1000}), "resources.oom_protection"),
    (document({"oom_kill_disable": True}), "resources.oom_protection"),
]
IDS = [f"{number}-{rule}" for number, (_, rule) in enumerate(BROKEN)]


@pytest.mark.parametrize(("model", "rule"), BROKEN, ids=IDS)
def test_standard_refuses_what_hands_over_the_host(model: Document, rule: str) -> None:
    assert rule in rules(model)
    assert rule in rules(model, STRICT)
    assert not rules(model, PERMISSIVE)


@pytest.mark.parametrize(("model", "rule"), BROKEN, ids=IDS)
def test_a_refusal_names_the_rule_the_place_and_the_line_to_change(
    model: Document, rule: str
) -> None:
    for violation in violations(model):
        section = violation.rule.partition(".")[0]
        assert violation.allowed_by.startswith(f"[{section}] ")
        assert violation.rule in violation.message
        assert violation.message.startswith(violation.where + " ")
        assert violation.message.endswith(violation.allowed_by)
        assert violation.where == ".".join(violation.path)
        assert violation.service == ("web" if violation.path[0] == "services" else None)
        assert "standard" in violation.message


@pytest.mark.parametrize(("model", "rule"), BROKEN, ids=IDS)
def test_the_line_that_a_refusal_names_lifts_it(model: Document, rule: str) -> None:
    """Line by line, as an owner would, until nothing is refused."""
    policy = STANDARD
    for _ in range(20):
        found = violations(model, policy)
        if not found:
            return
        section, key, value = _parts(found[0].allowed_by)
        old = getattr(getattr(policy, section), key)
        new = (*old, value) if isinstance(old, tuple) else value
        written = {section: {key: list(new) if isinstance(new, tuple) else new}}
        read = getattr(policy_from_document({"preset": "standard", **written}), section)
        changed = replace(getattr(policy, section), **{key: getattr(read, key)})
        policy = replace(policy, **{section: changed})
    pytest.fail(f"still refused: {violations(model, policy)[0]}")


def _parts(line: str) -> tuple[str, str, object]:
    section, _, rest = line.removeprefix("[").partition("] ")
    key, _, value = rest.partition(" = ")
    return section, key, json.loads(value.removeprefix("[..., ").removesuffix("]"))


@pytest.mark.parametrize(
    "model",
    [
        document(),
        document({"privileged": False, "pid": "service:web", "ipc": "shareable"}),
        document({"network_mode": "none"}),
        document({"network_mode": "service:web", "volumes_from": ["web:ro"]}),
        document({"cap_add": ["NET_BIND_SERVICE", "cap_chown"], "cap_drop": ["ALL"]}),
        document({"cap_add": ["IPC_LOCK"], "ulimits": {"memlock": -1}}),
        document({"security_opt": ["no-new-privileges", "no-new-privileges:true"]}),
        document({"sysctls": {"net.core.somaxconn": 1}, "runtime": "runc"}),
        document({"sysctls": {"net/core/somaxconn": 1}}),
        document({"build": {"context": "./a/b", "dockerfile": "../../x"}}),
        document({"ports": ["8080:80", "90", "127.0.0.1:53:53/udp"]}),
        document({"tmpfs": ["/run", "/etc"], "volumes": [{"type": "tmpfs", "target": "/etc"}]}),
        document({"build": {"context": ".", "additional_contexts": {"a": "service:db"}}}),
        document({"logging": {"driver": "json-file", "options": {"max-size": "1m"}}}),
        document({"oom_score_adj": 500, "x-anything": {"privileged": True}}, **{"x-y": 1}),
        document(networks={"proxy": {"external": True}}, volumes={"v": {"name": "shared"}}),
        document(secrets={"s": {"environment": "X"}}, configs={"c": {"content": "privileged"}}),
        bind(DIRECTORY),
        bind(f"{DIRECTORY}/data/"),
        bind("./data"),
        bind("/srv/projects/./shop//x/../y"),
        bind("/etc/localtime", read_only=True),
        local_volume(type="tmpfs", o="size=1m", device="tmpfs"),
        local_volume(type="nfs", o="addr=10.0.0.1,rw", device=":/etc"),
        local_volume(type="none", o="bind", device=f"{DIRECTORY}/data"),
        document(secrets={"s": {"file": "./s.txt"}}),
        document({"future_key": 1}),
    ],
)
def test_standard_allows_what_projects_need(model: Document) -> None:
    assert not violations(model)


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (document({"image": "nginx"}), "images.digest_required"),
        (document({"build": "."}), "builds.allowed"),
        (document(), "resources.memory_required"),
        (document({"mem_limit": "0"}), "resources.memory_required"),
        (document(), "resources.cpus_required"),
        (document({"cpu_shares": 5, "cpu_quota": -1}), "resources.cpus_required"),
        (document({"ports": ["90"]}), "ports.ephemeral"),
        (document({"ports": ["22:22"]}), "ports.published"),
        (document({"ports": ["80-81:80-81"]}), "ports.published"),
        (document({"ports": ["0.0.0.0:8080:80"]}), "ports.published"),
        (document({"ports": ["[::]:8080:80"]}), "ports.published"),
        (document({"network_mode": "host"}), "ports.published"),
        (document({"network_mode": "other_default"}), "networks.external"),
        (document(networks={"n": {"name": "other_default"}}), "networks.external"),
        (document(networks={"n": {"external": True}}), "networks.external"),
        (document(volumes={"v": {"name": "other_v"}}), "volumes.external"),
        (document(volumes={"v": {"external": True}}), "volumes.external"),
        (document({"volumes": ["other_v:/mnt"]}), "volumes.external"),
        (local_volume(type="nfs", device=":/x"), "volumes.mount_types"),
        (document({"develop": {"watch": []}}), "containers.develop"),
        (document({"future_key": 1}), "unknown_keys"),
        (document(future_key=1), "unknown_keys"),
        (document({"build": {"future_key": 1}}), "unknown_keys"),
        (document({"deploy": {"future_key": 1}}), "unknown_keys"),
        (document({"ports": [{"target": 1, "future_key": 1}]}), "unknown_keys"),
        (document(volumes={"v": {"future_key": 1}}), "unknown_keys"),
        (document(networks={"v": {"future_key": 1}}), "unknown_keys"),
        (document(secrets={"v": {"future_key": 1}}), "unknown_keys"),
    ],
)
def test_strict_refuses_more_than_standard(model: Document, rule: str) -> None:
    assert rule in rules(model, STRICT)
    assert rule not in rules(model, STANDARD)


def test_strict_allows_a_project_that_keeps_to_itself() -> None:
    model = document(
        {
            "image": "registry.example.com/web@sha256:" + "0" * 64,
            "cpus": 0.5,
            "deploy": {"resources": {"limits": {"memory": "52428800"}}},
            "ports": ["443:443", "127.0.0.1:8080:80", "[::1]:8080:80"],
            "volumes": [{"type": "volume", "source": "data", "target": "/data"}],
            "networks": {"default": None},
        },
        networks={"default": {"name": "shop_default", "ipam": {}}},
        volumes={"data": {"name": "shop_data"}},
    )
    assert not violations(model, STRICT)


def test_the_most_specific_entry_decides_about_a_path() -> None:
    binds = {"roots": ["/", "/etc/ssl"], "never": ["/etc", "/var/lib/docker"]}
    policy = policy_from_document({"preset": "standard", "binds": binds})
    assert not rules(bind("/srv/x"), policy)
    assert not rules(bind("/etc/ssl/certs"), policy)
    assert rules(bind("/etc/shadow"), policy) == {"binds.never"}
    assert rules(bind("/var/lib"), policy) == {"binds.never"}
    assert rules(bind("/etc"), policy) == {"binds.never"}


def test_the_agents_own_directories_are_nobodys_but_where_the_policy_says_so() -> None:
    places = HostPlaces(agent_directories=("/srv/agent",))
    roots = {"binds": {"roots": ["/srv"]}}
    policy = policy_from_document({"preset": "standard", **roots})
    assert not rules(bind("/srv/agent"), policy)
    assert rules(bind("/srv/agent/state"), policy, places) == {"binds.never"}
    assert rules(bind("/srv"), policy, places) == {"binds.never"}
    assert not rules(bind("/srv/agent"), PERMISSIVE, places)


def test_a_project_directory_below_the_agents_own_is_the_projects() -> None:
    assert not rules(bind("./x"), STANDARD, HostPlaces(agent_directories=("/srv",)))


def test_the_socket_that_the_agent_uses_is_an_engines_socket_wherever_it_is() -> None:
    places = HostPlaces(engine_sockets=(f"{DIRECTORY}/d.sock",))
    assert rules(bind("./d.sock"), STANDARD, places) == {"containers.engine_socket"}
    assert rules(bind("."), STANDARD, places) == {"containers.engine_socket"}


def test_an_allowed_socket_needs_no_root_and_its_directory_does() -> None:
    policy = policy_from_document({"preset": "standard", "containers": {"engine_socket": True}})
    assert not rules(bind("/var/run/docker.sock"), policy)
    assert rules(bind("/var/run"), policy) == {"binds.roots"}


def test_a_path_is_judged_also_by_where_its_links_lead() -> None:
    places = HostPlaces(real_paths={f"{DIRECTORY}/data": "/etc"})
    assert rules(bind("./data"), STANDARD, places) == {"binds.roots"}
    places = HostPlaces(real_paths={f"{DIRECTORY}/data": "/run/docker.sock"})
    assert rules(bind("./data"), STANDARD, places) == {"containers.engine_socket"}


@pytest.mark.parametrize(
    ("image", "pattern", "is_allowed"),
    [
        ("nginx", "docker.io/library/nginx", True),
        ("nginx:1", "docker.io/library/*", True),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest", True),
        ("docker.io/nginx:2", "docker.io/library/nginx:1*", False),
        ("someone/nginx", "docker.io/library/*", False),
        ("someone/nginx", "docker.io/**", True),
        ("registry.example.com:5000/a/b", "registry.example.com:5000/*", False),
        ("registry.example.com:5000/a/b:3", "registry.example.com:5000/**", True),
        ("registry.example.com.evil.example/a", "registry.example.com/**", False),
        ("evil.example/registry.example.com/a", "registry.example.com/**", False),
        ("REGISTRY.example.com/a", "registry.example.com/*", True),
        ("localhost/a", "localhost/a", True),
        ("a@sha256:" + "0" * 64, "docker.io/library/a@sha256:0*", True),
        ("a:1", "docker.io/library/a@sha256:0*", False),
    ],
)
def test_images_are_judged_by_their_full_names(image: str, pattern: str, is_allowed: bool) -> None:
    policy = policy_from_document({"preset": "standard", "images": {"allow": [pattern]}})
    assert rules(document({"image": image}), policy) == (set() if is_allowed else {"images.allow"})
    mount = {"type": "image", "source": image, "target": "/x"}
    mounted = document({"image": pattern.replace("*", "a"), "volumes": [mount]})
    assert ("images.allow" in rules(mounted, policy)) is not is_allowed


@pytest.mark.parametrize(
    ("port", "published", "is_allowed"),
    [
        ("80:80", ["80"], True),
        ("80-82:80-82", ["80", "81-90"], True),
        ("80-82:80-82", ["80", "82-90"], False),
        ("53:53/udp", ["53"], True),
        ("53:53/udp", ["53/tcp"], False),
        ("53:53/UDP", ["53/udp"], True),
        ("127.0.0.1:1:1", ["127.0.0.0/8:*"], True),
        ("10.0.0.1:1:1", ["127.0.0.0/8:*"], False),
        ("1:1", ["0.0.0.0/0:*"], False),
        ("[::ffff:127.0.0.1]:1:1", ["127.0.0.1:*"], True),
        ("[::1]:1:1", ["[::1]:1"], True),
        ("[::1]:1:1", ["127.0.0.1:1"], False),
        ("90", ["*"], True),
        ("127.0.0.1::90", ["127.0.0.1:*"], True),
        ("90", ["127.0.0.1:*"], False),
        ("1:1", [], False),
    ],
)
def test_ports_are_judged_by_number_address_and_protocol(
    port: str, published: list[str], is_allowed: bool
) -> None:
    policy = policy_from_document({"preset": "standard", "ports": {"published": published}})
    expected = set() if is_allowed else {"ports.published"}
    assert rules(document({"ports": [port]}), policy) == expected


def test_a_host_network_that_is_allowed_still_opens_every_port() -> None:
    containers = {"host_network": True}
    policy = policy_from_document(
        {"preset": "standard", "containers": containers, "ports": {"published": ["443"]}}
    )
    assert rules(document({"network_mode": "host"}), policy) == {"ports.published"}


@pytest.mark.parametrize(
    ("service", "broken"),
    [
        ({"mem_limit": "512m", "cpus": 1}, set()),
        ({"mem_limit": 536870912, "cpus": "1.0"}, set()),
        ({"mem_limit": "513m", "cpus": 1}, {"resources.max_memory_mb"}),
        ({"mem_limit": "512m"}, {"resources.max_cpus"}),
        ({"mem_limit": "512m", "cpu_quota": 100000}, set()),
        ({"mem_limit": "512m", "cpu_quota": 100000, "cpu_period": 50000}, {"resources.max_cpus"}),
        ({}, {"resources.max_memory_mb", "resources.max_cpus"}),
        ({"provider": {"type": "x"}}, {"containers.providers"}),
    ],
)
def test_limits_are_bounded_in_every_spelling(service: Document, broken: set[str]) -> None:
    policy = policy_from_document(
        {"preset": "standard", "resources": {"max_memory_mb": 512, "max_cpus": 1}}
    )
    assert rules(document(service), policy) == broken


def test_commands_and_projects_are_judged_by_name() -> None:
    policy = policy_from_document(
        {
            "preset": "standard",
            "commands": {"allow": ["STATUS", "LIST_*"]},
            "projects": {"allow": ["Web-*"]},
        }
    )
    assert not judge_command("LIST_PROJECTS", None, policy)
    assert not judge_command("STATUS", ProjectName("WEB-1"), policy)
    (refused,) = judge_command("DEPLOY_COMPOSE", ProjectName("web-1"), policy)
    assert refused.rule == "commands.allow"
    assert '[commands] allow = [..., "DEPLOY_COMPOSE"]' in refused.message
    (refused,) = judge_command("STATUS", ProjectName("db"), policy)
    assert refused.rule == "projects.allow"
    assert rules(document(), policy) == {"projects.allow"}


def test_a_refusal_quotes_no_secret_and_no_terminal_escape() -> None:
    model = document(
        {
            "build": {"context": "https://user:hunter2@example.com/x.git"},
            "runtime": "\x1b[2J" * 9999,
        },
        volumes={"v": {"driver_opts": {"type": "smbfs", "o": "password=/hunter2,dir=/x"}}},
    )
    said = " ".join(violation.message for violation in violations(model))
    assert said
    assert "hunter2" not in said
    assert "\x1b" not in said
    assert len(said) < 4000


def test_one_thing_is_said_once() -> None:
    found = violations(document({"cap_add": ["ALL", "all"], "privileged": True}))
    assert [violation.rule for violation in found] == [
        "containers.privileged",
        "containers.cap_add",
    ]
