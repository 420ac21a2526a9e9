"""The services of a project as the engine runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.project import ProjectName


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port of the host that leads to a port of a container."""

    host_address: str
    host_port: int
    container_port: int
    protocol: str

    def __str__(self) -> str:
        address = f"[{self.host_address}]" if ":" in self.host_address else self.host_address
        return f"{address}:{self.host_port}->{self.container_port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class ServiceContainer:
    """One container of a service. `state` and `health` are the engine's words; `health` may be ""."""

    service: str
    container: str
    state: str
    health: str
    image: str
    published_ports: tuple[PublishedPort, ...]
    exit_code: int | None
    """None while the container has not exited."""


def describe_services(name: ProjectName, services: Sequence[ServiceContainer]) -> str:
    """The status of a project as people read it: one line, then one a container."""
    if not services:
        return f"Project '{name}' has no containers: it is stopped."
    running = sum(service.state == "running" for service in services)
    lines = [f"Project '{name}': {running} of {len(services)} containers running."]
    width = max(len(service.service) for service in services)
    lines += [f"  {service.service:<{width}}  {_describe(service)}" for service in services]
    return "\n".join(lines)


def _describe(container: ServiceContainer) -> str:
    state = container.state
    if container.health:
        state += f" ({container.health})"
    if container.exit_code is not None:
        state += f" with exit code {container.exit_code}"
    parts = [state, container.image, *(str(port) for port in container.published_ports)]
    return "  ".join(parts)
