"""Where a project can be reached, and what it reaches that is not its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from domain.compose_model import Network, Port, Service, Volume
from domain.policy.binds import BOUND_TYPES, is_bind
from domain.policy.case import Case
from domain.policy.containers import is_hosts, uses_host_network
from domain.policy.globs import fits_any
from domain.policy.ports import PortRule, covered
from domain.policy.violation import Finding, shown

_ENGINES_OWN: Final = frozenset({"", "default", "bridge", "none"})
"""Every engine has them, and a container on one of them meets nobody's project network."""
_LOCAL: Final = "local"


def judge_networks(case: Case) -> Iterator[Finding]:
    """Published ports, network drivers, and networks and volumes of others."""
    rules = tuple(map(PortRule.of, case.policy.ports.published))
    for service in case.model.services:
        for port in service.ports:
            yield from _port(case, rules, port)
        yield from _host_ports(case, rules, service)
        yield from _joined(case, service)
        yield from _undeclared(case, service)
    for network in case.model.networks:
        yield from _network(case, network)
    for volume in case.model.volumes:
        yield from _volume(case, volume)


def _port(case: Case, rules: tuple[PortRule, ...], port: Port) -> Iterator[Finding]:
    if not port.first and not case.policy.ports.ephemeral:
        what = "publishes a port that the engine chooses"
        yield Finding("ports.ephemeral", port.place, what, needed=True)
        return
    if covered(port, rules):
        return
    shape = "*" if not port.first else str(port.first)
    if port.last > port.first:
        shape += f"-{port.last}"
    address = f"[{port.address}]" if ":" in port.address else port.address
    line = f"{address}:{shape}" if address else shape
    line += "" if port.protocol == "tcp" else f"/{port.protocol}"
    yield Finding("ports.published", port.place, f"publishes {shown(line)}", line)


def _host_ports(case: Case, rules: tuple[PortRule, ...], service: Service) -> Iterator[Finding]:
    """On the host's network a container opens whatever it likes."""
    if uses_host_network(case, service) and not any(rule.is_everything for rule in rules):
        key = "network_mode" if service.network_mode else "networks"
        what = "can open every port of the host, being on its network"
        yield Finding("ports.published", service.place.at(key), what, "*")


def _joined(case: Case, service: Service) -> Iterator[Finding]:
    """A mode that is none of Compose's is the name of a network that is there."""
    mode = service.network_mode
    is_known = mode.lower() in (*_ENGINES_OWN, "host")
    if is_known or mode.lower().startswith(("service:", "container:")):
        return
    if not fits_any(mode, case.policy.networks.external):
        what = f"joins the network {shown(mode)}, which is not this project's"
        yield Finding("networks.external", service.place.at("network_mode"), what, mode)


def _network(case: Case, network: Network) -> Iterator[Finding]:
    networks = case.policy.networks
    name = network.name
    if _is_others(case, name, network.key, is_external=network.is_external):
        is_free = name in _ENGINES_OWN or is_hosts(network)  # The latter has a rule of its own.
        if not is_free and not fits_any(name, networks.external):
            what = f"joins the network {shown(name)}, which is not this project's alone"
            yield Finding("networks.external", network.place, what, name)
    if network.driver and not is_hosts(network) and not fits_any(network.driver, networks.drivers):
        what = f"asks for the network driver {shown(network.driver)}"
        yield Finding("networks.drivers", network.place.at("driver"), what, network.driver)
    for option, _ in network.options:
        if not fits_any(option.strip(), networks.driver_options):
            what = f"asks for the driver's option {shown(option)}"
            place = network.place.at("driver_opts")
            yield Finding("networks.driver_options", place, what, option.strip())


def _volume(case: Case, volume: Volume) -> Iterator[Finding]:
    volumes = case.policy.volumes
    is_others = _is_others(case, volume.name, volume.key, is_external=volume.is_external)
    if is_others and not fits_any(volume.name, volumes.external):
        what = f"opens the volume {shown(volume.name)}, which is not this project's alone"
        yield Finding("volumes.external", volume.place, what, volume.name)
    driver = volume.driver or _LOCAL
    if not volume.is_external and not fits_any(driver, volumes.drivers):
        what = f"asks for the volume driver {shown(driver)}"
        yield Finding("volumes.drivers", volume.place.at("driver"), what, driver)
    is_mount = volume.mount_type not in BOUND_TYPES and not is_bind(volume)
    if driver == _LOCAL and is_mount and not fits_any(volume.mount_type, volumes.mount_types):
        what = f"asks to mount the file system {shown(volume.mount_type)}"
        place = volume.place.at("driver_opts")
        yield Finding("volumes.mount_types", place, what, volume.mount_type)


def _undeclared(case: Case, service: Service) -> Iterator[Finding]:
    """A volume that the model does not declare can only be one that is there."""
    declared = {volume.key for volume in case.model.volumes}
    for mount in service.mounts:
        is_volume = mount.kind in ("volume", "cluster") and bool(mount.source)
        is_others = is_volume and (mount.kind == "cluster" or mount.source not in declared)
        if is_others and not fits_any(mount.source, case.policy.volumes.external):
            what = f"opens the volume {shown(mount.source)}, which is not this project's alone"
            yield Finding("volumes.external", mount.place, what, mount.source)


def _is_others(case: Case, name: str, key: str, *, is_external: bool) -> bool:
    """A name of one's own choice is as good as `external`: Compose uses what is called so."""
    return is_external or name not in ("", f"{case.project.compose_name}_{key}")
