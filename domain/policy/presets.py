"""The policies that come with the agent. Their twins as files are in deploy/policy."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from domain.policy.policy import ACCEPT, REFUSE, Policy
from domain.policy.sections import (
    Binds,
    Builds,
    Commands,
    Containers,
    Images,
    Networks,
    Ports,
    Projects,
    Resources,
    Volumes,
)

_ANY: Final = ("*",)
_SOCKETS: Final = (
    "/run/docker.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
)
# What every container has anyway, and IPC_LOCK, with which a process may lock its memory, as it may
# without where `ulimits` lets it: what is locked counts as its container's memory all the same.
_HARMLESS: Final = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "IPC_LOCK", "KILL", "MKNOD",
    "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip
_HOSTS_OWN: Final = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys",
    "/usr", "/var/lib/containerd", "/var/lib/docker", "/var/spool/cron",
)  # fmt: skip

PERMISSIVE: Final = Policy(
    name="permissive",
    unknown_keys=ACCEPT,
    commands=Commands(allow=_ANY),
    projects=Projects(allow=_ANY),
    images=Images(allow=("**",), digest_required=False),
    ports=Ports(published=_ANY, ephemeral=True),
    binds=Binds(
        project_directory=True, roots=("/",), read_only_roots=(), never=(), agent_directories=True
    ),
    containers=Containers(
        privileged=True,
        host_network=True,
        host_pid=True,
        host_ipc=True,
        host_uts=True,
        host_users=True,
        host_cgroup=True,
        other_containers=True,
        cap_add=("ALL",),
        security_opt=("**",),
        devices=("**",),
        device_cgroup_rules=True,
        gpus=True,
        sysctls=_ANY,
        runtimes=("**",),
        cgroup_parent=True,
        credential_spec=True,
        annotations=True,
        logging_drivers=("**",),
        providers=("**",),
        develop=True,
        engine_socket=True,
        engine_sockets=_SOCKETS,
    ),
    builds=Builds(allowed=True, remote_contexts=True, ssh=True),
    networks=Networks(drivers=("**",), driver_options=_ANY, external=("**",)),
    volumes=Volumes(drivers=("**",), mount_types=_ANY, external=_ANY),
    resources=Resources(
        memory_required=False,
        cpus_required=False,
        pids_required=False,
        max_memory_mb=0,
        max_cpus=0.0,
        oom_protection=True,
    ),
)
"""Whatever Compose can do. It is what a host without a policy file has."""

STANDARD: Final = replace(
    PERMISSIVE,
    name="standard",
    binds=Binds(
        project_directory=True,
        roots=(),
        # The first is a link into the last, nearly everywhere.
        read_only_roots=("/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo"),
        never=_HOSTS_OWN,
        agent_directories=False,
    ),
    containers=Containers(
        privileged=False,
        host_network=False,
        host_pid=False,
        host_ipc=False,
        host_uts=False,
        host_users=False,
        host_cgroup=False,
        other_containers=False,
        cap_add=_HARMLESS,
        security_opt=("no-new-privileges=*", "seccomp=builtin", "apparmor=docker-default"),
        devices=(),
        device_cgroup_rules=False,
        gpus=False,
        sysctls=("net.*", "kernel.msg*", "kernel.sem", "kernel.shm*", "fs.mqueue.*"),
        runtimes=("runc", "io.containerd.runc.v2"),
        cgroup_parent=False,
        credential_spec=False,
        annotations=False,
        logging_drivers=("json-file", "local", "journald", "none"),
        providers=(),
        develop=True,
        engine_socket=False,
        engine_sockets=_SOCKETS,
    ),
    builds=Builds(allowed=True, remote_contexts=False, ssh=False),
    networks=Networks(
        drivers=("bridge",),
        driver_options=(
            "com.docker.network.bridge.enable_icc",
            "com.docker.network.bridge.enable_ip_masquerade",
            "com.docker.network.bridge.host_binding_ipv4",
            "com.docker.network.bridge.name",
            "com.docker.network.driver.mtu",
        ),
        external=_ANY,
    ),
    volumes=Volumes(
        drivers=("local",), mount_types=("tmpfs", "nfs", "nfs4", "cifs"), external=_ANY
    ),
    resources=replace(PERMISSIVE.resources, oom_protection=False),
)
"""What most projects need, and nothing that hands them the host."""

STRICT: Final = replace(
    STANDARD,
    name="strict",
    unknown_keys=REFUSE,
    images=Images(allow=("**",), digest_required=True),
    ports=Ports(
        published=("80", "443", "127.0.0.1:1024-65535", "[::1]:1024-65535"), ephemeral=False
    ),
    binds=replace(STANDARD.binds, read_only_roots=()),
    containers=replace(STANDARD.containers, sysctls=(), develop=False),
    builds=Builds(allowed=False, remote_contexts=False, ssh=False),
    networks=replace(STANDARD.networks, driver_options=(), external=()),
    volumes=Volumes(drivers=("local",), mount_types=("tmpfs",), external=()),
    resources=replace(
        STANDARD.resources, memory_required=True, cpus_required=True, pids_required=False
    ),
)
"""Projects that keep to themselves, from images that cannot change under their name."""

PRESETS: Final = {policy.name: policy for policy in (PERMISSIVE, STANDARD, STRICT)}
