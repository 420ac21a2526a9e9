"""What separates a container from the host less than usual."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from domain.compose_model import Build, Network, Place, Service
from domain.policy.case import Case
from domain.policy.globs import fits_any
from domain.policy.paths import clean
from domain.policy.violation import Finding, shown

_HOST: Final = "host"
_NAMESPACES: Final = (
    ("pid", "host_pid", "the host's processes"),
    ("ipc", "host_ipc", "the host's shared memory"),
    ("network_mode", "host_network", "the host's network"),
    ("uts", "host_uts", "the host's name"),
    ("userns_mode", "host_users", "the host's users"),
    ("cgroup", "host_cgroup", "the host's control groups"),
)
_ID_LENGTH: Final = 64
_FLAGS: Final = (
    ("use_api_socket", "engine_socket", "asks for the engine's socket"),
    ("credential_spec", "credential_spec", "asks for credentials of the host"),
    ("develop", "develop", "asks to be rebuilt while it is developed"),
    ("cgroup_parent", "cgroup_parent", "asks for a control group of its own choice"),
    ("device_cgroup_rules", "device_cgroup_rules", "asks for classes of devices"),
    ("annotations", "annotations", "gives instructions to the container runtime"),
)


def judge_containers(case: Case) -> Iterator[Finding]:
    """Each service, its hooks and its build, and networks that are the host's."""
    for service in case.model.services:
        yield from _privileges(case, service)
        yield from _flags(case, service)
        yield from _namespaces(case, service)
        yield from _other_containers(case, service)
        yield from _devices(case, service)
        yield from _named(case, service)
        yield from _providers(case, service)
        if service.build is not None:
            yield from _build(case, service.build)
    for network in case.model.networks:
        if is_hosts(network):
            yield from _host_network(case, network.place)
    if case.model.models and not fits_any("model", case.policy.containers.providers):
        yield Finding("containers.providers", Place(None, ("models",)), _RUNS_MODELS, "model")


def is_hosts(network: Network) -> bool:
    """Whether a network is the host's, or could be: it is known by an id as well as by its name."""
    name = network.name.strip().lower()
    is_id = len(name) == _ID_LENGTH and all(character in "0123456789abcdef" for character in name)
    return _HOST in (name, network.driver) or is_id


def uses_host_network(case: Case, service: Service) -> bool:
    """By its mode, or by a network that is the host's."""
    hosts = {network.key for network in case.model.networks if is_hosts(network)}
    return service.network_mode.lower() == _HOST or not hosts.isdisjoint(service.networks)


def _privileges(case: Case, service: Service) -> Iterator[Finding]:
    containers = case.policy.containers
    if not containers.privileged:
        asks = "asks for all privileges of the host"
        if service.privileged:
            yield Finding(
                "containers.privileged", service.place.at("privileged"), asks, needed=True
            )
        for hook in service.privileged_hooks:
            yield Finding("containers.privileged", hook, asks, needed=True)
    for capability in service.cap_add:
        name = capability.strip().upper().removeprefix("CAP_")
        if "ALL" not in containers.cap_add and name not in containers.cap_add:
            what = f"asks for the capability {shown(name)}"
            yield Finding("containers.cap_add", service.place.at("cap_add"), what, name)
    for option in service.security_opt:
        normal = _security_option(option)
        if not fits_any(normal, containers.security_opt):
            what = f"asks for {shown(normal)}"
            yield Finding("containers.security_opt", service.place.at("security_opt"), what, normal)


def _security_option(option: str) -> str:
    """`seccomp:unconfined` and `seccomp=unconfined` are one; a word alone is switched on."""
    text = option.strip().lower()
    cut = min((place for place in (text.find("="), text.find(":")) if place >= 0), default=None)
    if cut is None:
        return f"{text}=true"
    return f"{text[:cut].strip()}={text[cut + 1 :].strip()}"


def _flags(case: Case, service: Service) -> Iterator[Finding]:
    asked = {
        "use_api_socket": service.uses_api_socket,
        "credential_spec": service.has_credential_spec,
        "develop": service.is_developed,
        "cgroup_parent": bool(service.cgroup_parent),
        "device_cgroup_rules": bool(service.device_cgroup_rules),
        "annotations": bool(service.annotations),
    }
    for key, flag, what in _FLAGS:
        if asked[key] and not getattr(case.policy.containers, flag):
            yield Finding(f"containers.{flag}", service.place.at(key), what, needed=True)


