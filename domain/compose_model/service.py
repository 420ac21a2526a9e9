"""One service of the resolved model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.compose_model.build import Build
from domain.compose_model.limits import Limits
from domain.compose_model.mounts import Device, Mount, Port, unknown_in_lists
from domain.compose_model.place import Place

_KNOWN: Final = frozenset(
    {
        "annotations", "attach", "blkio_config", "build", "cap_add", "cap_drop", "cgroup",
        "cgroup_parent", "command", "configs", "container_name", "cpu_count", "cpu_percent",
        "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus", "cpuset",
        "credential_spec", "depends_on", "deploy", "develop", "device_cgroup_rules", "devices", "dns",
        "dns_opt", "dns_search", "domainname", "entrypoint", "env_file", "environment", "expose",
        "external_links", "extra_hosts", "gpus", "group_add", "healthcheck", "hostname", "image",
        "init", "ipc", "isolation", "label_file", "labels", "links", "logging", "mac_address",
        "mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "models", "network_mode",
        "networks", "oom_kill_disable", "oom_score_adj", "pid", "pids_limit", "platform", "ports",
        "post_start", "pre_stop", "privileged", "profiles", "provider", "pull_policy",
        "pull_refresh_after", "read_only", "restart", "runtime", "scale", "secrets", "security_opt",
        "shm_size", "stdin_open", "stop_grace_period", "stop_signal", "storage_opt", "sysctls",
        "tmpfs", "tty", "ulimits", "use_api_socket", "user", "userns_mode", "uts", "volumes",
        "volumes_from", "working_dir",
    }
)  # fmt: skip
_DEPLOY_KEYS: Final = frozenset(
    {
        "endpoint_mode", "labels", "mode", "placement", "replicas", "resources", "restart_policy",
        "rollback_config", "update_config",
    }
)  # fmt: skip
_UNRESOLVED: Final = ("extends",)


@dataclass(frozen=True, slots=True)
class Service:
    """What the service asks of the host. Strings are as they were written, but for spaces."""

    name: str
    place: Place
    image: str | None
    build: Build | None
    provider: str | None
    """The program of the host that Compose starts in the place of a container."""
    models: tuple[str, ...]
    privileged: bool
    pid: str
    ipc: str
    network_mode: str
    userns_mode: str
    uts: str
    cgroup: str
    cgroup_parent: str
    cap_add: tuple[str, ...]
    security_opt: tuple[str, ...]
    sysctls: tuple[tuple[str, str], ...]
    group_add: tuple[str, ...]
    runtime: str
    devices: tuple[Device, ...]
    device_cgroup_rules: tuple[str, ...]
    device_requests: tuple[Place, ...]
    """The entries of `gpus` and of `deploy.resources.reservations.devices`."""
    ports: tuple[Port, ...]
    mounts: tuple[Mount, ...]
    volumes_from: tuple[str, ...]
    external_links: tuple[str, ...]
    extra_hosts: tuple[str, ...]
    networks: tuple[str, ...]
    configs: tuple[str, ...]
    secrets: tuple[str, ...]
    files: tuple[tuple[Place, str], ...]
    """Env and label files that are left in the model, and their paths."""
    limits: Limits
    privileged_hooks: tuple[Place, ...]
    annotations: tuple[str, ...]
    logging_driver: str
    has_credential_spec: bool
    uses_api_socket: bool
    is_developed: bool
    replicas: int
    container_name: str | None
    has_healthcheck: bool
    depends_on: tuple[tuple[str, str], ...]
    """The services it waits for, and the condition of each."""
    profiles: tuple[str, ...]
    restart: str
    tmpfs: tuple[str, ...]
    unknown: tuple[tuple[str, ...], ...]

    @classmethod
    def read(cls, name: str, place: Place) -> Service:
        """Raises `InvalidInput` that names the place of what cannot be right."""
        for key in _UNRESOLVED:
            if not place.at(key).is_absent:
                raise place.at(key).wrong("resolved by Compose, and gone")

        def word(key: str) -> str:
            return place.at(key).text().strip()

        deploy = place.at("deploy")
        return cls(
            name=name,
            place=place,
            image=word("image") or None,
            build=Build.read(place.at("build")),
            provider=_provider(place.at("provider")),
            models=place.at("models").words(),
            privileged=place.at("privileged").flag(),
            pid=word("pid"),
            ipc=word("ipc"),
            network_mode=word("network_mode"),
            userns_mode=word("userns_mode"),
            uts=word("uts"),
            cgroup=word("cgroup"),
            cgroup_parent=word("cgroup_parent"),
            cap_add=place.at("cap_add").texts(),
            security_opt=place.at("security_opt").texts(),
            sysctls=place.at("sysctls").pairs(),
            group_add=place.at("group_add").texts(),
            runtime=word("runtime"),
            devices=tuple(map(Device.read, place.at("devices").items())),
            device_cgroup_rules=place.at("device_cgroup_rules").texts(),
            device_requests=(*_gpus(place.at("gpus")), *_reserved(deploy)),
            ports=tuple(map(Port.read, place.at("ports").items())),
            mounts=tuple(map(Mount.read, place.at("volumes").items())),
            volumes_from=place.at("volumes_from").texts(),
            external_links=place.at("external_links").texts(),
            extra_hosts=place.at("extra_hosts").words(),
            networks=place.at("networks").words(),
            configs=_references(place.at("configs")),
            secrets=_references(place.at("secrets")),
            files=(*_files(place.at("env_file")), *_files(place.at("label_file"))),
            limits=Limits.read(place),
            privileged_hooks=tuple(_privileged_hooks(place)),
            annotations=place.at("annotations").words(),
            logging_driver=place.at("logging").at("driver").text().strip(),
            has_credential_spec=not place.at("credential_spec").is_absent,
            uses_api_socket=place.at("use_api_socket").flag(),
            is_developed=not place.at("develop").is_absent,
            replicas=_replicas(place),
            container_name=word("container_name") or None,
            has_healthcheck=_has_healthcheck(place.at("healthcheck")),
            depends_on=_depends_on(place.at("depends_on")),
            profiles=place.at("profiles").texts(),
            restart=word("restart"),
            tmpfs=place.at("tmpfs").texts(),
            unknown=(
                *place.unknown(_KNOWN),
                *deploy.unknown(_DEPLOY_KEYS),
                *unknown_in_lists(place),
            ),
        )


def _provider(place: Place) -> str | None:
    return None if place.is_absent else place.at("type").text().strip()


def _gpus(place: Place) -> tuple[Place, ...]:
    """`all`, or a list."""
    if isinstance(place.value, str):
        return (place,)
    return tuple(place.items())


def _reserved(deploy: Place) -> tuple[Place, ...]:
    resources = deploy.at("resources").at("reservations")
    return (*resources.at("devices").items(), *resources.at("generic_resources").items())


def _references(place: Place) -> tuple[str, ...]:
    """Names of configs or secrets: a string, or the `source` of a mapping."""
    return tuple(
        item.at("source").text() if item.is_mapping else item.text() for item in place.items()
    )


def _files(place: Place) -> tuple[tuple[Place, str], ...]:
    if isinstance(place.value, str):
        return ((place, place.text()),)
    return tuple(
        (item, item.at("path").text() if item.is_mapping else item.text()) for item in place.items()
    )


def _privileged_hooks(service: Place) -> tuple[Place, ...]:
    hooks = (*service.at("post_start").items(), *service.at("pre_stop").items())
    return tuple(hook for hook in hooks if hook.at("privileged").flag())


def _replicas(service: Place) -> int:
    numbers = (service.at("scale").number(), service.at("deploy").at("replicas").number())
    return int(max((number for number in numbers if number is not None), default=1))


def _has_healthcheck(place: Place) -> bool:
    """Of its own: whether the image has one, the model does not tell."""
    test = place.at("test").texts()
    return not place.at("disable").flag() and bool(test) and test[0] != "NONE"


def _depends_on(place: Place) -> tuple[tuple[str, str], ...]:
    if not place.is_mapping:
        return tuple((name, "service_started") for name in place.texts())
    return tuple(
        (name, entry.at("condition").text("service_started")) for name, entry in place.entries()
    )
