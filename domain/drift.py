"""How what really runs differs from what was wanted, said for people and for machines.

Whatever Compose did when the project was deployed, this is about what has become of it since: by
hand, by itself, or by another program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.engine_state import FoundContainer
from domain.project import ProjectName
from domain.verification import (
    Condition,
    ExpectedService,
    Finding,
    Kind,
    containers_of,
    finding,
    mismatches,
    state_of,
)


class DriftKind(StrEnum):
    """What differs; the words are for machines, too."""

    MISSING = "missing"
    EXTRA = "extra"
    SCALE = "scale"
    IMAGE = "image"
    CONFIG = "config"
    RENAMED = "renamed"
    STOPPED = "stopped"
    UNHEALTHY = "unhealthy"


_KINDS = {
    Kind.SURPLUS: DriftKind.EXTRA,
    Kind.MISNAMED: DriftKind.RENAMED,
    Kind.WRONG_IMAGE: DriftKind.IMAGE,
    Kind.WRONG_CONFIG: DriftKind.CONFIG,
    Kind.UNHEALTHY: DriftKind.UNHEALTHY,
    Kind.RESTARTING: DriftKind.UNHEALTHY,
}
"""All else that is not as it should be is no running container."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference."""

    kind: DriftKind
    service: str
    """Empty for a container of the project that names no service."""
    container: str | None
    sentence: str

    def as_data(self) -> dict[str, object]:
        """What goes into `data` of a response."""
        return {
            "kind": self.kind.value,
            "service": self.service,
            "container": self.container,
            "message": self.sentence,
        }


def drift_of(
    name: ProjectName, expected: Sequence[ExpectedService], found: Sequence[FoundContainer]
) -> tuple[Drift, ...]:
    """Every difference, by service in the order of the expectation, and then what is extra.

    A container that starts, or is not healthy yet, is none. One that `docker compose run` made is
    none either, for as long as it is there.
    """
    items: list[Drift] = []
    for service in expected:
        if service.is_active:
            items += _of_service(name, service, containers_of(service.name, found))
    return (*items, *_extra(expected, found))


def proper_names(
    name: ProjectName, expected: Sequence[ExpectedService], found: Sequence[FoundContainer]
) -> Mapping[str, str]:
    """By id, the proper names of containers that Compose would keep under the names they have.

    It goes by their labels. One that it is going to recreate gets its name from that.
    """
    proper: dict[str, str] = {}
    for service in expected:
        for container in containers_of(service.name, found) if service.is_active else ():
            wrong = {one.kind for one in mismatches(name, service, container)}
            number = container.number or 1
            if wrong == {Kind.MISNAMED}:
                default = f"{name.compose_name}-{service.name}-{number}"
                proper[container.id] = service.container_name or default
    return proper


def _of_service(
    name: ProjectName, service: ExpectedService, containers: Sequence[FoundContainer]
) -> Iterator[Drift]:
    present = [one for one in containers if one.state != "removing"]
    if service.replicas and not present:
        sentence = f"service '{service.name}' has no container"
        yield Drift(DriftKind.MISSING, service.name, None, sentence)
    elif len(present) != service.replicas:
        sentence = f"service '{service.name}' has {len(present)} containers, not {service.replicas}"
        yield Drift(DriftKind.SCALE, service.name, None, sentence)
    for container in present:
        for one in mismatches(name, service, container):
            yield _drift(one)
        kind, words = state_of(service, container)
        if kind is Kind.CREATED or kind.condition is Condition.BAD:
            yield _drift(finding(service.name, container, kind, words))


def _extra(expected: Sequence[ExpectedService], found: Sequence[FoundContainer]) -> Iterator[Drift]:
    known = {service.name: service for service in expected}
    for container in found:
        service = known.get(container.service)
        if container.is_oneoff or container.state == "removing":
            continue
        if service is None:
            words = "belongs to no service of the deployed revision"
        elif not service.is_active:
            words = "is there though no profile of the deployment asks for it"
        else:
            continue
        yield _drift(finding(container.service, container, Kind.SURPLUS, words))


def _drift(one: Finding) -> Drift:
    return Drift(_KINDS.get(one.kind, DriftKind.STOPPED), one.service, one.container, one.sentence)