def _namespaces(case: Case, service: Service) -> Iterator[Finding]:
    for key, flag, whose in _NAMESPACES:
        mode = getattr(service, key).lower()
        if mode == _HOST and not getattr(case.policy.containers, flag):
            what = f"asks to share {whose}"
            yield Finding(f"containers.{flag}", service.place.at(key), what, needed=True)


def _host_network(case: Case, place: Place) -> Iterator[Finding]:
    if not case.policy.containers.host_network:
        yield Finding(
            "containers.host_network", place, "asks to share the host's network", needed=True
        )


def _other_containers(case: Case, service: Service) -> Iterator[Finding]:
    if case.policy.containers.other_containers:
        return
    own = {other.name for other in case.model.services}
    joined = [
        key for key in ("pid", "ipc", "network_mode") if _is_containers(getattr(service, key))
    ]
    # `service[:mode]`, or `container:name[:mode]`: also where a service is called `container`.
    if any(
        _is_containers(source) or _named_in(source) not in own for source in service.volumes_from
    ):
        joined.append("volumes_from")
    if service.external_links:
        joined.append("external_links")
    for key in joined:
        what = "reaches into a container that is not this project's"
        yield Finding("containers.other_containers", service.place.at(key), what, needed=True)


def _is_containers(source: str) -> bool:
    return source.strip().lower().startswith("container:")


def _named_in(source: str) -> str:
    return source.partition(":")[0].strip()


def _devices(case: Case, service: Service) -> Iterator[Finding]:
    containers = case.policy.containers
    for device in service.devices:
        source = device.source if "=" in device.source else clean(device.source)
        if not fits_any(source, containers.devices):
            what = f"asks for the device {shown(source)}"
            yield Finding("containers.devices", device.place, what, source)
    if not containers.gpus:
        for request in service.device_requests:
            yield Finding("containers.gpus", request, "asks for a graphics processor", needed=True)


def _named(case: Case, service: Service) -> Iterator[Finding]:
    containers = case.policy.containers
    for name, _ in service.sysctls:
        normal = name.strip().replace("/", ".")
        if not fits_any(normal, containers.sysctls):
            what = f"asks to set {shown(normal)} in the kernel"
            yield Finding("containers.sysctls", service.place.at("sysctls"), what, normal)
    if service.runtime and not fits_any(service.runtime, containers.runtimes):
        what = f"asks for the container runtime {shown(service.runtime)}"
        yield Finding("containers.runtimes", service.place.at("runtime"), what, service.runtime)
    driver = service.logging_driver.lower()
    if driver and not fits_any(driver, containers.logging_drivers):
        what = f"asks for the logging driver {shown(driver)}"
        yield Finding("containers.logging_drivers", service.place.at("logging"), what, driver)


def _providers(case: Case, service: Service) -> Iterator[Finding]:
    allowed = case.policy.containers.providers
    if service.provider is not None and not fits_any(service.provider, allowed):
        what = f"has Compose start the host's program {shown(service.provider)}"
        place = service.place.at("provider")
        yield Finding("containers.providers", place, what, service.provider)
    if service.models and not fits_any("model", allowed):
        place = service.place.at("models")
        yield Finding("containers.providers", place, _RUNS_MODELS, "model")


_RUNS_MODELS: Final = "has Compose start the host's program that runs models"


def _build(case: Case, build: Build) -> Iterator[Finding]:
    """A build is a container too, and may ask for what containers may ask for."""
    containers = case.policy.containers
    rest = [word for word in build.entitlements if word != "network.host"]
    if not containers.privileged and (build.privileged or rest):
        place = build.place.at("privileged" if build.privileged else "entitlements")
        what = "asks for privileges of the host"
        yield Finding("containers.privileged", place, what, needed=True)
    if build.network.lower() == _HOST:
        yield from _host_network(case, build.place.at("network"))
    if len(rest) < len(build.entitlements):
        yield from _host_network(case, build.place.at("entitlements"))
    if _is_containers(build.network) and not containers.other_containers:
        place = build.place.at("network")
        what = "reaches into a container that is not this project's"
        yield Finding("containers.other_containers", place, what, needed=True)
