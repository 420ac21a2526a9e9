"""What `docker compose` prints for machines, read into the domain."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from application.ports.compose_runtime import ResolvedProject
from domain.errors import RuntimeUnavailable
from domain.output import BoundedOutput
from domain.services import PublishedPort, ServiceContainer

_HASH = re.compile(r"^(\S+) ([0-9a-f]{64})", re.MULTILINE)


def parse_listing(text: str) -> tuple[ServiceContainer, ...]:
    """The containers, by service and name.

    Compose prints an object a line, and before 2.21 one array; warnings may stand between the lines.
    """
    return tuple(
        sorted(
            (_container(entry) for entry in objects_in(text)),
            key=lambda container: (container.service, container.container),
        )
    )


def parse_resolved(model: str, hashes: str, complaints: BoundedOutput) -> ResolvedProject:
    """What `config` has printed; warnings, which stand before and after, go to `complaints`.

    Raises `RuntimeUnavailable` where that cannot be read; what it says quotes nothing.
    """
    begin = re.search(r"^\{$", model, re.MULTILINE)
    if begin is None:
        raise RuntimeUnavailable("docker compose config has printed no model of the project")
    try:
        document, end = json.JSONDecoder().raw_decode(model, begin.start())
    except ValueError:
        raise RuntimeUnavailable("what docker compose config has printed is no JSON") from None
    # Compose ends neither with a line break, and a warning may follow at once.
    complaints.write((model[: begin.start()] + model[end:]).lstrip("\n").encode())
    return ResolvedProject(document, dict(_HASH.findall(hashes)))


def objects_in(text: str) -> Iterator[Mapping[str, Any]]:
    """One object a line, or one array; warnings may stand between the lines."""
    for line in text.splitlines():
        if not line.startswith(("{", "[")):
            continue
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            continue
        yield from found if isinstance(found, list) else [found]


def _container(entry: Mapping[str, Any]) -> ServiceContainer:
    state = str(entry.get("State", ""))
    return ServiceContainer(
        service=str(entry.get("Service", "")),
        container=str(entry.get("Name", "")),
        state=state,
        health=str(entry.get("Health") or ""),
        image=str(entry.get("Image", "")),
        published_ports=tuple(ports_of(entry.get("Publishers") or ())),
        exit_code=int(entry.get("ExitCode", 0)) if state in ("exited", "dead") else None,
    )


def ports_of(publishers: Iterable[Mapping[str, Any]]) -> Iterator[PublishedPort]:
    """The ports of the host among what Compose calls a container's publishers."""
    for publisher in publishers:
        if publisher.get("PublishedPort"):
            yield PublishedPort(
                host_address=str(publisher.get("URL") or ""),
                host_port=int(publisher["PublishedPort"]),
                container_port=int(publisher.get("TargetPort", 0)),
                protocol=str(publisher.get("Protocol", "tcp")),
            )
