"""What a policy decides, section by section, as the policy file names it.

A field is a key of the file. Its type says what may stand there: true or false, a list of strings,
a string or a number.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands by their names on the wire."""

    allow: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Projects:
    """Projects by name, in lower case, as Compose knows them."""

    allow: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Images:
    """Images by registry and repository, with or without a tag."""

    allow: tuple[str, ...]
    digest_required: bool


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the host that containers may be reached at."""

    published: tuple[str, ...]
    ephemeral: bool
    """Ports that the engine chooses."""


@dataclass(frozen=True, slots=True)
class Binds:
    """Paths of the host that containers and builds may see. The most specific entry decides."""

    project_directory: bool
    roots: tuple[str, ...]
    read_only_roots: tuple[str, ...]
    never: tuple[str, ...]
    agent_directories: bool
    """The agent's own: its state, its settings, this policy."""


@dataclass(frozen=True, slots=True)
class Containers:
    """What may separate a container from the host less than usual."""

    privileged: bool
    host_network: bool
    host_pid: bool
    host_ipc: bool
    host_uts: bool
    host_users: bool
    host_cgroup: bool
    other_containers: bool
    cap_add: tuple[str, ...]
    security_opt: tuple[str, ...]
    devices: tuple[str, ...]
    device_cgroup_rules: bool
    gpus: bool
    sysctls: tuple[str, ...]
    runtimes: tuple[str, ...]
    cgroup_parent: bool
    credential_spec: bool
    annotations: bool
    logging_drivers: tuple[str, ...]
    providers: tuple[str, ...]
    develop: bool
    engine_socket: bool
    engine_sockets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Builds:
    """Builds run what their Dockerfile says, on images that nobody here judges."""

    allowed: bool
    remote_contexts: bool
    ssh: bool


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks by driver, and those that belong to others by name."""

    drivers: tuple[str, ...]
    driver_options: tuple[str, ...]
    external: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Volumes:
    """Volumes by driver and by what they mount, and those that belong to others by name."""

    drivers: tuple[str, ...]
    mount_types: tuple[str, ...]
    external: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resources:
    """What each container must promise not to exceed."""

    memory_required: bool
    cpus_required: bool
    pids_required: bool
    max_memory_mb: int
    """0 is no limit; one that is set requires a limit of every service."""
    max_cpus: float
    """As above."""
    oom_protection: bool
    """Whether a container may ask that something else is killed when memory runs out."""
